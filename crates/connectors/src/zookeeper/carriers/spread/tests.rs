use super::*;

const LIMITS: SessionLimits = SessionLimits { path_bytes: 1000, idle: Duration::from_secs(60) };

fn path(n: usize, length: usize) -> String {
    format!("/{n:0>width$}", width = length - 1)
}

fn assign(spread: &mut Spread, path: &str) -> SessionSlot {
    spread.assign(path).unwrap_or_else(|| {
        spread.add();
        spread.assign(path).unwrap()
    })
}

/// A number that looks random.
fn random(seed: &mut u64) -> usize {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    usize::try_from(*seed >> 40).unwrap()
}

fn check(spread: &Spread) {
    for (slot, held) in &spread.slots {
        let sum: usize = held.paths.iter().map(|path| spread.size(path)).sum();
        assert_eq!(sum, held.bytes, "slot {slot}");
        assert!(held.bytes <= spread.most() || held.paths.len() == 1, "slot {slot}: {}", held.bytes);
        assert!(held.paths.iter().all(|path| spread.of[path] == *slot));
        assert_eq!(held.paths.is_empty(), held.empty.is_some());
    }
    assert_eq!(spread.total, spread.slots.values().map(|held| held.bytes).sum::<usize>());
    assert_eq!(spread.of.len(), spread.slots.values().map(|held| held.paths.len()).sum::<usize>());
}

#[test]
fn nothing_new_is_assigned_to_a_session_that_is_away() {
    let mut spread = Spread::new(LIMITS, 1, 0);
    let other = spread.add();
    assert_eq!(spread.assign(&path(1, 300)), Some(MAIN));
    spread.away(MAIN, true);
    assert_eq!((spread.assign(&path(1, 300)), spread.assign(&path(2, 300))), (Some(MAIN), Some(other)));
    spread.away(MAIN, false);
    assert_eq!(spread.assign(&path(3, 300)), Some(MAIN));
}

#[test]
fn no_session_exceeds_its_bound_and_no_path_moves() {
    for servers in [1, 3] {
        let (mut spread, mut seed) = (Spread::new(LIMITS, servers, 7), 42);
        let mut known = BTreeMap::new();
        for n in 0..20_000 {
            let path = path(random(&mut seed) % 3000, 20 + n % 5 * 30);
            if random(&mut seed).is_multiple_of(3) {
                spread.release(&path);
                known.remove(&path);
            } else {
                let slot = assign(&mut spread, &path);
                assert_eq!(*known.entry(path).or_insert(slot), slot);
            }
        }
        check(&spread);
        assert!(known.iter().all(|(path, slot)| spread.slot(path) == Some(*slot)));
    }
}

#[test]
fn a_session_may_hold_more_when_there_are_many() {
    // 100 bytes each.
    let counts = |paths: usize, servers: usize| {
        let mut spread = Spread::new(LIMITS, servers, 0);
        for n in 0..paths {
            assign(&mut spread, &path(n, 96));
        }
        check(&spread);
        let fullest = spread.slots.values().map(|held| held.bytes).max().unwrap();
        (spread.slots.len(), fullest)
    };
    assert_eq!(counts(10, 1), (1, 1000));
    assert_eq!(counts(160, 1), (16, 1000));
    assert_eq!(counts(300, 1), (20, 1500));
    assert_eq!(counts(480, 1), (24, 2000));
    assert_eq!(counts(480, 3), (48, 1000));
    assert_eq!(counts(1000, 1), (50, 2000));
}

#[test]
fn freed_bytes_are_used_again() {
    let mut spread = Spread::new(LIMITS, 3, 0);
    for n in 0..100 {
        assign(&mut spread, &path(n, 96));
    }
    assert_eq!(spread.slots.len(), 10);
    for round in 1..50 {
        (0..100).filter(|n| n % 7 == round % 7).for_each(|n| spread.release(&path(n, 96)));
        (0..100).filter(|n| n % 7 == round % 7).for_each(|n| assert!(assign(&mut spread, &path(n, 96)) < 10));
    }
    assert_eq!(spread.slots.len(), 10);
    check(&spread);
}

#[test]
fn one_that_is_too_long_has_a_session_to_itself() {
    let mut spread = Spread::new(LIMITS, 1, 0);
    let small = assign(&mut spread, &path(1, 96));
    let large = assign(&mut spread, &path(2, 5000));
    assert!(small == MAIN && large != MAIN);
    assert_eq!(assign(&mut spread, &path(3, 96)), MAIN);
    check(&spread);
    assert_eq!(spread.overfull(), None);
}

#[test]
fn what_outgrew_a_session_leaves_it() {
    let mut spread = Spread::new(LIMITS, 3, 0);
    spread.own(7, MAIN);
    (0..100).for_each(|n| spread.seen(&path(n, 96), Some(7)));
    assert_eq!(spread.overfull(), Some(MAIN));
    let mut steps = 0;
    loop {
        let some = spread.excess(MAIN, 16);
        if some.is_empty() {
            break;
        }
        steps += 1;
        for path in some {
            while spread.reassign(&path).is_none() {
                spread.add();
            }
        }
    }
    assert_eq!((steps, spread.slots[&MAIN].bytes, spread.slots.len()), (6, 1000, 10));
    check(&spread);
}

#[test]
fn a_lost_sessions_paths_are_assigned_anew() {
    let mut spread = Spread::new(LIMITS, 3, 0);
    spread.own(7, MAIN);
    let second = (0..20).map(|n| assign(&mut spread, &path(n, 96))).max().unwrap();
    spread.own(8, second);
    assert_eq!(spread.dissolve(second).len(), 10);
    assert!(spread.is_own(8) && spread.slot_of(8).is_none() && spread.slot_of(7) == Some(MAIN));
    spread.seen(&path(15, 96), Some(8));
    assert_eq!(spread.slot(&path(15, 96)), None);
    let third = assign(&mut spread, &path(15, 96));
    assert!(third != second && third != MAIN);
    // The servers know better.
    spread.seen(&path(15, 96), Some(7));
    assert_eq!(spread.slot(&path(15, 96)), Some(MAIN));
    check(&spread);
}

#[test]
fn with_no_further_session_those_that_there_are_take_more() {
    let mut spread = Spread::new(LIMITS, 3, 0);
    for n in 0..10 {
        spread.assign(&path(n, 96));
    }
    assert_eq!(spread.assign(&path(10, 96)), None);
    spread.refuse(true);
    assert!((10..20).all(|n| spread.assign(&path(n, 96)) == Some(MAIN)));
    assert_eq!(spread.assign(&path(20, 96)), None);
    let load = spread.report().remove(0);
    assert_eq!((load.records, load.bytes, load.limit), (20, 2000, 2000));
}
