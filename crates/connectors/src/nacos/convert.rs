//! Between Nacos' words and ours. Pure.

use super::beat_keys;
use super::client::{DEFAULT_CLUSTER, Error as WireError, ServiceAttributes, WireInstance};
use crate::bridge::other_tools;
use causeway_core::{
    Attributes, Endpoint, Error, Instance, InstanceData, InstanceId, Mark, Payload, ServiceKey, intern,
};

/// The one metadata key that carries our mark.
pub(super) const MARK: &str = "causeway";
/// The one metadata key that carries what only a record's birthplace understands: its kind, a colon, its text.
const PAYLOAD: &str = "causeway.native";
/// The one metadata key that says of an ephemeral instance that it is persistent where it was born.
const LASTING: &str = "causeway.persistent";
/// Left out of a Dubbo provider that would be too long even without its birthplace's own words: no call needs it.
const METHODS: &str = "methods";
/// Most UTF-16 code units in all keys and values of an instance's metadata.
pub(super) const METADATA_LIMIT: usize = 1024;
/// Heaviest weight that the server takes.
const WEIGHT_LIMIT: f64 = 10_000.0;

/// What 2.x and 3.x cannot hold, by the names of the conformance suite.
pub(super) const LOSSES: [(&str, &str); 10] = [
    (
        "2,000 characters of metadata",
        "all keys and values have 1,024 UTF-16 code units, our mark included; it is refused",
    ),
    ("Chinese host names", "the server refuses U+4E00 to U+9FA5 in addresses"),
    ("Chinese service names", "the server refuses U+4E00 to U+9FA5 in service names, but as the first character"),
    ("blanks in service names", "the server refuses them"),
    ("health of persistent instances", "the destination's own health checks decide it, whoever registers"),
    ("host names over 128 characters", "the server refuses them"),
    ("services without a group", "every service has one; a task maps it, by default to DEFAULT_GROUP"),
    ("slots with other characters than 0-9 a-z A-Z -", "a slot is a cluster name, of up to 64 of these"),
    ("unicode in groups", "up to 128 of 0-9 a-z A-Z - _ . : are taken"),
    ("weights over 10,000", "the server takes 0 to 10,000"),
];

/// An instance as it is read. A mark that does not decode stays in the metadata: it is not ours to drop.
pub(super) fn read(wire: &WireInstance) -> Instance {
    let mut metadata = wire.metadata.clone();
    let mark = metadata.get(MARK).and_then(Mark::decode);
    let is_marked = mark.is_some();
    let mark = mark.or_else(|| other_tools::mark(&metadata));
    let payload = metadata.get(PAYLOAD).and_then(|text| text.split_once(':'));
    let payload = payload.map(|(kind, text)| Payload { kind: intern(kind), text: intern(text) });
    let lasting = wire.ephemeral && metadata.get(LASTING) == Some("true");
    let ours = [(MARK, is_marked), (PAYLOAD, payload.is_some()), (LASTING, lasting)];
    if ours.iter().any(|(_, is_there)| *is_there) {
        metadata.change(|pairs| {
            ours.iter().filter(|(_, is_there)| *is_there).for_each(|(key, _)| drop(pairs.remove(*key)))
        });
    }
    // Nobody else writes the key of our mark.
    if wire.metadata.contains_key(MARK) {
        beat_keys::restore(&mut metadata);
    }
    let slot = intern(if wire.cluster_name.is_empty() { DEFAULT_CLUSTER } else { &wire.cluster_name });
    InstanceData {
        id: InstanceId { endpoint: Endpoint { host: intern(&wire.ip), port: wire.port }, slot },
        weight: wire.weight,
        enabled: wire.enabled,
        healthy: wire.healthy,
        ephemeral: wire.ephemeral,
        lasting,
        metadata,
        payload,
        mark,
    }
    .into()
}

