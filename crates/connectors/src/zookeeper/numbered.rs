//! Which persistent znodes the server numbered: the members of a lock or a queue, which are no configuration. Pure.
//!
//! The server ends the name of a sequential node with the number of creations below its parent until then, in ten digits.
//! `cversion` tells that number: a server shows `2 × creations - children` for it. So a node that ends with ten digits may
//! have been numbered only if as many children were created before it as its number says. What the transactions say of the
//! order bounds how many that were: at least the siblings that still stand and are older, at most all creations without the
//! node itself and its younger siblings. A numbered node is always within these bounds. One that a client named with a
//! number within them cannot be told from a numbered one.

use super::client::paths::parent;
use super::client::{Stat, TreeNode};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The number at the end of a name, if the server may have written it.
pub(super) fn number(path: &str) -> Option<i64> {
    let digits = path.len().checked_sub(10).and_then(|at| path.get(at..))?;
    let number = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<i64>().ok())??;
    (number <= i64::from(i32::MAX)).then_some(number)
}

fn folder_of(node: &TreeNode) -> &str {
    parent(&node.path).unwrap_or("/")
}

/// What a folder's stat says of its children.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct FolderCount {
    /// Children that were ever created.
    creations: i64,
    /// The transaction of the last coming or going of a child that is counted.
    until: i64,
}

impl FolderCount {
    pub fn of(stat: &Stat) -> Self {
        // Both are 32 bits and wrap around.
        let doubled = stat.cversion.wrapping_add(stat.children).cast_unsigned();
        Self { creations: i64::from(doubled / 2), until: stat.pzxid }
    }
}

/// How often a folder was looked at, of which the results are kept.
const LOOKS: usize = 16;

/// Which nodes of a tree were numbered, as far as it is known.
#[derive(Debug, Default)]
pub(super) struct Numbered {
    /// Folders as they were seen, the latest last: a node may be told some looks after it was made.
    folders: HashMap<Arc<str>, Vec<FolderCount>>,
    /// Nodes whose names end with ten digits: the transactions that created them, and whether they were numbered.
    judged: HashMap<Arc<str>, (i64, bool)>,
}

impl Numbered {
    /// Takes in a whole listing.
    pub fn reset(&mut self, nodes: &[TreeNode]) {
        let is_folder = |node: &&TreeNode| node.stat.cversion != 0 || node.stat.children != 0;
        let folder = |node: &TreeNode| (node.path.clone(), vec![FolderCount::of(&node.stat)]);
        self.folders = nodes.iter().filter(is_folder).map(folder).collect();
        self.judged.clear();
        let mut doubtful: BTreeMap<&str, Vec<&TreeNode>> = BTreeMap::new();
        for node in nodes.iter().filter(|node| is_doubtful(node)) {
            doubtful.entry(folder_of(node)).or_default().push(node);
        }
        let mut siblings: BTreeMap<&str, Vec<i64>> = doubtful.keys().map(|folder| (*folder, Vec::new())).collect();
        for node in nodes.iter().filter(|node| &*node.path != "/") {
            if let Some(all) = siblings.get_mut(folder_of(node)) {
                all.push(node.stat.czxid);
            }
        }
        for (path, nodes) in doubtful {
            self.judge(path, &nodes, siblings.remove(path).unwrap_or_default());
        }
    }

