package causeway.testbed;

import com.alibaba.nacos.api.annotation.NacosApi;
import com.alibaba.nacos.api.exception.NacosException;
import com.alibaba.nacos.api.exception.api.NacosApiException;
import com.alibaba.nacos.api.exception.runtime.NacosRuntimeException;
import com.alibaba.nacos.api.model.v2.ErrorCode;
import com.alibaba.nacos.api.model.v2.Result;
import com.alibaba.nacos.auth.annotation.Secured;
import com.alibaba.nacos.common.model.RestResult;
import com.alibaba.nacos.common.model.RestResultUtils;
import com.alibaba.nacos.core.cluster.health.ModuleHealthCheckerHolder;
import com.alibaba.nacos.core.cluster.health.ReadinessResult;
import com.alibaba.nacos.core.code.ControllerMethodsCache;
import com.alibaba.nacos.core.namespace.model.Namespace;
import com.alibaba.nacos.core.namespace.model.form.NamespaceForm;
import com.alibaba.nacos.core.namespace.repository.NamespacePersistService;
import com.alibaba.nacos.core.service.NamespaceOperationService;
import com.alibaba.nacos.plugin.auth.constant.ActionTypes;
import com.alibaba.nacos.plugin.auth.constant.SignType;
import com.alibaba.nacos.plugin.auth.exception.AccessException;
import com.alibaba.nacos.sys.module.ModuleStateHolder;
import org.springframework.boot.autoconfigure.jackson.Jackson2ObjectMapperBuilderCustomizer;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.core.annotation.Order;
import org.springframework.http.HttpStatus;
import org.springframework.http.ResponseEntity;
import org.springframework.scheduling.annotation.EnableScheduling;
import org.springframework.web.bind.annotation.ControllerAdvice;
import org.springframework.web.bind.annotation.DeleteMapping;
import org.springframework.web.bind.annotation.ExceptionHandler;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.PutMapping;
import org.springframework.web.bind.annotation.RequestMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.RestController;

import javax.annotation.PostConstruct;
import java.time.ZoneId;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;

/**
 * The few HTTP entry points that upstream keeps in its console jar (not on Maven Central for 2.x): health, server
 * state, namespaces v1/v2 and the exception-to-status mapping. All of them only call the real nacos-core services.
 */
@Configuration
@EnableScheduling
public class ConsoleLite {

    private static final String NS_RESOURCE = "console/namespaces";

    private final ControllerMethodsCache methods;

    public ConsoleLite(ControllerMethodsCache methods) {
        this.methods = methods;
    }

    /** Without this, the auth and parameter filters find no controller method and let everything through. */
    @PostConstruct
    public void registerControllers() {
        for (String p : new String[] {"com.alibaba.nacos.core.controller", "com.alibaba.nacos.naming.controllers",
            "com.alibaba.nacos.config.server.controller", "causeway.testbed"}) {
            methods.initClassMethod(p);
        }
    }

    @Bean
    public Jackson2ObjectMapperBuilderCustomizer localTimeZone() {
        return b -> b.timeZone(ZoneId.systemDefault().toString());
    }

    private static boolean badId(String id) {
        return !id.matches("[\\w-]+") || id.length() > 128;
    }

    private static boolean badName(String name) {
        return name == null || !name.matches("[^@#$%^&*]+");
    }

    /** v1 shapes: bare text or bare booleans. */
    @RestController
    @RequestMapping("/v1/console")
    public static class V1 {
        private final NamespaceOperationService ns;
        private final NamespacePersistService store;

        public V1(NamespaceOperationService ns, NamespacePersistService store) {
            this.ns = ns;
            this.store = store;
        }

        @GetMapping("/health/liveness")
        public ResponseEntity<String> live() {
            return ResponseEntity.ok("OK");
        }

        @GetMapping("/health/readiness")
        public ResponseEntity<String> ready() {
            ReadinessResult r = ModuleHealthCheckerHolder.getInstance().checkReadiness();
            return r.isSuccess() ? ResponseEntity.ok("OK") : ResponseEntity.status(500).body(r.getResultMessage());
        }

