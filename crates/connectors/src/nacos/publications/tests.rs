use super::*;
use crate::nacos::client::{Address, Options, WireInstance};
use causeway_core::{Mark, Set, WrittenRecord};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// What one server over HTTP answers: status and body by the request's path and query.
type Answers = fn(&str) -> (u16, String);

struct Server {
    asked: Arc<Mutex<Vec<String>>>,
    port: u16,
    _tasks: JoinSet<()>,
}

async fn server(answers: Answers) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (mut tasks, seen) = (JoinSet::new(), asked.clone());
    tasks.spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut head = [0_u8; 4096];
            let Ok(length) = socket.read(&mut head).await else { continue };
            let text = String::from_utf8_lossy(&head[..length]).into_owned();
            let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
            let (status, body) = answers(&path);
            seen.lock().push(path);
            let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            socket.write_all((head + &body).as_bytes()).await.ok();
        }
    });
    Server { asked, port, _tasks: tasks }
}

fn version(path: &str, text: &str) -> Option<(u16, String)> {
    let page = if text.starts_with('3') { "/v3/admin/core/state" } else { "/v1/console/server/state" };
    match path.contains("/state") {
        true if path.contains(page) => Some((200, format!(r#"{{"version":"{text}"}}"#))),
        true => Some((404, String::new())),
        false => None,
    }
}

fn publications(port: u16, inherited: &[&str]) -> Publications {
    let address = Address { host: "127.0.0.1".into(), port, https: false };
    let client = NacosClient::new(Options::new(vec![address])).unwrap();
    Publications::new(client, "c".into(), None, inherited.iter().map(ToString::to_string).collect())
}

fn scope() -> ServiceKey {
    ServiceKey::new("n", "g", "s")
}

fn owner() -> OwnerId {
    OwnerId::new("i", "t")
}

/// A copy with its mark, or a shadow.
fn published(port: u16, shadow: bool) -> Published {
    let mark = (!shadow).then(|| Mark::new(owner(), Vec::new()));
    let record = convert::read(&WireInstance::new("127.0.0.1", port));
    Published { record: record.with_mark(mark), owner: owner() }
}

/// The service with instances without marks at these ports.
fn truth(ports: &[u16]) -> Vec<WireInstance> {
    ports.iter().map(|port| WireInstance::new("127.0.0.1", *port)).collect()
}

fn hold(publications: &Publications, all: &[Published]) {
    let records = all.iter().map(|one| (one.record.id(), one.clone())).collect();
    publications.records.lock().insert(scope(), records);
}

/// Ports of the records that are known as ours.
async fn ours(publications: &Publications, ports: &[u16]) -> Result<Vec<u16>, WireError> {
    let set = publications.attribute(&scope(), None, &truth(ports)).await?;
    let ours = set.records.values().flat_map(|held| &held.copies);
    Ok(ours.map(|record| record.id.endpoint.port).collect())
}

#[tokio::test]
async fn no_answer_for_the_moment_is_no_guess() {
    let server = server(|path| version(path, "2.5.0").unwrap_or((500, "busy".into()))).await;
    let publications = publications(server.port, &[]);
    hold(&publications, &[published(1, true), published(2, false)]);
    for port in [1, 2] {
        let outcome = ours(&publications, &[port]).await;
        assert!(matches!(outcome, Err(WireError::Unavailable(_))), "{outcome:?}");
    }
    assert_eq!(ours(&publications, &[3]).await, Ok(vec![]));
}

#[tokio::test]
async fn likeness_never_claims_a_shadow() {
    let server = server(|path| version(path, "2.5.0").unwrap_or((403, "no right".into()))).await;
    let publications = publications(server.port, &[]);
    hold(&publications, &[published(1, true), published(2, false)]);
    assert_eq!(ours(&publications, &[1, 2]).await, Ok(vec![2]));
}

#[tokio::test]
async fn a_service_is_asked_about_at_once_where_that_can_be() {
    let answers: Answers = |path| {
        let one = |port, id| format!(r#"{{"ip":"127.0.0.1","port":{port},"clusterName":"DEFAULT","clientId":"{id}"}}"#);
        let all = [one(1, "ours"), one(2, "ours"), one(2, "theirs"), one(3, "theirs")].join(",");
        let body = if path.contains("ip=") { one(4, "ours") } else { all };
        version(path, "3.1.0").unwrap_or((200, format!(r#"{{"code":0,"data":[{body}]}}"#)))
    };
    let server = server(answers).await;
    let publications = publications(server.port, &["ours"]);
    hold(&publications, &[1, 2, 3, 4].map(|port| published(port, port % 2 == 0)));
    assert_eq!(ours(&publications, &[1, 2, 3, 4]).await, Ok(vec![1, 4]));
    let asked = server.asked.lock().iter().filter(|path| path.contains("publisher")).cloned().collect::<Vec<_>>();
    assert_eq!(asked.len(), 2, "{asked:?}");
}

#[tokio::test]
async fn a_version_that_names_no_whole_service_is_asked_by_address() {
    let answers: Answers = |path| {
        let body = r#"{"ip":"127.0.0.1","port":1,"cluster":"DEFAULT","clientId":"ours"}"#;
        let body = if path.contains("port=1&") || path.ends_with("port=1") { body } else { "" };
        version(path, "2.5.0").unwrap_or((200, format!(r#"{{"code":0,"data":[{body}]}}"#)))
    };
    let server = server(answers).await;
    let publications = publications(server.port, &["ours"]);
    hold(&publications, &[1, 2].map(|port| published(port, true)));
    assert_eq!(ours(&publications, &[1, 2]).await, Ok(vec![1]));
    assert!(server.asked.lock().iter().filter(|path| path.contains("publisher")).all(|path| path.contains("ip=")));
}

#[tokio::test(start_paused = true)]
async fn all_is_asked_for_though_nobody_answers() {
    // Accepts, and never says a word.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let publications = publications(listener.local_addr().unwrap().port(), &[]);
    let mut records = BTreeMap::new();
    for (port, shadow) in [(1, false), (2, true)] {
        let Published { record, owner } = published(port, shadow);
        records.insert(record.id(), WrittenRecord { record, owner, shadow, before: None, over: None });
    }
    let written = Written { records, attributes: None };
    let owned: Vec<_> = (0..500).map(|n| (ServiceKey::new("n", "g", &format!("s{n}")), written.clone())).collect();
    let adopted = tokio::time::timeout(PATIENCE * 3, publications.adopt(&owned)).await;
    assert!(!matches!(adopted, Ok(Ok(()))));
    let carried = publications.carried();
    let sum = |of: fn(&Carried) -> usize| carried.iter().map(of).sum::<usize>();
    assert_eq!(sum(|one| one.load.services), 500);
    assert_eq!(sum(|one| one.load.records), 500, "no shadow that cannot be told");
}

/// Another tool's copy, as a server lists it.
fn theirs(port: u16, weight: f64) -> WireInstance {
    let mut wire = WireInstance::new("127.0.0.1", port);
    wire.weight = weight;
    wire.metadata = [("sourceClusterId", "c"), ("syncSource", "NACOS")].into();
    wire
}

/// Says who publishes each address; deregistrations succeed.
fn publishers(clients: &[&str], path: &str) -> (u16, String) {
    if let Some(answer) = version(path, "2.5.0") {
        return answer;
    }
    if !path.contains("publisher") {
        return (200, "ok".into());
    }
    let one = |id: &&str| format!(r#"{{"ip":"127.0.0.1","port":1,"cluster":"DEFAULT","clientId":"{id}"}}"#);
    let all = clients.iter().map(one).collect::<Vec<_>>().join(",");
    (200, format!(r#"{{"code":0,"data":[{all}]}}"#))
}

#[tokio::test]
async fn ours_is_told_from_a_tools_copy_that_it_was_made_from() {
    let server = server(|path| publishers(&["ours", "127.0.0.1:1#true"], path)).await;
    let publications = publications(server.port, &["ours"]);
    let record = convert::read(&theirs(1, 1.0)).with_mark(None);
    hold(&publications, &[Published { record, owner: owner() }]);
    let set = async |all: &[WireInstance]| publications.attribute(&scope(), None, all).await.unwrap();
    let owners = |set: &Set| -> Vec<String> {
        let copies = set.records.values().flat_map(|held| &held.copies);
        copies.filter_map(|copy| Some(copy.mark()?.owner.install.to_string())).collect()
    };
    // One entry for both: it is the tool's, which keeps it by heart beats.
    let one = set(&[theirs(1, 1.0)]).await;
    assert_eq!(owners(&one), ["nacos-sync"]);
    let id = convert::read(&theirs(1, 1.0)).id();
    assert!(publications.is_beaten(&scope(), &id));
    // The tool has changed its own.
    for all in [[theirs(1, 2.0), theirs(1, 1.0)], [theirs(1, 1.0), theirs(1, 2.0)]] {
        let two = set(&all).await;
        assert_eq!(owners(&two), ["i", "nacos-sync"]);
        let tools = two.records.values().flat_map(|held| &held.copies).find(|copy| copy.weight == 2.0).unwrap();
        assert_eq!(&*tools.mark().unwrap().owner.install, "nacos-sync");
    }
    set(&[]).await;
    assert!(!publications.is_beaten(&scope(), &id));
}

#[tokio::test]
async fn what_a_tools_copy_leaves_when_it_ends_is_ours() {
    let server = server(|path| publishers(&["ours"], path)).await;
    let publications = publications(server.port, &["ours"]);
    let record = convert::read(&theirs(1, 1.0)).with_mark(None);
    hold(&publications, &[Published { record, owner: owner() }]);
    let set = publications.attribute(&scope(), None, &[theirs(1, 1.0)]).await.unwrap();
    let copy = set.records.values().flat_map(|held| &held.copies).next().unwrap();
    assert_eq!(copy.mark(), Some(&Mark::new(owner(), Vec::new())));
}

#[tokio::test]
async fn what_a_connection_publishes_cannot_be_removed_and_heart_beats_can() {
    let cases: [(Answers, bool, bool); 4] = [
        (|path| publishers(&["1795_127.0.0.1_5", "ours"], path), false, true),
        (|path| publishers(&["127.0.0.1:1#true", "ours"], path), true, false),
        (|path| publishers(&["127.0.0.1:1#true", "1795_127.0.0.1_5"], path), true, true),
        (|path| publishers(&[], path), false, false),
    ];
    for (answers, gone, refused) in cases {
        let server = server(answers).await;
        let publications = publications(server.port, &["ours"]);
        let done = publications.take_theirs(&scope(), &convert::read(&theirs(1, 1.0))).await;
        let deregistered = server.asked.lock().iter().any(|path| path.starts_with("/nacos/v1/ns/instance?"));
        assert_eq!((deregistered, done.is_err()), (gone, refused), "{done:?}");
        if let Err(error) = done {
            assert!(error.to_string().contains("1795_127.0.0.1_5"), "{error}");
        }
    }
}
