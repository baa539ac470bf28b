//! A Polaris that is away, refuses, hangs, forgets or hides: nothing of ours goes for that.

use crate::estate::{instances, pause, seconds, until};
use crate::polaris_estate::{Estate, Watch};
use crate::zk_estate::{settings, task};
use anyhow::{Context, Result, ensure};
use causeway_testbed::{Backdoor, Instance, POLARIS_TOKEN, PolarisFault, PolarisRow, TokenChange};

const NAMES: [&str; 3] = ["web", "shop", "till"];

/// Three services of Polaris, copied to Nacos.
async fn copied(name: &str, first: u16) -> Result<Estate> {
    let estate = Estate::new(name).await?;
    for (n, name) in (0..).zip(NAMES) {
        estate.api.register(&estate.space, name, &[PolarisRow::new("127.0.0.1", first + n)]).await?;
    }
    estate.apply(&[task("polaris", "nacos", "Unidirectional")])?;
    for (n, name) in (0..).zip(NAMES) {
        estate.shows(name, &[first + n], seconds(15)).await?;
    }
    pause(3).await;
    Ok(estate)
}

async fn all_stay(estate: &Estate, first: u16, time: u64) -> Result<()> {
    let (one, two, three) = ([first], [first + 1], [first + 2]);
    tokio::try_join!(
        estate.stays("web", &one, seconds(time)),
        estate.stays("shop", &two, seconds(time)),
        estate.stays("till", &three, seconds(time)),
    )
    .map(drop)
}

/// A token that is reset, disabled, or sees the namespace no more empties nothing; with the right one all goes on.
pub async fn a_token_that_is_lost_empties_nothing() -> Result<()> {
    let estate = copied("polaris-token", 8_200).await?;
    let (door, said) =
        (&estate.door, async |words: &str| Ok(estate.node.ok(&["get", "tasks", "-o", "json"])?.contains(words)));
    for (change, words) in [
        (TokenChange { admin: Some("another".into()), ..TokenChange::default() }, "401004"),
        (TokenChange { disabled: Some([POLARIS_TOKEN.to_owned()].into()), ..TokenChange::default() }, "401003"),
    ] {
        door.change_tokens(&change).await?;
        all_stay(&estate, 8_200, 8).await?;
        until(words, seconds(60), async || said(words).await).await.with_context(|| estate.state())?;
    }
    // What is a token again shows less than everything: the namespace is in no list.
    let users = [(POLARIS_TOKEN.to_owned(), ["default".to_owned()].into())].into();
    let hidden = TokenChange { disabled: Some([].into()), users: Some(users), ..TokenChange::default() };
    door.change_tokens(&hidden).await?;
    all_stay(&estate, 8_200, 8).await?;
    let back = TokenChange { admin: Some(POLARIS_TOKEN.into()), users: Some([].into()), ..TokenChange::default() };
    door.change_tokens(&back).await?;
    estate.api.register(&estate.space, "web", &[PolarisRow::new("127.0.0.1", 8_300)]).await?;
    estate.shows("web", &[8_200, 8_300], seconds(90)).await?;
    all_stay(&estate, 8_200, 1).await?;
    ensure!(!estate.node.whole_log().contains(POLARIS_TOKEN), "the token stands in the log");
    Ok(())
}

