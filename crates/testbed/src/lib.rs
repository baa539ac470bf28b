//! Real servers, real providers and real subscribers for tests, as processes on this machine.
//!
//! - [`Nacos`]: a real server of version 1.4, 2.5 or 3.1 on ports and data of its own; [`Cluster`]: several as one cluster.
//! - [`Backdoor`]: the vendor's Java client, driven over standard input: what a provider and a subscriber really do and see.
//! - [`ZooKeeper`]: a real server of version 3.9, 3.8 or 3.4; [`ZooKeeperEnsemble`]: several as one.
//! - [`Consul`]: a real server of version 1.20, built from its Go modules; [`ConsulApi`]: its HTTP interface.
//! - [`Kong`]: a strict double of its Admin API with a real proxy; [`KongApi`] is the API, [`KongDesk`] its door for tests.
//! - [`Polaris`]: a strict double of a server; [`PolarisApi`]: its HTTP interface; [`PolarisDoor`]: what it was asked.
//! - [`Etcd`]: a real server of version 3.4; [`EtcdApi`]: its JSON interface.
//! - [`MariaDb`]: a real server of Debian's.
//! - [`Kube`]: a real Kubernetes API server of version 1.34, built from its Go modules, on an etcd; [`KubeApi`]: its REST interface.
//! - [`ZkDoor`]: the vendor's and Curator's Java clients, driven over standard input: [`ZkClient`] is one session.
//! - [`DubboProvider`], [`DubboConsumer`]: real Dubbo programs on a ZooKeeper or a Nacos; the consumer says who answers.
//! - [`SpringApp`]: a real Spring Cloud application at a ZooKeeper or a Eureka, and what its discovery client sees.
//! - [`Eureka`]: a real server; [`EurekaApi`]: its HTTP interface, as providers, operators and subscribers use it.
//! - [`NacosSync`], [`PolarisSync`]: publish as those tools did, so that their copies can be taken over.
//! - [`OpenApi`]: the vendor's HTTP interface: operators, curl scripts, and lists that tests compare with.
//! - [`Poller`]: looks at instance lists every 20 ms in the background and keeps what was missing or double, and when.
//! - [`shared`] and [`trial`]: servers that `causeway-testbed run` started once for many test programs; [`own_trial`]: tests that start
//!   their own.
//!
//! Everything listens on loopback. Every server ends with the process that started it, also when that is killed.
//! Nothing of this crate is part of the product.

mod backdoor;
mod consul;
mod dubbo;
mod etcd;
mod eureka;
mod guard;
pub mod host;
mod java;
mod kong;
mod kube;
mod mariadb;
mod nacos;
mod old_tools;
mod open_api;
mod polaris;
mod poller;
mod ports;
mod process;
mod recipe;
mod record;
mod shared;
mod spring;
mod tls;
mod zookeeper;

pub use backdoor::{Backdoor, Connect, Seen, Subscription};
pub use consul::{CONSUL_TOKEN, Consul, ConsulApi, ConsulRow, ConsulSetup};
pub use dubbo::{DUBBO_HOST, DubboCall, DubboConsumer, DubboProvider, DubboReport, GREETER};
pub use etcd::{ETCD_ROOT, Etcd, EtcdApi, EtcdSetup};
pub use eureka::{EUREKA_LOGIN, Eureka, EurekaApi, EurekaOptions, EurekaStatus};
pub use kong::{
    HttpBackend, KONG_TOKEN, Kong, KongApi, KongArguments, KongDesk, KongFault, KongSetup, KongTarget, KongTraffic,
    serve_kong,
};
pub use kube::{KUBE_NOBODY, KUBE_TOKEN, Kube, KubeApi, KubeReply, KubeSetup};
pub use mariadb::{MARIADB_ROOT, MariaDb, MariaDbSetup};
pub use nacos::{Cluster, Nacos, NacosVersion, Options, PASSWORD, USER};
pub use old_tools::{NacosSync, NacosSyncSetup, PolarisSync};
pub use open_api::{Config, Edit, OpenApi, Publisher, ServiceInfo};
pub use polaris::{
    POLARIS_TOKEN, Polaris, PolarisApi, PolarisCounts, PolarisDoor, PolarisFault, PolarisPorts, PolarisRow,
    PolarisRules, PolarisSetup, TokenChange, serve_polaris,
};
pub use poller::{Double, Gap, Poller, Report, Watched};
pub use record::{Instance, ServiceName};
pub use shared::{Server, full, own_trial, share, shared, trial};
pub use spring::{SpringAnswer, SpringApp};
pub use zookeeper::{
    ZOO_SUPER, ZkClient, ZkConnect, ZkDoor, ZkEntry, ZkEvent, ZkNode, ZkRead, ZkSession, ZkStat, ZkStep, ZkTree,
    ZkWatch, ZooKeeper, ZooKeeperEnsemble, ZooOptions, ZooRelease, digest_id,
};