/// An instance as it is written.
pub(super) fn write(instance: &Instance) -> WireInstance {
    let mut wire = WireInstance::new(&instance.id.endpoint.host, instance.id.endpoint.port);
    wire.weight = instance.weight;
    wire.enabled = instance.enabled;
    wire.healthy = instance.healthy;
    wire.ephemeral = instance.ephemeral;
    wire.cluster_name = instance.id.slot.to_string();
    wire.metadata = instance.metadata.clone();
    let is_ours = other_tools::tool_of(instance.mark.as_ref()).is_none();
    if instance.mark.is_some() && is_ours && beat_keys::are_odd(&wire.metadata) {
        beat_keys::blank(&mut wire.metadata);
    }
    let payload = instance.payload.as_ref().map(|payload| (PAYLOAD, format!("{}:{}", payload.kind, payload.text)));
    let lasting = instance.lasting.then(|| (LASTING, "true".to_owned()));
    // Another tool's is among its metadata.
    let mark = instance.mark.as_ref().filter(|mark| !other_tools::is_other_tool(&mark.owner));
    let mark = mark.map(|mark| (MARK, mark.encode()));
    let ours = [payload, lasting, mark];
    if ours.iter().any(Option::is_some) {
        wire.metadata.extend(ours.into_iter().flatten());
    }
    wire
}

/// An instance as Nacos can hold it, or why it cannot.
pub(super) fn normalize(scope: &ServiceKey, instance: Instance) -> Result<Instance, String> {
    let instance = shape(scope, instance)?;
    fits(instance, METADATA_LIMIT)
}

/// What holds for every version.
pub(super) fn shape(scope: &ServiceKey, mut instance: Instance) -> Result<Instance, String> {
    names(scope)?;
    let slot = &instance.id.slot;
    // The slot of a record of another kind is no cluster name.
    if slot.is_empty() || instance.payload.is_some() {
        instance.id.slot = DEFAULT_CLUSTER.into();
        instance.payload.take_if(|payload| payload.text.is_empty());
    } else if !is_cluster(slot) {
        return Err(format!("cluster name {slot:?}: Nacos takes up to 64 of 0-9 a-z A-Z -"));
    }
    let host = &instance.id.endpoint.host;
    if host.is_empty() || units(host) > 128 || host.chars().any(|c| is_blank(c) || is_chinese(c)) {
        return Err(format!("address {host:?}: Nacos takes up to 128 characters without blanks and Chinese ones"));
    }
    if !(0.0..=WEIGHT_LIMIT).contains(&instance.weight) {
        return Err(format!("weight {}: Nacos takes 0 to {WEIGHT_LIMIT}", instance.weight));
    }
    Ok(instance)
}

/// Whether the server takes it as a cluster name.
pub(super) fn is_cluster(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

/// Refuses metadata that are longer than `limit` with our mark, and cannot be shortened.
pub(super) fn fits(mut instance: Instance, limit: usize) -> Result<Instance, String> {
    let long = |instance: &Instance| -> usize {
        write(instance).metadata.iter().map(|(key, value)| units(key) + units(value)).sum()
    };
    if long(&instance) > limit {
        instance.payload = None;
    }
    if long(&instance) > limit && instance.metadata.contains_key("interface") {
        instance.metadata.remove(METHODS);
    }
    let length = long(&instance);
    if length > limit {
        return Err(format!(
            "its metadata is {length} characters long with our mark; Nacos takes {limit} for all keys and values"
        ));
    }
    Ok(instance)
}

fn names(scope: &ServiceKey) -> Result<(), String> {
    let group = &scope.group;
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    if group.is_empty() || group.len() > 128 || !group.chars().all(fits) {
        return Err(format!("group {group:?}: Nacos takes up to 128 of 0-9 a-z A-Z - _ . :"));
    }
    let name = &scope.name;
    if name.is_empty() || units(name) > 512 || name.starts_with('@') || name.contains("@@") || name.contains(is_blank) {
        return Err(format!(
            "service name {name:?}: Nacos takes up to 512 characters without blanks, @@ and @ in front"
        ));
    }
    // The server's own rule looks at all characters but the first.
    if name.chars().skip(1).any(is_chinese) {
        return Err(format!("service name {name:?}: Nacos takes no Chinese characters"));
    }
    Ok(())
}

/// What the server's rules call a blank.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\u{b}' | '\u{c}' | '\r')
}