        @GetMapping("/server/state")
        public Map<String, String> state() {
            Map<String, String> out = new HashMap<>();
            ModuleStateHolder.getInstance().getAllModuleStates()
                .forEach(m -> m.getStates().forEach((k, v) -> out.put(k, v == null ? null : v.toString())));
            return out;
        }

        @GetMapping("/namespaces")
        public RestResult<List<Namespace>> list() {
            return RestResultUtils.success(ns.getNamespaceList());
        }

        @GetMapping(value = "/namespaces", params = "show=all")
        public Namespace one(@RequestParam("namespaceId") String id) throws NacosException {
            return ns.getNamespace(id);
        }

        @GetMapping(value = "/namespaces", params = "checkNamespaceIdExist=true")
        public Boolean exists(@RequestParam("customNamespaceId") String id) {
            return !id.trim().isEmpty() && store.tenantInfoCountByTenantId(id) > 0;
        }

        @PostMapping("/namespaces")
        @Secured(resource = NS_RESOURCE, action = ActionTypes.WRITE)
        public Boolean create(@RequestParam("customNamespaceId") String id, @RequestParam("namespaceName") String name,
            @RequestParam(value = "namespaceDesc", required = false) String desc) {
            String use = id.trim().isEmpty() ? UUID.randomUUID().toString() : id.trim();
            if (badId(use) || badName(name) || store.tenantInfoCountByTenantId(use) > 0) {
                return false;
            }
            try {
                return ns.createNamespace(use, name, desc);
            } catch (NacosException e) {
                return false;
            }
        }

        @PutMapping("/namespaces")
        @Secured(resource = NS_RESOURCE, action = ActionTypes.WRITE)
        public Boolean edit(@RequestParam("namespace") String id, @RequestParam("namespaceShowName") String name,
            @RequestParam(value = "namespaceDesc", required = false) String desc) {
            return !badName(name) && ns.editNamespace(id, name, desc);
        }

        @DeleteMapping("/namespaces")
        @Secured(resource = NS_RESOURCE, action = ActionTypes.WRITE)
        public Boolean delete(@RequestParam("namespaceId") String id) {
            return ns.removeNamespace(id);
        }
    }

    /** v2 shapes: {code,message,data}. */
    @NacosApi
    @RestController
    @RequestMapping("/v2/console")
    public static class V2 {
        private final NamespaceOperationService ns;
        private final NamespacePersistService store;

        public V2(NamespaceOperationService ns, NamespacePersistService store) {
            this.ns = ns;
            this.store = store;
        }

        private static NacosApiException illegal(String why) {
            return new NacosApiException(400, ErrorCode.ILLEGAL_NAMESPACE, why);
        }

        @GetMapping("/health/liveness")
        public Result<String> live() {
            return Result.success("ok");
        }

        @GetMapping("/health/readiness")
        public Result<String> ready() {
            ReadinessResult r = ModuleHealthCheckerHolder.getInstance().checkReadiness();
            return r.isSuccess() ? Result.success("ok") : Result.failure(r.getResultMessage());
        }

        @GetMapping("/namespace/list")
        public Result<List<Namespace>> list() {
            return Result.success(ns.getNamespaceList());
        }

        @GetMapping("/namespace")
        @Secured(resource = NS_RESOURCE, action = ActionTypes.READ, signType = SignType.CONSOLE)
        public Result<Namespace> one(@RequestParam("namespaceId") String id) throws NacosException {
            return Result.success(ns.getNamespace(id));
        }

        @PostMapping("/namespace")
        @Secured(resource = NS_RESOURCE, action = ActionTypes.WRITE, signType = SignType.CONSOLE)
        public Result<Boolean> create(NamespaceForm f) throws NacosException {
            f.validate();
            String id = f.getNamespaceId();
            id = id == null || id.trim().isEmpty() ? UUID.randomUUID().toString() : id.trim();
            if (badId(id)) {
                throw illegal("namespaceId [" + id + "] is not valid");
            }
            if (badName(f.getNamespaceName())) {
                throw illegal("namespaceName [" + f.getNamespaceName() + "] contains illegal char");
            }
            if (store.tenantInfoCountByTenantId(id) > 0) {
                throw illegal("the namespaceId is existed, namespaceId: " + id);
            }
            return Result.success(ns.createNamespace(id, f.getNamespaceName(), f.getNamespaceDesc()));
        }

