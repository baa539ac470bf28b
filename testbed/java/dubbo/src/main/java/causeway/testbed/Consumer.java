package causeway.testbed;

import com.fasterxml.jackson.databind.node.ObjectNode;

import org.apache.dubbo.config.ApplicationConfig;
import org.apache.dubbo.config.ReferenceConfig;
import org.apache.dubbo.config.RegistryConfig;
import org.apache.dubbo.config.bootstrap.DubboBootstrap;
import org.apache.dubbo.rpc.RpcContext;

import java.util.Map;

/**
 * A Dubbo consumer that calls {@link Greeter} all the time: {@code Consumer REGISTRY [key=value]...}. The keys are app,
 * migration (APPLICATION_FIRST, FORCE_INTERFACE or FORCE_APPLICATION), group, version, tag, timeout and interval (both
 * in milliseconds); others become parameters of the reference. It says for each call who answered, or the error.
 */
public final class Consumer {
    private Consumer() {
    }

    public static void main(String[] args) throws Exception {
        Lines.begin(command -> {
            throw new IllegalArgumentException("a consumer takes no commands");
        });
        Map<String, String> settings = Lines.settings(args, 1);
        String tag = settings.remove("tag");
        long interval = Long.parseLong(settings.getOrDefault("interval", "50"));
        settings.remove("interval");

        ApplicationConfig app = new ApplicationConfig(settings.remove("app"));
        app.setQosEnable(false);

        ReferenceConfig<Greeter> reference = new ReferenceConfig<>();
        reference.setInterface(Greeter.class);
        reference.setGroup(settings.remove("group"));
        reference.setVersion(settings.remove("version"));
        reference.setTimeout(Integer.valueOf(settings.getOrDefault("timeout", "2000")));
        settings.remove("timeout");
        reference.setRetries(0);
        reference.setCheck(false);
        reference.setLoadbalance("roundrobin");
        if (settings.containsKey("migration")) {
            settings.put("migration.step", settings.remove("migration"));
        }
        reference.setParameters(settings);

        DubboBootstrap.getInstance().application(app).registry(new RegistryConfig(args[0])).reference(reference)
            .start();
        Greeter greeter = reference.get();
        Lines.print(Lines.event("ready"));
        while (true) {
            call(greeter, tag);
            Thread.sleep(interval);
        }
    }

    private static void call(Greeter greeter, String tag) {
        if (tag != null) {
            RpcContext.getClientAttachment().setAttachment("dubbo.tag", tag);
        }
        ObjectNode line = Lines.event("call");
        long began = System.nanoTime();
        try {
            line.put("port", greeter.port());
        } catch (Throwable e) {
            line.put("error", e.toString().lines().findFirst().orElse(""));
        }
        Lines.print(line.put("micros", (System.nanoTime() - began) / 1_000));
    }
}
