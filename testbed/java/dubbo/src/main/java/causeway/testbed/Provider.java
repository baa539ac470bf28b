package causeway.testbed;

import org.apache.dubbo.config.ApplicationConfig;
import org.apache.dubbo.config.ProtocolConfig;
import org.apache.dubbo.config.RegistryConfig;
import org.apache.dubbo.config.ServiceConfig;
import org.apache.dubbo.config.bootstrap.DubboBootstrap;
import org.apache.dubbo.registry.Registry;
import org.apache.dubbo.registry.RegistryFactory;
import org.apache.dubbo.rpc.model.ModuleModel;
import org.apache.dubbo.rpc.model.ProviderModel;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * A Dubbo provider of {@link Greeter}: {@code Provider REGISTRY PORT [key=value]...}. The keys are app, mode (all,
 * interface or instance), metadata-type (local or remote), protocol (dubbo or tri), host, group, version, weight, tag
 * and token; beside is a second registry; others become parameters of the service. SIGTERM lets it deregister. Commands:
 * {@code leave} and {@code join}, each with the registry's port, of a provider by interface alone.
 */
public final class Provider {
    private Provider() {
    }

    public static void main(String[] args) throws Exception {
        Lines.begin(command -> register(command.path("port").asInt(), command.path("do").asText().equals("join")));
        int port = Integer.parseInt(args[1]);
        Map<String, String> settings = Lines.settings(args, 2);

        ApplicationConfig app = new ApplicationConfig(settings.remove("app"));
        app.setQosEnable(false);
        app.setRegisterMode(settings.remove("mode"));
        app.setMetadataType(settings.remove("metadata-type"));

        List<RegistryConfig> registries = new ArrayList<>(List.of(new RegistryConfig(args[0])));
        if (settings.containsKey("beside")) {
            registries.add(new RegistryConfig(settings.remove("beside")));
        }

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

        DubboBootstrap.getInstance().application(app).registries(registries).protocol(protocol)
            .service(service).start();
        Lines.print(Lines.event("ready"));
        Thread.currentThread().join();
    }

    /** Registers the service in one registry, or takes it back from there, as Dubbo's online and offline do. */
    private static void register(int port, boolean join) {
        for (ModuleModel module : DubboBootstrap.getInstance().getApplicationModel().getModuleModels()) {
            for (ProviderModel model : module.getServiceRepository().getExportedServices()) {
                for (ProviderModel.RegisterStatedURL url : model.getStatedUrl()) {
                    if (url.getRegistryUrl().getPort() == port) {
                        Registry registry = module.getApplicationModel().getExtensionLoader(RegistryFactory.class)
                            .getAdaptiveExtension().getRegistry(url.getRegistryUrl());
                        if (join) {
                            registry.register(url.getProviderUrl());
                        } else {
                            registry.unregister(url.getProviderUrl());
                        }
                        url.setRegistered(join);
                    }
                }
            }
        }
    }
}
