package causeway.testbed;

import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.cloud.netflix.eureka.server.EnableEurekaServer;
import org.springframework.context.annotation.Bean;
import org.springframework.security.config.Customizer;
import org.springframework.security.config.annotation.web.builders.HttpSecurity;
import org.springframework.security.web.SecurityFilterChain;

/**
 * A Eureka server. Its arguments are Spring's ({@code --server.port=8761 ...}). It asks for a user and a password with
 * {@code --testbed.auth=true --spring.security.user.name=... --spring.security.user.password=...}.
 */
@SpringBootApplication(proxyBeanMethods = false)
@EnableEurekaServer
public class EurekaServer {
    public static void main(String[] args) {
        SpringApplication.run(EurekaServer.class, args);
    }

    /** Stock Spring Security refuses writes without a CSRF token, which no Eureka client sends. */
    @Bean
    SecurityFilterChain chain(HttpSecurity http, @Value("${testbed.auth:false}") boolean auth) throws Exception {
        http.csrf(csrf -> csrf.disable());
        if (auth) {
            http.authorizeHttpRequests(all -> all.anyRequest().authenticated()).httpBasic(Customizer.withDefaults());
        } else {
            http.authorizeHttpRequests(all -> all.anyRequest().permitAll());
        }
        return http.build();
    }
}
