//! The requests and answers of ZooKeeper's protocol that we use.

use super::error::{Error, Result};
use super::jute::{Decoder, Encoder};
use super::types::{Acl, Op, Stat};

/// Numbers of the operations.
pub(super) mod op {
    pub(crate) const CREATE: i32 = 1;
    pub(crate) const DELETE: i32 = 2;
    pub(crate) const EXISTS: i32 = 3;
    pub(crate) const GET: i32 = 4;
    pub(crate) const SET: i32 = 5;
    pub(crate) const GET_ACL: i32 = 6;
    pub(crate) const SET_ACL: i32 = 7;
    pub(crate) const SYNC: i32 = 9;
    pub(crate) const PING: i32 = 11;
    /// Children and the node's own stat.
    pub(crate) const CHILDREN: i32 = 12;
    pub(crate) const CHECK: i32 = 13;
    pub(crate) const MULTI: i32 = 14;
    /// As `CREATE`, and the answer holds the new node's stat. 3.5 and later.
    pub(crate) const CREATE_STAT: i32 = 15;
    pub(crate) const REMOVE_WATCHES: i32 = 18;
    pub(crate) const AUTH: i32 = 100;
    /// Of the own session. 3.6 and later.
    pub(crate) const EPHEMERALS: i32 = 103;
    pub(crate) const ADD_WATCH: i32 = 106;
    pub(crate) const CLOSE: i32 = -11;
    pub(crate) const ERROR: i32 = -1;
}

/// Request numbers with a meaning of their own.
pub(super) mod xid {
    pub(crate) const EVENT: i32 = -1;
    pub(crate) const PING: i32 = -2;
    pub(crate) const AUTH: i32 = -4;
}

/// `addWatch`: the node and all below it, until removed.
const RECURSIVE: i32 = 1;
/// `removeWatches`: of any kind.
const ANY_WATCH: i32 = 3;
/// No particular version.
const ANY_VERSION: i32 = -1;

/// The first frame of a connection.
pub(super) struct ConnectRequest<'a> {
    pub(super) last_zxid: i64,
    pub(super) timeout_ms: i32,
    pub(super) session: i64,
    pub(super) password: &'a [u8],
    pub(super) read_only: bool,
}

impl ConnectRequest<'_> {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::bare();
        encoder.int(0).long(self.last_zxid).int(self.timeout_ms).long(self.session);
        encoder.buffer(self.password).flag(self.read_only);
        encoder.finish()
    }
}

/// The server's answer to it. Session 0: the session that was asked for has expired, or the password is wrong.
pub(super) struct ConnectAnswer {
    pub(super) timeout_ms: i32,
    pub(super) session: i64,
    pub(super) password: Vec<u8>,
    pub(super) read_only: bool,
}

impl ConnectAnswer {
    pub(super) fn decode(body: &[u8]) -> Result<ConnectAnswer> {
        let mut decoder = Decoder::new(body);
        decoder.int()?;
        let timeout_ms = decoder.int()?;
        let session = decoder.long()?;
        let password = decoder.buffer()?.to_vec();
        // Servers before 3.4 say nothing of this.
        let read_only = decoder.left() > 0 && decoder.flag()?;
        Ok(ConnectAnswer { timeout_ms, session, password, read_only })
    }
}

/// In front of every other frame from the server.
pub(super) struct Header {
    pub(super) xid: i32,
    pub(super) zxid: i64,
    pub(super) code: i32,
}

impl Header {
    pub(super) const LENGTH: usize = 16;

    pub(super) fn decode(frame: &[u8]) -> Result<Header> {
        let mut decoder = Decoder::new(frame);
        Ok(Header { xid: decoder.int()?, zxid: decoder.long()?, code: decoder.int()? })
    }
}

/// The path that an event is about. Its kind does not matter, since whoever watches reads the node anew.
pub(super) fn event_path(body: &[u8]) -> Result<String> {
    let mut decoder = Decoder::new(body);
    decoder.int()?;
    decoder.int()?;
    decoder.text()
}

