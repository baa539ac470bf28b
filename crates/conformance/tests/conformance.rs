//! Every connector against the points of services and of data.

use causeway_conformance::data;
use causeway_conformance::data::kinds::{MemoryDataKind, NacosDataKind, ZooKeeperDataKind};
use causeway_conformance::kinds::{
    ConsulKind, Door, EurekaKind, FileKind, Form, KongKind, MemoryKind, NacosKind, Servers, ZooKeeperGround,
    ZooKeeperKind,
};
use causeway_conformance::points;
use causeway_connectors::consul::Destination;
use causeway_connectors::file::FileFormat;
use causeway_core::{EntryFacts, NameShape, StampKind};
use causeway_testbed::{Server, ZooRelease};
use libtest_mimic::{Arguments, Trial};
use std::process::ExitCode;

fn main() -> ExitCode {
    let door = Door::default();
    let mut trials = points::trials(&MemoryKind::plain());
    // It has no users, and one part: nothing is closed to some.
    let one_part = |trial: &Trial| trial.name().contains("::p17_");
    trials.extend(points::trials(&MemoryKind::flat()).into_iter().filter(|trial| !one_part(trial)));
    let memories = [
        ("memory_data", NameShape::Tree, StampKind::Monotonic),
        ("memory_flat_data", NameShape::Flat, StampKind::ContentHash),
    ];
    for (label, shape, stamps) in memories {
        trials.extend(data::points::trials(&MemoryDataKind::new(label, EntryFacts { shape, stamps })));
    }
    // A file has no users: there is no password, and nothing that is closed to some.
    let has_users = |trial: &Trial| trial.name().contains("::p16_") || trial.name().contains("::p17_");
    for (label, form) in [("file", FileFormat::Json), ("file_prometheus", FileFormat::Prometheus)] {
        trials.extend(points::trials(&FileKind::new(label, form)).into_iter().filter(|trial| !has_users(trial)));
    }
    // It closes nothing to some, either. Its tests have the server to themselves, one after another: they stand apart, so that
    // they do not wait for each other.
    let eurekas = points::trials(&EurekaKind::new()).into_iter().filter(|trial| !one_part(trial));
    let versions = [
        (["nacos_1_4", "nacos_1_4_data"], Server::Nacos1),
        (["nacos_2_5", "nacos_2_5_data"], Server::Nacos2),
        (["nacos_3_1", "nacos_3_1_data"], Server::Nacos3),
    ];
    for ([services, entries], server) in versions {
        let kind = NacosKind::new(services, server, &door);
        trials.extend(points::trials(&kind));
        trials.extend(data::points::trials(&NacosDataKind::new(entries, &kind)));
    }
    let grounds = [
        (["zookeeper", "zookeeper_dubbo", "zookeeper_data"], Servers::Shared),
        (["zookeeper_3_8", "zookeeper_3_8_dubbo", "zookeeper_3_8_data"], Servers::Release(ZooRelease::V3_8)),
        (["zookeeper_3_4", "zookeeper_3_4_dubbo", "zookeeper_3_4_data"], Servers::Release(ZooRelease::V3_4)),
        (["zookeeper_group", "zookeeper_group_dubbo", "zookeeper_group_data"], Servers::Ensemble),
    ];
    for ([spring, dubbo, znodes], servers) in grounds {
        let ground = ZooKeeperGround::new(servers);
        trials.extend(points::trials(&ZooKeeperKind::new(spring, Form::Spring, &ground)));
        trials.extend(points::trials(&ZooKeeperKind::new(dubbo, Form::Dubbo, &ground)));
        trials.extend(data::points::trials(&ZooKeeperDataKind::new(znodes, &ground)));
    }
    trials.extend(points::trials(&ConsulKind::new("consul", Destination::Catalog)));
    // An agent holds what runs beside it, and is slow with thousands.
    let many = |trial: &Trial| trial.name().contains("::p14_");
    let agent = points::trials(&ConsulKind::new("consul_agent", Destination::Agent));
    trials.extend(agent.into_iter().filter(|trial| !many(trial)));
    // Its Admin API closes nothing to some. Without a database it forgets everything when it ends, and each write is one of all
    // that there is.
    let database = points::trials(&KongKind::new("kong", false)).into_iter().filter(|trial| !one_part(trial));
    trials.extend(database);
    let not_whole = |trial: &Trial| one_part(trial) || trial.name().contains("::p03_") || many(trial);
    trials.extend(points::trials(&KongKind::new("kong_dbless", true)).into_iter().filter(|trial| !not_whole(trial)));
    let every = trials.len() / 24;
    for (n, eureka) in eurekas.enumerate() {
        trials.insert(((n + 1) * (every + 1)).min(trials.len()), eureka);
    }
    // In the short tier servers are stopped and waited for in one version only.
    let slow = |name: &str| name.contains("::restarts::") || name.contains("::p12_");
    let trials = trials.into_iter().map(|trial| {
        let name = trial.name();
        let later = match name.split_once("::").map_or(name, |(kind, _)| kind) {
            "memory" | "memory_flat" | "memory_data" | "memory_flat_data" | "file" | "file_prometheus" | "consul"
            | "eureka" | "kong" | "kong_dbless" | "zookeeper" | "zookeeper_dubbo" | "zookeeper_data" | "nacos_3_1" => {
                false
            }
            "nacos_1_4" | "nacos_2_5" => slow(name),
            // Servers of its own are slow to start, and its rights to change.
            "nacos_2_5_data" => name.contains("::restarts::"),
            // Other versions, and groups.
            _ => true,
        };
        if later && !causeway_testbed::full() { trial.with_ignored_flag(true) } else { trial }
    });
    let trials = trials.collect();
    let mut arguments = Arguments::from_args();
    // They wait more than they work: on two cores four take 195 s, two 330 s.
    arguments.test_threads = arguments.test_threads.or(Some(4));
    libtest_mimic::run(&arguments, causeway_testbed::share(trials)).exit_code()
}
