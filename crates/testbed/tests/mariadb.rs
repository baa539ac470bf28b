//! A MariaDB of the testbed.

use std::time::Duration;

use anyhow::{Result, ensure};
use causeway_testbed::{MariaDb, MariaDbSetup, host, own_trial};
use libtest_mimic::{Arguments, Trial};

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap_or_else(|error| panic!("{error}"));
    let handle = runtime.handle().clone();
    let trials = vec![own_trial("mariadb/it_is_crashed_frozen_and_started_again", &host::mariadb(), move || {
        handle.block_on(crash_and_freeze())
    })];
    let trials: Vec<Trial> = causeway_testbed::share(trials);
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

async fn crash_and_freeze() -> Result<()> {
    let server = MariaDb::start(MariaDbSetup { tls: true, ..MariaDbSetup::default() }).await?;
    server.make_database("d", "somebody", "SELECT")?;
    server.sql("CREATE TABLE d.t (n INT); INSERT INTO d.t VALUES (7)")?;
    let pid = server.pid();
    server.kill9()?;
    ensure!(server.pid().is_none() && server.sql("SELECT 1").is_err());
    server.start_again().await?;
    ensure!(server.pid() != pid && server.sql("SELECT n FROM d.t")? == "7");
    server.pause()?;
    tokio::time::sleep(Duration::from_millis(200)).await;
    server.resume()?;
    ensure!(server.sql("SELECT @@have_ssl, @@max_allowed_packet")? == "YES\t4194304");
    server.stop().await
}