/// A Polaris that is killed, comes back, or comes back without its data empties nothing.
pub async fn a_restarted_server_empties_nothing() -> Result<()> {
    let estate = copied("polaris-restarted", 8_400).await?;
    let (polaris, api, space) = (&estate.polaris, &estate.api, estate.space.as_str());
    polaris.kill9()?;
    all_stay(&estate, 8_400, 5).await?;
    polaris.start_again().await?;
    api.register(space, "web", &[PolarisRow::new("127.0.0.1", 8_500)]).await?;
    estate.shows("web", &[8_400, 8_500], seconds(40)).await?;
    api.deregister(space, "web", &[PolarisRow::new("127.0.0.1", 8_400)]).await?;
    estate.shows("web", &[8_500], seconds(40)).await?;

    // Another life of the server: everything it shows looks complete.
    polaris.kill9()?;
    polaris.wipe()?;
    polaris.start_again().await?;
    let stay = [("web", [8_500]), ("shop", [8_401])];
    tokio::try_join!(estate.stays(stay[0].0, &stay[0].1, seconds(8)), estate.stays(stay[1].0, &stay[1].1, seconds(8)))?;
    api.create_namespace(space, "made again, and empty").await?;
    tokio::try_join!(
        estate.stays(stay[0].0, &stay[0].1, seconds(15)),
        estate.stays(stay[1].0, &stay[1].1, seconds(15))
    )?;
    until("three are held", seconds(40), async || Ok(estate.node.number("held")? == 3))
        .await
        .with_context(|| estate.state())?;
    for (port, name) in [(8_500, "web"), (8_401, "shop"), (8_402, "till")] {
        api.register(space, name, &[PolarisRow::new("127.0.0.1", port)]).await?;
    }
    until("in step again", seconds(40), async || Ok(estate.verify("polaris-nacos-service").is_ok())).await?;
    Ok(())
}

/// A destination that comes back without its data gets everything again.
pub async fn a_destination_that_forgot_gets_everything_again() -> Result<()> {
    let estate = Estate::new("polaris-forgot").await?;
    let who = Backdoor::start().await?;
    who.connect("p", &estate.nacos.address, &estate.space).await?;
    who.batch_register("p", &estate.service("orders"), &instances(150, 9_000)).await?;
    estate.apply(&[task("nacos", "polaris", "Unidirectional")])?;
    let ports: Vec<u16> = (9_000..9_150).collect();
    estate.polaris_shows("orders", &ports, seconds(30)).await?;
    pause(3).await;
    estate.polaris.kill9()?;
    estate.polaris.wipe()?;
    estate.polaris.start_again().await?;
    let took = estate.polaris_shows("orders", &ports, seconds(120)).await?;
    eprintln!("everything again after {took:?}");
    Ok(())
}

/// A Polaris that hangs holds up no task between others, and catches up afterwards.
pub async fn a_hung_server_stalls_nothing_else() -> Result<()> {
    let (hung, well) = (Estate::new("polaris-hung").await?, Estate::new("polaris-well").await?);
    let who = Backdoor::start().await?;
    who.connect("h", &hung.nacos.address, &hung.space).await?;
    who.connect("w", &well.nacos.address, &well.space).await?;
    let publish = async |count: u16| {
        who.batch_register("h", &hung.service("orders"), &instances(count, 9_100)).await?;
        who.batch_register("w", &well.service("orders"), &instances(count, 9_100)).await
    };
    publish(2).await?;
    let (at_hung, at_well) = (format!(", namespace: {}", hung.space), format!(", namespace: {}", well.space));
    let clusters = [
        hung.nacos_cluster("source-h", &at_hung),
        hung.polaris_cluster("hung", &at_hung),
        well.nacos_cluster("source-w", &at_well),
        well.polaris_cluster("well", &at_well),
    ];
    let tasks = [task("source-h", "hung", "Unidirectional"), task("source-w", "well", "Unidirectional")];
    hung.node.apply(&settings(&clusters, &tasks))?;
    hung.polaris_shows("orders", &[9_100, 9_101], seconds(20)).await?;
    well.polaris_shows("orders", &[9_100, 9_101], seconds(20)).await?;
    for way in ["stopped", "calls hang"] {
        match way {
            "stopped" => hung.polaris.pause()?,
            _ => hung.door.fail(&[PolarisFault { hang: true, ..PolarisFault::default() }]).await?,
        }
        for count in [3, 4] {
            publish(count).await?;
            let ports: Vec<_> = (9_100..9_100 + count).collect();
            let took = well.polaris_shows("orders", &ports, seconds(6)).await.with_context(|| hung.node.log())?;
            eprintln!("{way}: the other task in {took:?}");
            pause(4).await;
        }
        match way {
            "stopped" => hung.polaris.resume()?,
            _ => hung.door.fail(&[]).await?,
        }
        hung.polaris_shows("orders", &[9_100, 9_101, 9_102, 9_103], seconds(60))
            .await
            .with_context(|| hung.node.log())?;
        publish(2).await?;
        hung.polaris_shows("orders", &[9_100, 9_101], seconds(60)).await?;
        well.polaris_shows("orders", &[9_100, 9_101], seconds(10)).await?;
    }
    Ok(())
}

