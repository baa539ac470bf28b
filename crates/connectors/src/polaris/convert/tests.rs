use super::*;
use causeway_core::{ClusterId, Metadata};
use proptest::prelude::*;

fn scope() -> ServiceKey {
    ServiceKey::new("default", "DEFAULT_GROUP", "orders")
}

fn copy() -> Instance {
    let mark = Mark::new(OwnerId::new("cf3a9e01", "5d2e8a01"), vec![ClusterId::of("a"), ClusterId::of("b")]);
    Instance::new("10.0.0.1", 80).with(|one| {
        one.metadata = [("zone", "a"), ("a.b", "c")].into();
        one.mark = Some(mark);
    })
}

fn plain() -> PolarisOptions {
    PolarisOptions::default()
}

fn beating() -> PolarisOptions {
    PolarisOptions { health_checks: HealthChecks::Heartbeat, ..plain() }
}

fn native_wire() -> polaris::Instance {
    let text = |text: &str| Some(text.to_owned());
    let pairs = [("a", "b"), ("version", "1.2"), ("protocol", "grpc"), ("zone", "z1"), ("region", ""), ("campus", "")];
    polaris::Instance {
        id: text("abc"),
        host: text("10.0.0.9"),
        port: Some(9_000),
        protocol: text("grpc"),
        version: text("1.2"),
        priority: Some(3),
        weight: Some(50),
        enable_health_check: Some(true),
        health_check: Some(polaris::HealthCheck {
            r#type: 1,
            heartbeat: Some(polaris::HeartbeatHealthCheck { ttl: Some(5) }),
        }),
        healthy: Some(false),
        isolate: Some(true),
        location: Some(polaris::Location { region: None, zone: text("z1"), campus: None }),
        metadata: pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        logic_set: text("s1"),
        ..polaris::Instance::default()
    }
}

/// What a server shows of what was written. `place`: where it says that an instance stands for which no place was written: an empty
/// one on some stores, and one by its host where the server has a list of them.
fn shown(mut wire: polaris::Instance, place: Option<&str>) -> polaris::Instance {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let is_nowhere = |at: &polaris::Location| [&at.region, &at.zone, &at.campus].iter().all(|one| text(one).is_empty());
    if let Some(place) = place.filter(|_| wire.location.as_ref().is_none_or(is_nowhere)) {
        let place = Some(place.to_owned());
        wire.location = Some(polaris::Location { region: place.clone(), zone: place.clone(), campus: place });
    }
    let mut added = Vec::new();
    if let Some(at) = &wire.location {
        added.extend([("region", text(&at.region)), ("zone", text(&at.zone)), ("campus", text(&at.campus))]);
    }
    let fields = [("version", text(&wire.version)), ("protocol", text(&wire.protocol))];
    added.extend(fields.into_iter().filter(|(_, value)| !value.is_empty()));
    if wire.healthy == Some(false) {
        added.push(("internal-lastheartbeat", "1".to_owned()));
    }
    wire.metadata.extend(added.into_iter().map(|(key, value)| (key.to_owned(), value)));
    wire
}

proptest! {
    #[test]
    fn what_is_written_reads_back(
        weight in prop::sample::select(vec![0.0, 0.001, 0.33, 0.5, 1.0, 7.0, 327.67, 655.35, 10_000.0, 1e9]),
        flags: [bool; 5],
        place in prop::sample::select(vec![None, Some(""), Some("z9")]),
        pairs in proptest::collection::btree_map("zone|region|campus|version|protocol|[a-z.]{1,4}|internal-lastheartbeat", ".{0,20}", 0..8),
        born: bool,
    ) {
        let [enabled, healthy, ephemeral, lasting, beats] = flags;
        let options = if beats { beating() } else { plain() };
        let wanted = copy().with(|one| {
            (one.weight, one.enabled, one.healthy, one.ephemeral, one.lasting) = (weight, enabled, healthy, ephemeral, lasting);
            one.metadata = pairs.into();
            one.payload = if born { native(&native_wire()) } else { None };
        });
        let wanted = normalize(&scope(), wanted, &options).unwrap();
        prop_assert_eq!(normalize(&scope(), wanted.clone(), &options).unwrap(), wanted.clone());
        let wire = write(&scope(), &wanted, &options).unwrap();
        let stands = shown(wire, place);
        prop_assert_eq!(read(&stands, &options).unwrap(), wanted);
    }

    #[test]
    fn whole_weights_survive_both_ways(stands in 0_u32..=32_767) {
        let read = weight(stands, None);
        prop_assert_eq!(whole(read), stands);
    }
}

#[test]
fn a_native_instance_is_read_without_what_the_server_adds() {
    let record = read(&native_wire(), &plain()).unwrap();
    assert_eq!(record.metadata, Metadata::from([("a", "b")]));
    assert_eq!((record.weight, record.enabled, record.healthy, record.mark()), (0.5, false, false, None));
    let native = native_of(&record).unwrap();
    assert_eq!((&*native.protocol, &*native.version, native.priority, native.ttl), ("grpc", "1.2", 3, 5));
    assert_eq!((&*native.zone, &*native.logic_set), ("z1", "s1"));
    // Where no field says it, it is the instance's own.
    let own = polaris::Instance { version: None, location: None, ..native_wire() };
    let keys = read(&own, &plain()).unwrap().metadata.clone();
    assert_eq!(keys.keys().collect::<Vec<_>>(), ["a", "campus", "region", "version", "zone"]);
    let wanted = PolarisOptions { fields_in_metadata: true, ..plain() };
    let all = read(&native_wire(), &wanted).unwrap().metadata.clone();
    assert_eq!(all, Metadata::from([("a", "b"), ("version", "1.2"), ("protocol", "grpc"), ("zone", "z1")]));
}

