//! Servers that were started once for many test programs, and tests that need them.

use std::str::FromStr;

use anyhow::{Result, bail};
use libtest_mimic::{Failed, Trial};

use crate::nacos::NacosVersion;

/// A server that `causeway-testbed run` can start. Several tests use it at once: take a namespace, or a path, of
/// your own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Server {
    /// 1.4.1.
    Nacos1,
    /// 2.5.0.
    Nacos2,
    /// A second, independent 2.5.0.
    Nacos2b,
    /// 3.1.0.
    Nacos3,
    /// ZooKeeper 3.9.
    Zoo,
    /// A second, independent ZooKeeper 3.9.
    ZooB,
    /// Consul 1.20, without access control.
    Consul,
    /// Eureka. It has no namespaces: take names of your own.
    Eureka,
    /// A strict double of Kong, with a database. It has no namespaces: take names of your own.
    Kong,
}

impl Server {
    pub const ALL: [Self; 9] = [
        Self::Nacos1,
        Self::Nacos2,
        Self::Nacos2b,
        Self::Nacos3,
        Self::Zoo,
        Self::ZooB,
        Self::Consul,
        Self::Eureka,
        Self::Kong,
    ];

    /// As in `--servers`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nacos1 => "nacos1",
            Self::Nacos2 => "nacos2",
            Self::Nacos2b => "nacos2b",
            Self::Nacos3 => "nacos3",
            Self::Zoo => "zookeeper",
            Self::ZooB => "zookeeperb",
            Self::Consul => "consul",
            Self::Eureka => "eureka",
            Self::Kong => "kong",
        }
    }

    /// The environment variable with its `127.0.0.1:port`.
    pub fn variable(self) -> String {
        format!("CAUSEWAY_TEST_{}", self.name().to_uppercase())
    }

    /// Which Nacos it is; `None` for another kind.
    pub fn nacos(self) -> Option<NacosVersion> {
        match self {
            Self::Nacos1 => Some(NacosVersion::V1_4),
            Self::Nacos2 | Self::Nacos2b => Some(NacosVersion::V2_5),
            Self::Nacos3 => Some(NacosVersion::V3_1),
            Self::Zoo | Self::ZooB | Self::Consul | Self::Eureka | Self::Kong => None,
        }
    }
}

impl FromStr for Server {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match Self::ALL.into_iter().find(|server| server.name() == text) {
            Some(server) => Ok(server),
            None => {
                let names: Vec<_> = Self::ALL.iter().map(|server| server.name()).collect();
                bail!("no server named {text}: one of {}", names.join(", "))
            }
        }
    }
}

/// `127.0.0.1:port` of a shared server; `None` when nobody started it.
pub fn shared(server: Server) -> Option<String> {
    std::env::var(server.variable()).ok().filter(|addr| !addr.is_empty())
}

/// A test that needs shared servers. Without them it is reported as ignored, by its name, and never as passed; where
/// `CI` is set, or when ignored tests are asked for, it fails and says what is missing.
pub fn trial(name: &str, needs: &[Server], test: impl FnOnce() -> Result<()> + Send + 'static) -> Trial {
    let missing: Vec<&str> = needs.iter().filter(|need| shared(**need).is_none()).map(|need| need.name()).collect();
    let missing = missing.join(",");
    let why = format!("needs servers: cargo run -p causeway-testbed -- run --servers {missing} -- COMMAND");
    trial_unless(name, (!missing.is_empty()).then_some(why), test)
}

/// The same for a test that starts servers of its own; `missing` is what this machine lacks for them, as [`crate::host`] says it.
pub fn own_trial(name: &str, missing: &[String], test: impl FnOnce() -> Result<()> + Send + 'static) -> Trial {
    let why = format!("missing on this machine: {}", missing.join(", "));
    trial_unless(name, (!missing.is_empty()).then_some(why), test)
}

fn trial_unless(name: &str, lacks: Option<String>, test: impl FnOnce() -> Result<()> + Send + 'static) -> Trial {
    let Some(why) = lacks else {
        return Trial::test(name, move || test().map_err(|error| Failed::from(format!("{error:#}"))));
    };
    let in_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
    Trial::test(name, move || Err(Failed::from(why))).with_ignored_flag(!in_ci)
}

/// The share of these tests that `CAUSEWAY_TEST_PART=i/n` asks for (`./test --part i/n`); all of them without it.
pub fn share(trials: Vec<Trial>) -> Vec<Trial> {
    let part = std::env::var("CAUSEWAY_TEST_PART").ok().filter(|part| !part.is_empty());
    let Some((part, parts)) = part.as_deref().and_then(|part| part.split_once('/')) else { return trials };
    let (Ok(part), Ok(parts)) = (part.parse::<usize>(), parts.parse::<usize>()) else { return trials };
    trials.into_iter().enumerate().filter(|(n, _)| n % parts.max(1) + 1 == part).map(|(_, trial)| trial).collect()
}

/// Whether the long tests run too (`./test --full`).
pub fn full() -> bool {
    std::env::var_os("CAUSEWAY_TEST_FULL").is_some_and(|value| !value.is_empty())
}
