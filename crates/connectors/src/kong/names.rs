//! Names that Kong takes. Pure.
//!
//! An upstream's name is a host name: letters, digits, `.`, `-` and `_`. Every other byte of a name becomes `_` and two
//! hexadecimal digits, so that no two services get one name, and each name can be read back. Most names stay as they are.

use causeway_core::{ServiceKey, intern};
use causeway_settings::PUBLIC;

/// The group whose upstream is the host of the service.
pub(super) const DEFAULT: &str = "default";

/// Where a scope stands in Kong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The upstream's name.
    pub upstream: String,
    /// The service's name, where this upstream is its host.
    pub service: Option<String>,
    /// The upstream is somebody else's: only targets are ours.
    pub is_given: bool,
}

impl Place {
    /// The error says why a scope has none.
    pub fn of(scope: &ServiceKey) -> Result<Self, String> {
        let ServiceKey { namespace, group, name } = scope;
        if **namespace != *PUBLIC {
            return Err(format!(
                "Kong has no namespace {namespace}, only {PUBLIC}: names say where a service comes from"
            ));
        }
        if name.is_empty() {
            return Err("a service without a name".into());
        }
        if group.is_empty() {
            return match is_host(name) {
                true => Ok(Self { upstream: name.to_string(), service: None, is_given: true }),
                false => Err(format!(
                    "{name:?} is no name of an upstream in Kong, which has letters, digits, `.`, `-` and `_`: change `upstreamName`"
                )),
            };
        }
        let service = service_name(name);
        let mut upstream = format!("{service}.{}", encode(group, true));
        if upstream.split('.').all(|label| label.bytes().all(|byte| byte.is_ascii_digit())) {
            // It could be taken for an IPv4 address.
            upstream = format!("{service}.{}", encode_first(group));
        }
        let service = (**group == *DEFAULT).then_some(service);
        Ok(Self { upstream, service, is_given: false })
    }

    /// The scope whose upstream of ours has this name; `None`: none has.
    pub fn scope_of(upstream: &str) -> Option<ServiceKey> {
        let (name, group) = upstream.rsplit_once('.')?;
        let scope = ServiceKey::new(PUBLIC, &decode(group)?, &decode(name)?);
        (Self::of(&scope).ok()?.upstream == upstream && !scope.group.is_empty()).then_some(scope)
    }
}

/// The scope of an upstream that the operator has named.
pub(super) fn given_scope(upstream: &str) -> ServiceKey {
    ServiceKey { namespace: intern(PUBLIC), group: intern(""), name: intern(upstream) }
}

fn service_name(name: &str) -> String {
    // Paths take what looks like an id for one.
    if is_uuid(name) { encode_first(name) } else { encode(name, false) }
}

