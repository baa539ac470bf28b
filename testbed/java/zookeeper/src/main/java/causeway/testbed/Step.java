package causeway.testbed;

import com.fasterxml.jackson.databind.JsonNode;

import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.data.ACL;

import java.nio.charset.StandardCharsets;
import java.util.List;

/** One write of a transaction or of a bulk. With a number, each {@code {n}} in its path and data stands for it. */
final class Step {
    final String verb;
    final String path;
    final byte[] data;
    final int version;
    final CreateMode mode;
    final List<ACL> acl;

    Step(JsonNode c, Long number) {
        verb = c.path("do").asText();
        version = c.path("version").asInt(-1);
        mode = CreateMode.valueOf(c.path("mode").asText("PERSISTENT"));
        acl = Acls.read(c.path("acl"));
        byte[] given = Client.data(c);
        if (number == null) {
            path = c.path("path").asText();
            data = given;
        } else {
            path = c.path("path").asText().replace("{n}", number.toString());
            data = given == null ? null : new String(given, StandardCharsets.UTF_8)
                .replace("{n}", number.toString()).getBytes(StandardCharsets.UTF_8);
        }
    }

    Op op() {
        switch (verb) {
            case "create":
                return Op.create(path, data, acl, mode);
            case "set":
                return Op.setData(path, data, version);
            case "delete":
                return Op.delete(path, version);
            case "check":
                return Op.check(path, version);
            default:
                throw new IllegalArgumentException("no step named " + verb);
        }
    }
}