    /// The folders whose stats are needed to judge these nodes.
    pub fn asks<'a>(&self, nodes: impl Iterator<Item = &'a TreeNode>) -> Vec<Arc<str>> {
        let doubtful = nodes.filter(|node| is_doubtful(node) && !self.knows(node));
        let mut folders: Vec<Arc<str>> = doubtful.map(|node| folder_of(node).into()).collect();
        folders.sort();
        folders.dedup();
        folders
    }

    fn knows(&self, node: &TreeNode) -> bool {
        self.judged.get(&node.path).is_some_and(|(czxid, _)| *czxid == node.stat.czxid)
    }

    /// Takes in nodes that have changed, and their folders' stats as they were read afterwards.
    pub fn changed(&mut self, nodes: &[&TreeNode], folders: Vec<(Arc<str>, Stat)>) {
        for (path, stat) in folders {
            let looks = self.folders.entry(path.clone()).or_default();
            looks.push(FolderCount::of(&stat));
            if looks.len() > LOOKS {
                looks.remove(0);
            }
            let below: Vec<&TreeNode> = nodes.iter().copied().filter(|node| folder_of(node) == &*path).collect();
            let all = below.iter().map(|node| node.stat.czxid).collect();
            let doubtful: Vec<&TreeNode> =
                below.iter().copied().filter(|node| is_doubtful(node) && !self.knows(node)).collect();
            self.judge(&path, &doubtful, all);
        }
    }

    /// Judges nodes of one folder. `all`: the transactions that created them and their siblings, as far as is known.
    fn judge(&mut self, folder: &str, nodes: &[&TreeNode], mut all: Vec<i64>) {
        let looks = self.folders.get(folder).map(Vec::as_slice).unwrap_or_default();
        all.sort_unstable();
        for node in nodes {
            let Some(number) = number(&node.path) else { continue };
            let czxid = node.stat.czxid;
            // The looks just before and just after it was created.
            let at = looks.partition_point(|look| look.until < czxid);
            let before = at.checked_sub(1).map(|at| looks[at]).unwrap_or_default();
            let numbered = looks.get(at).is_none_or(|after| {
                let between = |from: i64, to: i64| {
                    let (from, to) = (all.partition_point(|one| *one <= from), all.partition_point(|one| *one <= to));
                    i64::try_from(to.saturating_sub(from)).unwrap_or(i64::MAX)
                };
                let (older, younger) = (between(before.until, czxid - 1), between(czxid, after.until));
                let (least, most) = (before.creations + older, after.creations - 1 - younger);
                let last = czxid != after.until || number == after.creations - 1;
                (least..=most).contains(&number) && last
            });
            self.judged.insert(node.path.clone(), (czxid, numbered));
        }
    }

    /// Forgets a node that is gone.
    pub fn gone(&mut self, path: &str) {
        self.judged.remove(path);
        self.folders.remove(path);
    }

    /// Whether the server numbered a node. One that could not be judged counts as numbered until the next listing.
    pub fn has(&self, node: &TreeNode) -> bool {
        is_doubtful(node)
            && self.judged.get(&node.path).is_none_or(|(czxid, numbered)| *numbered || *czxid != node.stat.czxid)
    }
}

