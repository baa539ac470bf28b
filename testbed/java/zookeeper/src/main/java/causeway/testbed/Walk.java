package causeway.testbed;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.KeeperException.Code;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.Stat;

import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HexFormat;
import java.util.concurrent.CompletableFuture;

/**
 * Reads a whole tree, many nodes at once. Everything after the start runs in the client's one event thread, so nothing
 * here is locked. A node that goes away meanwhile is left out.
 */
final class Walk {
    private static final int IN_FLIGHT = 500;

    private final ZooKeeper zk;
    private final ObjectNode tree = ZkDoor.JSON.createObjectNode();
    private final Deque<String> open = new ArrayDeque<>();
    private final CompletableFuture<JsonNode> done = new CompletableFuture<>();
    private int running;

    Walk(ZooKeeper zk) {
        this.zk = zk;
    }

    JsonNode from(String root) throws Exception {
        running = 1;
        visit(root);
        return done.get();
    }

    private void visit(String path) {
        zk.getData(path, false, (code, p, x, data, stat) -> {
            if (code == Code.NOAUTH.intValue()) {
                // Who may not read a node is not told its stat, its access list or its children either.
                tree.putObject(path).put("data", "unreadable").put("acl", "unreadable");
                next();
            } else if (good(code, path)) {
                seen(path, hash(data), stat);
            }
        }, null);
    }

    private void seen(String path, String hash, Stat stat) {
        ObjectNode node = tree.putObject(path).put("data", hash);
        node.set("stat", Client.stat(stat));
        zk.getACL(path, null, (c, p, x, acl, s) -> {
            if (!good(c, path)) {
                return;
            }
            node.put("acl", Acls.write(acl));
            if (stat.getNumChildren() == 0) {
                next();
                return;
            }
            zk.getChildren(path, false, (c2, p2, x2, children) -> {
                if (good(c2, path)) {
                    children.stream().map(child -> path.equals("/") ? "/" + child : path + "/" + child)
                        .filter(child -> !child.equals("/zookeeper")).forEach(open::add);
                    next();
                }
            }, null);
        }, null);
    }

    /** Whether to go on with this node. */
    private boolean good(int code, String path) {
        if (code == Code.NONODE.intValue()) {
            tree.remove(path);
            next();
        } else if (code != 0) {
            done.completeExceptionally(KeeperException.create(Code.get(code), path));
        }
        return code == 0;
    }

    private void next() {
        running--;
        while (running < IN_FLIGHT && !open.isEmpty()) {
            running++;
            visit(open.poll());
        }
        if (running == 0) {
            done.complete(tree);
        }
    }

    private static String hash(byte[] data) {
        if (data == null) {
            return "null";
        }
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(data));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }
}
