//! Access lists as text: `scheme:id:permissions`, several with commas, as ZooKeeper's own tools write them; a comma within
//! an id is `%2C`, and a per cent sign `%25`. Pure.

use super::client::Acl;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha1::{Digest, Sha1};

/// The permissions' letters, by their bits.
const LETTERS: [(i32, char); 5] = [(4, 'c'), (8, 'd'), (1, 'r'), (2, 'w'), (16, 'a')];

/// An access list as text; its entries in order, so that equal lists make equal texts.
pub(super) fn text(list: &[Acl]) -> String {
    let one = |acl: &Acl| {
        let letters: String =
            LETTERS.iter().filter(|(bit, _)| acl.permissions & bit != 0).map(|(_, letter)| *letter).collect();
        format!("{}:{}:{letters}", acl.scheme, acl.id.replace('%', "%25").replace(',', "%2C"))
    };
    let mut texts: Vec<_> = list.iter().map(one).collect();
    texts.sort();
    texts.join(",")
}

/// The permissions that it takes to make what is below a node and to change its list afterwards.
pub(super) const FILL: i32 = 4 | 16;
/// The permission that it takes to write data.
pub(super) const WRITE: i32 = 2;

/// The list with these rights for us; `None`: it has them already. `user`: our id in the scheme `digest`; without one,
/// the rights are everybody's.
pub(super) fn with_us(list: &[Acl], user: Option<&str>, rights: i32) -> Option<Vec<Acl>> {
    let (scheme, id) = user.map_or(("world", "anyone"), |user| ("digest", user));
    let is_us =
        |acl: &&Acl| (&*acl.scheme, &*acl.id) == ("world", "anyone") || (&*acl.scheme, &*acl.id) == (scheme, id);
    let have = list.iter().filter(is_us).fold(0, |all, acl| all | acl.permissions);
    if have & rights == rights {
        return None;
    }
    let mut list = list.to_vec();
    match list.iter_mut().find(|acl| (&*acl.scheme, &*acl.id) == (scheme, id)) {
        Some(ours) => ours.permissions |= rights,
        None => list.push(Acl::new(rights, scheme, id)),
    }
    Some(list)
}

/// A user as the scheme `digest` names it.
pub(super) fn digest_id(user: &str, password: &str) -> String {
    format!("{user}:{}", BASE64.encode(Sha1::digest(format!("{user}:{password}"))))
}

/// Reads what [`text`] wrote. Errors: it is no access list, or not the whole of one.
pub(super) fn read(text: &str) -> Result<Vec<Acl>, String> {
    text.split(',').map(one).collect()
}

fn one(text: &str) -> Result<Acl, String> {
    let wrong = || format!("{text:?} is no entry of an access list");
    let (front, letters) = text.rsplit_once(':').ok_or_else(wrong)?;
    let (scheme, id) = front.split_once(':').ok_or_else(wrong)?;
    if scheme == "digest" && id.ends_with(":x") {
        return Err(
            "its access list is shown without hashes: sign in as who may administer it, or leave access lists out"
                .into(),
        );
    }
    let bit = |letter: char| LETTERS.iter().find(|(_, one)| *one == letter).map(|(bit, _)| *bit).ok_or_else(wrong);
    let permissions = letters.chars().map(bit).try_fold(0, |all, bit| bit.map(|bit| all | bit))?;
    Ok(Acl::new(permissions, scheme, &id.replace("%2C", ",").replace("%25", "%")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_keeps_us_out_lets_us_in_for_a_while() {
        let shown = |list: &str, user: Option<&str>| with_us(&read(list).unwrap(), user, FILL).map(|list| text(&list));
        assert_eq!(shown("world:anyone:cdrwa", None), None);
        assert_eq!(shown("world:anyone:r", None).unwrap(), "world:anyone:cra");
        assert_eq!(shown("ip:127.0.0.1:cdrwa", None).unwrap(), "ip:127.0.0.1:cdrwa,world:anyone:ca");
        assert_eq!(shown("world:anyone:r", Some("a:h=")).unwrap(), "digest:a:h=:ca,world:anyone:r");
        assert_eq!(shown("digest:a:h=:cra,world:anyone:r", Some("a:h=")), None);
        assert_eq!(shown("digest:a:h=:ra,world:anyone:c", Some("a:h=")), None);
        assert_eq!(digest_id("super", "test"), "super:D/InIHSb7yEEbrWz8b9l71RjZJU=");
    }

    #[test]
    fn lists_read_back() {
        let list =
            [Acl::new(31, "world", "anyone"), Acl::new(1, "digest", "alice:a+b/c="), Acl::new(3, "ip", "fd00::/8")];
        let shown = text(&list);
        assert_eq!(shown, "digest:alice:a+b/c=:r,ip:fd00::/8:rw,world:anyone:cdrwa");
        assert_eq!(text(&read(&shown).unwrap()), shown);
        let list = [Acl::new(1, "x509", "CN=50%2C,O=b"), Acl::new(31, "world", "anyone")];
        assert_eq!(text(&list), "world:anyone:cdrwa,x509:CN=50%252C%2CO=b:r");
        assert_eq!(read(&text(&list)).unwrap(), [list[1].clone(), list[0].clone()]);
        for wrong in ["", "x", "a:b", "world:anyone:z", "digest:alice:x:r"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