/// Whether a node may have been numbered, as far as its name tells.
fn is_doubtful(node: &TreeNode) -> bool {
    node.stat.ephemeral_owner == 0 && number(&node.path).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder as the server would tell of it.
    struct Server {
        creations: i32,
        zxid: i64,
        until: i64,
        nodes: Vec<TreeNode>,
    }

    impl Server {
        fn new() -> Self {
            Self { creations: 0, zxid: 100, until: 0, nodes: Vec::new() }
        }
        fn named(&mut self, name: &str) -> &mut Self {
            self.zxid += 1;
            self.until = self.zxid;
            self.creations += 1;
            let stat = Stat { czxid: self.zxid, ..Stat::default() };
            self.nodes.push(TreeNode { path: format!("/f/{name}").into(), stat, data: None });
            self
        }
        fn numbered(&mut self, prefix: &str) -> &mut Self {
            let name = format!("{prefix}{:010}", self.creations);
            self.named(&name)
        }
        fn delete(&mut self, name: &str) -> &mut Self {
            self.zxid += 1;
            self.until = self.zxid;
            self.nodes.retain(|node| *node.path != format!("/f/{name}"));
            self
        }
        fn stat(&self) -> Stat {
            let children = i32::try_from(self.nodes.len()).unwrap();
            let cversion = self.creations.wrapping_mul(2).wrapping_sub(children);
            Stat { cversion, children, pzxid: self.until, ..Stat::default() }
        }
        fn listing(&self) -> Vec<TreeNode> {
            let folder = TreeNode { path: "/f".into(), stat: self.stat(), data: None };
            [folder].into_iter().chain(self.nodes.iter().cloned()).collect()
        }
        /// Those that are taken for numbered, from a listing.
        fn judged(&self) -> Vec<&str> {
            let mut numbered = Numbered::default();
            numbered.reset(&self.listing());
            self.names(&numbered)
        }
        fn names(&self, numbered: &Numbered) -> Vec<&str> {
            self.nodes.iter().filter(|node| numbered.has(node)).map(|node| &node.path[3..]).collect()
        }
    }

    #[test]
    fn what_a_client_named_is_told_from_what_the_server_numbered() {
        let mut server = Server::new();
        for name in ["1346358560427216896", "0912345678", "release-2024010100", "20240101120000", "0000000099"] {
            server.named(name);
        }
        assert!(server.judged().is_empty(), "{:?}", server.judged());
        server.numbered("lock-").numbered("").numbered("q-0000000001-");
        assert_eq!(server.judged(), ["lock-0000000005", "0000000006", "q-0000000001-0000000007"]);
        server.delete("0912345678").delete("lock-0000000005").numbered("lock-");
        assert_eq!(server.judged(), ["0000000006", "q-0000000001-0000000007", "lock-0000000008"]);
    }

    #[test]
    fn small_numbers_that_a_client_wrote_are_told_by_their_order() {
        let mut server = Server::new();
        for n in 1..=25 {
            server.named(&format!("{n:010}"));
        }
        assert!(server.judged().is_empty(), "{:?}", server.judged());
        let mut server = Server::new();
        for _ in 0..25 {
            server.numbered("n-");
        }
        for n in 0..20 {
            server.delete(&format!("n-{n:010}"));
        }
        assert_eq!(server.judged().len(), 5, "whatever was deleted, they stay numbered");
    }

    #[test]
    fn news_are_judged_as_a_listing_is() {
        let mut server = Server::new();
        server.named("a").named("b");
        let mut numbered = Numbered::default();
        numbered.reset(&server.listing());
        let before = server.nodes.len();
        for n in 1..=4 {
            server.named(&format!("{n:010}")).numbered("q-");
        }
        let news: Vec<&TreeNode> = server.nodes[before..].iter().collect();
        let asks = numbered.asks(news.iter().copied());
        assert_eq!(asks, ["/f".into()]);
        numbered.changed(&news, vec![("/f".into(), server.stat())]);
        let wanted = ["q-0000000003", "q-0000000005", "q-0000000007", "q-0000000009"];
        assert_eq!(server.names(&numbered), wanted);
        assert!(numbered.asks(news.iter().copied()).is_empty(), "they are known");
        assert_eq!(server.judged(), wanted);
    }

    /// A burst: what is read after the folder was looked at may have been made before.
    #[test]
    fn news_that_lag_behind_are_judged_too() {
        let mut server = Server::new();
        for n in 0..30 {
            server.named(&format!("a{n}"));
        }
        let mut numbered = Numbered::default();
        numbered.reset(&server.listing());
        for n in 0..10 {
            server.named(&format!("900000000000000000{n}")).numbered("q-");
        }
        for news in server.nodes[30..].chunks(3) {
            let news: Vec<&TreeNode> = news.iter().collect();
            numbered.changed(&news, vec![("/f".into(), server.stat())]);
        }
        let told = server.names(&numbered);
        assert!(told.len() == 10 && told.iter().all(|name| name.starts_with("q-")), "{told:?}");
    }

    #[test]
    fn a_count_that_wraps_around_is_read() {
        let mut server = Server::new();
        server.creations = i32::MAX - 1;
        server.numbered("n-");
        assert_eq!((&server.nodes[0].path[3..], server.judged().len()), ("n-2147483646", 1));
        let stat = Stat { cversion: (i32::MAX).wrapping_mul(2).wrapping_sub(1), children: 1, ..Stat::default() };
        assert_eq!(FolderCount::of(&stat).creations, i64::from(i32::MAX));
    }
}
