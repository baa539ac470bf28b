use super::super::client::{Client, Node};
use super::super::settings::{AddressOf, ConsulOptions};
use super::*;
use crate::Connect;
use causeway_core::{ClusterId, Evidence, Mark, Payload, Removal};

fn catalog() -> Catalog {
    let connect = Connect { addresses: vec!["127.0.0.1:1".into()], ..Connect::default() };
    let options = ConsulOptions::default();
    let client = Client::new(&connect, &options).unwrap();
    Catalog::new(Arc::new(Reading::new(client, options)), "i".into())
}

fn owner() -> OwnerId {
    OwnerId::new("i", "t")
}

fn scope() -> ServiceKey {
    convert::scope("orders")
}

fn copy() -> Instance {
    Instance::new("10.0.0.1", 80).with(|one| one.mark = Some(Mark::new(owner(), vec![ClusterId::of("a")])))
}

/// What stands after a copy was written.
fn standing(record: &Instance, owner: &OwnerId) -> BTreeMap<String, Entry> {
    let mut service = convert::write(&scope(), record, owner).unwrap();
    service.modify_index = 9;
    let checks = convert::checks("n", &service, record);
    let entry = Entry { node: Node { node: "n".into(), address: "1.1.1.1".into() }, service, checks };
    assert!(convert::read(&entry, AddressOf::Service).same(record));
    BTreeMap::from([(entry.service.id.clone(), entry)])
}

/// The verbs of the operations, and their indexes.
fn verbs(step: Step) -> Vec<(&'static str, Verb, u64)> {
    let Step::Write { ops, .. } = step else { return Vec::new() };
    let verb = |op: Op| match op {
        Op::Node(op) => ("node", op.verb, op.node.modify_index),
        Op::Service(op) => ("service", op.verb, op.service.modify_index),
        Op::Check(op) => ("check", op.verb, 0),
    };
    ops.into_iter().map(verb).collect()
}

#[test]
fn only_what_differs_is_written() {
    let (catalog, nothing) = (catalog(), BTreeMap::new());
    let step =
        |change: &Change, standing: &BTreeMap<String, Entry>| verbs(catalog.step(&scope(), change, standing).unwrap());
    let create = Change::Create(copy());
    assert_eq!(step(&create, &nothing), [("service", Verb::Cas, 0)]);
    assert_eq!(step(&create, &standing(&copy(), &owner())), []);
    let ill = copy().with(|one| one.healthy = false);
    let update = Change::Update { from: copy(), to: ill.clone() };
    assert_eq!(step(&update, &standing(&copy(), &owner())), [("check", Verb::Set, 0)]);
    assert_eq!(step(&update, &standing(&ill, &owner())), []);
    let back = Change::Update { from: ill.clone(), to: copy().with(|one| one.weight = 2.0) };
    assert_eq!(step(&back, &standing(&ill, &owner())), [("service", Verb::Cas, 9), ("check", Verb::Delete, 0)]);
    let why = Removal::Gone { evidence: Evidence::Witnessed };
    let delete = Change::Delete { record: copy(), owner: owner(), why };
    assert_eq!(step(&delete, &standing(&copy(), &owner())), [("service", Verb::DeleteCas, 9)]);
    assert_eq!(step(&delete, &nothing), []);
}

/// What another tool registered, on a node with or without an agent.
fn theirs(agent: bool) -> (Instance, BTreeMap<String, Entry>) {
    let service = Service {
        id: "10.0.0.1#80".into(),
        service: "orders".into(),
        address: "10.0.0.1".into(),
        port: 80,
        tags: vec!["sourceClusterId=c".into(), "syncSource=NACOS".into()],
        modify_index: 5,
        ..Service::default()
    };
    let check = Check { id: AGENT.into(), status: "passing".into(), ..Check::default() };
    let checks = if agent { vec![check] } else { Vec::new() };
    let entry = Entry { node: Node { node: "m".into(), address: "1.1.1.2".into() }, service, checks };
    let record = convert::read(&entry, AddressOf::Service);
    assert_eq!(&*record.mark().unwrap().owner.install, "nacos-sync");
    (record, BTreeMap::from([(entry.service.id.clone(), entry)]))
}