        @PutMapping("/namespace")
        @Secured(resource = NS_RESOURCE, action = ActionTypes.WRITE, signType = SignType.CONSOLE)
        public Result<Boolean> edit(NamespaceForm f) throws NacosException {
            f.validate();
            if (badName(f.getNamespaceName())) {
                throw illegal("namespaceName [" + f.getNamespaceName() + "] contains illegal char");
            }
            return Result.success(ns.editNamespace(f.getNamespaceId(), f.getNamespaceName(), f.getNamespaceDesc()));
        }

        @DeleteMapping("/namespace")
        @Secured(resource = NS_RESOURCE, action = ActionTypes.WRITE, signType = SignType.CONSOLE)
        public Result<Boolean> delete(@RequestParam("namespaceId") String id) {
            return Result.success(ns.removeNamespace(id));
        }
    }

    /** Status and body for failures in controllers marked as v2 API. */
    @Order(-1)
    @ControllerAdvice(annotations = NacosApi.class)
    public static class V2Errors {
        @ExceptionHandler(Exception.class)
        public ResponseEntity<Result<String>> any(Exception e) {
            if (e instanceof NacosApiException) {
                NacosApiException a = (NacosApiException) e;
                return ResponseEntity.status(a.getErrCode())
                    .body(new Result<>(a.getDetailErrCode(), a.getErrAbstract(), a.getErrMsg()));
            }
            if (e instanceof AccessException) {
                return ResponseEntity.status(403)
                    .body(Result.failure(ErrorCode.ACCESS_DENIED, ((AccessException) e).getErrMsg()));
            }
            if (e instanceof NacosException) {
                return ResponseEntity.status(((NacosException) e).getErrCode())
                    .body(Result.failure(ErrorCode.SERVER_ERROR, ((NacosException) e).getErrMsg()));
            }
            if (e instanceof NacosRuntimeException) {
                return ResponseEntity.status(((NacosRuntimeException) e).getErrCode())
                    .body(Result.failure(ErrorCode.SERVER_ERROR, e.getMessage()));
            }
            if (e instanceof org.springframework.web.bind.MissingServletRequestParameterException) {
                return ResponseEntity.badRequest().body(Result.failure(ErrorCode.PARAMETER_MISSING, e.getMessage()));
            }
            if (e instanceof IllegalArgumentException) {
                return ResponseEntity.badRequest()
                    .body(Result.failure(ErrorCode.PARAMETER_VALIDATE_ERROR, e.getMessage()));
            }
            return ResponseEntity.status(HttpStatus.INTERNAL_SERVER_ERROR).body(Result.failure(e.getMessage()));
        }
    }

    /** Status and body for failures everywhere else (v1). */
    @ControllerAdvice
    public static class V1Errors {
        @ExceptionHandler(AccessException.class)
        public ResponseEntity<String> access(AccessException e) {
            return ResponseEntity.status(403).body(e.getErrMsg());
        }

        @ExceptionHandler(IllegalArgumentException.class)
        public ResponseEntity<String> argument(IllegalArgumentException e) {
            return ResponseEntity.badRequest().body("caused: " + e.getMessage() + ";");
        }

        @ExceptionHandler(NacosRuntimeException.class)
        public ResponseEntity<String> nacos(NacosRuntimeException e) {
            return ResponseEntity.status(e.getErrCode()).body("caused: " + e.getMessage() + ";");
        }

        @ExceptionHandler(Exception.class)
        public ResponseEntity<String> any(Exception e) {
            return ResponseEntity.status(500).body("caused: " + e.getMessage() + ";");
        }
    }
}
