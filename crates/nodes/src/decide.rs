//! What a node does about each shard, given what the coordinator knows. Pure.

use crate::rank::rank;
use crate::{Grant, NodeId, ShardId, View};
use std::collections::{BTreeMap, BTreeSet};

/// What one node is to do.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Decision {
    /// Shards that it holds, with their epochs.
    pub holds: BTreeMap<ShardId, u64>,
    /// Shards that it is the standby of.
    pub standby: BTreeSet<ShardId>,
    /// Shards to claim.
    pub claim: Vec<Grant>,
    /// Shards that it is to hold, and is ready for.
    pub offer: Vec<Grant>,
    /// Shards of this node to hand over; to nobody where nobody is there.
    pub hand_over: Vec<(Grant, Option<NodeId>)>,
}

/// `wanted`: the shards that there are by the settings. `warm`: those that this node could go on with at once.
pub(crate) fn decide(
    view: &View,
    me: &NodeId,
    wanted: &BTreeSet<ShardId>,
    warm: impl Fn(&ShardId) -> bool,
) -> Decision {
    let mut decision = Decision::default();
    // A node that is not among the members has no lease, and decides nothing.
    let Some(myself) = view.member(me) else { return decision };
    let staying: Vec<_> = view.members.iter().filter(|member| !member.leaving).map(|member| &member.id).collect();
    for shard in wanted {
        let holding = view.shards.get(shard).cloned().unwrap_or_default();
        let grant = || Grant { shard: shard.clone(), epoch: holding.epoch };
        let holder = holding.holder.as_ref().filter(|holder| view.member(holder).is_some());
        let order = rank(shard, staying.iter().copied());
        // The one that goes on if the holder ends now.
        let after = order.iter().copied().find(|node| Some(*node) != holder);
        match holder {
            Some(holder) if holder == me => {
                decision.holds.insert(shard.clone(), holding.epoch);
                if order.first().is_some_and(|first| *first == me) {
                    continue;
                }
                match after {
                    Some(after) if holding.next.as_ref() == Some(after) => {
                        decision.hand_over.push((grant(), Some(after.clone())));
                    }
                    // It waits until that one is ready.
                    Some(_) => {}
                    None if myself.leaving => decision.hand_over.push((grant(), None)),
                    None => {}
                }
            }
            Some(holder) => {
                if after != Some(me) {
                    continue;
                }
                decision.standby.insert(shard.clone());
                let first = order.first().is_some_and(|first| *first == me && *first != holder);
                if first && holding.next.as_ref() != Some(me) && warm(shard) {
                    decision.offer.push(grant());
                }
            }
            None if after == Some(me) => decision.claim.push(grant()),
            // The one that comes next claims it; if that one ends as well, this one is ready.
            None => {
                if order.get(1).is_some_and(|second| *second == me) {
                    decision.standby.insert(shard.clone());
                }
            }
        }
    }
    decision
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Holding, Member};
    use causeway_core::ClusterId;

    fn node(n: u8) -> NodeId {
        NodeId(format!("n{n}").into())
    }

    fn view(members: &[u8], leaving: &[u8]) -> View {
        let member = |n: &u8| Member {
            id: node(*n),
            name: format!("n{n}"),
            address: None,
            since_ms: 0,
            writes: 1,
            leaving: leaving.contains(n),
        };
        View { members: members.iter().map(member).collect(), ..View::default() }
    }

    fn shards() -> BTreeSet<ShardId> {
        ShardId::of_destination(&ClusterId::of("c"), 32).collect()
    }

    /// What is wanted, and who is first and second for each by the three nodes 1, 2 and 3.
    fn order(shard: &ShardId) -> Vec<NodeId> {
        rank(shard, [node(1), node(2), node(3)].iter()).into_iter().cloned().collect()
    }

    fn held(view: &mut View, by: impl Fn(&ShardId) -> NodeId) {
        for shard in shards() {
            let holding = Holding { holder: Some(by(&shard)), epoch: 7, next: None };
            view.shards.insert(shard, holding);
        }
    }

    #[test]
    fn every_shard_is_claimed_by_exactly_one_and_backed_by_another() {
        let view = view(&[1, 2, 3], &[]);
        let all: Vec<_> = (1..=3).map(|n| decide(&view, &node(n), &shards(), |_| true)).collect();
        let claimed: Vec<_> = all.iter().flat_map(|one| one.claim.iter().map(|grant| grant.shard.clone())).collect();
        assert_eq!((claimed.len(), claimed.iter().cloned().collect::<BTreeSet<_>>()), (32, shards()));
        let standby: Vec<_> = all.iter().flat_map(|one| one.standby.iter().cloned()).collect();
        assert_eq!((standby.len(), standby.into_iter().collect::<BTreeSet<_>>()), (32, shards()));
    }

    #[test]
    fn the_standby_claims_when_the_holder_ends() {
        let mut before = view(&[1, 2, 3], &[]);
        held(&mut before, |shard| order(shard)[0].clone());
        let standby: Vec<_> = (1..=3).map(|n| decide(&before, &node(n), &shards(), |_| true).standby).collect();
        let after = View { members: view(&[2, 3], &[]).members, ..before };
        for n in [2, 3] {
            let decision = decide(&after, &node(n), &shards(), |_| true);
            for grant in &decision.claim {
                assert!(standby[usize::from(n) - 1].contains(&grant.shard) && grant.epoch == 7);
            }
            assert!(decision.offer.is_empty() && decision.hand_over.is_empty());
        }
    }

    #[test]
    fn a_node_that_joins_takes_over_when_it_is_ready() {
        let mut view = view(&[1, 2, 3], &[]);
        // The third has joined: its shards are still with the others.
        held(&mut view, |shard| order(shard).into_iter().find(|one| *one != node(3)).unwrap());
        let cold = decide(&view, &node(3), &shards(), |_| false);
        assert!(cold.offer.is_empty() && cold.claim.is_empty() && !cold.standby.is_empty());
        let warm = decide(&view, &node(3), &shards(), |_| true);
        assert!(warm.offer.iter().all(|grant| order(&grant.shard)[0] == node(3)) && !warm.offer.is_empty());
        // Before the offer nobody lets go; after it the holder hands over.
        assert!((1..=2).all(|n| decide(&view, &node(n), &shards(), |_| true).hand_over.is_empty()));
        for grant in &warm.offer {
            view.shards.get_mut(&grant.shard).unwrap().next = Some(node(3));
        }
        let given: Vec<_> = (1..=2).flat_map(|n| decide(&view, &node(n), &shards(), |_| true).hand_over).collect();
        assert_eq!(given.len(), warm.offer.len());
        assert!(given.iter().all(|(_, to)| *to == Some(node(3))));
        assert!(decide(&view, &node(3), &shards(), |_| true).offer.is_empty(), "it is said once");
    }

    #[test]
    fn a_node_that_leaves_hands_over_and_the_last_one_gives_back() {
        let mut view = view(&[1, 2], &[1]);
        held(&mut view, |_| node(1));
        assert!(decide(&view, &node(1), &shards(), |_| true).hand_over.is_empty(), "the other is not ready");
        let offer = decide(&view, &node(2), &shards(), |_| true).offer;
        assert_eq!(offer.len(), 32);
        view.shards.values_mut().for_each(|holding| holding.next = Some(node(2)));
        assert_eq!(decide(&view, &node(1), &shards(), |_| true).hand_over.len(), 32);
        let alone = View { members: self::view(&[1], &[1]).members, ..view };
        let last = decide(&alone, &node(1), &shards(), |_| true).hand_over;
        assert!(last.len() == 32 && last.iter().all(|(_, to)| to.is_none()));
    }

    #[test]
    fn a_node_without_a_lease_does_nothing() {
        let mut view = view(&[2, 3], &[]);
        held(&mut view, |_| node(1));
        assert_eq!(decide(&view, &node(1), &shards(), |_| true), Decision::default());
    }
}
