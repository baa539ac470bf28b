//! What the tests share.
#![allow(dead_code)]

use causeway_settings::{Capability, FixedEnv, Kinds, Problems, Settings, parse};

pub fn kinds() -> Kinds {
    Kinds::default()
        .with("nacos", Capability::SERVICES)
        .with("memory", Capability { addresses: false, ..Capability::SERVICES })
        // Reads both, writes nothing, has no namespaces.
        .with(
            "consul",
            Capability { services_sink: false, configs_source: true, namespaces: false, ..Capability::SERVICES },
        )
        .with("zookeeper", Capability::ZOOKEEPER)
        // Can everything.
        .with("etcd", Capability { configs_source: true, configs_sink: true, ..Capability::SERVICES })
}

pub fn env() -> FixedEnv {
    FixedEnv {
        vars: [("PW", "hunter2"), ("HOST", "10.1.1.1"), ("TYPE", "service"), ("BAD", "hunter3("), ("TWO", "hunter4,x")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into(),
        files: [("/run/sk".to_owned(), "s3cret\n".to_owned())].into(),
    }
}

pub fn read(text: &str) -> Result<Settings, Problems> {
    parse("config.yaml", text, &env(), &kinds())
}

pub fn good(text: &str) -> Settings {
    read(text).unwrap_or_else(|problems| panic!("{}", problems.render(false)))
}

pub fn wrong(text: &str) -> Problems {
    match read(text) {
        Err(problems) => problems,
        Ok(settings) => panic!("read as {settings:?}"),
    }
}

/// Two memory clusters and what follows.
pub fn with_tasks(tasks: &str) -> String {
    format!(
        "clusters:\n  - {{clusterName: a, clusterType: MEMORY}}\n  - {{clusterName: b, clusterType: MEMORY}}\ntasks:\n{tasks}"
    )
}