pub(super) fn auth(scheme: &str, secret: &[u8]) -> Vec<u8> {
    let mut encoder = Encoder::request(op::AUTH);
    encoder.int(0).text(scheme).buffer(secret);
    encoder.finish()
}

/// A request that is nothing but its header.
pub(super) fn plain(operation: i32) -> Vec<u8> {
    Encoder::request(operation).finish()
}

/// Builds requests about nodes below one chroot.
#[derive(Clone, Copy)]
pub(super) struct Requests<'a> {
    pub(super) chroot: &'a str,
}

impl Requests<'_> {
    fn about(self, operation: i32, path: &str) -> Encoder {
        let mut encoder = Encoder::request(operation);
        encoder.path(self.chroot, path);
        encoder
    }

    /// `GET`, `EXISTS` or `CHILDREN`.
    pub(super) fn read(self, operation: i32, path: &str, watch: bool) -> Vec<u8> {
        let mut encoder = self.about(operation, path);
        encoder.flag(watch);
        encoder.finish()
    }

    /// `GET_ACL` or `SYNC`.
    pub(super) fn name(self, operation: i32, path: &str) -> Vec<u8> {
        self.about(operation, path).finish()
    }

    /// `CREATE` or `CREATE_STAT`.
    pub(super) fn create(
        self,
        operation: i32,
        path: &str,
        data: Option<&[u8]>,
        acl: &[Acl],
        ephemeral: bool,
    ) -> Vec<u8> {
        let mut encoder = self.about(operation, path);
        put_creation(&mut encoder, data, acl, ephemeral);
        encoder.finish()
    }

    pub(super) fn set(self, path: &str, data: Option<&[u8]>, version: Option<i32>) -> Vec<u8> {
        let mut encoder = self.about(op::SET, path);
        encoder.buffer_if_any(data).int(version.unwrap_or(ANY_VERSION));
        encoder.finish()
    }

    pub(super) fn set_acl(self, path: &str, acl: &[Acl], version: Option<i32>) -> Vec<u8> {
        let mut encoder = self.about(op::SET_ACL, path);
        put_acl(&mut encoder, acl);
        encoder.int(version.unwrap_or(ANY_VERSION));
        encoder.finish()
    }

    pub(super) fn delete(self, path: &str, version: Option<i32>) -> Vec<u8> {
        let mut encoder = self.about(op::DELETE, path);
        encoder.int(version.unwrap_or(ANY_VERSION));
        encoder.finish()
    }

    pub(super) fn add_recursive_watch(self, path: &str) -> Vec<u8> {
        let mut encoder = self.about(op::ADD_WATCH, path);
        encoder.int(RECURSIVE);
        encoder.finish()
    }

    pub(super) fn remove_watches(self, path: &str) -> Vec<u8> {
        let mut encoder = self.about(op::REMOVE_WATCHES, path);
        encoder.int(ANY_WATCH);
        encoder.finish()
    }

    pub(super) fn multi(self, steps: &[Op]) -> Vec<u8> {
        let mut encoder = Encoder::request(op::MULTI);
        for step in steps {
            let kind = match step {
                Op::Check { .. } => op::CHECK,
                Op::Create { .. } => op::CREATE,
                Op::Set { .. } => op::SET,
                Op::Delete { .. } => op::DELETE,
            };
            encoder.int(kind).flag(false).int(-1).path(self.chroot, step.path());
            match step {
                Op::Check { version, .. } => {
                    encoder.int(*version);
                }
                Op::Create { data, ephemeral, acl, .. } => put_creation(&mut encoder, data.as_deref(), acl, *ephemeral),
                Op::Set { data, version, .. } => {
                    encoder.buffer(data).int(version.unwrap_or(ANY_VERSION));
                }
                Op::Delete { version, .. } => {
                    encoder.int(version.unwrap_or(ANY_VERSION));
                }
            }
        }
        encoder.int(op::ERROR).flag(true).int(-1);
        encoder.finish()
    }
}

fn put_creation(encoder: &mut Encoder, data: Option<&[u8]>, acl: &[Acl], ephemeral: bool) {
    encoder.buffer_if_any(data);
    put_acl(encoder, acl);
    encoder.int(i32::from(ephemeral));
}