fn is_uuid(name: &str) -> bool {
    let parts: Vec<_> = name.split('-').collect();
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
        && parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Whether an upstream can have this name.
fn is_host(name: &str) -> bool {
    let takes = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    name.bytes().all(takes) && name.split('.').all(|label| !label.is_empty() && !label.ends_with('-'))
}

fn is_hex(byte: Option<&u8>) -> bool {
    byte.is_some_and(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// With `is_label` points too are written as bytes.
fn encode(name: &str, is_label: bool) -> String {
    let bytes = name.as_bytes();
    let mut out = String::with_capacity(bytes.len());
    for (at, &byte) in bytes.iter().enumerate() {
        let next = bytes.get(at + 1);
        let plain = match byte {
            // What could be taken for a byte that was written so.
            b'_' => !(is_hex(next) && is_hex(bytes.get(at + 2))),
            b'.' => !is_label && at > 0 && next.is_some_and(|next| *next != b'.'),
            b'-' => next.is_some_and(|next| *next != b'.'),
            byte => byte.is_ascii_alphanumeric(),
        };
        match plain {
            true => out.push(char::from(byte)),
            false => out.push_str(&format!("_{byte:02x}")),
        }
    }
    out
}

/// A name whose first byte is written out.
fn encode_first(name: &str) -> String {
    let byte = name.as_bytes().first().copied().unwrap_or_default();
    format!("_{byte:02x}{}", encode(name.get(1..).unwrap_or_default(), false))
}

fn decode(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digits = (byte == b'_').then(|| text.get(at + 1..at + 3)).flatten();
        let written = digits.filter(|digits| digits.bytes().all(|digit| is_hex(Some(&digit))));
        match written.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(out).ok()
}

/// What a template of a route or the like can name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServiceParts<'a> {
    /// The source cluster's name.
    pub source: &'a str,
    pub namespace: &'a str,
    pub group: &'a str,
    pub service: &'a str,
}

/// Takes `SOURCE.NAMESPACE.SERVICE` apart at its first two points; the service may be `GROUP__SERVICE`. Of other names all
/// is the service.
pub(super) fn service_parts(name: &str) -> ServiceParts<'_> {
    let mut parts = name.splitn(3, '.');
    let (source, namespace, service) = match (parts.next(), parts.next(), parts.next()) {
        (Some(source), Some(namespace), Some(service)) => (source, namespace, service),
        _ => ("", "", name),
    };
    let (group, service) = service.split_once("__").unwrap_or(("DEFAULT_GROUP", service));
    ServiceParts { source, namespace, group, service }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn upstream(group: &str, name: &str) -> String {
        Place::of(&ServiceKey::new(PUBLIC, group, name)).unwrap().upstream
    }

    #[test]
    fn most_names_stay_as_they_are() {
        for (group, name, expected) in [
            ("default", "ins-3ad0f6e6.default.test.service.3", "ins-3ad0f6e6.default.test.service.3.default"),
            ("version-1", "ins-3ad0f6e6.default.test.service.3", "ins-3ad0f6e6.default.test.service.3.version-1"),
            ("default", "n.empty_ns.G__pay_v2", "n.empty_ns.G__pay_v2.default"),
            ("default", "n.ns.G@@name", "n.ns.G_40_40name.default"),
            ("default", "zk.public.com.acme.Pay:1.0:g", "zk.public.com.acme.Pay_3a1.0_3ag.default"),
            ("default", "n.ns.订单", "n.ns._e8_ae_a2_e5_8d_95.default"),
            ("v1.2", "s.n.a", "s.n.a.v1_2e2"),
            ("default", "s.n.my_fact", "s.n.my_5ffact.default"),
            ("default", "s.n.a..b.", "s.n.a_2e.b_2e.default"),
            ("g-", "s.n.a-.b", "s.n.a_2d.b.g_2d"),
            ("4", "1.2.3", "1.2.3._34"),
        ] {
            assert_eq!(upstream(group, name), expected);
        }
        let place = Place::of(&ServiceKey::new(PUBLIC, "default", "00000000-0000-0000-0000-0000000000aa")).unwrap();
        assert_eq!(place.service.as_deref(), Some("_300000000-0000-0000-0000-0000000000aa"));
        assert!(Place::of(&ServiceKey::new(PUBLIC, "v1", "s")).unwrap().service.is_none());
        assert!(Place::of(&ServiceKey::new(PUBLIC, "default", "")).is_err());
    }

    #[test]
    fn given_names_are_taken_as_they_are() {
        let place = Place::of(&given_scope("orders_40-v1")).unwrap();
        assert_eq!((place.upstream.as_str(), place.is_given, place.service), ("orders_40-v1", true, None));
        for name in ["a b", "a:1", "a..b", "a-", "a-.b", "订单", "."] {
            assert!(Place::of(&given_scope(name)).unwrap_err().contains("upstreamName"), "{name}");
        }
    }

    #[test]
    fn foreign_names_are_no_scopes() {
        for name in ["orders", "a_ff.default", "a..default", ".default", "a."] {
            assert_eq!(Place::scope_of(name), None, "{name}");
        }
    }

    #[test]
    fn the_parts_of_a_name() {
        let parts = |source, namespace, group, service| ServiceParts { source, namespace, group, service };
        assert_eq!(service_parts("s.ns.G__a__b"), parts("s", "ns", "G", "a__b"));
        assert_eq!(service_parts("s.ns.test.service.3"), parts("s", "ns", "DEFAULT_GROUP", "test.service.3"));
        assert_eq!(service_parts("orders"), parts("", "", "DEFAULT_GROUP", "orders"));
    }

    proptest! {
        #[test]
        fn every_name_is_a_host_and_reads_back(
            group in "\\PC{1,8}|[0-9]{1,3}|[-._a-f0-9]{1,9}",
            name in "\\PC{1,12}|[0-9.]{1,9}|[-._a-f0-9]{1,14}",
        ) {
            let scope = ServiceKey::new(PUBLIC, &group, &name);
            let upstream = upstream(&group, &name);
            prop_assert!(is_host(&upstream), "{}", upstream);
            prop_assert!(upstream.parse::<std::net::Ipv4Addr>().is_err(), "{}", upstream);
            prop_assert_eq!(Place::scope_of(&upstream), Some(scope));
        }
    }
}
