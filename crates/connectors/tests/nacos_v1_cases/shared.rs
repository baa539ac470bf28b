//! On a server that other tests use too.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use causeway_core::{Change, Error, Instance, Removal, ServiceKey};
use causeway_testbed::{Edit, ServiceInfo};
use tokio::time::sleep;

use super::{Provider, at, door, name, namespace, row};
use crate::nacos_ports::{Follow, View, copy, native, owner, until, write};

const SOON: Duration = Duration::from_millis(2500);

fn scope(service: &str) -> ServiceKey {
    ServiceKey::new(&namespace(), "g", service)
}

fn away(record: &Instance, why: Removal) -> Change {
    Change::Delete { record: record.clone(), owner: owner(), why }
}

/// A provider comes to the address of our copy with the very same record: ours ends, the provider's is never touched,
/// and is not kept alive by us.
pub async fn cut_over(address: String) -> Result<()> {
    let (api, session, scope) = (door(&address)?, at(&address)?, scope("moves"));
    api.create_namespace(&scope.namespace, &scope.namespace).await?;
    let follow = Follow::start(&session);
    let ours = copy(7101);
    write(&session, &scope, &[Change::Create(ours.clone())]).await?;
    until("ours", SOON, async || Ok(follow.held(&scope).copies == [ours.clone()])).await?;
    let provider = Provider::start(&api, &scope, &native(7101)).await?;
    let seen = until("the native", SOON, async || Ok(follow.held(&scope).native == Some(native(7101)))).await?;
    println!("the provider seen after {seen:?}");
    // Whatever a plan still wants.
    let update = Change::Update { from: ours.clone(), to: ours.clone().with(|one| one.weight = 2.0) };
    let refused = session.apply(&scope, &[update]).await;
    ensure!(matches!(refused.as_slice(), [Err(Error::Conflict)]), "{refused:?}");
    write(&session, &scope, &[away(&ours, Removal::Native)]).await?;
    let refused = session.apply(&scope, &[Change::Create(ours.clone())]).await;
    ensure!(matches!(refused.as_slice(), [Err(Error::Conflict)]), "{refused:?}");
    write(&session, &scope, &[Change::Shadow(native(7101), owner())]).await?;
    for _ in 0..100 {
        ensure!(api.all(&name(&scope)).await? == [row(&native(7101))], "the provider's record was touched");
        sleep(Duration::from_millis(100)).await;
    }
    ensure!(follow.held(&scope).native.is_some());
    // The provider dies: the server notices, since nobody beats for it.
    drop(provider);
    until("unhealthy", Duration::from_secs(22), async || {
        Ok(api.all(&name(&scope)).await?.iter().all(|one| !one.healthy))
    })
    .await?;
    Ok(())
}

/// What a provider registered is not written over, nor removed; its siblings of ours are written.
pub async fn native_first(address: String) -> Result<()> {
    let (api, session, scope) = (door(&address)?, at(&address)?, scope("native"));
    let _provider = Provider::start(&api, &scope, &native(7101)).await?;
    let outcomes = session.apply(&scope, &[Change::Create(copy(7101)), Change::Create(copy(7102))]).await;
    ensure!(matches!(outcomes.as_slice(), [Err(Error::Conflict), Ok(())]), "{outcomes:?}");
    write(&session, &scope, &[away(&copy(7101), Removal::Drained), away(&copy(7102), Removal::Drained)]).await?;
    let left = async || Ok(api.all(&name(&scope)).await? == [row(&native(7101))]);
    until("the native alone", SOON, left).await?;
    Ok(())
}

/// An edit that takes our mark away makes the record nobody's: after some seconds without anybody's beat it is ours.
pub async fn wiped_mark(address: String) -> Result<()> {
    let (api, session, scope) = (door(&address)?, at(&address)?, scope("wiped"));
    api.create_namespace(&scope.namespace, &scope.namespace).await?;
    let follow = Follow::start(&session);
    let ours = copy(7101);
    write(&session, &scope, &[Change::Create(ours.clone())]).await?;
    until("ours", SOON, async || Ok(follow.held(&scope).copies == [ours.clone()])).await?;
    let edit = |metadata| Edit { weight: Some(1.0), enabled: Some(true), metadata: Some(metadata) };
    let mut over = ours.metadata.to_map();
    over.insert("causeway".into(), "x".into());
    api.edit(&name(&scope), &row(&ours), &edit(over)).await?;
    let ours_still = async || {
        Ok(follow
            .held(&scope)
            .copies
            .first()
            .is_some_and(|one| one.mark.as_ref().is_some_and(|mark| mark.path.is_empty())))
    };
    until("written over, and ours", SOON, ours_still).await?;
    write(&session, &scope, &[Change::Update { from: ours.clone(), to: ours.clone() }]).await?;
    until("ours", SOON, async || Ok(follow.held(&scope).copies == [ours.clone()])).await?;

    api.edit(&name(&scope), &row(&ours), &edit(ours.metadata.to_map())).await?;
    until("nobody's", SOON, async || Ok(follow.held(&scope).native.is_some())).await?;
    write(&session, &scope, &[away(&ours, Removal::Native)]).await?;
    let seen = until("ours again", Duration::from_secs(75), ours_still).await?;
    println!("ours again after {seen:?}");
    ensure!(api.all(&name(&scope)).await?[0].healthy);
    write(&session, &scope, &[Change::Update { from: ours.clone(), to: ours.clone() }]).await?;
    until("ours", SOON, async || Ok(follow.held(&scope).copies == [ours.clone()])).await?;
    Ok(())
}

