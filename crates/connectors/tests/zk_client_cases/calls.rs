//! Single calls, transactions, many calls, addresses.

use std::time::Instant;

use anyhow::{Result, ensure};
use causeway_connectors::zookeeper::client::{Acl, Create, Op, Options, Phase, WireError};
use causeway_testbed::{ZkConnect, ZkDoor};

use super::{open, options, own_root, reach};

const HELD: Create<'static> = Create { ephemeral: true, acl: &[] };
const KEPT: Create<'static> = Create { ephemeral: false, acl: &[] };

pub async fn calls(address: String) -> Result<()> {
    let session = open(options(&address)).await?;
    let id = session.status().borrow().session.unwrap_or_default();
    let root = own_root("calls");
    let a = format!("{root}/a");
    ensure!(session.create(&a, Some(b""), KEPT).await == Err(WireError::NotFound(a.clone())));
    let made = session.create_all(&format!("{root}/x/y/z"), Some(b"z"), HELD, &[]).await?;
    ensure!(made.ephemeral_owner == id && made.data_length == 1 && made.version == 0, "{made:?}");
    ensure!(session.get(&format!("{root}/x/y")).await?.0.is_empty());
    let made = session.create(&a, Some("ü漢".as_bytes()), KEPT).await?;
    ensure!(session.create(&a, Some(b""), KEPT).await == Err(WireError::Exists(a.clone())));
    let (data, stat) = session.get(&a).await?;
    ensure!(data == "ü漢".as_bytes() && stat == made, "{made:?} {stat:?}");
    let (mut names, stat) = session.children(&root).await?;
    names.sort();
    ensure!(names == ["a", "x"] && stat.children == 2 && stat.cversion == 2, "{names:?} {stat:?}");
    let stat = session.set(&a, Some(b"2"), Some(0)).await?;
    ensure!(stat.version == 1 && stat.mzxid > stat.czxid, "{stat:?}");
    ensure!(session.set(&a, Some(b"3"), Some(0)).await == Err(WireError::BadVersion(a.clone())));
    ensure!(session.stat(&a).await? == Some(stat));
    ensure!(session.stat(&format!("{root}/nothing")).await?.is_none());
    ensure!(matches!(session.create(&format!("{root}/x/y/z/w"), Some(b""), KEPT).await, Err(WireError::Blocked(_))));
    ensure!(session.delete(&format!("{root}/x"), None).await == Err(WireError::NotEmpty(format!("{root}/x"))));
    ensure!(session.delete(&a, Some(7)).await == Err(WireError::BadVersion(a.clone())));
    session.delete(&a, Some(1)).await?;
    ensure!(session.delete(&a, None).await == Err(WireError::NotFound(a.clone())));
    ensure!(matches!(session.get("no/path").await, Err(WireError::Rejected(_))));
    ensure!(session.acl(&root).await?.0 == [Acl::open()]);

    // The vendor's client sees the same.
    let door = ZkDoor::start().await?;
    let other = door.connect("other", &ZkConnect::to(&address)).await?;
    let read = other.get(&format!("{root}/x/y/z")).await?.unwrap_or_else(|| panic!("not there"));
    ensure!(read.text() == "z" && read.stat.owner == id && read.stat.czxid == made.czxid - 1, "{read:?}");
    // No data at all is not empty data.
    for data in [None, Some(&b""[..])] {
        let node = format!("{root}/null-{}", data.is_none());
        session.create_all(&format!("{node}/x"), data, KEPT, &[]).await?;
        session.create(&format!("{node}/y"), data, HELD).await?;
        session.set(&node, data, None).await?;
        for path in [node.clone(), format!("{node}/x"), format!("{node}/y")] {
            ensure!(session.read(&path).await?.0.as_deref() == data, "{path}");
            ensure!(session.get(&path).await?.0.is_empty());
            ensure!(other.get(&path).await?.is_some_and(|read| read.data.as_deref() == data), "{path}");
        }
    }
    session.end_session().await?;
    ensure!(other.get(&format!("{root}/x/y/z")).await?.is_none());
    ensure!(matches!(session.get(&root).await, Err(WireError::Unavailable(_))));
    ensure!(session.status().borrow().phase == Phase::Down);
    other.delete_all(&root).await
}

pub async fn transactions(address: String) -> Result<()> {
    let session = open(options(&address)).await?;
    let root = own_root("multi");
    session.create(&root, Some(b""), KEPT).await?;
    let path = |name: &str| format!("{root}/{name}");
    let [a, b, c, d] = ["a", "b", "c", "d"].map(path);
    let create = |path| Op::Create(path, Some(b"1"), Create { ephemeral: false, acl: &[] });
    session.multi(&[create(&a), create(&b), Op::Delete(&b, None)]).await?;
    ensure!(session.children(&root).await?.0 == ["a"] && session.get(&a).await?.0 == "1");
    let failed = session.multi(&[create(&c), create(&a), create(&d)]).await;
    ensure!(failed == Err(WireError::Exists(a.clone())), "{failed:?}");
    let failed = session.multi(&[create(&c), Op::Delete(&a, Some(1))]).await;
    ensure!(failed == Err(WireError::BadVersion(a.clone())), "{failed:?}");
    ensure!(session.children(&root).await?.0 == ["a"]);
    session.multi(&[]).await?;
    // Deleted and created anew in one step: the hand-over of an ephemeral node.
    session.multi(&[Op::Delete(&a, Some(0)), Op::Create(&a, Some(b"e"), HELD)]).await?;
    ensure!(session.get(&a).await?.1.ephemeral_owner != 0);
    session.delete(&a, None).await?;
    session.delete(&root, None).await?;
    session.end_session().await?;
    Ok(())
}

