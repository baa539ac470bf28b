package causeway.testbed;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;

import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.TreeMap;

/** What the two programs have in common: events on standard output, settings as {@code key=value}, and their end. */
final class Lines {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static PrintStream out;

    private Lines() {
    }

    /** From now on only events go to standard output, and the end of standard input ends the process at once. */
    static void begin() {
        out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        System.setOut(System.err);
        Thread watch = new Thread(() -> {
            try {
                while (System.in.read() >= 0) {
                    continue;
                }
            } catch (IOException e) {
                // As good as the end.
            }
            Runtime.getRuntime().halt(0);
        });
        watch.setDaemon(true);
        watch.start();
    }

    static ObjectNode event(String name) {
        return JSON.createObjectNode().put("event", name).put("at", System.currentTimeMillis());
    }

    static synchronized void print(ObjectNode line) {
        out.println(line);
        out.flush();
    }

    static Map<String, String> settings(String[] args, int from) {
        Map<String, String> settings = new TreeMap<>();
        for (int i = from; i < args.length; i++) {
            int equals = args[i].indexOf('=');
            settings.put(args[i].substring(0, equals), args[i].substring(equals + 1));
        }
        return settings;
    }
}
