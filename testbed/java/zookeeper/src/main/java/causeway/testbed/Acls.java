package causeway.testbed;

import com.fasterxml.jackson.databind.JsonNode;

import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.Id;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;

/** Access lists as text: {@code world:anyone:cdrwa}, several with a comma, in the server's order. */
final class Acls {
    private static final String LETTERS = "rwcda";

    private Acls() {
    }

    static List<ACL> read(JsonNode text) {
        List<ACL> out = new ArrayList<>();
        // A digest holds a colon, so the scheme ends at the first one and the permissions begin after the last.
        for (String one : text.asText("world:anyone:cdrwa").split(",")) {
            int first = one.indexOf(':');
            int last = one.lastIndexOf(':');
            int permissions = 0;
            for (char letter : one.substring(last + 1).toCharArray()) {
                permissions |= 1 << LETTERS.indexOf(letter);
            }
            String id = first == last ? "" : one.substring(first + 1, last);
            out.add(new ACL(permissions, new Id(one.substring(0, first), id)));
        }
        return out;
    }

    static String write(List<ACL> list) {
        if (list.equals(ZooDefs.Ids.OPEN_ACL_UNSAFE)) {
            return "world:anyone:cdrwa";
        }
        return list.stream().map(Acls::write).collect(Collectors.joining(","));
    }

    private static String write(ACL acl) {
        StringBuilder letters = new StringBuilder();
        for (char letter : "cdrwa".toCharArray()) {
            if ((acl.getPerms() & 1 << LETTERS.indexOf(letter)) != 0) {
                letters.append(letter);
            }
        }
        return acl.getId().getScheme() + ":" + acl.getId().getId() + ":" + letters;
    }
}