/// Errors and dropped streams are no empty lists, and all is in step afterwards.
pub async fn errors_are_no_empty_lists() -> Result<()> {
    let estate = copied("polaris-errors", 8_800).await?;
    let door = &estate.door;
    for fault in [
        PolarisFault { calls: "grpc Discover".into(), code: Some(500_000), ..PolarisFault::default() },
        PolarisFault { calls: "grpc Discover".into(), code: Some(400_202), ..PolarisFault::default() },
        PolarisFault { calls: "grpc Discover".into(), status: Some(503), ..PolarisFault::default() },
        PolarisFault { calls: "GET ".into(), code: Some(500_001), ..PolarisFault::default() },
        PolarisFault { status: Some(502), ..PolarisFault::default() },
        PolarisFault { delay: 3_000, ..PolarisFault::default() },
    ] {
        let said = format!("{fault:?}");
        door.fail(&[fault]).await?;
        door.drop_streams().await?;
        all_stay(&estate, 8_800, 5).await.context(said)?;
    }
    door.fail(&[]).await?;
    estate.api.register(&estate.space, "web", &[PolarisRow::new("127.0.0.1", 8_900)]).await?;
    estate.shows("web", &[8_800, 8_900], seconds(90)).await?;
    until("in step again", seconds(40), async || Ok(estate.verify("polaris-nacos-service").is_ok())).await?;
    Ok(())
}

/// An instance that lives by heartbeats and lacks them is unhealthy in Nacos, too, and healthy again with them.
pub async fn heartbeats_are_followed() -> Result<()> {
    let estate = Estate::new("polaris-beats").await?;
    let (api, space) = (&estate.api, estate.space.as_str());
    let row = PolarisRow { ttl: Some(1), ..PolarisRow::new("127.0.0.1", 8_950) };
    api.register_as_client(space, "live", &row).await?;
    estate.apply(&[task("polaris", "nacos", "Unidirectional")])?;
    let health = async || {
        let all = estate.nacos.api.all(&estate.service("live")).await?;
        anyhow::Ok(all.first().map(|one| (one.healthy, one.metadata.contains_key("internal-lastheartbeat"))))
    };
    let beating = async |healthy: bool| {
        until(&format!("healthy: {healthy}"), seconds(30), async || {
            if healthy {
                api.beat(space, "live", "127.0.0.1", 8_950).await?;
            }
            Ok(health().await?.is_some_and(|(there, _)| there == healthy))
        })
        .await
        .with_context(|| estate.state())
    };
    for healthy in [true, false, true] {
        let took = beating(healthy).await?;
        eprintln!("healthy {healthy} in Nacos after {took:?}");
        ensure!(health().await?.is_some_and(|(_, key)| !key), "a key of the server's own travels");
    }
    Ok(())
}

