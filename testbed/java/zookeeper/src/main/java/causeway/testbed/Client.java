package causeway.testbed;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.cache.ChildData;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.cache.CuratorCacheListener;
import org.apache.curator.retry.RetryForever;
import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.OpResult;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.ZKUtil;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.client.ZKClientConfig;
import org.apache.zookeeper.data.Stat;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** One session. */
final class Client {
    private final String name;
    private final JsonNode how;
    private final ZooKeeper zk;
    /** Curator wants connections of its own. */
    private final Map<String, CuratorFramework> caches = new ConcurrentHashMap<>();

    Client(String name, JsonNode how) throws Exception {
        this.name = name;
        this.how = how;
        ZKClientConfig config = new ZKClientConfig();
        how.path("properties").fields().forEachRemaining(e -> config.setProperty(e.getKey(), e.getValue().asText()));
        CountDownLatch connected = new CountDownLatch(1);
        zk = new ZooKeeper(how.path("address").asText(), how.path("timeoutMillis").asInt(), event -> {
            if (event.getType() == Watcher.Event.EventType.None) {
                tell("session", event);
                if (event.getState() == Watcher.Event.KeeperState.SyncConnected) {
                    connected.countDown();
                }
            }
        }, config);
        if (how.hasNonNull("digest")) {
            zk.addAuthInfo("digest", how.path("digest").asText().getBytes(StandardCharsets.UTF_8));
        }
        if (!connected.await(10, TimeUnit.SECONDS)) {
            zk.close();
            throw new IllegalStateException("not connected in time");
        }
    }

    void close() throws InterruptedException {
        caches.values().forEach(CuratorFramework::close);
        zk.close();
    }

    JsonNode run(JsonNode c) throws Exception {
        String path = c.path("path").asText();
        switch (c.path("do").asText()) {
            case "session":
                return session();
            case "expire":
                expire(how.path("address").asText(), zk.getSessionId(), zk.getSessionPasswd());
                return null;
            case "create":
                Step node = new Step(c, null);
                return text(zk.create(node.path, node.data, node.acl, node.mode));
            case "set":
                return stat(zk.setData(path, data(c), c.path("version").asInt(-1)));
            case "delete":
                zk.delete(path, c.path("version").asInt(-1));
                return null;
            case "deleteAll":
                ZKUtil.deleteRecursive(zk, path);
                return null;
            case "setAcl":
                return stat(zk.setACL(path, Acls.read(c.path("acl")), -1));
            case "get":
                return get(path);
            case "children":
                ArrayNode list = ZkDoor.JSON.createArrayNode();
                zk.getChildren(path, false).stream().sorted().forEach(list::add);
                return list;
            case "walk":
                return new Walk(zk).from(path);
            case "multi":
                return multi(c.path("steps"));
            case "bulk":
                return new Bulk(zk).run(c.path("steps"), c.path("count").asLong(-1));
            case "watch":
                String log = c.path("log").asText();
                zk.addWatch(path, event -> tell(log, event), AddWatchMode.PERSISTENT_RECURSIVE);
                return null;
            case "cache":
                cache(path, c.path("log").asText());
                return null;
            default:
                throw new IllegalArgumentException("no command named " + c.path("do").asText());
        }
    }

    ObjectNode session() {
        return ZkDoor.JSON.createObjectNode().put("id", zk.getSessionId())
            .put("password", HexFormat.of().formatHex(zk.getSessionPasswd()))
            .put("timeoutMillis", zk.getSessionTimeout()).put("state", zk.getState().name());
    }

    /** Makes the session expire: a second client takes it over and closes it. */
    static void expire(String address, long session, byte[] password) throws Exception {
        CountDownLatch connected = new CountDownLatch(1);
        ZooKeeper second = new ZooKeeper(address, 10_000, event -> {
            Watcher.Event.KeeperState state = event.getState();
            // A session that has ended already need not be waited for.
            if (state == Watcher.Event.KeeperState.SyncConnected || state == Watcher.Event.KeeperState.Expired) {
                connected.countDown();
            }
        }, session, password);
        boolean taken = connected.await(10, TimeUnit.SECONDS);
        second.close();
        if (!taken) {
            throw new IllegalStateException("the session could not be taken over");
        }
    }

