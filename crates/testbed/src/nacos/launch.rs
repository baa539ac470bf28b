//! The command line and properties of a server, per version.

use std::process::Command;

use anyhow::Result;

use super::{Nacos, NacosVersion};
use crate::recipe::Recipe;
use crate::tls;

/// Small, and C1 only: a server lives for minutes, and tests share two cores.
const JAVA: [&str; 5] =
    ["-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.net.preferIPv4Stack=true"];
/// Spring 4 and CGLIB of 1.4.1 reach into the JDK.
const OPENED: [&str; 7] =
    ["java.lang", "java.lang.reflect", "java.util", "java.net", "java.io", "java.util.concurrent", "java.nio"];
/// Base64 of a fixed text: tokens of one test server are worth nothing elsewhere.
const TOKEN_SECRET: &str = "Y2F1c2V3YXktdGVzdGJlZC10b2tlbi1zZWNyZXQtMDEyMzQ1Njc4OWFiY2RlZg==";

/// Writes the settings into the data folder and gives the command that starts the server.
pub fn command(nacos: &Nacos, recipe: &Recipe) -> Result<Command> {
    let data = nacos.data().display();
    let conf = nacos.data().join("conf");
    std::fs::create_dir_all(&conf)?;
    std::fs::create_dir_all(nacos.data().join("logs"))?;
    let members = &nacos.members;
    if !members.is_empty() {
        std::fs::write(conf.join("cluster.conf"), members.join("\n") + "\n")?;
    }

    let mut java = Command::new("java");
    java.current_dir(nacos.data()).args(JAVA);
    // The server and the client in it write into the home folder: let that be ours too.
    java.arg(format!("-Duser.home={data}"))
        .arg(format!("-Dnacos.home={data}"))
        .arg("-Dnacos.server.ip=127.0.0.1")
        .arg(format!("-Dnacos.standalone={}", members.is_empty()));
    if !members.is_empty() {
        java.arg("-DembeddedStorage=true");
    }

    let properties = properties(nacos)?;
    if nacos.version == NacosVersion::V1_4 {
        for package in OPENED {
            java.arg("--add-opens").arg(format!("java.base/{package}=ALL-UNNAMED"));
        }
        java.args(["-cp", &recipe.class_path, "com.alibaba.nacos.Nacos"]);
        // The jar's own application.properties wins over a file, but not over arguments.
        java.args(properties.iter().map(|(key, value)| format!("--{key}={value}")));
        return Ok(java);
    }
    let text: String = properties.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
    std::fs::write(conf.join("application.properties"), text)?;
    if nacos.version == NacosVersion::V3_1 {
        java.arg(format!("-Dcauseway.console={}", nacos.options.console));
    }
    java.args(["-cp", &recipe.class_path, "causeway.testbed.NacosMain"])
        .arg(format!("--spring.config.additional-location=file:{data}/conf/"));
    Ok(java)
}

/// What must answer 200, in this order, before the server counts as started.
pub fn readiness(nacos: &Nacos) -> Vec<String> {
    let base = nacos.http_base();
    match nacos.version {
        NacosVersion::V1_4 | NacosVersion::V2_5 => vec![format!("{base}/v1/console/health/readiness")],
        NacosVersion::V3_1 => {
            let mut urls = vec![format!("{base}/v3/admin/core/state/readiness")];
            if nacos.options.console {
                let scheme = if nacos.options.tls { "https" } else { "http" };
                let port = nacos.ports.console();
                urls.push(format!("{scheme}://127.0.0.1:{port}/v3/console/health/readiness"));
            }
            urls
        }
    }
}

