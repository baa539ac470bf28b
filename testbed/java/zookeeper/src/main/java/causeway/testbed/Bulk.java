package causeway.testbed;

import com.fasterxml.jackson.databind.JsonNode;

import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.ZooKeeper;

import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;

/** Many writes on one session without waiting for each. The server takes them in order: a parent may go just ahead. */
final class Bulk {
    private static final int IN_FLIGHT = 1_000;

    private final ZooKeeper zk;
    private final Semaphore free = new Semaphore(IN_FLIGHT);
    private final AtomicLong failed = new AtomicLong();
    private final AtomicReference<String> first = new AtomicReference<>();

    Bulk(ZooKeeper zk) {
        this.zk = zk;
    }

    /** The steps once, or once for each number below {@code count}. */
    JsonNode run(JsonNode steps, long count) throws Exception {
        for (long n = 0; n < Math.max(count, 1); n++) {
            for (JsonNode step : steps) {
                free.acquire();
                send(new Step(step, count < 0 ? null : n));
            }
        }
        free.acquire(IN_FLIGHT);
        if (first.get() != null) {
            throw new IllegalStateException(failed + " failed, the first: " + first);
        }
        return null;
    }

    private void send(Step step) {
        switch (step.verb) {
            case "create":
                zk.create(step.path, step.data, step.acl, step.mode, (code, path, x, name) -> done(code, path), null);
                break;
            case "set":
                zk.setData(step.path, step.data, step.version, (code, path, x, stat) -> done(code, path), null);
                break;
            case "delete":
                zk.delete(step.path, step.version, (code, path, x) -> done(code, path), null);
                break;
            default:
                free.release();
                throw new IllegalArgumentException("no step named " + step.verb);
        }
    }

    private void done(int code, String path) {
        if (code != 0) {
            failed.incrementAndGet();
            first.compareAndSet(null, KeeperException.create(KeeperException.Code.get(code), path).toString());
        }
        free.release();
    }
}
