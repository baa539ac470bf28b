use super::*;
use proptest::prelude::*;

fn key(n: usize) -> ServiceKey {
    ServiceKey::new("n", "g", &format!("s{n}"))
}

fn set(count: u16) -> Instances {
    (0..count).map(|port| WireInstance::new("127.0.0.1", port)).collect()
}

/// Room for so many instances of one service.
fn room(instances: u16) -> usize {
    size::service(&key(0)) + set(instances).iter().map(|one| size::instance(&key(0), one)).sum::<usize>()
}

/// Does what is left to do, and says on how many connections the service is then.
fn settle(layout: &mut ConnectionLayout, key: &ServiceKey) -> usize {
    let mut steps = 0;
    while layout.next(key) != Next::Done {
        layout.advance(key);
        steps += 1;
        assert!(steps < 4, "no end");
    }
    layout.services.get(key).map_or(0, |service| service.held.len())
}

/// The number of connections that hold something.
fn used(layout: &ConnectionLayout) -> usize {
    layout.loads().filter(|(_, load)| load.services > 0).count()
}

#[test]
fn services_fill_one_connection_after_the_other() {
    let mut layout = ConnectionLayout::new(room(40));
    for n in 0..12 {
        assert_eq!(layout.want(&key(n), set(10)).len(), 1);
        assert_eq!(layout.next(&key(n)), Next::Done);
    }
    // Three quarters of 40 are free for new services, and each service takes a little beside its instances.
    assert_eq!(used(&layout), 6);
    assert!(layout.loads().all(|(_, load)| load.bytes <= room(40)));
}

#[test]
fn what_is_freed_is_used_again() {
    let mut layout = ConnectionLayout::new(room(40));
    (0..6).for_each(|n| drop(layout.want(&key(n), set(20))));
    assert_eq!(used(&layout), 6);
    let gone = layout.want(&key(2), set(0));
    assert_eq!((gone.len(), gone[0].set.len()), (1, 0));
    assert_eq!(layout.want(&key(7), set(20))[0].connection, gone[0].connection);
    assert!(!layout.close(gone[0].connection));
    layout.want(&key(7), set(0));
    assert!(layout.close(gone[0].connection));
}

#[test]
fn a_service_that_outgrows_its_connection_is_published_elsewhere_first() {
    let mut layout = ConnectionLayout::new(room(40));
    layout.want(&key(0), set(14));
    let home = layout.want(&key(1), set(14))[0].connection;
    // Room for its growth, then none.
    assert_eq!(layout.want(&key(1), set(20)), [ConnectionSet { connection: home, set: set(20) }]);
    let wishes = layout.want(&key(1), set(35));
    assert_eq!(wishes.len(), 2);
    let (old, new) = (&wishes[0], &wishes[1]);
    // What stands is not moved; what is new is at its new home at once.
    assert_eq!((old.connection, old.set.len(), new.set.len()), (home, 20, 15));
    assert_eq!(layout.next(&key(1)), Next::Add);
    let added = layout.advance(&key(1));
    assert_eq!((added[0].set.len(), added[1].set.len()), (20, 35));
    assert_eq!(layout.next(&key(1)), Next::Drop(BTreeSet::from([new.connection])));
    let dropped = layout.advance(&key(1));
    assert_eq!((dropped[0].set.len(), dropped[1].set.len()), (0, 35));
    assert_eq!(layout.next(&key(1)), Next::Done);
    assert!(layout.loads().all(|(_, load)| load.bytes <= room(40)));
}

#[test]
fn only_a_service_larger_than_the_bound_is_split() {
    let mut layout = ConnectionLayout::new(room(100));
    layout.want(&key(0), set(95));
    assert_eq!(settle(&mut layout, &key(0)), 1);
    layout.want(&key(0), set(350));
    let split = settle(&mut layout, &key(0));
    assert!((4..=8).contains(&split), "{split}");
    assert!(layout.loads().all(|(_, load)| load.bytes <= room(100)));
    // Small again, it is on one connection again.
    layout.want(&key(0), set(20));
    assert_eq!(settle(&mut layout, &key(0)), 1);
    assert_eq!(used(&layout), 1);
}

