use super::super::client::Client;
use super::super::fake::{Fake, Said};
use super::super::settings::ConsulOptions;
use super::*;
use crate::Connect;
use causeway_core::{Everything, Instance};

/// A watch of a server that does not answer.
fn watch() -> Watch {
    let connect = Connect { addresses: vec!["127.0.0.1:1".into()], ..Connect::default() };
    let options = ConsulOptions::default();
    let client = Client::new(&connect, &options).unwrap();
    let mut watch = Watch::new(Arc::new(Reading::new(client, options)), Arc::new(Everything));
    watch.followed = true;
    watch
}

fn check(id: &str, status: &str, service: &str) -> Check {
    let [id, status, service_name] = [id, status, service].map(str::to_owned);
    Check { node: "n".into(), id, status, service_name, ..Check::default() }
}

fn set(name: &str, ports: &[u16]) -> (Arc<str>, Arc<Set>) {
    let records = ports.iter().map(|port| Instance::new("10.0.0.1", *port));
    (intern(name), Arc::new(Set::of(scope(name), records)))
}

fn listing(sets: &[(&str, &[u16])], checks: &[Check], filtered: bool) -> Listing {
    let sets = sets.iter().map(|(name, ports)| set(name, ports)).collect();
    Listing { sets, failing: failing(checks), filtered, index: 0 }
}

#[tokio::test]
async fn what_came_and_went_between_two_answers_is_read() {
    let mut watch = watch();
    let ill = [check("c", "critical", "web"), check("d", "passing", "shop")];
    let sets = watch.resolve(listing(&[("web", &[1])], &ill, false)).await.unwrap();
    assert_eq!(sets.len(), 1);
    // The list saw it fail; the query's answers, before and after, do not.
    watch.take_checks(Failing::new());
    assert!(watch.some.contains("web") && watch.some.len() == 1 && !watch.all);
    // What was read since is what the next answer is compared with.
    watch.some.clear();
    let one = One {
        set: None,
        failing: failing(&[check("c", "warning", "web"), check("node", "critical", "")]),
        filtered: false,
    };
    watch.merged(&intern("web"), one);
    watch.take_checks(failing(&[check("c", "warning", "web")]));
    assert!(watch.some.is_empty() && !watch.all);
    watch.take_checks(failing(&[check("c", "warning", "web"), check("node", "critical", "")]));
    assert!(watch.some.is_empty() && watch.all, "all that stands on a node");
}

#[tokio::test]
async fn what_may_not_be_read_stays() {
    let mut watch = watch();
    let told =
        |watch: &mut Watch| watch.ready.drain(..).map(|update| format!("{:?}", update.unwrap())).collect::<Vec<_>>();
    for (name, ports) in [("web", &[1, 2][..]), ("shop", &[3])] {
        let (name, set) = set(name, ports);
        watch.tell(name, set, false);
    }
    assert_eq!(told(&mut watch).len(), 2);
    let (name, fewer) = set("web", &[1]);
    let hidden = One { set: Some(fewer.clone()), failing: Failing::new(), filtered: true };
    assert_eq!(watch.merged(&name, hidden).unwrap().records.len(), 2);
    assert!(watch.denied.contains("web"));
    let nothing = One { set: None, failing: Failing::new(), filtered: true };
    assert_eq!(watch.merged(&intern("shop"), nothing).unwrap().records.len(), 1);
    // One that was never seen is not made up.
    let nothing = One { set: None, failing: Failing::new(), filtered: true };
    assert!(watch.merged(&intern("other"), nothing).is_none());
    // Read in full: what it lacks is gone.
    let whole = One { set: Some(fewer), failing: Failing::new(), filtered: false };
    assert_eq!(watch.merged(&name, whole).unwrap().records.len(), 1);
    assert!(!watch.denied.contains("web") && watch.denied.contains("shop"));
    // A list that is cut short is no proof: the service is asked for by itself, and nobody answers.
    let cut = watch.resolve(listing(&[("web", &[1])], &[], true)).await;
    assert!(matches!(cut, Err(Error::Unavailable(_))));
    assert!(told(&mut watch).is_empty());
}

#[tokio::test]
async fn an_outage_is_said_once() {
    let mut watch = watch();
    for _ in 0..3 {
        watch.lose(Error::unavailable("gone"));
    }
    watch.lose(Error::Denied("no".into()));
    watch.lose(Error::Denied("still no".into()));
    watch.lose(Error::Missing("no data centre".into()));
    let parts = watch.ready.iter().map(|lost| lost.as_ref().unwrap_err().part.is_some());
    assert_eq!(parts.collect::<Vec<_>>(), [false, false, true]);
}

#[tokio::test]
async fn a_query_that_ended_is_an_outage() {
    let mut watch = watch();
    let (tell, news) = mpsc::channel(1);
    watch.news = Some(news);
    tell.send(News::Failed(query::ended(Error::Throttled(Duration::ZERO)))).await.unwrap();
    watch.step().await;
    assert!(watch.news.is_none(), "all is begun anew");
    assert!(matches!(watch.ready.pop_front(), Some(Err(Lost { error: Error::Unavailable(_), .. }))));
}

#[tokio::test]
async fn one_that_cannot_be_asked_for_is_listed_with_all() {
    let fake = Fake::start(|line| match line {
        "GET /v1/health/service/web" => Said::now(200, "[]"),
        _ => Said::now(301, ""),
    });
    let fake = fake.await;
    let mut watch = Watch::new(fake.reading(), Arc::new(Everything));
    (watch.news, watch.some) = (Some(mpsc::channel(1).1), BTreeSet::from([intern("a//b"), intern("web")]));
    watch.step().await;
    assert!(watch.all && watch.some.is_empty() && watch.news.is_some() && watch.ready.is_empty());
    // It may not be read in full either: what was known stays.
    let (name, known) = set("a//b", &[1, 2]);
    watch.told.insert(name.clone(), Some(known));
    let sets = watch.resolve(listing(&[("a//b", &[1])], &[], true)).await.unwrap();
    assert_eq!(sets[&name].records.len(), 2);
}

#[tokio::test]
async fn a_list_of_an_earlier_state_is_not_believed() {
    let nodes = r#"[{"Node": "n", "Services": [{"ID": "consul", "Service": "consul"}]}]"#;
    let fake = Fake::start(move |_| Said { index: 40, ..Said::now(200, nodes) }).await;
    let mut watch = Watch::new(fake.reading(), Arc::new(Everything));
    let (tell, news) = mpsc::channel(1);
    (watch.news, watch.followed) = (Some(news), true);
    for (index, believed) in [(40, true), (50, false)] {
        tell.send(News::Everything(index)).await.unwrap();
        watch.step().await;
        assert!(watch.all);
        watch.rest = Instant::now();
        watch.step().await;
        assert_eq!((watch.all, watch.news.is_some()), (false, believed));
    }
    assert!(matches!(watch.ready.pop_front(), Some(Err(Lost { error: Error::Unavailable(_), .. }))));
}
