//! Keys of etcd as providers, on a real etcd.

#![allow(clippy::unwrap_used)]

mod told;

use anyhow::{Context, Result, ensure};
use causeway_peers::providers::{EtcdOptions, EtcdProvider, Provider};
use causeway_testbed::{ETCD_ROOT, Etcd, EtcdSetup, full, host, own_trial, share};
use futures_util::future::BoxFuture;
use libtest_mimic::{Arguments, Trial};
use std::time::{Duration, Instant};
use told::Told;

const KEY: &str = "polaris-sync/sync-registry.json";

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(2));
    libtest_mimic::run(&arguments, share(trials())).exit();
}

fn trials() -> Vec<Trial> {
    let missing = host::etcd();
    let test = |name: &str, run: fn() -> BoxFuture<'static, Result<()>>| {
        own_trial(name, &missing, move || tokio::runtime::Runtime::new()?.block_on(run()))
    };
    let long = |trial: Trial| if full() { trial } else { trial.with_ignored_flag(true) };
    vec![
        test("edits_and_deletions_are_told", || Box::pin(edits())),
        test("a_server_that_is_killed_and_comes_back", || Box::pin(killed())),
        test("started_while_the_server_is_away", || Box::pin(started_early())),
        test("users_and_rights", || Box::pin(users())),
        test("tls_with_a_certificate_of_our_own", || Box::pin(tls())),
        test("compacted_while_we_were_away", || Box::pin(compacted())),
        test("another_server_is_asked_when_one_is_away", || Box::pin(fail_over())),
        long(test("a_server_that_hangs", || Box::pin(hangs()))),
    ]
}

fn options(endpoints: &[&str]) -> EtcdOptions {
    let endpoints = endpoints.iter().map(|endpoint| (*endpoint).to_owned()).collect();
    EtcdOptions { endpoints, data_id: KEY.into(), ..EtcdOptions::default() }
}

fn told(options: &EtcdOptions) -> Told {
    Told::by(&EtcdProvider::new(options.clone()))
}

async fn edits() -> Result<()> {
    let server = Etcd::start(EtcdSetup::default()).await?;
    let api = server.api()?;
    ensure!(EtcdProvider::new(options(&[&server.url()])).place() == format!("etcd key {KEY}"));
    let mut told = told(&options(&[&server.url()]));
    told.missing(&["there is no key", KEY, &server.url()]).await?;
    api.put(KEY, "one").await?;
    told.text("one").await?;
    let began = Instant::now();
    api.put(KEY, "{ nonsense").await?;
    told.text("{ nonsense").await?;
    ensure!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    api.put("polaris-sync/other", "x").await?;
    api.put(&format!("{KEY}.old"), "x").await?;
    told.nothing(Duration::from_secs(1)).await?;
    // polaris-sync did not notice that.
    api.delete(KEY).await?;
    told.missing(&["there is no key"]).await?;
    api.put(KEY, "").await?;
    told.text("").await?;
    let long = "x".repeat(1_000_000);
    api.put(KEY, &long).await?;
    told.text(&long).await
}

async fn killed() -> Result<()> {
    let server = Etcd::start(EtcdSetup::default()).await?;
    let api = server.api()?;
    api.put(KEY, "one").await?;
    let mut told = told(&options(&[&server.url()]));
    told.text("one").await?;
    server.kill9()?;
    told.away(&[&server.addr(), "does not answer"]).await?;
    server.start_again().await?;
    told.text_at_last("one").await?;
    api.put(KEY, "two").await?;
    told.text("two").await?;
    server.kill9()?;
    server.start_again().await?;
    api.put(KEY, "three").await?;
    told.text_at_last("three").await
}

async fn started_early() -> Result<()> {
    let server = Etcd::start(EtcdSetup::default()).await?;
    server.api()?.put(KEY, "one").await?;
    server.kill9()?;
    let mut told = told(&options(&[&server.url()]));
    told.away(&["does not answer"]).await?;
    told.nothing(Duration::from_secs(3)).await?;
    server.start_again().await?;
    told.text_at_last("one").await
}

