//! What is wrong with a request, before anything is done about it.

use std::collections::HashMap;

use causeway_proto::polaris::{Instance, Namespace, Service};
use sha1::{Digest, Sha1};

use super::codes::AnswerCode;

/// Pairs of metadata.
const PAIRS: usize = 64;
const KEY: usize = 128;
const VALUE: usize = 4096;

/// Letters, digits and `-./:_`; not empty.
pub fn is_name(name: Option<&str>) -> bool {
    let known = |letter: char| letter.is_ascii_alphanumeric() || "-./:_".contains(letter);
    name.is_some_and(|name| !name.is_empty() && name.chars().all(known))
}

fn is_long(text: Option<&str>, most: usize) -> bool {
    text.is_some_and(|text| text.chars().count() > most)
}

fn metadata(all: &HashMap<String, String>) -> Result<(), AnswerCode> {
    let long = |(key, value): (&String, &String)| is_long(Some(key), KEY) || is_long(Some(value), VALUE);
    match all.len() > PAIRS || all.iter().any(long) {
        true => Err(AnswerCode::METADATA),
        false => Ok(()),
    }
}

/// SHA-1 of where the instance stands, unless the request brings an id.
pub fn id_of(it: &Instance) -> String {
    let (namespace, service) = (it.namespace.as_deref().unwrap_or_default(), it.service.as_deref().unwrap_or_default());
    let (host, port) = (it.host.as_deref().unwrap_or_default(), it.port.unwrap_or_default());
    let place = match it.vpc_id.as_deref() {
        None | Some("") => format!("{namespace}##{service}##{host}##{port}"),
        Some(vpc) => format!("{namespace}##{service}##{vpc}##{host}##{port}"),
    };
    Sha1::digest(place).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn lengths(it: &Instance) -> Result<(), AnswerCode> {
    let too_long = [
        (is_long(it.service.as_deref(), 128), AnswerCode::SERVICE_NAME),
        (is_long(it.namespace.as_deref(), 64), AnswerCode::NAMESPACE_NAME),
        (is_long(it.host.as_deref(), 128), AnswerCode::INSTANCE_HOST),
        (is_long(it.protocol.as_deref(), 32), AnswerCode::INSTANCE_PROTOCOL),
        (is_long(it.version.as_deref(), 32), AnswerCode::INSTANCE_VERSION),
        (is_long(it.logic_set.as_deref(), 128), AnswerCode::INSTANCE_LOGIC_SET),
    ];
    if let Some((_, code)) = too_long.into_iter().find(|(wrong, _)| *wrong) {
        return Err(code);
    }
    metadata(&it.metadata)?;
    match (it.port.unwrap_or_default() > 65_535, it.weight.unwrap_or_default() > 65_535) {
        (true, _) => Err(AnswerCode::INSTANCE_PORT),
        (_, true) => Err(AnswerCode::PARAMETER),
        _ => Ok(()),
    }
}

fn place(it: &Instance) -> Result<String, AnswerCode> {
    if !is_name(it.service.as_deref()) {
        return Err(AnswerCode::SERVICE_NAME);
    }
    if !is_name(it.namespace.as_deref()) {
        return Err(AnswerCode::NAMESPACE_NAME);
    }
    if it.host.as_deref().unwrap_or_default().is_empty() {
        return Err(AnswerCode::INSTANCE_HOST);
    }
    if it.port.is_none() {
        return Err(AnswerCode::INSTANCE_PORT);
    }
    Ok(it.id.clone().filter(|id| !id.is_empty()).unwrap_or_else(|| id_of(it)))
}

/// Of an instance that is to be made: its id.
pub fn created(it: &Instance) -> Result<String, AnswerCode> {
    lengths(it)?;
    place(it)
}

/// Of an instance that is to be changed or taken away: its id. One with an id is not looked at any further.
pub fn revised(it: &Instance) -> Result<String, AnswerCode> {
    match it.id.as_deref() {
        Some("") => Err(AnswerCode::INSTANCE_ID),
        Some(id) => Ok(id.to_owned()),
        None => created(it),
    }
}

/// The same of an update, whose metadata is counted in any case.
pub fn updated(it: &Instance) -> Result<String, AnswerCode> {
    match it.metadata.len() > PAIRS {
        true => Err(AnswerCode::METADATA),
        false => revised(it),
    }
}

/// Of a heartbeat: its instance's id. Lengths do not matter.
pub fn beaten(it: &Instance) -> Result<String, AnswerCode> {
    match it.id.as_deref() {
        Some("") => Err(AnswerCode::INSTANCE_ID),
        Some(id) => Ok(id.to_owned()),
        None => place(it),
    }
}

/// Of what is done to all instances of a host.
pub fn by_host(it: &Instance) -> Result<(), AnswerCode> {
    if !is_name(it.service.as_deref()) {
        return Err(AnswerCode::SERVICE_NAME);
    }
    if !is_name(it.namespace.as_deref()) {
        return Err(AnswerCode::NAMESPACE_NAME);
    }
    match it.host.as_deref().unwrap_or_default().is_empty() {
        true => Err(AnswerCode::INSTANCE_HOST),
        false => Ok(()),
    }
}

pub fn service(it: &Service) -> Result<(), AnswerCode> {
    if !is_name(it.name.as_deref()) || is_long(it.name.as_deref(), 128) {
        return Err(AnswerCode::SERVICE_NAME);
    }
    if !is_name(it.namespace.as_deref()) || is_long(it.namespace.as_deref(), 64) {
        return Err(AnswerCode::NAMESPACE_NAME);
    }
    metadata(&it.metadata)
}

pub fn namespace(it: &Namespace) -> Result<(), AnswerCode> {
    match is_name(it.name.as_deref()) {
        true => Ok(()),
        false => Err(AnswerCode::NAMESPACE_NAME),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one() -> Instance {
        Instance {
            namespace: Some("default".into()),
            service: Some("web".into()),
            host: Some("127.0.0.1".into()),
            port: Some(80),
            ..Instance::default()
        }
    }

    #[test]
    fn an_id_is_the_hash_of_the_place() {
        // printf 'default##web##127.0.0.1##80' | sha1sum
        assert_eq!(created(&one()).unwrap(), "87549dc8e53e54d670dd1ed4718d55e0deed2e66");
        // printf 'default##web##v##127.0.0.1##80' | sha1sum
        let apart = Instance { vpc_id: Some("v".into()), ..one() };
        assert_eq!(created(&apart).unwrap(), "60acea8e9376c4977f7937f51b8ea0fd6ab00892");
        assert_eq!(created(&Instance { id: Some("own".into()), ..one() }).unwrap(), "own");
    }

    #[test]
    fn what_is_wrong_has_a_code_of_its_own() {
        let pairs = (0..65).map(|n| (n.to_string(), String::new())).collect();
        for (wrong, code) in [
            (Instance { service: Some("two words".into()), ..one() }, AnswerCode::SERVICE_NAME),
            (Instance { service: Some("x".repeat(129)), ..one() }, AnswerCode::SERVICE_NAME),
            (Instance { namespace: None, ..one() }, AnswerCode::NAMESPACE_NAME),
            (Instance { host: Some(String::new()), ..one() }, AnswerCode::INSTANCE_HOST),
            (Instance { host: Some("x".repeat(129)), ..one() }, AnswerCode::INSTANCE_HOST),
            (Instance { port: None, ..one() }, AnswerCode::INSTANCE_PORT),
            (Instance { port: Some(65_536), ..one() }, AnswerCode::INSTANCE_PORT),
            (Instance { weight: Some(65_536), ..one() }, AnswerCode::PARAMETER),
            (Instance { protocol: Some("x".repeat(33)), ..one() }, AnswerCode::INSTANCE_PROTOCOL),
            (Instance { version: Some("x".repeat(33)), ..one() }, AnswerCode::INSTANCE_VERSION),
            (Instance { metadata: pairs, ..one() }, AnswerCode::METADATA),
            (Instance { metadata: [("k".into(), "x".repeat(4097))].into(), ..one() }, AnswerCode::METADATA),
            (Instance { metadata: [("k".repeat(129), "x".into())].into(), ..one() }, AnswerCode::METADATA),
        ] {
            assert_eq!(created(&wrong), Err(code));
        }
        let kept = Instance { metadata: [("k".repeat(128), "x".repeat(4096))].into(), port: Some(0), ..one() };
        assert!(created(&kept).is_ok());
        assert_eq!(revised(&Instance { id: Some(String::new()), ..one() }), Err(AnswerCode::INSTANCE_ID));
        assert!(is_name(Some("A__B__C-1.2/3:4")) && !is_name(Some("a@b")) && !is_name(Some("a%b")));
    }
}