fn properties(nacos: &Nacos) -> Result<Vec<(String, String)>> {
    let options = &nacos.options;
    let auth = options.auth.to_string();
    let ttl = options.token_ttl.as_secs().to_string();
    let port = nacos.ports.main.to_string();
    let console = if options.console { nacos.ports.console() } else { 0 }.to_string();
    let mut out: Vec<(&str, String)> = vec![
        ("server.address", "127.0.0.1".into()),
        ("server.error.include-message", "ALWAYS".into()),
        ("server.tomcat.accesslog.enabled", "false".into()),
        ("server.tomcat.basedir", format!("file:{}", nacos.data().display())),
        ("nacos.core.auth.enabled", auth.clone()),
        ("nacos.core.auth.system.type", "nacos".into()),
    ];
    if nacos.version == NacosVersion::V1_4 {
        out.extend([("nacos.core.auth.default.token.expire.seconds", ttl)]);
    } else {
        out.extend([
            ("nacos.inetutils.ip-address", "127.0.0.1".into()),
            // Derby is slow to answer on a busy machine; the default of 3 s made one start of ten fail.
            ("db.pool.config.connectionTimeout", "60000".into()),
            ("nacos.config.push.maxRetryTime", "50".into()),
            ("nacos.istio.mcp.server.enabled", "false".into()),
            ("nacos.core.auth.caching.enabled", "true".into()),
            ("nacos.core.auth.server.identity.key", "testbedIdentity".into()),
            ("nacos.core.auth.server.identity.value", "testbedIdentityValue".into()),
            ("nacos.core.auth.plugin.nacos.token.cache.enable", "false".into()),
            ("nacos.core.auth.plugin.nacos.token.expire.seconds", ttl),
            ("nacos.core.auth.plugin.nacos.token.secret.key", TOKEN_SECRET.into()),
        ]);
    }
    match nacos.version {
        NacosVersion::V1_4 => {
            out.extend([("server.port", port), ("server.servlet.contextPath", options.context_path.clone())])
        }
        NacosVersion::V2_5 => out.extend([
            ("server.port", port),
            ("server.servlet.contextPath", options.context_path.clone()),
            ("spring.autoconfigure.exclude", NO_DATA_SOURCE.into()),
            ("management.metrics.export.elastic.enabled", "false".into()),
            ("management.metrics.export.influx.enabled", "false".into()),
            ("nacos.security.ignore.urls", OPEN_URLS.into()),
            ("nacos.core.auth.enable.userAgentAuthWhite", "false".into()),
        ]),
        NacosVersion::V3_1 => out.extend([
            ("nacos.server.main.port", port),
            ("nacos.server.contextPath", options.context_path.clone()),
            ("nacos.console.port", console),
            ("nacos.console.contextPath", String::new()),
            ("nacos.console.remote.server.context-path", options.context_path.clone()),
            ("management.elastic.metrics.export.enabled", "false".into()),
            ("management.influx.metrics.export.enabled", "false".into()),
            ("nacos.k8s.sync.enabled", "false".into()),
            // A server of a cluster gives up its start when its peers are slower than 3 tries.
            ("nacos.namespace.migrate.retry.times", "60".into()),
            ("nacos.deployment.type", "merged".into()),
            ("nacos.core.auth.admin.enabled", auth.clone()),
            ("nacos.core.auth.console.enabled", auth),
        ]),
    }
    if options.tls {
        let (certificate, key) = tls::certificate(nacos.data())?;
        let (certificate, key) = (certificate.display(), key.display());
        out.extend([
            ("server.ssl.enabled", "true".into()),
            ("server.ssl.certificate", format!("file:{certificate}")),
            ("server.ssl.certificate-private-key", format!("file:{key}")),
            ("nacos.remote.server.rpc.tls.enableTls", "true".into()),
            ("nacos.remote.server.rpc.tls.compatibility", "false".into()),
            ("nacos.remote.server.rpc.tls.certChainFile", format!("file:{certificate}")),
            ("nacos.remote.server.rpc.tls.certPrivateKey", format!("file:{key}")),
        ]);
    }
    let ours = out.into_iter().map(|(key, value)| (key.to_string(), value));
    Ok(ours.chain(options.properties.iter().cloned()).collect())
}

const NO_DATA_SOURCE: &str = "org.springframework.boot.autoconfigure.jdbc.DataSourceAutoConfiguration,\
org.springframework.boot.autoconfigure.jdbc.DataSourceTransactionManagerAutoConfiguration";
const OPEN_URLS: &str = "/,/error,/**/*.css,/**/*.js,/**/*.html,/v1/auth/**,/v1/console/health/**,\
/v2/console/health/**,/actuator/**,/v1/console/server/**";
