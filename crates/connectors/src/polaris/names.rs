//! Between Polaris' names of services and ours. Pure.
//!
//! Polaris has no groups. As where it serves clients of another registry, the service `orders` of the group `pay` is called `pay__orders`, and one of
//! `DEFAULT_GROUP` is called `orders`.

use causeway_core::ServiceKey;

/// The namespace that is always there.
pub(super) const DEFAULT: &str = "default";
/// The namespace of the servers themselves.
pub(super) const SYSTEM: &str = "Polaris";
/// The group of services that have none.
const GROUP: &str = "DEFAULT_GROUP";
const BETWEEN: &str = "__";

/// Most characters of a service's and of a namespace's name.
const SERVICE: usize = 128;
const NAMESPACE: usize = 64;

/// The service, as plans name it. It is split once: what stands behind the first `__` is the name, whatever is in it.
pub(super) fn scope(namespace: &str, service: &str) -> ServiceKey {
    let (group, name) = split(service);
    ServiceKey::new(namespace, group, name)
}

fn split(service: &str) -> (&str, &str) {
    let whole = |(group, name): &(&str, &str)| !group.is_empty() && !name.is_empty();
    service.split_once(BETWEEN).filter(whole).unwrap_or((GROUP, service))
}

/// What a service is called in Polaris, or why it has no place there.
pub(super) fn wire(scope: &ServiceKey) -> Result<String, String> {
    check("namespace", &scope.namespace, NAMESPACE)?;
    let (group, name) = (&*scope.group, &*scope.name);
    if group.is_empty() {
        return Err(format!("service {name:?} has no group: map it to {GROUP} with `groups`"));
    }
    let bare = group == GROUP && split(name) == (GROUP, name);
    let wire = if bare { name.to_owned() } else { format!("{group}{BETWEEN}{name}") };
    if !bare && split(&wire) != (group, name) {
        return Err(format!(
            "group {group:?}, service {name:?}: Polaris knows it as {wire:?}, which stands for another group and service; map \
             the group"
        ));
    }
    check("service", &wire, SERVICE)?;
    Ok(wire)
}

/// The other name that stands for the same service: one of the default group may be called so, too.
pub(super) fn alternative(scope: &ServiceKey) -> Option<String> {
    let named = format!("{GROUP}{BETWEEN}{}", scope.name);
    (*scope.group == *GROUP && wire(scope).is_ok_and(|wire| wire != named)).then_some(named)
}

/// Whether Polaris takes a name.
pub(super) fn check(what: &str, name: &str, most: usize) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '/' | ':' | '_');
    if name.is_empty() {
        return Err(format!("a {what} without a name"));
    }
    if let Some(odd) = name.chars().find(|c| !fits(*c)) {
        return Err(format!("{what} {name:?}: Polaris takes only 0-9 A-Z a-z - . / : _ in names, and not {odd:?}"));
    }
    match name.len() > most {
        true => Err(format!("{what} {name:?} has {} characters, and Polaris takes {most}", name.len())),
        false => Ok(()),
    }
}

/// Whether Polaris takes the name of a namespace.
pub(super) fn check_namespace(name: &str) -> Result<(), String> {
    check("namespace", name, NAMESPACE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_name_reads_back(group in "[a-z_]{0,4}|DEFAULT_GROUP", name in "[a-z_]{0,6}|DEFAULT_GROUP__[a-z_]{0,3}") {
            let wanted = ServiceKey::new("n", &group, &name);
            if let Ok(wire) = wire(&wanted) {
                prop_assert_eq!(scope("n", &wire), wanted);
            }
        }

        #[test]
        fn a_name_of_polaris_is_known_again(wire_name in "[a-z_]{1,8}|DEFAULT_GROUP__[a-z_]{0,6}") {
            let scope = scope("n", &wire_name);
            let known = [Some(wire(&scope).unwrap()), alternative(&scope)];
            prop_assert!(known.iter().flatten().any(|one| *one == wire_name), "{scope} {known:?}");
        }
    }

    #[test]
    fn a_service_is_split_once() {
        for (name, group, service) in [
            ("orders", "DEFAULT_GROUP", "orders"),
            ("pay__orders", "pay", "orders"),
            ("G1__pay__v2", "G1", "pay__v2"),
            ("__orders", "DEFAULT_GROUP", "__orders"),
            ("orders__", "DEFAULT_GROUP", "orders__"),
            ("a___b", "a", "_b"),
        ] {
            assert_eq!(scope("n", name), ServiceKey::new("n", group, service), "{name}");
            assert_eq!(wire(&ServiceKey::new("n", group, service)).unwrap(), name);
        }
        // A name that would read as one of another group.
        let odd = ServiceKey::new("n", "DEFAULT_GROUP", "a__b");
        assert_eq!(wire(&odd).unwrap(), "DEFAULT_GROUP__a__b");
        assert_eq!((scope("n", "DEFAULT_GROUP__a__b"), alternative(&odd)), (odd, None));
        let plain = ServiceKey::new("n", "DEFAULT_GROUP", "orders");
        assert_eq!(alternative(&plain).as_deref(), Some("DEFAULT_GROUP__orders"));
        assert_eq!(scope("n", "DEFAULT_GROUP__orders"), plain);
    }

    #[test]
    fn what_has_no_place_says_why() {
        let why =
            |namespace: &str, group: &str, name: &str| wire(&ServiceKey::new(namespace, group, name)).unwrap_err();
        assert!(why("n", "a_", "b").contains("another group"));
        assert!(why("n", "a__b", "c").contains("another group"));
        assert!(why("n", "", "c").contains("`groups`"));
        assert!(why("n", "DEFAULT_GROUP", "订单").contains("only 0-9"));
        assert!(why("n", "DEFAULT_GROUP", "a b").contains("only 0-9"));
        assert!(why("n n", "DEFAULT_GROUP", "a").starts_with("namespace"));
        assert!(why("n", "DEFAULT_GROUP", &"a".repeat(129)).contains("129 characters"));
        assert!(why(&"n".repeat(65), "DEFAULT_GROUP", "a").contains("65 characters"));
        assert!(wire(&ServiceKey::new("n", "g-1.a:b", "c/d")).is_ok());
    }
}
