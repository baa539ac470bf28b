package causeway.testbed;

import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.cloud.client.ServiceInstance;
import org.springframework.cloud.client.discovery.DiscoveryClient;
import org.springframework.cloud.client.loadbalancer.LoadBalanced;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.client.RestTemplate;

import java.io.IOException;
import java.io.PrintStream;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A Spring Cloud application that registers itself in ZooKeeper or Eureka and shows what its own discovery client sees. Its
 * arguments are Spring's ({@code --spring.application.name=orders --server.port=8080 ...}). It says
 * {@code {"event":"ready"}} once it is registered; the end of standard input ends it at once, without deregistering.
 */
@SpringBootApplication
@RestController
public class SpringApp {
    private final DiscoveryClient discovery;
    private final RestTemplate http;
    private final int port;

    SpringApp(DiscoveryClient discovery, RestTemplate http, @Value("${server.port}") int port) {
        this.discovery = discovery;
        this.http = http;
        this.port = port;
    }

    public static void main(String[] args) throws IOException {
        PrintStream out = System.out;
        System.setOut(System.err);
        SpringApplication.run(SpringApp.class, args);
        out.println("{\"event\":\"ready\"}");
        out.flush();
        while (System.in.read() >= 0) {
            continue;
        }
        Runtime.getRuntime().halt(0);
    }

    @GetMapping("/port")
    int port() {
        return port;
    }

    @GetMapping("/services")
    List<String> services() {
        return discovery.getServices().stream().sorted().toList();
    }

    @GetMapping("/instances/{name}")
    List<Map<String, Object>> instances(@PathVariable("name") String name) {
        return discovery.getInstances(name).stream().map(SpringApp::fields).toList();
    }

    /** Calls one instance, which the load balancer chooses; its port. */
    @GetMapping("/call/{name}")
    Integer call(@PathVariable("name") String name) {
        return http.getForObject("http://" + name + "/port", Integer.class);
    }

    private static Map<String, Object> fields(ServiceInstance instance) {
        Map<String, Object> out = new LinkedHashMap<>();
        out.put("instanceId", instance.getInstanceId());
        out.put("serviceId", instance.getServiceId());
        out.put("host", instance.getHost());
        out.put("port", instance.getPort());
        out.put("secure", instance.isSecure());
        out.put("scheme", instance.getScheme());
        out.put("uri", instance.getUri());
        out.put("metadata", instance.getMetadata());
        return out;
    }

    @Configuration
    static class Clients {
        @Bean
        @LoadBalanced
        RestTemplate http() {
            return new RestTemplate();
        }
    }
}