#[test]
fn another_tools_copy_becomes_ours_in_one_transaction() {
    let catalog = catalog();
    let (from, there) = theirs(false);
    let update = Change::Update { from: from.clone(), to: copy() };
    let steps = verbs(catalog.step(&scope(), &update, &there).unwrap());
    assert_eq!(steps, [("service", Verb::DeleteCas, 5), ("service", Verb::Cas, 0)]);
    let owner = from.mark().unwrap().owner.clone();
    let oust = Change::Delete { record: from, owner, why: Removal::Ousted };
    assert_eq!(verbs(catalog.step(&scope(), &oust, &there).unwrap()), [("service", Verb::DeleteCas, 5)]);
    // Its agent would bring it back.
    let (from, there) = theirs(true);
    for change in [Change::Update { from, to: copy() }, oust] {
        let refused = catalog.step(&scope(), &change, &there).err().map(|error| error.to_string());
        assert!(refused.is_some_and(|why| why.contains("agent of node m")), "{change:?}");
    }
}

#[test]
fn tagged_addresses_are_no_difference() {
    let text = r#"{"id":"a","addresses":{"wan":{"Address":"1.2.3.4","Port":80}}}"#;
    let payload = Payload { kind: "consul".into(), text: text.into() };
    let wanted = copy().with(|one| (one.id.slot, one.payload) = ("a".into(), Some(payload)));
    let mut there = standing(&wanted, &owner());
    let step =
        |there: &BTreeMap<String, Entry>| catalog().step(&scope(), &Change::Create(wanted.clone()), there).unwrap();
    let Step::Write { ops, .. } = step(&BTreeMap::new()) else { panic!("nothing is written") };
    assert!(!serde_json::to_string(&ops).unwrap().contains("TaggedAddresses"));
    // As a transaction leaves it.
    there.values_mut().for_each(|entry| entry.service.tagged_addresses.clear());
    assert!(matches!(step(&there), Step::Done));
}

#[test]
fn another_owner_takes_a_copy_over() {
    let other = OwnerId::new("i", "u");
    let to = copy().with(|one| one.mark = Some(Mark::new(other, Vec::new())));
    let update = Change::Update { from: copy(), to };
    let step = catalog().step(&scope(), &update, &standing(&copy(), &owner())).unwrap();
    assert_eq!(verbs(step), [("service", Verb::DeleteCas, 9), ("service", Verb::Cas, 0)]);
}

#[test]
fn transactions_are_bounded() {
    let unit = |change: usize, count: usize, size: usize| {
        let service = Service { address: "x".repeat(size), ..Service::default() };
        let op = Op::Service(ServiceOp { verb: Verb::Cas, node: "n".into(), service });
        Unit { change, ops: vec![op; count] }
    };
    let sizes = |units: Vec<Unit>| chunks(units).iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(sizes((0..130).map(|n| unit(n, 1, 0)).collect()), [64, 64, 2]);
    assert_eq!(sizes((0..70).map(|n| unit(n, 3, 0)).collect()), [21, 21, 21, 7]);
    assert_eq!(sizes((0..5).map(|n| unit(n, 1, 150 << 10)).collect()), [2, 2, 1]);
    assert_eq!(sizes(Vec::new()), [0; 0]);
}

#[test]
fn what_a_refusal_means() {
    assert!(matches!(because("failed to set service \"a\" on node \"b\", index is stale".into()), Error::Conflict));
    assert!(matches!(because("Permission denied: token lacks permission".into()), Error::Denied(_)));
    assert!(matches!(because("Invalid service address".into()), Error::Rejected(_)));
}
