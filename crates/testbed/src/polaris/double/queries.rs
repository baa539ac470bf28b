//! Lists, in pages, from the cache.

use std::sync::Arc;

use causeway_proto::polaris::{Namespace, Service};
use serde_json::{Value, json};

use super::answers::ListAnswer;
use super::cache::{CachedRecords, CachedService, INTERNAL};
use super::codes::AnswerCode;
use super::json as words;
use super::records::HeldInstance;
use super::rights::Rights;

/// The parameters of a request, in its order.
pub type Parameters = Vec<(String, String)>;

const INSTANCE_KEYS: [&str; 20] = [
    "id",
    "service",
    "namespace",
    "host",
    "port",
    "keys",
    "values",
    "protocol",
    "version",
    "health_status",
    "healthy",
    "isolate",
    "weight",
    "logic_set",
    "cmdb_region",
    "cmdb_zone",
    "cmdb_idc",
    "priority",
    "offset",
    "limit",
];
const SERVICE_KEYS: [&str; 18] = [
    "name",
    "namespace",
    "business",
    "department",
    "cmdb_mod1",
    "cmdb_mod2",
    "cmdb_mod3",
    "owner",
    "offset",
    "limit",
    "platform_id",
    "only_exist_health_instance",
    "host",
    "port",
    "keys",
    "values",
    "instance_keys",
    "instance_values",
];

/// `*` at an end stands for anything.
fn matches(name: &str, pattern: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (_, Some(start)) if name.starts_with(start.trim_end_matches('*')) => true,
        (Some(_), Some(_)) => name.contains(pattern.trim_matches('*')),
        (Some(end), None) => name.ends_with(end.trim_start_matches('*')),
        (None, Some(_)) => false,
        (None, None) => name == pattern,
    }
}

fn one<'a>(parameters: &'a Parameters, key: &str) -> Option<&'a str> {
    parameters.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
}

/// Offset and limit. An empty text is none.
fn paging(parameters: &Parameters, most: usize) -> Result<(usize, usize), Box<ListAnswer>> {
    let number = |key: &str| match one(parameters, key) {
        None | Some("") => Ok(None),
        Some(digits) => digits.parse::<u32>().map(|number| Some(number as usize)),
    };
    match (number("offset"), number("limit")) {
        (Ok(offset), Ok(limit)) => Ok((offset.unwrap_or(0), limit.unwrap_or(most).min(most))),
        _ => Err(Box::new(ListAnswer::of(AnswerCode::PARAMETER))),
    }
}

fn known(parameters: &Parameters, keys: &[&str]) -> Result<(), Box<ListAnswer>> {
    for (key, value) in parameters {
        if !keys.contains(&key.as_str()) {
            return Err(Box::new(ListAnswer::with(AnswerCode::PARAMETER, &format!("{key} is not allowed"))));
        }
        if value.is_empty() && key != "values" {
            return Err(Box::new(ListAnswer::with(AnswerCode::PARAMETER, &format!("the value for {key} is empty"))));
        }
    }
    Ok(())
}