/// What the server's rules keep out: U+4E00 to U+9FA5.
fn is_chinese(c: char) -> bool {
    ('\u{4e00}'..='\u{9fa5}').contains(&c)
}

/// Java counts UTF-16 code units.
fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Prefix of the service's own metadata among its attributes.
const METADATA: &str = "metadata.";
/// The service's protect threshold among its attributes.
const THRESHOLD: &str = "protectThreshold";

/// What belongs to a service itself; empty for a service that nobody has set anything on.
pub(super) fn attributes(wire: &ServiceAttributes) -> Attributes {
    let mut all: std::collections::BTreeMap<_, _> =
        wire.metadata.iter().map(|(key, value)| (format!("{METADATA}{key}"), value.clone())).collect();
    if wire.protect_threshold != 0.0 {
        all.insert(THRESHOLD.to_owned(), wire.protect_threshold.to_string());
    }
    Attributes(all)
}

/// What is written for a service itself. Keys of other kinds of cluster have no place here.
pub(super) fn wire_attributes(attributes: &Attributes) -> ServiceAttributes {
    let own = |(key, value): (&String, &String)| Some((key.strip_prefix(METADATA)?.to_owned(), value.clone()));
    ServiceAttributes {
        metadata: attributes.0.iter().filter_map(own).collect(),
        protect_threshold: attributes.0.get(THRESHOLD).and_then(|text| text.parse().ok()).unwrap_or_default(),
        ..ServiceAttributes::default()
    }
}

/// What to do about an error of the client.
pub(super) fn error(error: WireError) -> Error {
    match error {
        WireError::Unavailable(text) => Error::unavailable(text),
        WireError::Throttled(wait) => Error::Throttled(wait),
        WireError::Denied(text) => Error::Denied(text),
        // The kind of a service is forgotten some time after its last instance has gone.
        WireError::Rejected(text) if is_mixed(&text) => Error::Blocked(text),
        WireError::Rejected(text) => Error::Rejected(text),
        WireError::NotFound(text) => Error::Missing(text),
        WireError::Protocol(text) => Error::protocol(text),
    }
}

