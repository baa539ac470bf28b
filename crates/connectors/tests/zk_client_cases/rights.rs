//! Logins and access lists.

use std::time::Duration;

use anyhow::{Result, ensure};
use causeway_connectors::zookeeper::client::{Acl, Create, Options, TreeOptions, Watches, WireError};

use super::{View, open, options, own_root};

fn as_user(address: &str, user: &str, password: &str) -> Options {
    Options { login: Some((user.into(), password.into())), ..options(address) }
}

pub async fn logins(address: String) -> Result<()> {
    let alice = open(as_user(&address, "alice", "p@ss:w/rd")).await?;
    let wrong = open(as_user(&address, "alice", "other")).await?;
    let nobody = open(options(&address)).await?;
    let root = own_root("rights");
    alice.create(&root, Some(b"secret"), Create { ephemeral: false, acl: &[Acl::creator()] }).await?;
    let list = alice.acl(&root).await?.0;
    ensure!(list.len() == 1 && list[0].scheme == "digest" && list[0].id.starts_with("alice:"), "{list:?}");
    // A wrong password is no error before something is denied.
    for stranger in [&wrong, &nobody] {
        ensure!(stranger.get(&root).await == Err(WireError::Denied(root.clone())));
        ensure!(stranger.set(&root, Some(b""), None).await == Err(WireError::Denied(root.clone())));
    }
    ensure!(alice.get(&root).await?.0 == "secret");
    let both = [Acl::new(1, "world", "anyone"), list[0].clone()];
    ensure!(alice.set_acl(&root, &both, Some(7)).await == Err(WireError::BadVersion(root.clone())));
    ensure!(alice.set_acl(&root, &both, Some(0)).await?.aversion == 1);
    ensure!(nobody.get(&root).await?.0 == "secret");
    let seen = nobody.acl(&root).await?.0;
    ensure!(seen.len() == 2 && seen[1].id == "alice:x", "{seen:?}");
    let bad = Create { ephemeral: false, acl: &[Acl::new(31, "digest", "nonsense")] };
    ensure!(matches!(alice.create(&format!("{root}/x"), Some(b""), bad).await, Err(WireError::Rejected(_))));
    alice.delete(&root, None).await?;
    for session in [alice, wrong, nobody] {
        session.end_session().await?;
    }
    Ok(())
}

/// A child that may not be read is reported, and hides none of its siblings.
pub async fn denied_child(address: String) -> Result<()> {
    for watches in [Watches::Best, Watches::Single] {
        denied(&address, watches).await?;
    }
    Ok(())
}

async fn denied(address: &str, watches: Watches) -> Result<()> {
    let alice = open(as_user(address, "alice", "pw1")).await?;
    let us = open(options(address)).await?;
    let root = own_root("denied");
    let own = Create { ephemeral: false, acl: &[Acl::creator()] };
    let path = |name: &str| format!("{root}/{name}");
    alice.create_all(&path("a"), Some(b"1"), Create::default(), &[]).await?;
    alice.create(&path("own"), Some(b"secret"), own).await?;
    alice.create(&path("own/below"), Some(b"2"), Create::default()).await?;
    alice.create(&path("z"), Some(b"3"), Create::default()).await?;

    let mut tree = us.tree(TreeOptions { watches, ..TreeOptions::new(&root) })?;
    let mut view = View::default();
    view.until(&mut tree, |view| view.resets == 1).await?;
    // Servers before 3.9 tell its stat.
    let readable = |view: &View| view.paths().into_iter().filter(|path| !view.denied.contains_key(*path)).count();
    ensure!(readable(&view) == 3 && view.text(&path("own")).is_none(), "{:?}", view.paths());
    ensure!(view.denied.keys().map(|path| &**path).collect::<Vec<_>>() == [path("own")], "{:?}", view.denied);

    // What happens to it goes unseen, and what happens to its siblings is seen.
    alice.create(&path("own2"), Some(b""), own).await?;
    alice.set(&path("own"), Some(b"secret 2"), None).await?;
    alice.set(&path("a"), Some(b"11"), None).await?;
    view.until(&mut tree, |view| view.text(&path("a")).as_deref() == Some("11")).await?;
    tree.looker().look(None);
    view.until(&mut tree, |view| view.denied.contains_key(path("own2").as_str())).await?;

    // A changed access list is not told; a look finds it.
    view.quiet(&mut tree, Duration::from_millis(300)).await;
    alice.set_acl(&path("own"), &[Acl::open()], None).await?;
    ensure!(view.quiet(&mut tree, Duration::from_millis(500)).await);
    tree.looker().look(Some(&path("own")));
    view.until(&mut tree, |view| view.text(&path("own/below")).as_deref() == Some("2")).await?;
    ensure!(view.text(&path("own")).as_deref() == Some("secret 2"));
    ensure!(!view.denied.contains_key(path("own").as_str()));
    alice.set_acl(&path("z"), &[Acl::new(1, "world", "anyone"), Acl::creator()], None).await?;
    tree.looker().look(None);
    let z = path("z");
    view.until(&mut tree, |view| view.nodes.get(z.as_str()).is_some_and(|node| node.stat.aversion == 1)).await?;
    tree.looker().look(None);
    ensure!(view.quiet(&mut tree, Duration::from_millis(500)).await, "a look that finds nothing says nothing");

    // A denied node that goes.
    alice.delete(&path("own2"), None).await?;
    tree.looker().look(None);
    view.until(&mut tree, |view| view.denied.is_empty()).await?;

    // The root itself.
    alice.set_acl(&root, &[Acl::creator()], None).await?;
    tree.looker().look(None);
    view.until(&mut tree, |view| matches!(view.lost.last(), Some(WireError::Denied(_)))).await?;
    alice.set_acl(&root, &[Acl::open()], None).await?;
    view.until(&mut tree, |view| view.resets == 2).await?;
    ensure!(view.nodes.len() == 5, "{:?}", view.paths());
    for name in ["own/below", "own", "a", "z"] {
        alice.delete(&path(name), None).await?;
    }
    view.until(&mut tree, |view| view.nodes.len() == 1).await?;
    alice.delete(&root, None).await?;
    alice.end_session().await?;
    us.end_session().await?;
    Ok(())
}
