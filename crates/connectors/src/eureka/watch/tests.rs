use super::*;
use crate::eureka::convert;
use crate::eureka::fake::{Fake, client};
use causeway_core::{Everything, Instance};
use serde_json::json;

/// What a server lists, by port, and whether it tells deltas.
#[derive(Default)]
struct Server(Arc<Mutex<(Vec<u16>, bool)>>);

impl Server {
    async fn start(&self) -> Fake {
        let state = self.0.clone();
        Fake::start(move |_, target, _| match (target, &*state.lock()) {
            ("/apps/delta", (ports, true)) => (200, listed(&[], ports.len())),
            ("/apps/delta", _) => (403, String::new()),
            (_, (ports, _)) => (200, listed(ports, ports.len())),
        })
        .await
    }

    fn lists(&self, ports: &[u16], deltas: bool) {
        *self.0.lock() = (ports.to_vec(), deltas);
    }
}

fn listed(ports: &[u16], count: usize) -> String {
    let one = |port: &u16| convert::write("A", &Instance::new("127.0.0.1", *port), &Settings::default());
    let instances: Vec<_> = ports.iter().map(one).collect();
    let applications = json!({
        "apps__hashcode": format!("UP_{count}_"), "application": [{"name": "A", "instance": instances}]
    });
    json!({ "applications": applications }).to_string()
}

fn watching(servers: &[&Fake]) -> Watch {
    let addresses: Vec<_> = servers.iter().map(|server| server.addr.as_str()).collect();
    let client = client(&addresses);
    let settings = Settings::default();
    let publications = Publications::new(client.clone(), &settings);
    let shared = Shared { client, settings, publications, unreadable: Arc::default() };
    let everything: Selector = Arc::new(Everything);
    Watch::new(&shared, &everything)
}

/// What a look has told: `lost`, and how many instances there are.
async fn looks(watch: &mut Watch) -> Vec<String> {
    match watch.look().await {
        Ok(looked) => watch.take(looked),
        Err(error) => watch.fail(error),
    }
    let told = watch.ready.drain(..).map(|item| match item {
        Err(_) => "lost".to_owned(),
        Ok(Update::Reset { sets, .. }) => format!("all {}", sets.iter().map(|set| set.records.len()).sum::<usize>()),
        Ok(Update::Changed(set)) => format!("now {}", set.records.len()),
        Ok(_) => "other".to_owned(),
    });
    told.collect()
}

#[tokio::test]
async fn another_server_that_knows_less_ends_nothing() {
    let (one, two) = (Server::default(), Server::default());
    one.lists(&[1, 2, 3, 4], false);
    two.lists(&[1, 2, 3, 4], false);
    let (first, second) = (one.start().await, two.start().await);
    let mut watch = watching(&[&first, &second]);
    assert_eq!(looks(&mut watch).await, ["all 4"]);
    assert!(looks(&mut watch).await.is_empty() && watch.no_deltas, "asked for deltas");
    // A server that lists one instance less has seen it go.
    one.lists(&[1, 2, 3], false);
    two.lists(&[1, 2, 3], false);
    assert_eq!(looks(&mut watch).await, ["now 3"]);
    let (ends, left) = if watch.server == Some(0) { (first, &two) } else { (second, &one) };
    left.lists(&[1, 2], false);
    drop(ends);
    assert_eq!(looks(&mut watch).await, ["lost", "all 2"]);
    // Asked again, it tells no deltas, and what it lists less next has gone.
    assert!(looks(&mut watch).await.is_empty() && watch.no_deltas && !watch.ask_again);
    left.lists(&[1], false);
    assert_eq!(looks(&mut watch).await, ["now 1"]);
}

#[tokio::test]
async fn a_server_may_tell_deltas_again() {
    let server = Server::default();
    server.lists(&[1, 2, 3], false);
    let fake = server.start().await;
    let mut watch = watching(&[&fake]);
    assert_eq!(looks(&mut watch).await, ["all 3"]);
    assert!(looks(&mut watch).await.is_empty() && watch.no_deltas);
    server.lists(&[1, 2, 3], true);
    assert!(looks(&mut watch).await.is_empty() && watch.no_deltas, "not asked");
    watch.fail(Error::Denied("while it starts".into()));
    assert_eq!(looks(&mut watch).await, ["lost", "all 3"]);
    assert!(looks(&mut watch).await.is_empty() && !watch.no_deltas);
}