async fn users() -> Result<()> {
    let server = Etcd::start(EtcdSetup::default()).await?;
    let api = server.api()?;
    api.put(KEY, "one").await?;
    let mut options = options(&[&server.url()]);
    // Users are of no interest yet.
    (options.user, options.password) = (Some("reader".into()), Some("secret".into()));
    told(&options).text("one").await?;
    api.add_user("reader", "secret").await?;
    api.ask_for_logins().await?;
    let root = api.log_in(ETCD_ROOT.0, ETCD_ROOT.1).await?;
    let mut watched = told(&options);
    watched.away(&["permission denied", "the user reader has no right"]).await?;
    root.allow("reader", KEY).await?;
    watched.text("one").await?;
    root.put(KEY, "two").await?;
    watched.text("two").await?;
    options.password = Some("wrong".into());
    told(&options).away(&["the option `user` or `password` is wrong"]).await?;
    (options.user, options.password) = (None, None);
    told(&options).away(&["set the options `user` and `password`"]).await?;
    // A restart forgets who was signed in.
    server.kill9()?;
    server.start_again().await?;
    let root = api.log_in(ETCD_ROOT.0, ETCD_ROOT.1).await?;
    root.put(KEY, "three").await?;
    watched.text_at_last("three").await?;
    // Without the right, the watch says nothing: the key is read from time to time.
    root.forbid("reader", KEY).await?;
    watched.away_within(Duration::from_secs(40), &["permission denied"]).await
}

async fn tls() -> Result<()> {
    let server = Etcd::start(EtcdSetup { tls: true, ..EtcdSetup::default() }).await?;
    server.api()?.put(KEY, "one").await?;
    let (certificate, key) = server.certificate()?;
    let mut options = options(&[&server.url()]);
    told(&options).away(&["certificate", "`trustCertCollectionFile`"]).await?;
    options.trust_cert_collection_file = Some(server.ca_file());
    told(&options).away(&["does not answer", "`keyCertChainFile`"]).await?;
    (options.key_cert_chain_file, options.key_file) = (Some(certificate), Some(key));
    told(&options).text("one").await?;
    // Without a scheme the files say that it is HTTPS.
    options.endpoints = vec![server.addr()];
    options.authority = Some("localhost".into());
    let mut watched = told(&options);
    watched.text("one").await?;
    server.api()?.put(KEY, "two").await?;
    watched.text("two").await?;
    options.authority = Some("elsewhere".into());
    told(&options).away(&["certificate"]).await
}

async fn compacted() -> Result<()> {
    let server = Etcd::start(EtcdSetup::default()).await?;
    let api = server.api()?;
    let first = api.put(KEY, "one").await?;
    let mut told = told(&options(&[&server.url()]));
    told.text("one").await?;
    server.kill9()?;
    server.start_again().await?;
    for n in 0..20 {
        api.put("other", &n.to_string()).await?;
    }
    let last = api.put(KEY, "two").await?;
    ensure!(last > first);
    api.compact(last).await?;
    told.text_at_last("two").await?;
    api.put(KEY, "three").await?;
    told.text("three").await
}

async fn fail_over() -> Result<()> {
    let server = Etcd::start(EtcdSetup::default()).await?;
    server.api()?.put(KEY, "one").await?;
    let closed = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let mut told = told(&options(&[&format!("http://{closed}"), &server.url()]));
    told.text("one").await?;
    server.api()?.put(KEY, "two").await?;
    told.text("two").await
}

async fn hangs() -> Result<()> {
    let server = Etcd::start(EtcdSetup::default()).await?;
    server.api()?.put(KEY, "one").await?;
    let mut told = told(&options(&[&server.url()]));
    told.text("one").await?;
    server.pause()?;
    told.away_within(Duration::from_secs(40), &["no answer in time"]).await.context("a hung server")?;
    server.resume()?;
    told.text_at_last("one").await
}
