//! What 1.x can hold. Pure.

use super::beat_keys;
use super::client::WireInstance;
use super::convert;
use causeway_core::{Capabilities, Instance, Limits, ServiceKey};

/// What the later ones cannot hold and 1.x can, by the names of the conformance suite.
const HELD: [&str; 1] = ["2,000 characters of metadata"];
/// What 1.x cannot hold and the later ones can.
const LOST: [(&str, &str); 5] = [
    ("copies beside a native record", "over HTTP two who register one address share one record; ours goes"),
    ("weight 0.001", "Nacos 1.x lifts weights between 0 and 0.01 to 0.01"),
    ("punctuation in service names", NAMES),
    ("unicode in service names", NAMES),
    ("Chinese service names", NAMES),
];
const NAMES: &str = "Nacos 1.x takes only 0-9 a-z A-Z - . _ : @ in service names";

/// Lighter instances are raised to this, except weight 0.
const WEIGHT: f64 = 0.01;
/// The server itself has no limit; a form of this size is far from the 2 MB that its web server takes.
const METADATA: usize = 65_536;

/// What 1.x loses, given what the later ones do.
pub(super) fn capabilities(later: &Capabilities) -> Capabilities {
    let mut losses = later.losses.clone();
    losses.retain(|what, _| !HELD.contains(what));
    losses.extend(LOST);
    // Over HTTP two who register one address share one record, so nothing can be backed by an identical one.
    Capabilities { renames: false, losses, shadows: false, keeps: false }
}

/// Each record is a request of its own, and makes the server copy the service's whole list.
pub(super) fn limits() -> Limits {
    Limits { max_batch: 1_000, in_flight: 16, per_second: None }
}

/// An instance as 1.x can hold it, or why it cannot.
pub(super) fn normalize(scope: &ServiceKey, instance: Instance) -> Result<Instance, String> {
    let mut instance = convert::fits(convert::shape(scope, instance)?, METADATA)?;
    let name = &scope.name;
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || "-._:@".contains(c)) {
        return Err(format!("service name {name:?}: Nacos 1.x takes only 0-9 a-z A-Z - . _ : @"));
    }
    if instance.weight > 0.0 && instance.weight < WEIGHT {
        instance.weight = WEIGHT;
    }
    Ok(instance)
}

/// A copy as it is written, to be kept by heart beats.
pub(super) fn write(instance: &Instance) -> WireInstance {
    let mut wire = convert::write(instance);
    if instance.ephemeral && instance.mark.is_some() && beat_keys::are_too_quick(&wire.metadata) {
        beat_keys::blank(&mut wire.metadata);
    }
    wire
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_those_of_1_4() {
        let scope = |name| ServiceKey::new("public", "g", name);
        let instance = || Instance::new("127.0.0.1", 1);
        for name in ["a.b:c-d_e", "a@b", "x"] {
            assert!(normalize(&scope(name), instance()).is_ok(), "{name}");
        }
        for name in ["a/b", "a,b", "服务", "a%b", "x+y"] {
            assert!(normalize(&scope(name), instance()).is_err(), "{name}");
        }
        let of = |weight| normalize(&scope("x"), instance().with(|one| one.weight = weight)).unwrap().weight;
        assert_eq!((of(0.0), of(0.001), of(0.01), of(0.5)), (0.0, 0.01, 0.01, 0.5));
        let sized = |n| instance().with(|one| one.metadata = [("k".to_owned(), "x".repeat(n - 1))].into());
        assert!(normalize(&scope("x"), sized(METADATA)).is_ok());
        assert!(normalize(&scope("x"), sized(METADATA + 1)).is_err());
    }
}