/// Whether a refusal says that the service holds instances of the other kind, persistent or ephemeral. It is the whole
/// service's, and not one record's.
pub(super) fn is_mixed(text: &str) -> bool {
    ["is ephemeral service, can't ", "is persistent service, can't "].iter().any(|words| text.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_core::{ClusterId, OwnerId};

    fn instance() -> Instance {
        let mut instance = Instance::new("fd00::1", 8080);
        instance.id.slot = "c-1".into();
        instance.weight = 0.5;
        instance.enabled = false;
        instance.metadata = [("zone", "東京"), ("empty", "")].into();
        instance
    }

    #[test]
    fn what_is_written_reads_back() {
        let mark = Mark::new(OwnerId::new("i", "t"), vec![ClusterId::of("a")]);
        for mark in [None, Some(mark)] {
            let instance = instance().with(|one| one.mark = mark);
            assert_eq!(read(&write(&instance)), instance);
        }
    }

    #[test]
    fn a_refusal_of_the_other_kind_passes() {
        for text in [
            "Current service g@@s is ephemeral service, can't register persistent instance.",
            "Current service g@@s is persistent service, can't register ephemeral instance.",
            "errCode: 400, errMsg: Current service g@@s is persistent service, can't batch register ephemeral instance. ",
        ] {
            assert!(matches!(error(WireError::Rejected(text.into())), Error::Blocked(_)), "{text}");
        }
        assert!(matches!(error(WireError::Rejected("weight".into())), Error::Rejected(_)));
    }

    #[test]
    fn what_was_persistent_by_birth_says_so() {
        let lasting = instance().with(|one| one.lasting = true);
        assert_eq!(read(&write(&lasting)), lasting);
        assert!(!lasting.into_born().ephemeral);
    }

    #[test]
    fn a_broken_mark_is_metadata() {
        let mut wire = write(&instance());
        wire.metadata.insert(MARK, "mine");
        let read = read(&wire);
        assert_eq!((&read.mark, &read.metadata[MARK]), (&None, "mine"));
    }

    #[test]
    fn a_copy_of_nacos_sync_is_no_native() {
        let mut wire = write(&instance());
        wire.metadata.insert("sourceClusterId", "c1");
        assert!(read(&wire).mark.is_none(), "one key alone may be a provider's own");
        wire.metadata.insert("syncSource", "NACOS");
        let read = read(&wire);
        assert_eq!(&*read.mark().unwrap().owner.install, "nacos-sync");
        // It is written as it stands.
        let again = write(&read.clone().with_mark(None));
        assert_eq!((&again, &write(&read)), (&wire, &wire));
        wire.metadata.insert("__sync__", "a");
        assert_eq!(super::read(&wire).mark().unwrap().owner, OwnerId::new("polaris-sync", "a"));
    }

    #[test]
    fn limits_are_the_servers() {
        let scope = ServiceKey::new("public", "g", "s");
        let sized = |n: usize| instance().with(|one| one.metadata = [("k".to_owned(), "漢".repeat(n - 1))].into());
        assert!(normalize(&scope, sized(1024)).is_ok());
        assert!(normalize(&scope, sized(1025)).unwrap_err().contains("1025"));
        for wrong in [
            instance().with(|one| one.weight = 10_000.5),
            instance().with(|one| one.weight = f64::NAN),
            instance().with(|one| one.id = InstanceId { slot: "a_b".into(), ..instance().id() }),
            Instance::new("a b", 1),
        ] {
            assert!(normalize(&scope, wrong).is_err());
        }
        assert!(normalize(&ServiceKey::new("public", "组", "s"), instance()).is_err());
        assert!(normalize(&ServiceKey::new("public", "g", "a b"), instance()).is_err());
    }

    #[test]
    fn service_names_are_refused_as_the_server_refuses_them() {
        let takes = |name: &str| normalize(&ServiceKey::new("public", "g", name), instance()).is_ok();
        for name in ["a@b", "a@", "é😀", "a/b%c,d", "订", "ü", "a\u{3000}b"] {
            assert!(takes(name), "{name}");
        }
        for name in ["订单", "orders单", "@a", "a@@b", "a b", ""] {
            assert!(!takes(name), "{name}");
        }
        let scope = ServiceKey::new("public", "g", "s");
        assert!(normalize(&scope, Instance::new("bücher.example", 1)).is_ok());
        assert!(normalize(&scope, Instance::new("主机", 1)).is_err());
    }

    #[test]
    fn a_record_of_another_kind_keeps_its_words_where_they_fit() {
        let scope = ServiceKey::new("public", "g", "s");
        let text = "x".repeat(200);
        let payload = Some(Payload { kind: "another".into(), text: text.as_str().into() });
        let foreign = instance().with(|one| one.payload = payload);
        let held = normalize(&scope, foreign.clone()).unwrap();
        assert_eq!((&*held.id.slot, &held.payload), (DEFAULT_CLUSTER, &foreign.payload));
        assert_eq!(read(&write(&held)), held);
        let with = |key: &str, length: usize| {
            let mut all = instance().metadata.clone();
            all.insert(key, "m".repeat(length));
            normalize(&scope, foreign.clone().with(|one| one.metadata = all))
        };
        let short = with("zone", 900).unwrap();
        assert_eq!((&short.payload, short.metadata["zone"].len()), (&None, 900));
        assert!(with("methods", 1100).is_err());
        let mut provider = instance();
        provider.metadata = [("interface", "lab.Greeter"), ("methods", &"m".repeat(1100))].into();
        assert_eq!(normalize(&scope, provider).unwrap().metadata.len(), 1);
    }

    #[test]
    fn attributes_read_back() {
        let wire = ServiceAttributes {
            metadata: [("owner".to_owned(), "me".to_owned())].into(),
            protect_threshold: 0.7,
            ..ServiceAttributes::default()
        };
        assert_eq!(wire_attributes(&attributes(&wire)), wire);
        assert_eq!(attributes(&ServiceAttributes::default()), Attributes::default());
    }
}
