package causeway.testbed;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.TreeMap;

/**
 * What the two programs have in common: events on standard output, commands on standard input, settings as
 * {@code key=value}, and their end.
 */
final class Lines {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static PrintStream out;

    private Lines() {
    }

    /** What a program does when it is told to; the command is as it came. */
    interface Command {
        void run(JsonNode command) throws Exception;
    }

    /**
     * From now on only events and answers go to standard output, and the end of standard input ends the process at once.
     * A command is one line of JSON with an id; its answer has the same.
     */
    static void begin(Command commands) {
        out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        System.setOut(System.err);
        Thread watch = new Thread(() -> {
            try (BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
                for (String line = in.readLine(); line != null; line = in.readLine()) {
                    answer(JSON.readTree(line), commands);
                }
            } catch (IOException e) {
                // As good as the end.
            }
            Runtime.getRuntime().halt(0);
        });
        watch.setDaemon(true);
        watch.start();
    }

    private static void answer(JsonNode command, Command commands) {
        ObjectNode answer = JSON.createObjectNode().put("id", command.path("id").asLong());
        try {
            commands.run(command);
            answer.put("ok", true);
        } catch (Throwable e) {
            answer.put("error", e.toString());
        }
        print(answer);
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
