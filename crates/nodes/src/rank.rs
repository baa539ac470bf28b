//! Rendezvous hashing: which node comes first for a shard, and which next.

use crate::{NodeId, ShardId};
use std::cmp::Reverse;
use xxhash_rust::xxh3::Xxh3;

/// The nodes in the order in which they are to hold a shard. Without one of them the order of the others is the same.
pub(crate) fn rank<'a>(shard: &ShardId, nodes: impl Iterator<Item = &'a NodeId>) -> Vec<&'a NodeId> {
    let mut nodes: Vec<_> = nodes.collect();
    nodes.sort_by_cached_key(|node| (Reverse(weight(shard, node)), (*node).clone()));
    nodes
}

fn weight(shard: &ShardId, node: &NodeId) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(shard.to_string().as_bytes());
    hash.update(&[0]);
    hash.update(node.0.as_bytes());
    hash.digest()
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_core::ClusterId;

    #[test]
    fn a_fourth_node_takes_about_a_quarter_and_moves_nothing_else() {
        let nodes: Vec<_> = (0..4).map(|n| NodeId(format!("node-{n}").into())).collect();
        let shards: Vec<_> =
            (0..10).flat_map(|n| ShardId::of_destination(&ClusterId::of(&format!("c{n}")), 16)).collect();
        let mut moved = 0;
        for shard in &shards {
            let (three, four) = (rank(shard, nodes[..3].iter()), rank(shard, nodes.iter()));
            assert_eq!(three, four.iter().copied().filter(|node| **node != nodes[3]).collect::<Vec<_>>());
            moved += usize::from(*four[0] == nodes[3]);
        }
        assert!((25..55).contains(&moved), "{moved} of {}", shards.len());
    }
}
