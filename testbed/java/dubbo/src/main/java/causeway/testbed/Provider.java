package causeway.testbed;

import org.apache.dubbo.config.ApplicationConfig;
import org.apache.dubbo.config.ProtocolConfig;
import org.apache.dubbo.config.RegistryConfig;
import org.apache.dubbo.config.ServiceConfig;
import org.apache.dubbo.config.bootstrap.DubboBootstrap;

import java.util.Map;

/**
 * A Dubbo provider of {@link Greeter}: {@code Provider REGISTRY PORT [key=value]...}. The keys are app, mode (all,
 * interface or instance), metadata-type (local or remote), protocol (dubbo or tri), host, group, version, weight, tag
 * and token; others become parameters of the service. SIGTERM lets it deregister.
 */
public final class Provider {
    private Provider() {
    }

    public static void main(String[] args) throws Exception {
        Lines.begin();
        int port = Integer.parseInt(args[1]);
        Map<String, String> settings = Lines.settings(args, 2);

        ApplicationConfig app = new ApplicationConfig(settings.remove("app"));
        app.setQosEnable(false);
        app.setRegisterMode(settings.remove("mode"));
        app.setMetadataType(settings.remove("metadata-type"));

        ProtocolConfig protocol = new ProtocolConfig(settings.remove("protocol"), port);
        protocol.setHost(settings.remove("host"));

        ServiceConfig<Greeter> service = new ServiceConfig<>();
        service.setInterface(Greeter.class);
        service.setRef(new Greeter() {
            @Override
            public int port() {
                return port;
            }

            @Override
            public String hello(String name) {
                return "hello " + name;
            }
        });
        service.setGroup(settings.remove("group"));
        service.setVersion(settings.remove("version"));
        service.setTag(settings.remove("tag"));
        service.setToken(settings.remove("token"));
        if (settings.containsKey("weight")) {
            service.setWeight(Integer.valueOf(settings.remove("weight")));
        }
        service.setParameters(settings);

        DubboBootstrap.getInstance().application(app).registry(new RegistryConfig(args[0])).protocol(protocol)
            .service(service).start();
        Lines.print(Lines.event("ready"));
        Thread.currentThread().join();
    }
}