pub async fn many(address: String) -> Result<()> {
    let session = open(options(&address)).await?;
    let root = own_root("many");
    let mut nodes = vec![(root.clone(), String::new(), KEPT)];
    nodes.extend((0..5_000).map(|n| (format!("{root}/n{n:04}"), format!("data {n}"), KEPT)));
    nodes.push((format!("{root}/n0000"), String::new(), KEPT));
    let begun = Instant::now();
    let bodies: Vec<_> = nodes.iter().map(|(path, data, how)| (path, data.as_bytes(), *how)).collect();
    let made = session.create_many(&bodies).await;
    println!("{} creates in {:?}", nodes.len(), begun.elapsed());
    ensure!(made.iter().filter(|result| result.is_ok()).count() == 5_001);
    ensure!(made.last() == Some(&Err(WireError::Exists(format!("{root}/n0000")))));
    // A parent goes just ahead of its child, everywhere.
    let deep: Vec<_> = (0..2_000).flat_map(|n| [format!("{root}/d{n}"), format!("{root}/d{n}/c")]).collect();
    let made = session.create_many(&deep.iter().map(|path| (path, &b""[..], KEPT)).collect::<Vec<_>>()).await;
    ensure!(made.iter().all(Result::is_ok), "{:?}", made.iter().find(|result| result.is_err()));
    let back: Vec<_> = deep.iter().rev().map(|path| (path, None)).collect();
    ensure!(session.delete_many(&back).await.iter().all(Result::is_ok));
    let mut paths: Vec<_> = nodes.iter().skip(1).map(|(path, ..)| path.clone()).collect();
    paths.push(format!("{root}/none"));
    let begun = Instant::now();
    let got = session.get_many(&paths).await;
    println!("{} gets in {:?}", paths.len(), begun.elapsed());
    for (n, result) in got.iter().take(5_000).enumerate() {
        ensure!(result.as_ref().is_ok_and(|(data, _)| *data == format!("data {n}")), "{n}: {result:?}");
    }
    ensure!(got.last() == Some(&Err(WireError::NotFound(format!("{root}/none")))));
    let listed = session.children_many(&[&root, &paths[0]]).await;
    ensure!(matches!(&listed[..], [Ok((names, _)), Ok((none, _))] if names.len() == 5_000 && none.is_empty()));
    let stats = session.stat_many(&paths).await;
    ensure!(stats.iter().filter(|stat| matches!(stat, Ok(Some(_)))).count() == 5_001);
    let mut gone: Vec<_> = paths.iter().take(5_000).map(|path| (path, Some(0))).collect();
    gone.push((&root, None));
    ensure!(session.delete_many(&gone).await.iter().all(Result::is_ok));
    session.end_session().await?;
    Ok(())
}

pub async fn chroot(address: String) -> Result<()> {
    let whole = open(options(&address)).await?;
    let root = own_root("chroot");
    // The first address has nobody.
    let addresses = vec![format!("127.0.0.1:1{root}/lab"), format!("{address}{root}/lab")];
    for _ in 0..4 {
        let begun = Instant::now();
        let lab = open(Options { addresses: addresses.clone(), ..options(&address) }).await?;
        println!("connected after {:?}", begun.elapsed());
        ensure!(lab.status().borrow().server.as_deref() == Some(&*address));
        lab.end_session().await?;
    }
    let lab = open(Options { addresses, ..options(&address) }).await?;
    ensure!(lab.stat("/").await?.is_none());
    ensure!(matches!(lab.create("/a", Some(b""), KEPT).await, Err(WireError::NotFound(_))));
    whole.create_all(&format!("{root}/lab"), Some(b""), KEPT, &[]).await?;
    lab.create_all("/a/b", Some(b"1"), KEPT, &[]).await?;
    ensure!(lab.children("/").await?.0 == ["a"]);
    ensure!(whole.get(&format!("{root}/lab/a/b")).await?.0 == "1");
    lab.multi(&[Op::Delete("/a/b", None), Op::Delete("/a", None)]).await?;
    whole.delete(&format!("{root}/lab"), None).await?;
    whole.delete(&root, None).await?;
    lab.end_session().await?;
    whole.end_session().await?;
    Ok(())
}

/// A server ends the connection of who sends it more than it takes. One bad record must not do that to all others.
pub async fn too_long(address: String) -> Result<()> {
    let session = open(options(&address)).await?;
    let root = own_root("long");
    session.create(&root, Some(b""), KEPT).await?;
    let long = vec![b'x'; 0x10_0000];
    ensure!(matches!(session.set(&root, Some(&long), None).await, Err(WireError::Rejected(_))));
    let just = vec![b'x'; 0xf_ffff - 8 - 4 - root.len() - 4 - 4];
    session.set(&root, Some(&just), None).await?;
    ensure!(session.get(&root).await?.0 == just);
    ensure!(session.status().borrow().generation == 1);
    let bold = open(Options { max_request: usize::MAX, ..options(&address) }).await?;
    ensure!(matches!(bold.set(&root, Some(&long), None).await, Err(WireError::Unavailable(_))));
    reach(&bold, |status| status.generation == 2 && status.phase == Phase::Connected).await?;
    session.delete(&root, None).await?;
    bold.end_session().await?;
    session.end_session().await?;
    Ok(())
}
