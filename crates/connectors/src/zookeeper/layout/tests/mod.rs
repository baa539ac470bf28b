//! What holds for znodes and records, by tables and for all.

mod edit;
mod laws;
mod read;
mod write;

use super::*;
use crate::zookeeper::{Category, host};
use causeway_core::Metadata;

/// Dubbo 3.3.4: a provider with group, version, tag and weight.
const PROVIDER: (&str, &str) = (
    "/dubbo/lab.Greeter/providers/dubbo%3A%2F%2F10.77.0.1%3A20880%2Flab.Greeter%3Fapplication%3Dlab-provider%26deprecated%3Dfalse%26dubbo%3D2.0.2%26dubbo.tag%3Dgray%26dynamic%3Dtrue%26generic%3Dfalse%26group%3Dg1%26interface%3Dlab.Greeter%26metadata-type%3Dlocal%26methods%3Dhello%2Cwho%26prefer.serialization%3Dhessian2%2Cfastjson2%26release%3D3.3.4%26revision%3D1.0.0%26service-name-mapping%3Dtrue%26side%3Dprovider%26timeout%3D2000%26timestamp%3D1795308602008%26version%3D1.0.0%26weight%3D150",
    "127.0.0.1",
);

/// Dubbo 3.3.4: a consumer.
const CONSUMER: (&str, &str) = (
    "/dubbo/lab.Greeter/consumers/consumer%3A%2F%2F10.77.0.9%2Flab.Greeter%3Fapplication%3Dcon-FORCE_INTERFACE%26background%3Dfalse%26category%3Dconsumers%26check%3Dfalse%26dubbo%3D2.0.2%26executor-management-mode%3Disolation%26file-cache%3Dtrue%26group%3Dg1%26interface%3Dlab.Greeter%26loadbalance%3Droundrobin%26methods%3Dhello%2Cwho%26migration.step%3DFORCE_INTERFACE%26pid%3D11977%26qos.enable%3Dfalse%26release%3D3.3.4%26retries%3D0%26revision%3D1.0.0%26side%3Dconsumer%26sticky%3Dfalse%26timeout%3D1000%26timestamp%3D1795308634777%26unloadClusterRelated%3Dfalse%26version%3D1.0.0",
    "127.0.0.1",
);

/// Dubbo 3.3.4: an application.
const APPLICATION: (&str, &str) = (
    "/services/lab-provider/10.77.0.1:20880",
    r#"{"name":"lab-provider","id":"10.77.0.1:20880","address":"10.77.0.1","port":20880,"sslPort":null,"payload":{"@class":"org.apache.dubbo.registry.zookeeper.ZookeeperInstance","id":"10.77.0.1:20880","name":"lab-provider","metadata":{"dubbo.endpoints":"[{\"port\":20880,\"protocol\":\"dubbo\"}]","dubbo.metadata-service.url-params":"{\"prefer.serialization\":\"hessian2,fastjson2\",\"version\":\"1.0.0\",\"dubbo\":\"2.0.2\",\"release\":\"3.3.4\",\"side\":\"provider\",\"port\":\"20880\",\"protocol\":\"dubbo\"}","dubbo.metadata.revision":"51595ad951260c590674dfa21572fdc2","dubbo.metadata.storage-type":"local","meta-v":"1.0.0","timestamp":"1795308602008"}},"registrationTimeUTC":1795308603036,"serviceType":"DYNAMIC","uriSpec":null}"#,
);

/// Spring Cloud ZooKeeper 4.2.1.
const SPRING: (&str, &str) = (
    "/services/Sczk-Provider/a9c9232b-b5aa-4369-82f5-17b4c37ca613",
    r#"{"name":"Sczk-Provider","id":"a9c9232b-b5aa-4369-82f5-17b4c37ca613","address":"10.77.0.3","port":18091,"sslPort":null,"payload":{"@class":"org.springframework.cloud.zookeeper.discovery.ZookeeperInstance","id":"Sczk-Provider","name":"Sczk-Provider","metadata":{"zone":"z1","version":"1.0","instance_status":"UP"}},"registrationTimeUTC":1795308830991,"serviceType":"DYNAMIC","uriSpec":{"parts":[{"value":"scheme","variable":true},{"value":"://","variable":false},{"value":"address","variable":true},{"value":":","variable":false},{"value":"port","variable":true}]}}"#,
);

/// The metadata that Dubbo 3.3.4 itself writes for [`PROVIDER`] to Nacos.
const IN_NACOS: &str = "side=provider&interface=lab.Greeter&group=g1&version=1.0.0&application=lab-provider\
    &methods=hello,who&release=3.3.4&dubbo=2.0.2&dynamic=true&generic=false&revision=1.0.0&timestamp=1795308602008\
    &timeout=2000&weight=150&prefer.serialization=hessian2,fastjson2&service-name-mapping=true&metadata-type=local\
    &deprecated=false&protocol=dubbo&path=lab.Greeter&category=providers";

fn roots() -> Roots {
    let all = Category::ALL.map(|one| one.word().to_owned()).to_vec();
    Roots { categories: all, plain: vec!["/plain".into(), "/more".into()], ..Roots::default() }
}

fn text(record: &Instance) -> &str {
    &record.payload.as_ref().unwrap().text
}

/// Reads a znode, and writes it again.
fn exact(roots: &Roots, path: &str, data: &[u8]) -> (String, Instance) {
    let ReadInstance { scope, instance: record, .. } = read(roots, path, data, true).unwrap().unwrap();
    assert_eq!(write(roots, &scope, &record), Ok(NewZnode { path: path.into(), data: data.into(), ephemeral: true }));
    (scope.name.to_string(), record)
}

fn metadata(query: &str) -> Metadata {
    query.split('&').map(|pair| pair.split_once('=').unwrap()).collect()
}

/// A record as it comes home from another kind, which has slots of its own and keeps no empty payload.
fn home(mut record: Instance) -> Instance {
    record.id.slot = "DEFAULT".into();
    record.payload.take_if(|payload| payload.text.is_empty());
    record
}

/// What a record of another kind becomes.
fn copied(name: &str, record: &Instance) -> (NewZnode, Instance) {
    let node = write(&roots(), &service(name), record).unwrap();
    let ReadInstance { scope, instance: there, .. } =
        read(&roots(), &node.path, &node.data, node.ephemeral).unwrap().unwrap();
    assert_eq!(scope, service(name));
    assert_eq!(write(&roots(), &scope, &there), Ok(node.clone()), "a copy is stable");
    (node, there)
}

/// [`SPRING`] with another piece in place of one.
fn spring(from: &str, to: &str) -> String {
    assert!(SPRING.1.contains(from), "{from}");
    SPRING.1.replacen(from, to, 1)
}