#[test]
fn a_copy_in_another_polaris_has_all_fields_again() {
    let mark = copy().mark.clone();
    let record = read(&native_wire(), &plain()).unwrap().with(|one| one.mark = mark);
    let wire = write(&scope(), &record, &plain()).unwrap();
    let there = native_wire();
    assert_eq!((&wire.protocol, &wire.version, wire.priority), (&there.protocol, &there.version, there.priority));
    assert_eq!((wire.weight, wire.healthy, wire.isolate), (there.weight, there.healthy, there.isolate));
    assert_eq!(wire.logic_set, there.logic_set);
    assert_eq!(wire.location.as_ref().unwrap().zone.as_deref(), Some("z1"));
    assert_eq!(wire.enable_health_check, Some(false), "nothing beats for it");
    // And read from there, its birthplace's words are there for a third one.
    assert_eq!(native_of(&read(&shown(wire, Some("")), &plain()).unwrap()), native_of(&record));
}

#[test]
fn heartbeats_are_for_the_healthy_and_only_where_they_are_asked_for() {
    let sick = read(&native_wire(), &plain()).unwrap().with(|one| one.mark = copy().mark.clone());
    let well = sick.clone().with(|one| one.healthy = true);
    assert_eq!((beat_interval(&well, &plain()), beat_interval(&sick, &beating())), (None, None));
    assert_eq!(beat_interval(&well, &beating()), Some(5));
    assert_eq!(beat_interval(&copy(), &beating()), None, "it needs none where it was born");
    let wire = write(&scope(), &well, &beating()).unwrap();
    assert_eq!((wire.enable_health_check, wire.healthy), (Some(true), Some(true)));
    assert_eq!(governed(&sick, &well, &beating()), Some(Governed::Health));
    assert_eq!(governed(&sick, &well, &plain()), None);
}

#[test]
fn a_normal_weight_stays_normal() {
    let wire = |weight: f64| write(&scope(), &copy().with(|one| one.weight = weight), &plain()).unwrap().weight;
    assert_eq!([1.0, 0.5, 0.0, 0.001, 2.0].map(wire), [100, 50, 0, 1, 200].map(Some));
    // The heaviest of a store on MySQL; a copy has its own again.
    let heavy = write(&scope(), &copy().with(|one| one.weight = 655.35), &plain()).unwrap();
    assert_eq!((heavy.weight, read(&heavy, &plain()).unwrap().weight), (Some(32_767), 655.35));
    // An operator's change beside an exact weight counts.
    assert_eq!((weight(1, Some("0.001")), weight(30, Some("0.001"))), (0.001, 0.3));
}

#[test]
fn the_places_in_metadata_are_where_it_stands() {
    let wire = write(&scope(), &copy(), &plain()).unwrap();
    assert_eq!(wire.location.unwrap().zone.as_deref(), Some("a"));
    // Longer than a store holds.
    let long = copy().with(|one| one.metadata = [("zone", "z".repeat(129)), ("region", "r".into())].into());
    let at = write(&scope(), &long, &plain()).unwrap().location.unwrap();
    assert_eq!((at.region.as_deref(), at.zone.as_deref()), (Some("r"), Some("")));
    let bare = copy().with(|one| one.metadata.clear());
    assert_eq!(write(&scope(), &bare, &plain()).unwrap().location, None);
}

#[test]
fn copies_of_other_tools_are_copies() {
    let with = |pairs: &[(&str, &str)]| {
        let metadata = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let wire = polaris::Instance { metadata, ..native_wire() };
        read(&wire, &plain()).unwrap().mark().map(|mark| mark.owner.to_string())
    };
    assert_eq!(with(&[("__sync__", "nacos-a")]).as_deref(), Some("polaris-sync/nacos-a"));
    assert_eq!(with(&[("sourceClusterId", "1"), ("syncSource", "NACOS")]).as_deref(), Some("nacos-sync/1"));
    assert_eq!(with(&[("__sync__", ""), ("syncSource", "x")]), None);
}

#[test]
fn a_copy_whose_mark_was_written_over_is_still_ours() {
    let mut wire = write(&scope(), &copy(), &plain()).unwrap();
    wire.metadata.insert(MARK.to_owned(), "written over".to_owned());
    let read = read(&wire, &plain()).unwrap();
    assert_eq!(read.mark(), Some(&Mark::new(OwnerId::new("cf3a9e01", "5d2e8a01"), Vec::new())));
    assert_eq!(read.metadata, Metadata::from([("zone", "a"), ("a.b", "c"), ("causeway", "written over")]));
}

#[test]
fn what_cannot_be_held_is_refused_with_the_reason() {
    let why = |record: Instance| normalize(&scope(), record, &plain()).unwrap_err();
    let host = |host: &str| copy().with(|one| one.id.endpoint.host = host.into());
    assert!(why(host("")).contains("address"));
    assert!(why(host("a b")).contains("address"));
    assert!(why(host(&"a".repeat(129))).contains("129 characters"));
    assert!(why(copy().with(|one| one.weight = f64::NAN)).contains("weight"));
    let long = (0..64).map(|n| (format!("k{n}"), "x".repeat(9_000)));
    assert!(why(copy().with(|one| one.metadata = long.collect())).contains("characters, and"));
    assert_eq!(normalize(&scope(), copy().with(|one| one.id.slot = "c1".into()), &plain()).unwrap().id.slot, "".into());
    assert!(read(&polaris::Instance { port: Some(70_000), ..native_wire() }, &plain()).is_none());
    assert!(read(&polaris::Instance { host: None, ..native_wire() }, &plain()).is_none());
}
