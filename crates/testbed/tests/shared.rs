//! The servers that `causeway-testbed run` started, as other test programs find them.

use anyhow::{Context, Result, ensure};
use causeway_testbed::{Instance, OpenApi, Server, ServiceName, shared, trial};
use libtest_mimic::Arguments;

fn main() {
    let trials = Server::ALL
        .into_iter()
        .map(|server| trial(&format!("{}_answers", server.name()), &[server], move || answers(server)));
    libtest_mimic::run(&Arguments::from_args(), causeway_testbed::share(trials.collect())).exit();
}

fn answers(server: Server) -> Result<()> {
    let addr = shared(server).context("no address")?;
    let api = OpenApi::connect(server.version(), &format!("http://{addr}/nacos"), None)?;
    let service = ServiceName::new("testbed-shared", "DEFAULT_GROUP", "orders");
    let one = Instance::new("127.0.0.1", 7001);
    tokio::runtime::Runtime::new()?.block_on(async {
        api.register(&service, &one).await?;
        let seen = api.visible(&service).await?;
        ensure!(seen.len() == 1 && seen[0] == one, "{seen:?}");
        api.deregister(&service, &one).await
    })
}
