//! The requests and answers of ZooKeeper's protocol that we use.

use super::error::{Result, WireError};
use super::jute::{self, Decoder, Encoder};
use super::types::{Acl, Create, Op, Stat};

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
pub(super) const RECURSIVE: i32 = 1;
/// `removeWatches`: of any kind.
pub(super) const ANY_WATCH: i32 = 3;
/// No particular version.
const ANY_VERSION: i32 = -1;

/// The first frame of a connection.
pub(super) struct ConnectRequest<'a> {
    pub(super) last_zxid: i64,
    pub(super) timeout_ms: i32,
    pub(super) session: i64,
    pub(super) password: &'a [u8],
}

impl ConnectRequest<'_> {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::bare();
        encoder.int(0).long(self.last_zxid).int(self.timeout_ms).long(self.session);
        // A server that lost its ensemble and answers reads only must refuse us.
        encoder.buffer(self.password).flag(false);
        encoder.finish()
    }
}

/// The server's answer to it. Session 0: the session that was asked for has expired, or the password is wrong.
pub(super) struct ConnectAnswer {
    pub(super) timeout_ms: i32,
    pub(super) session: i64,
    pub(super) password: Vec<u8>,
}

impl ConnectAnswer {
    pub(super) fn decode(body: &[u8]) -> Result<ConnectAnswer> {
        let mut decoder = Decoder::new(body);
        decoder.int()?;
        let (timeout_ms, session) = (decoder.int()?, decoder.long()?);
        Ok(ConnectAnswer { timeout_ms, session, password: decoder.buffer()?.to_vec() })
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

/// The path that an event is about. Its kind does not matter, since the node is read again in any case.
pub(super) fn event_path(body: &[u8]) -> Result<String> {
    let mut decoder = Decoder::new(body);
    decoder.int()?;
    decoder.int()?;
    decoder.text()
}

/// Signs in with the scheme `digest`.
pub(super) fn sign_in(user_and_password: &[u8]) -> Vec<u8> {
    let mut encoder = Encoder::request(op::AUTH);
    encoder.int(0).text("digest").buffer(user_and_password);
    let mut frame = encoder.finish();
    jute::number(&mut frame, xid::AUTH);
    frame
}

/// A request that is nothing but its header.
pub(super) fn plain(operation: i32) -> Vec<u8> {
    Encoder::request(operation).finish()
}

/// What several requests hold.
impl Encoder {
    /// The rest of a request to create a node.
    pub(super) fn creation(&mut self, data: Option<&[u8]>, how: Create<'_>) -> &mut Self {
        self.buffer_if_any(data).acl(how.acl).int(i32::from(how.ephemeral))
    }

    /// The version that a node must have; `None`: any.
    pub(super) fn version(&mut self, version: Option<i32>) -> &mut Self {
        self.int(version.unwrap_or(ANY_VERSION))
    }

    /// An empty list, which the server would refuse, stands for one that is open to all.
    pub(super) fn acl(&mut self, acl: &[Acl]) -> &mut Self {
        if acl.is_empty() {
            return self.acl(&[Acl::open()]);
        }
        self.int(i32::try_from(acl.len()).unwrap_or(i32::MAX));
        for entry in acl {
            self.int(entry.permissions).text(&entry.scheme).text(&entry.id);
        }
        self
    }
}

/// One step of a transaction.
impl Op<'_> {
    pub(super) fn encode(&self, encoder: &mut Encoder, chroot: &str) {
        match self {
            Op::Create(path, data, how) => {
                encoder.int(op::CREATE).flag(false).int(-1).path(chroot, path).creation(*data, *how)
            }
            Op::Delete(path, version) => {
                encoder.int(op::DELETE).flag(false).int(-1).path(chroot, path).version(*version)
            }
        };
    }
}

/// What several answers hold.
impl Decoder<'_> {
    pub(super) fn stat(&mut self) -> Result<Stat> {
        Ok(Stat {
            czxid: self.long()?,
            mzxid: self.long()?,
            ctime: self.long()?,
            mtime: self.long()?,
            version: self.int()?,
            cversion: self.int()?,
            aversion: self.int()?,
            ephemeral_owner: self.long()?,
            data_length: self.int()?,
            children: self.int()?,
            pzxid: self.long()?,
        })
    }

    pub(super) fn acl(&mut self) -> Result<Vec<Acl>> {
        self.list(|entry| Ok(Acl { permissions: entry.int()?, scheme: entry.text()?, id: entry.text()? }))
    }
}

/// The error code of each step of a transaction, 0 for none. Those of a transaction that failed are 0 before the step that
/// failed, and -2 after it.
pub(super) fn multi_answer(mut decoder: Decoder<'_>) -> Result<Vec<i32>> {
    let mut codes = Vec::new();
    loop {
        let (kind, done, code) = (decoder.int()?, decoder.flag()?, decoder.int()?);
        if done {
            return Ok(codes);
        }
        match kind {
            op::CREATE => drop(decoder.buffer()?),
            op::DELETE => {}
            op::ERROR => drop(decoder.int()?),
            other => return Err(WireError::Protocol(format!("a transaction's answer of kind {other}"))),
        }
        codes.push(if kind == op::ERROR { code } else { 0 });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_servers_answer_is_shorter() {
        let mut encoder = Encoder::bare();
        encoder.int(0).int(4000).long(5).buffer(&[1; 16]);
        let frame = encoder.finish();
        let answer = ConnectAnswer::decode(&frame[4..]).unwrap();
        assert_eq!((answer.timeout_ms, answer.session), (4000, 5));
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
        assert_eq!(multi_answer(Decoder::new(&frame[4..])).unwrap(), [0, -110, -2]);
    }

    #[test]
    fn no_acl_is_everybody() {
        let mut encoder = Encoder::bare();
        encoder.acl(&[]);
        assert_eq!(Decoder::new(&encoder.finish()[4..]).acl().unwrap(), [Acl::open()]);
    }
}