#[test]
fn an_instance_stays_where_it_is_while_others_come_and_go() {
    let mut layout = ConnectionLayout::new(room(100));
    layout.want(&key(0), set(350));
    settle(&mut layout, &key(0));
    let before = layout.services[&key(0)].held.clone();
    layout.want(&key(0), set(330));
    assert_eq!(layout.next(&key(0)), Next::Done);
    for (number, held) in &layout.services[&key(0)].held {
        let known = ids(&before[number]);
        assert!(held.iter().all(|one| known.contains(&id(one))));
    }
}

#[test]
fn a_record_larger_than_the_bound_has_a_connection() {
    let mut layout = ConnectionLayout::new(1);
    for _ in 0..3 {
        assert_eq!(layout.want(&key(0), set(1)).len(), 1);
        assert_eq!(layout.next(&key(0)), Next::Done);
        assert_eq!(used(&layout), 1);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Want(usize, u16),
    Advance(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..8_usize, 0..60_u16).prop_map(|(n, count)| Step::Want(n, count)),
        (0..8_usize).prop_map(Step::Advance),
    ];
    prop::collection::vec(step, 1..60)
}

proptest! {
    /// Whatever is asked for: every record is on some connection at every moment and was never without one, loads are
    /// what is held, no connection is over the bound once all is at rest, and a service that fits is on one.
    #[test]
    fn nothing_is_lost_and_no_bound_is_passed(steps in steps()) {
        let mut layout = ConnectionLayout::new(room(30));
        let mut wanted: BTreeMap<usize, u16> = BTreeMap::new();
        // As the servers have it: what each connection was told last.
        let mut told: BTreeMap<(ConnectionNumber, usize), Instances> = BTreeMap::new();
        for step in steps {
            let (n, wishes, before) = match step {
                Step::Want(n, count) => {
                    let before = wanted.insert(n, count).unwrap_or_default().min(count);
                    (n, layout.want(&key(n), set(count)), before)
                }
                Step::Advance(n) => (n, layout.advance(&key(n)), wanted.get(&n).copied().unwrap_or_default()),
            };
            let connections: BTreeSet<_> = wishes.iter().map(|wish| wish.connection).collect();
            prop_assert_eq!(connections.len(), wishes.len());
            // In whatever order they arrive, no record that stays is ever missing: each is kept by some connection.
            let kept = set(before);
            for one in kept.iter() {
                let stays = |number: ConnectionNumber, after: Option<&Instances>| {
                    let before = told.get(&(number, n)).map(ids).unwrap_or_default();
                    before.contains(&id(one)) && after.is_none_or(|after| ids(after).contains(&id(one)))
                };
                let touched = wishes.iter().any(|wish| stays(wish.connection, Some(&wish.set)));
                let numbers = told.keys().filter(|(_, service)| *service == n).map(|(number, _)| *number);
                let untouched = numbers.filter(|number| !connections.contains(number)).any(|number| stays(number, None));
                prop_assert!(touched || untouched, "{:?} is without a connection for a moment", id(one));
            }
            for wish in wishes {
                told.insert((wish.connection, n), wish.set);
            }
        }
        for n in 0..8 {
            let connections = settle(&mut layout, &key(n));
            let count = wanted.get(&n).copied().unwrap_or_default();
            if count > 0 && count <= 14 {
                prop_assert_eq!(connections, 1);
            }
            let held: usize = layout.services.get(&key(n)).map_or(0, |s| s.held.values().map(|set| set.len()).sum());
            prop_assert_eq!(held, usize::from(count));
        }
        for (number, load) in layout.loads() {
            prop_assert!(load.bytes <= room(30), "{number}: {load:?}");
        }
        let records: usize = layout.loads().map(|(_, load)| load.records).sum();
        prop_assert_eq!(records, wanted.values().map(|count| usize::from(*count)).sum::<usize>());
    }
}