/// A copy that somebody removed is registered again with its next beat.
pub async fn removed(address: String) -> Result<()> {
    let (api, session, scope) = (door(&address)?, at(&address)?, scope("removed"));
    write(&session, &scope, &[Change::Create(copy(7101)), Change::Create(copy(7102))]).await?;
    let all = async |count| Ok(api.all(&name(&scope)).await?.len() == count);
    until("two", SOON, async || all(2).await).await?;
    sleep(Duration::from_secs(1)).await;
    api.deregister(&name(&scope), &row(&copy(7101))).await?;
    until("one", SOON, async || all(1).await).await?;
    let back = until("two again", Duration::from_secs(12), async || all(2).await).await?;
    println!("back after {back:?}");
    session.close().await;
    let ends = until("nothing, as nobody beats", Duration::from_secs(45), async || all(0).await).await?;
    println!("gone {ends:?} after our end");
    Ok(())
}

/// Beats heal, so an unhealthy copy is kept by registrations, and changes both ways.
pub async fn health(address: String) -> Result<()> {
    let (api, session, scope) = (door(&address)?, at(&address)?, scope("health"));
    let (well, ill) = (copy(7101), copy(7101).with(|one| one.healthy = false));
    let is = async |healthy: bool| {
        let all = api.all(&name(&scope)).await?;
        Ok(all.len() == 1 && all[0].healthy == healthy)
    };
    write(&session, &scope, &[Change::Create(ill.clone())]).await?;
    until("unhealthy", SOON, async || is(false).await).await?;
    write(&session, &scope, &[Change::Update { from: ill.clone(), to: well.clone() }]).await?;
    until("healthy", SOON, async || is(true).await).await?;
    write(&session, &scope, &[Change::Update { from: well.clone(), to: ill.clone() }]).await?;
    until("unhealthy again", SOON, async || is(false).await).await?;
    let until_then = Instant::now() + Duration::from_secs(40);
    while Instant::now() < until_then {
        ensure!(is(false).await?, "an unhealthy copy did not stay so");
        sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

/// New services, and every change of a known one among 300, are seen in time.
pub async fn seen(address: String) -> Result<()> {
    let (api, session) = (door(&address)?, at(&address)?);
    let namespace = namespace();
    api.create_namespace(&namespace, &namespace).await?;
    let scopes: Vec<_> = (0..300).map(|n| ServiceKey::new(&namespace, "g", &format!("s{n:03}"))).collect();
    let mut providers = Vec::new();
    for scope in &scopes {
        providers.push(Provider::start(&api, scope, &native(7101)).await?);
    }
    let follow = Follow::start(&session);
    let part = causeway_core::Part::new(&namespace);
    let whole = |view: &View| view.resets.contains_key(&part);
    println!("300 services read in {:?}", follow.sees("all", Duration::from_secs(10), whole).await?);
    ensure!(follow.view.lock().sets.keys().filter(|scope| *scope.namespace == *namespace).count() == 300);
    let scope = &scopes[177];
    let mut slowest = Duration::ZERO;
    let mut now = native(7101);
    for step in 0..5 {
        match step {
            0 => now.weight = 0.5,
            1 => now.enabled = false,
            2 => drop(now.metadata.insert("more", "x")),
            3 => drop(now.metadata.remove("zone")),
            _ => now.enabled = true,
        }
        api.register(&name(scope), &row(&now)).await?;
        slowest =
            slowest.max(until("a change", SOON, async || Ok(follow.held(scope).native == Some(now.clone()))).await?);
    }
    let info = ServiceInfo {
        metadata: [("team".to_owned(), "x".to_owned())].into(),
        protect_threshold: 0.0,
        clusters: vec![],
    };
    api.update_service(&name(scope), &info).await?;
    let told =
        |view: &View| view.sets[scope].attributes.as_ref().is_some_and(|own| own.0.contains_key("metadata.team"));
    slowest = slowest.max(follow.sees("the service's metadata", SOON, told).await?);
    let new = ServiceKey::new(&namespace, "g2", "new");
    let _one = Provider::start(&api, &new, &native(7102)).await?;
    let found = until("a new service", SOON, async || Ok(follow.held(&new).native.is_some())).await?;
    api.deregister(&name(&new), &row(&native(7102))).await?;
    until("a removal", SOON, async || Ok(follow.held(&new).is_empty())).await?;
    println!("slowest change {slowest:?}, a new service {found:?}");
    ensure!(follow.view.lock().lost == 0, "lost without an outage");
    Ok(())
}