/// 1,000 instances reach Polaris in calls of at most 100, and at rest Polaris is asked little.
pub async fn a_thousand_instances_go_in_chunks() -> Result<()> {
    let estate = Estate::new("polaris-chunks").await?;
    let who = Backdoor::start().await?;
    who.connect("p", &estate.nacos.address, &estate.space).await?;
    who.batch_register("p", &estate.service("orders"), &instances(1_000, 20_000)).await?;
    estate.door.count_again().await?;
    estate.apply(&[task("nacos", "polaris", "Unidirectional")])?;
    let all: Vec<u16> = (20_000..21_000).collect();
    let took = estate.polaris_shows("orders", &all, seconds(60)).await?;
    let (calls, largest) = estate.writes().await?;
    eprintln!("1,000 instances after {took:?} in {calls} calls of at most {largest}");
    ensure!(largest <= 100 && (10..=14).contains(&calls), "{calls} calls of {largest}");
    estate.nothing_refused(&["grpc Discover", "POST /v1/Discover"]).await?;

    // One changes: one call, and nobody else is touched.
    let watch = Watch::start(&estate.api, &estate.space, &[("orders".to_owned(), 1_000)]);
    estate.door.count_again().await?;
    let changed: Vec<_> = instances(1_000, 20_000)
        .into_iter()
        .map(|one| if one.port == 20_500 { Instance { weight: 5.0, ..one } } else { one })
        .collect();
    who.batch_register("p", &estate.service("orders"), &changed).await?;
    let there = async || Ok(estate.held("orders").await?.get(&20_500).is_some_and(|row| row.weight == 500));
    until("the change", seconds(10), there).await.with_context(|| estate.state())?;
    let (calls, largest) = estate.writes().await?;
    ensure!((calls, largest) == (1, 1), "{calls} calls of {largest} for one change");
    watch.end().await?;

    pause(5).await;
    estate.door.count_again().await?;
    pause(30).await;
    let counts = estate.door.counts().await?;
    eprintln!("at rest in 30 s: {} calls, {:?}", counts.total, counts.calls);
    ensure!(counts.total <= 250, "{counts:?}");
    ensure!(estate.writes().await? == (0, 0), "{counts:?}");
    Ok(())
}

/// 5,000 instances of Polaris reach Nacos, and 5,000 of Nacos Polaris; each is copied once.
pub async fn five_thousand_there_and_back() -> Result<()> {
    let estate = Estate::new("polaris-five-thousand").await?;
    let (api, space) = (&estate.api, estate.space.as_str());
    for n in 0..50 {
        let rows: Vec<_> = (0..100).map(|i| PolarisRow::new("127.0.0.1", 10_000 + i).with("zone", "a")).collect();
        api.register(space, &format!("there-{n}"), &rows).await?;
    }
    let who = Backdoor::start().await?;
    who.connect("p", &estate.nacos.address, space).await?;
    for n in 0..50 {
        who.batch_register("p", &estate.service(&format!("back-{n}")), &instances(100, 20_000)).await?;
    }
    estate.door.count_again().await?;
    estate.apply(&[task("polaris", "nacos", "Bidirectional")])?;
    let began = std::time::Instant::now();
    let whole = async || {
        let (mut there, mut back) = (0, 0);
        for n in 0..50 {
            there += estate.seen(&format!("there-{n}")).await?.len();
            back += estate.held(&format!("back-{n}")).await?.len();
        }
        Ok((there, back) == (5_000, 5_000))
    };
    until("all on both sides", seconds(180), whole).await.with_context(|| estate.state())?;
    let (calls, largest) = estate.writes().await?;
    eprintln!("5,000 each way after {:?}; written to Polaris in {calls} calls of at most {largest}", began.elapsed());
    ensure!(largest <= 100 && calls <= 120, "{calls} calls of {largest}");
    pause(5).await;
    let mut all = 0;
    for n in 0..50 {
        all += api.all(space, &format!("there-{n}")).await?.len();
    }
    ensure!(all == 5_000, "an echo: {all} instances");
    estate.verify("polaris-nacos-service")?;
    estate.door.count_again().await?;
    pause(60).await;
    let counts = estate.door.counts().await?;
    eprintln!("at rest with 100 services, a minute: {} calls, {:?}", counts.total, counts.calls);
    ensure!(estate.writes().await? == (0, 0), "{counts:?}");
    Ok(())
}
