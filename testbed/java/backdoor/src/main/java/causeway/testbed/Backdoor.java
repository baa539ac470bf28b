package causeway.testbed;

import com.alibaba.nacos.api.PropertyKeyConst;
import com.alibaba.nacos.api.naming.NamingFactory;
import com.alibaba.nacos.api.naming.NamingService;
import com.alibaba.nacos.api.naming.listener.EventListener;
import com.alibaba.nacos.api.naming.listener.NamingEvent;
import com.alibaba.nacos.api.naming.pojo.Instance;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/**
 * Real providers and subscribers for tests, driven over standard input.
 *
 * <p>One JSON object a line in: {@code {"id":1,"do":"register","client":"a","service":"s","instance":{...}}}; one a line
 * out: {@code {"id":1,"result":...}} or {@code {"id":1,"error":"..."}}, and for subscriptions
 * {@code {"event":"hosts","client":"a","group":"g","service":"s","at":<ms since 1970>,"hosts":[...]}}. Commands run side by
 * side: who needs an order waits for the answers. A client is one NamingService, that is one connection to one server.
 * The end of standard input ends the process at once, without deregistering: a driver that dies leaves nothing running.
 */
public final class Backdoor {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final PrintStream OUT = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    private static final Map<String, NamingService> CLIENTS = new ConcurrentHashMap<>();
    private static final Map<String, EventListener> LISTENERS = new ConcurrentHashMap<>();

    private Backdoor() {
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

    private static synchronized void print(ObjectNode line) {
        OUT.println(line);
        OUT.flush();
    }

    private static JsonNode run(JsonNode c) throws Exception {
        String name = c.path("client").asText();
        String verb = c.path("do").asText();
        if (verb.equals("connect")) {
            return connect(name, c);
        }
        NamingService client = CLIENTS.get(name);
        if (client == null) {
            throw new IllegalArgumentException("no client named " + name);
        }
        String service = c.path("service").asText();
        String group = c.path("group").asText("DEFAULT_GROUP");
        switch (verb) {
            case "register":
                client.registerInstance(service, group, instance(c.path("instance")));
                return null;
            case "deregister":
                client.deregisterInstance(service, group, instance(c.path("instance")));
                return null;
            case "batchRegister":
                client.batchRegisterInstance(service, group, instances(c.path("instances")));
                return null;
            case "batchDeregister":
                client.batchDeregisterInstance(service, group, instances(c.path("instances")));
                return null;
            case "getAll":
                return hosts(client.getAllInstances(service, group, new ArrayList<>(), false));
            case "status":
                return JSON.getNodeFactory().textNode(client.getServerStatus());
            case "subscribe":
                EventListener told = event -> tell(name, group, service, event);
                if (LISTENERS.putIfAbsent(key(name, group, service), told) != null) {
                    throw new IllegalArgumentException("subscribed already");
                }
                client.subscribe(service, group, told);
                return null;
            case "unsubscribe":
                EventListener old = LISTENERS.remove(key(name, group, service));
                if (old != null) {
                    client.unsubscribe(service, group, old);
                }
                return null;
            case "close":
                LISTENERS.keySet().removeIf(k -> k.startsWith(name + "\0"));
                CLIENTS.remove(name);
                client.shutDown();
                return null;
            default:
                throw new IllegalArgumentException("no command named " + verb);
        }
    }

    /** The answer comes once the connection stands: the client connects in the background, and its first calls may fail. */
    private static JsonNode connect(String name, JsonNode c) throws Exception {
        Properties p = new Properties();
        p.setProperty(PropertyKeyConst.SERVER_ADDR, c.path("server").asText());
        p.setProperty(PropertyKeyConst.NAMESPACE, c.path("namespace").asText("public"));
        if (c.hasNonNull("user")) {
            p.setProperty(PropertyKeyConst.USERNAME, c.path("user").asText());
            p.setProperty(PropertyKeyConst.PASSWORD, c.path("password").asText());
        }
        // A subscriber must not show what a file of an earlier run says.
        p.setProperty(PropertyKeyConst.NAMING_LOAD_CACHE_AT_START, "false");
        c.path("properties").fields().forEachRemaining(e -> p.setProperty(e.getKey(), e.getValue().asText()));
        NamingService client = NamingFactory.createNamingService(p);
        NamingService before = CLIENTS.putIfAbsent(name, client);
        if (before != null) {
            client.shutDown();
            throw new IllegalArgumentException("a client named " + name + " exists");
        }
        long end = System.nanoTime() + 1_000_000L * c.path("timeoutMillis").asLong(10_000);
        while (!"UP".equals(client.getServerStatus())) {
            if (System.nanoTime() > end) {
                CLIENTS.remove(name);
                client.shutDown();
                throw new IllegalStateException("not connected in time");
            }
            Thread.sleep(20);
        }
        return null;
    }

    private static void tell(String client, String group, String service, com.alibaba.nacos.api.naming.listener.Event e) {
        ObjectNode line = JSON.createObjectNode().put("event", "hosts").put("client", client).put("group", group)
            .put("service", service).put("at", System.currentTimeMillis());
        line.set("hosts", hosts(((NamingEvent) e).getInstances()));
        print(line);
    }

    private static String key(String client, String group, String service) {
        return client + "\0" + group + "\0" + service;
    }

    private static List<Instance> instances(JsonNode list) {
        List<Instance> out = new ArrayList<>();
        list.forEach(n -> out.add(instance(n)));
        return out;
    }

    private static Instance instance(JsonNode n) {
        Instance i = new Instance();
        i.setIp(n.path("ip").asText());
        i.setPort(n.path("port").asInt());
        i.setWeight(n.path("weight").asDouble(1.0));
        i.setHealthy(n.path("healthy").asBoolean(true));
        i.setEnabled(n.path("enabled").asBoolean(true));
        i.setEphemeral(n.path("ephemeral").asBoolean(true));
        i.setClusterName(n.path("cluster").asText("DEFAULT"));
        Map<String, String> metadata = new TreeMap<>();
        n.path("metadata").fields().forEachRemaining(e -> metadata.put(e.getKey(), e.getValue().asText()));
        i.setMetadata(metadata);
        return i;
    }

    private static ArrayNode hosts(List<Instance> list) {
        ArrayNode out = JSON.createArrayNode();
        for (Instance i : list) {
            ObjectNode host = out.addObject().put("ip", i.getIp()).put("port", i.getPort()).put("weight", i.getWeight())
                .put("healthy", i.isHealthy()).put("enabled", i.isEnabled()).put("ephemeral", i.isEphemeral())
                .put("cluster", i.getClusterName());
            ObjectNode metadata = host.putObject("metadata");
            new TreeMap<>(i.getMetadata()).forEach(metadata::put);
        }
        return out;
    }
}
