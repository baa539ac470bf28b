//! How many bytes a publication takes where a server sends it to its peers.
//!
//! A server writes everything that one connection publishes as one JSON document and sends that as Base64 inside another.
//! The estimate follows its fields (seen on 2.5.0, see `docs/nacos-facts.md`) and is within one percent.

use causeway_core::ServiceKey;

use super::wire::WireInstance;

/// Field names, separators, flags and three port numbers of one instance.
const INSTANCE: usize = 122;
/// The same of one service.
const SERVICE: usize = 90;
/// Quotes, colon and comma of one metadata entry.
const ENTRY: usize = 6;
/// Written only where they are not 1 and true.
const WEIGHT: usize = 36;
const DISABLED: usize = 32;

/// Bytes of one instance of a service.
pub(super) fn instance(key: &ServiceKey, instance: &WireInstance) -> usize {
    let metadata = instance.metadata.iter().map(|(key, value)| json(key) + json(value) + ENTRY).sum::<usize>();
    let address = 3 * (json(&instance.ip) + json(&instance.cluster_name));
    let weight = if instance.weight == 1.0 { 0 } else { WEIGHT };
    let disabled = if instance.enabled { 0 } else { DISABLED };
    base64(INSTANCE + address + json(&key.group) + json(&key.name) + metadata + weight + disabled)
}

/// Bytes that a service takes beside its instances.
pub(super) fn service(key: &ServiceKey) -> usize {
    base64(SERVICE + json(&key.namespace) + json(&key.group) + json(&key.name))
}

/// Bytes of a text between the quotes.
fn json(text: &str) -> usize {
    let escaped = |c: char| match c {
        '"' | '\\' | '\n' | '\r' | '\t' => 2,
        c if c.is_control() => 6,
        c => c.len_utf8(),
    };
    text.chars().map(escaped).sum()
}

fn base64(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_of_2_5_sent_so_much() {
        // 10 services with 20 instances of 600 characters of metadata, by the vendor's client: 221,002 bytes.
        let mut bytes = 0;
        for n in 0..10 {
            let key = ServiceKey::new("sizes", "DEFAULT_GROUP", &format!("svc-{n}"));
            bytes += service(&key);
            for port in 20_000..20_020 {
                let mut one = WireInstance::new("127.0.0.1", port);
                let known = [
                    ("dubbo", "2.0.2"),
                    ("side", "provider"),
                    ("release", "3.3.4"),
                    ("application", "orders"),
                    ("interface", "com.acme.orders.api.OrderQueryService"),
                ];
                one.metadata.extend(known.map(|(key, value)| (key.to_owned(), value.to_owned())));
                let length: usize = one.metadata.iter().map(|(key, value)| key.len() + value.len()).sum();
                one.metadata.insert("methods", "q".repeat(600 - length - 7));
                bytes += instance(&key, &one);
            }
        }
        assert!((221_002..224_000).contains(&bytes), "{bytes}");
    }

    #[test]
    fn every_character_counts() {
        let key = ServiceKey::new("n", "g", "s");
        let mut one = WireInstance::new("127.0.0.1", 1);
        let bare = instance(&key, &one);
        one.metadata.insert("key", "\"漢\u{1}".repeat(50));
        assert!(instance(&key, &one) >= bare + (50 * (2 + 3 + 6) + 3) * 4 / 3);
    }
}