/// An empty list would be refused by the server; here it means everybody.
fn put_acl(encoder: &mut Encoder, acl: &[Acl]) {
    if acl.is_empty() {
        encoder.int(1).int(Acl::ALL).text("world").text("anyone");
        return;
    }
    encoder.int(i32::try_from(acl.len()).unwrap_or(i32::MAX));
    for entry in acl {
        encoder.int(entry.permissions).text(&entry.scheme).text(&entry.id);
    }
}

pub(super) fn stat(decoder: &mut Decoder<'_>) -> Result<Stat> {
    Ok(Stat {
        czxid: decoder.long()?,
        mzxid: decoder.long()?,
        ctime: decoder.long()?,
        mtime: decoder.long()?,
        version: decoder.int()?,
        cversion: decoder.int()?,
        aversion: decoder.int()?,
        ephemeral_owner: decoder.long()?,
        data_length: decoder.int()?,
        children: decoder.int()?,
        pzxid: decoder.long()?,
    })
}

pub(super) fn acl(decoder: &mut Decoder<'_>) -> Result<Vec<Acl>> {
    decoder.list(|entry| Ok(Acl { permissions: entry.int()?, scheme: entry.text()?, id: entry.text()? }))
}

/// What became of each step of a transaction: its new stat, where there is one, or its error code. The codes of a
/// transaction that failed are 0 before the step that failed, and -2 after it.
pub(super) fn multi_answer(body: &[u8]) -> Result<Vec<std::result::Result<Option<Stat>, i32>>> {
    let mut decoder = Decoder::new(body);
    let mut found = Vec::new();
    loop {
        let (kind, done, code) = (decoder.int()?, decoder.flag()?, decoder.int()?);
        if done {
            return Ok(found);
        }
        found.push(match kind {
            op::CREATE => {
                decoder.buffer()?;
                Ok(None)
            }
            op::SET => Ok(Some(stat(&mut decoder)?)),
            op::DELETE | op::CHECK => Ok(None),
            op::ERROR => {
                decoder.int()?;
                Err(code)
            }
            other => return Err(Error::Protocol(format!("a transaction's answer of kind {other}"))),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IN_LAB: Requests<'_> = Requests { chroot: "/lab" };

    #[test]
    fn paths_get_the_chroot() {
        let frame = IN_LAB.read(op::GET, "/a", true);
        let mut decoder = Decoder::new(&frame[12..]);
        assert_eq!((decoder.text().unwrap(), decoder.flag().unwrap(), decoder.left()), ("/lab/a".into(), true, 0));
        let frame = IN_LAB.name(op::SYNC, "/");
        assert_eq!(Decoder::new(&frame[12..]).text().unwrap(), "/lab");
        let frame = Requests { chroot: "" }.name(op::SYNC, "/");
        assert_eq!(Decoder::new(&frame[12..]).text().unwrap(), "/");
    }

    #[test]
    fn an_old_servers_answer_lacks_read_only() {
        let mut encoder = Encoder::bare();
        encoder.int(0).int(4000).long(5).buffer(&[1; 16]);
        let frame = encoder.finish();
        let answer = ConnectAnswer::decode(&frame[4..]).unwrap();
        assert_eq!((answer.timeout_ms, answer.session, answer.read_only), (4000, 5, false));
        assert_eq!(answer.password, [1; 16]);
    }

    #[test]
    fn a_failed_transaction_says_where() {
        let mut encoder = Encoder::bare();
        for code in [0, -110, -2] {
            encoder.int(op::ERROR).flag(false).int(code).int(code);
        }
        encoder.int(op::ERROR).flag(true).int(-1);
        let frame = encoder.finish();
        assert_eq!(multi_answer(&frame[4..]).unwrap(), [Err(0), Err(-110), Err(-2)]);
    }

    #[test]
    fn no_acl_is_everybody() {
        let frame = IN_LAB.set_acl("/a", &[], None);
        let mut decoder = Decoder::new(&frame[12..]);
        decoder.text().unwrap();
        assert_eq!(acl(&mut decoder).unwrap(), [Acl::open()]);
        assert_eq!(decoder.int().unwrap(), -1);
    }
}
