//! Every connector against the nineteen points.

use causeway_conformance::kinds::{Door, Form, MemoryKind, NacosKind, ZooKeeperKind};
use causeway_conformance::points;
use causeway_testbed::Server;
use libtest_mimic::Arguments;
use std::process::ExitCode;

fn main() -> ExitCode {
    let door = Door::default();
    let mut trials = points::trials(&MemoryKind);
    trials.extend(points::trials(&NacosKind::new("nacos_1_4", Server::Nacos1, &door)));
    trials.extend(points::trials(&NacosKind::new("nacos_2_5", Server::Nacos2, &door)));
    trials.extend(points::trials(&NacosKind::new("nacos_3_1", Server::Nacos3, &door)));
    let zookeeper = ZooKeeperKind::new("zookeeper", Form::Spring);
    trials.extend(points::trials(&zookeeper));
    trials.extend(points::trials(&zookeeper.with("zookeeper_dubbo", Form::Dubbo)));
    // In the short tier servers are stopped and waited for in one version only.
    let slow = |name: &str| name.contains("::restarts::") || name.contains("::p12_");
    let trials = trials.into_iter().map(|trial| {
        let later = slow(trial.name()) && trial.name().starts_with("nacos_") && !trial.name().starts_with("nacos_3_1");
        if later && !causeway_testbed::full() { trial.with_ignored_flag(true) } else { trial }
    });
    let trials = trials.collect();
    libtest_mimic::run(&Arguments::from_args(), causeway_testbed::share(trials)).exit_code()
}