/// `keys=a&keys=b&values=1&values=2`: pairs of metadata.
fn pairs(parameters: &Parameters) -> Result<Vec<(String, String)>, Box<ListAnswer>> {
    let joined = |wanted: &str| {
        let all: Vec<_> = parameters.iter().filter(|(key, _)| key == wanted).map(|(_, value)| value.as_str()).collect();
        (!all.is_empty()).then(|| all.join(","))
    };
    match (joined("keys"), joined("values")) {
        (None, None) => Ok(Vec::new()),
        (Some(keys), Some(values)) => {
            let (keys, values): (Vec<_>, Vec<_>) = (keys.split(',').collect(), values.split(',').collect());
            if keys.len() != values.len() {
                let why = "instance metadata key and value length are different";
                return Err(Box::new(ListAnswer::with(AnswerCode::QUERY_PARAMETER, why)));
            }
            Ok(keys.into_iter().zip(values).map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
        }
        _ => {
            let why = "instance metadata key and value must be both provided";
            Err(Box::new(ListAnswer::with(AnswerCode::QUERY_PARAMETER, why)))
        }
    }
}

/// What is wrong with a request for instances, if anything.
pub fn check_instances(parameters: &Parameters) -> Result<(), Box<ListAnswer>> {
    if parameters.is_empty() {
        return Err(Box::new(ListAnswer::of(AnswerCode::EMPTY_QUERY)));
    }
    pairs(parameters)?;
    known(parameters, &INSTANCE_KEYS)
}

pub fn check_services(parameters: &Parameters) -> Result<(), Box<ListAnswer>> {
    known(parameters, &SERVICE_KEYS)?;
    match one(parameters, "port").is_some() && one(parameters, "host").is_none() {
        true => {
            Err(Box::new(ListAnswer::with(AnswerCode::PARAMETER, "port parameter can not be used alone without host")))
        }
        false => Ok(()),
    }
}

fn is_true(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn fits(service: &CachedService, held: &HeldInstance, parameters: &Parameters, pairs: &[(String, String)]) -> bool {
    let it = &held.it;
    let place = it.location.as_ref();
    let number =
        |text: &str, there: Option<u32>| text.parse().is_ok_and(|wanted: u32| there.unwrap_or_default() == wanted);
    let flag = |text: &str, there: Option<bool>| is_true(text).is_none_or(|wanted| there.unwrap_or_default() == wanted);
    let text = |wanted: &str, there: Option<&String>| there.map_or("", String::as_str) == wanted;
    let all = parameters.iter().all(|(key, value)| match key.as_str() {
        "service" => matches(service.name(), value),
        "namespace" => matches(service.namespace(), value),
        "id" => matches(held.id(), value),
        "host" => value.split(',').any(|host| it.host.as_deref() == Some(host.trim())),
        "port" => number(value, it.port),
        "weight" => number(value, it.weight),
        "isolate" => flag(value, it.isolate),
        "healthy" => flag(value, it.healthy),
        "health_status" => one(parameters, "healthy").is_some() || flag(value, it.healthy),
        "protocol" => text(value, it.protocol.as_ref()),
        "version" => text(value, it.version.as_ref()),
        "cmdb_region" => text(value, place.and_then(|place| place.region.as_ref())),
        "cmdb_zone" => text(value, place.and_then(|place| place.zone.as_ref())),
        "cmdb_idc" => text(value, place.and_then(|place| place.campus.as_ref())),
        _ => true,
    });
    all && pairs.iter().all(|(key, value)| it.metadata.get(key) == Some(value))
}

/// Instances, those that were changed last first. Metadata lacks the server's own keys, whoever wrote them.
pub fn instances(cache: &CachedRecords, parameters: &Parameters, most: usize) -> ListAnswer {
    let (pairs, (offset, limit)) = match (pairs(parameters), paging(parameters, most)) {
        (Ok(pairs), Ok(page)) => (pairs, page),
        (Err(wrong), _) | (_, Err(wrong)) => return *wrong,
    };
    let of = |service: &Arc<CachedService>| {
        let service = service.clone();
        let held = service.instances.clone().into_iter();
        held.map(move |held| (service.clone(), held))
    };
    let mut all: Vec<_> = cache.services.values().flat_map(of).collect();
    all.retain(|(service, held)| fits(service, held, parameters, &pairs));
    all.sort_by(|(_, a), (_, b)| b.changed.cmp(&a.changed).then_with(|| b.id().cmp(a.id())));
    let rows = all.iter().skip(offset).take(limit).map(|(service, held)| {
        let mut it = held.it.clone();
        it.metadata.retain(|key, _| !INTERNAL.contains(&key.as_str()));
        it.service = service.it.it.name.clone();
        it.namespace = service.it.it.namespace.clone();
        it.service_token = service.it.it.token.clone();
        words::instance(&it)
    });
    ListAnswer::page("instances", all.len(), rows.collect())
}

fn service_row(one: &CachedService) -> Value {
    words::service(&one.shown(), Some(one.counts()))
}

/// Services, those that were changed last first; only those of namespaces that the asker may see.
pub fn services(cache: &CachedRecords, parameters: &Parameters, rights: &Rights, most: usize) -> ListAnswer {
    let (offset, limit) = match paging(parameters, most) {
        Ok(page) => page,
        Err(wrong) => return *wrong,
    };
    let metadata = one(parameters, "keys").map(|key| (key, one(parameters, "values").unwrap_or_default()));
    let mut all: Vec<_> = cache.services_of(None).filter(|one| rights.sees(one.namespace())).collect();
    all.retain(|service| {
        let here = parameters.iter().all(|(key, value)| match key.as_str() {
            "name" => {
                matches(&service.name().to_lowercase(), &value.to_lowercase())
                    && (value.contains('*') || service.name() == value)
            }
            "namespace" => matches(service.namespace(), value),
            "business" => service.it.it.business.as_deref().unwrap_or_default().contains(value.as_str()),
            "department" => service.it.it.department.as_deref().unwrap_or_default() == value,
            "host" => {
                service.instances.iter().any(|one| value.split(',').any(|host| one.it.host.as_deref() == Some(host)))
            }
            "port" => service.instances.iter().any(|one| one.it.port.is_some_and(|port| port.to_string() == *value)),
            "only_exist_health_instance" => value != "true" || service.counts().1 > 0,
            _ => true,
        });
        here && metadata.is_none_or(|(key, value)| service.it.it.metadata.get(key).is_some_and(|there| there == value))
    });
    all.sort_by(|a, b| b.it.changed.cmp(&a.it.changed).then_with(|| a.it.id().cmp(b.it.id())));
    let rows = all.iter().skip(offset).take(limit).map(|one| service_row(one)).collect();
    ListAnswer::page("services", all.len(), rows)
}

/// The names of all services of a namespace, or of all, with their counts; in one piece.
pub fn all_services(cache: &CachedRecords, parameters: &Parameters, rights: &Rights) -> ListAnswer {
    let namespace = one(parameters, "namespace").filter(|name| !name.is_empty());
    let rows: Vec<_> = cache
        .services_of(namespace)
        .filter(|one| rights.sees(one.namespace()))
        .map(|one| {
            let it = Service {
                name: one.it.it.name.clone(),
                namespace: one.it.it.namespace.clone(),
                metadata: one.it.it.metadata.clone(),
                ..Default::default()
            };
            words::service(&it, Some(one.counts()))
        })
        .collect();
    ListAnswer::page("services", rows.len(), rows)
}

/// Namespaces that the asker may see. `None` where the server fails: an offset behind the last one.
pub fn namespaces(cache: &CachedRecords, parameters: &Parameters, rights: &Rights, most: usize) -> Option<ListAnswer> {
    let (offset, limit) = match paging(parameters, most) {
        Ok(page) => page,
        Err(wrong) => return Some(*wrong),
    };
    let names: Vec<_> = parameters.iter().filter(|(key, _)| key == "name").map(|(_, name)| name).collect();
    let mut all: Vec<_> = cache.namespaces.iter().filter(|(name, _)| rights.sees(name)).collect();
    all.retain(|(name, _)| names.is_empty() || names.iter().any(|pattern| matches(name, pattern)));
    all.sort_by_key(|(_, one)| std::cmp::Reverse(one.changed));
    if offset > all.len() && !all.is_empty() {
        return None;
    }
    let limit = if limit == 0 { all.len() } else { limit };
    let mut sums = (0, 0, 0);
    let rows = all.iter().skip(offset).take(limit).map(|(name, held)| {
        let counts: Vec<_> = cache.services_of(Some(name.as_str())).map(|one| one.counts()).collect();
        let (whole, healthy) = counts.iter().fold((0, 0), |(a, b), (all, well)| (a + all, b + well));
        sums = (sums.0 + counts.len(), sums.1 + healthy, sums.2 + whole);
        let it = Namespace { token: None, ..held.it.clone() };
        words::namespace(&it, Some((counts.len(), healthy, whole)))
    });
    let rows = rows.collect();
    let summary = json!({
        "total_service_count": sums.0, "total_health_instance_count": sums.1, "total_instance_count": sums.2,
    });
    Some(ListAnswer::page("namespaces", all.len(), rows).summary(summary))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything_at_either_end() {
        assert!(matches("orders", "ord*") && matches("orders", "*ers") && matches("orders", "*der*"));
        assert!(matches("orders", "orders") && !matches("orders", "order") && !matches("orders", "*x*"));
    }
}
