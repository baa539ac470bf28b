//! What the tests share.
#![allow(dead_code)]

use causeway_settings::{FixedEnv, Kind, KindFacts, Kinds, Problems, Settings, parse};

/// A kind that no connector has.
pub struct Made(pub &'static str, pub KindFacts);

impl Kind for Made {
    fn name(&self) -> &'static str {
        self.0
    }
    fn facts(&self) -> KindFacts {
        self.1
    }
}

/// Those that there are (memory needs no address here), and two more.
pub fn kinds() -> Kinds {
    const MEMORY: KindFacts = KindFacts { addresses: false, ..KindFacts::SERVICES };
    // Reads both, writes nothing, has no namespaces.
    const READS: KindFacts =
        KindFacts { services_sink: false, configs_source: true, namespaces: false, ..KindFacts::SERVICES };
    const BOTH: KindFacts = KindFacts::SERVICES.with_configs();
    static MADE: [Made; 3] = [Made("memory", MEMORY), Made("apollo", READS), Made("etcd", BOTH)];
    MADE.iter().fold(causeway_connectors::kinds(), |kinds, made| kinds.with(made))
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
