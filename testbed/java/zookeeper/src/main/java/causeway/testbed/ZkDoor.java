package causeway.testbed;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.sun.tools.attach.VirtualMachine;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

import javax.management.MBeanServerConnection;
import javax.management.ObjectName;
import javax.management.remote.JMXConnector;
import javax.management.remote.JMXConnectorFactory;
import javax.management.remote.JMXServiceURL;

/**
 * Real ZooKeeper clients for tests, driven over standard input.
 *
 * <p>One JSON object a line in: {@code {"id":1,"do":"set","client":"a","path":"/x","data":"<base64>"}}; one a line out:
 * {@code {"id":1,"result":...}} or {@code {"id":1,"error":"..."}}, and for watches, caches and sessions
 * {@code {"event":"node","client":"a","log":"...","type":"...","path":"...","at":<ms since 1970>}}. Commands run side
 * by side: who needs an order waits for the answers. A client is one session at one address. The end of standard input
 * ends the process at once, without closing sessions: a driver that dies leaves nothing running.
 */
public final class ZkDoor {
    static final ObjectMapper JSON = new ObjectMapper();
    private static final PrintStream OUT = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    private static final Map<String, Client> CLIENTS = new ConcurrentHashMap<>();

    private ZkDoor() {
    }

    public static void main(String[] args) throws Exception {
        ExecutorService pool = Executors.newCachedThreadPool();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        print(JSON.createObjectNode().put("event", "ready"));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            JsonNode command = JSON.readTree(line);
            pool.execute(() -> answer(command));
        }
        Runtime.getRuntime().halt(0);
    }

    private static void answer(JsonNode command) {
        ObjectNode out = JSON.createObjectNode().put("id", command.path("id").asLong());
        try {
            out.set("result", run(command));
        } catch (Throwable e) {
            out.put("error", e.toString());
        }
        print(out);
    }

    static synchronized void print(ObjectNode line) {
        OUT.println(line);
        OUT.flush();
    }

    private static JsonNode run(JsonNode c) throws Exception {
        String name = c.path("client").asText();
        switch (c.path("do").asText()) {
            case "connect":
                Client made = new Client(name, c);
                if (CLIENTS.putIfAbsent(name, made) != null) {
                    made.close();
                    throw new IllegalArgumentException("a client named " + name + " exists");
                }
                return made.session();
            case "expireSession":
                byte[] password = HexFormat.of().parseHex(c.path("password").asText());
                Client.expire(c.path("address").asText(), c.path("session").asLong(), password);
                return null;
            case "terminateSession":
                terminate(c.path("pid").asText(), c.path("session").asLong());
                return null;
            case "close":
                Client gone = CLIENTS.remove(name);
                if (gone != null) {
                    gone.close();
                }
                return null;
            default:
                Client client = CLIENTS.get(name);
                if (client == null) {
                    throw new IllegalArgumentException("no client named " + name);
                }
                return client.run(c);
        }
    }

    /** As an operator ends somebody's session at a running server: over JMX, on the bean of its connection. */
    private static void terminate(String pid, long session) throws Exception {
        VirtualMachine server = VirtualMachine.attach(pid);
        try (JMXConnector jmx = JMXConnectorFactory.connect(new JMXServiceURL(server.startLocalManagementAgent()))) {
            MBeanServerConnection beans = jmx.getMBeanServerConnection();
            String id = "0x" + Long.toHexString(session);
            for (ObjectName bean : beans.queryNames(new ObjectName("org.apache.ZooKeeperService:*"), null)) {
                if (bean.getKeyPropertyList().containsValue(id)) {
                    beans.invoke(bean, "terminateSession", new Object[0], new String[0]);
                    return;
                }
            }
            throw new IllegalArgumentException("no connection of session " + id);
        } finally {
            server.detach();
        }
    }
}