    private JsonNode get(String path) throws Exception {
        Stat stat = new Stat();
        try {
            byte[] data = zk.getData(path, false, stat);
            String acl = Acls.write(zk.getACL(path, null));
            ObjectNode out = ZkDoor.JSON.createObjectNode().put("data", base64(data)).put("acl", acl);
            out.set("stat", stat(stat));
            return out;
        } catch (KeeperException.NoNodeException e) {
            return null; // also where it goes between the two reads
        }
    }

    /** Each step's result: the path of a created node, null otherwise. */
    private JsonNode multi(JsonNode steps) throws Exception {
        List<Op> ops = new ArrayList<>();
        for (JsonNode step : steps) {
            ops.add(new Step(step, null).op());
        }
        ArrayNode out = ZkDoor.JSON.createArrayNode();
        for (OpResult result : zk.multi(ops)) {
            out.add(result instanceof OpResult.CreateResult ? ((OpResult.CreateResult) result).getPath() : null);
        }
        return out;
    }

    private void cache(String path, String log) throws Exception {
        CuratorFrameworkFactory.Builder builder = CuratorFrameworkFactory.builder()
            .connectString(how.path("address").asText()).sessionTimeoutMs(how.path("timeoutMillis").asInt())
            .connectionTimeoutMs(10_000).retryPolicy(new RetryForever(200));
        if (how.hasNonNull("digest")) {
            builder.authorization("digest", how.path("digest").asText().getBytes(StandardCharsets.UTF_8));
        }
        CuratorFramework curator = builder.build();
        caches.put(log, curator);
        curator.start();
        CuratorCache cache = CuratorCache.build(curator, path);
        CountDownLatch filled = new CountDownLatch(1);
        cache.listenable().addListener(new CuratorCacheListener() {
            @Override
            public void event(Type type, ChildData before, ChildData now) {
                ChildData shown = now == null ? before : now;
                ObjectNode line = line(log, type.name(), shown.getPath());
                if (now != null) {
                    line.put("zxid", now.getStat().getMzxid()).put("data", base64(now.getData()));
                }
                ZkDoor.print(line);
            }

            @Override
            public void initialized() {
                ZkDoor.print(line(log, "INITIALIZED", path));
                filled.countDown();
            }
        });
        cache.start();
        if (!filled.await(60, TimeUnit.SECONDS)) {
            throw new IllegalStateException("the cache was not filled in time");
        }
    }

    private void tell(String log, WatchedEvent event) {
        boolean session = event.getType() == Watcher.Event.EventType.None;
        String type = session ? event.getState().name() : event.getType().name();
        ZkDoor.print(line(log, type, event.getPath()).put("zxid", event.getZxid()));
    }

    private ObjectNode line(String log, String type, String path) {
        return ZkDoor.JSON.createObjectNode().put("event", "node").put("client", name).put("log", log).put("type", type)
            .put("path", path).put("at", System.currentTimeMillis());
    }

    private static JsonNode text(String text) {
        return ZkDoor.JSON.getNodeFactory().textNode(text);
    }

    static String base64(byte[] data) {
        return data == null ? null : Base64.getEncoder().encodeToString(data);
    }

    static byte[] data(JsonNode c) {
        return c.hasNonNull("data") ? Base64.getDecoder().decode(c.path("data").asText()) : null;
    }

    static ObjectNode stat(Stat s) {
        return ZkDoor.JSON.createObjectNode().put("czxid", s.getCzxid()).put("mzxid", s.getMzxid())
            .put("pzxid", s.getPzxid()).put("ctime", s.getCtime()).put("mtime", s.getMtime())
            .put("version", s.getVersion()).put("aversion", s.getAversion()).put("owner", s.getEphemeralOwner())
            .put("length", s.getDataLength()).put("children", s.getNumChildren());
    }
}
