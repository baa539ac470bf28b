//! The ids and passwords of our sessions, as they are kept for the next process.

use super::spread::{MAIN, SessionSlot};
use crate::zookeeper::client::{SavedSession, SessionKeeper};
use crate::zookeeper::publications::Publications;
use crate::{Turn, Vault};
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The sessions of one cluster. What is kept in the vault is always the whole list.
pub(in crate::zookeeper) struct SavedSessions {
    vault: Option<Arc<dyn Vault>>,
    /// Whose turn it is with the sessions. A connection that another one follows changes nothing any more.
    turn: Option<Turn>,
    ours: Publications,
    saved: Mutex<BTreeMap<SessionSlot, SavedSession>>,
}

impl SavedSessions {
    pub fn new(vault: Option<Arc<dyn Vault>>, turn: Option<Turn>, ours: Publications) -> Arc<Self> {
        Arc::new(Self { vault, turn, ours, saved: Mutex::default() })
    }

    /// A session that is kept already.
    pub fn load(&self, slot: SessionSlot, saved: SavedSession) {
        self.ours.spread().own(saved.id, slot);
        self.saved.lock().insert(slot, saved);
    }

    /// Forgets a session that is over.
    pub fn remove(&self, slot: SessionSlot) {
        self.change(|saved| drop(saved.remove(&slot)));
    }

    /// Tells of the session of one slot.
    pub fn keeper(self: &Arc<Self>, slot: SessionSlot) -> Arc<dyn SessionKeeper> {
        Arc::new(SlotKeeper { kept: self.clone(), slot })
    }

    /// Changes the list, unless another connection follows: it has read the list and would miss the change. Returns whether it
    /// was changed.
    fn change(&self, change: impl FnOnce(&mut BTreeMap<SessionSlot, SavedSession>)) -> bool {
        let write = || {
            let mut saved = self.saved.lock();
            change(&mut saved);
            if let Some(vault) = &self.vault {
                vault.save(encode(&saved));
            }
        };
        match &self.turn {
            Some(turn) => turn.while_last(write),
            None => {
                write();
                true
            }
        }
    }
}

struct SlotKeeper {
    kept: Arc<SavedSessions>,
    slot: SessionSlot,
}

impl SessionKeeper for SlotKeeper {
    fn save(&self, session: &SavedSession) -> bool {
        self.kept.change(|saved| {
            self.kept.ours.spread().own(session.id, self.slot);
            saved.insert(self.slot, session.clone());
        })
    }

    fn kept(&self) -> BoxFuture<'_, ()> {
        match &self.kept.vault {
            Some(vault) => vault.kept(),
            None => Box::pin(std::future::ready(())),
        }
    }
}

/// In front of a list: no session has this id. Without it, there is one session: its id in eight bytes, then its password.
const LIST: [u8; 8] = [0xff; 8];

/// The main session first. Of each: its id in eight bytes, the length of its password in one, and the password.
fn encode(saved: &BTreeMap<SessionSlot, SavedSession>) -> Vec<u8> {
    let mut bytes = LIST.to_vec();
    // A list without the main session has a place for it.
    let none = SavedSession { id: 0, password: Vec::new() };
    let main = saved.get(&MAIN).unwrap_or(&none);
    for session in std::iter::once(main).chain(saved.iter().filter(|(slot, _)| **slot != MAIN).map(|(_, one)| one)) {
        bytes.extend_from_slice(&session.id.to_be_bytes());
        bytes.push(u8::try_from(session.password.len()).unwrap_or_default());
        bytes.extend_from_slice(&session.password);
    }
    bytes
}

/// The main session, if there is one, and the others.
pub(in crate::zookeeper) fn decode(bytes: &[u8]) -> (Option<SavedSession>, Vec<SavedSession>) {
    let one = |bytes: &[u8]| {
        let (id, password) = bytes.split_first_chunk()?;
        Some(SavedSession { id: i64::from_be_bytes(*id), password: password.to_vec() })
    };
    let Some(mut rest) = bytes.strip_prefix(&LIST) else { return (one(bytes), Vec::new()) };
    let mut all = Vec::new();
    while let Some(length) = rest.get(8).map(|length| 9 + usize::from(*length))
        && let Some((session, after)) = rest.split_at_checked(length)
    {
        let (id, password) = session.split_at(8);
        all.extend(one(&[id, &password[1..]].concat()));
        rest = after;
    }
    let main = all.first().filter(|main| main.id != 0).cloned();
    (main, all.into_iter().skip(1).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(id: i64) -> SavedSession {
        SavedSession { id, password: vec![id.to_le_bytes()[0]; 16] }
    }

    #[test]
    fn a_list_reads_back() {
        for ids in [vec![5], vec![5, -7, i64::MAX, 1 << 56]] {
            let all = (0..).zip(ids.iter().map(|id| session(*id))).collect();
            let others: Vec<_> = ids[1..].iter().map(|id| session(*id)).collect();
            assert_eq!(decode(&encode(&all)), (Some(session(5)), others));
        }
        let alone = [(3, session(9))].into();
        assert_eq!(decode(&encode(&alone)), (None, vec![session(9)]));
        assert_eq!(decode(&encode(&BTreeMap::new())), (None, Vec::new()));
    }

    #[test]
    fn what_an_earlier_version_kept_is_the_main_session() {
        let bytes = [&0x0100_0105_94e1_0001_i64.to_be_bytes()[..], &[7; 16]].concat();
        let main = SavedSession { id: 0x0100_0105_94e1_0001, password: vec![7; 16] };
        assert_eq!(decode(&bytes), (Some(main), Vec::new()));
        assert_eq!(decode(&[]), (None, Vec::new()));
        assert_eq!(decode(&LIST[..5]), (None, Vec::new()));
    }

    #[test]
    fn half_a_list_is_what_can_be_read_of_it() {
        let mut bytes = encode(&[(0, session(5)), (1, session(6))].into());
        bytes.truncate(bytes.len() - 1);
        assert_eq!(decode(&bytes), (Some(session(5)), Vec::new()));
    }
}
