//! What becomes of names, in tables.

use super::*;

const AS_GIVEN: Spell<'static> = &|given| given;

fn lenses(task: &str) -> Lenses {
    between("MEMORY", "MEMORY", task)
}

/// Those of a two-way task between clusters of these kinds, which may be followed by more keys.
fn between(source: &str, destination: &str, task: &str) -> Lenses {
    let text = format!(
        "clusters: [{{clusterName: a, connectKeyList: [a], clusterType: {source}}}, \
         {{clusterName: b, connectKeyList: [b], clusterType: {destination}}}]\n\
         tasks: [{{source: a, destination: b, mode: Bidirectional, {task}}}]"
    );
    let kinds = causeway_connectors::kinds();
    let read = settings::parse("t", &text, &settings::FixedEnv::default(), &kinds);
    Lenses::of(&read.unwrap_or_else(|problems| panic!("{problems}")).tasks[0])
}

#[test]
fn rules_of_configuration_say_nothing_of_services() {
    let select = "select: {include: [{path: /a}, {namespace: b}], exclude: [{path: '.*', namespace: b}]}";
    let there = between("ZK", "ZK", &format!("type: All, {select}")).there;
    assert_eq!(there.scope(&ServiceKey::new("b", "g", "s"), AS_GIVEN), Some(ServiceKey::new("b", "g", "s")));
    assert_eq!(there.scope(&ServiceKey::new("c", "g", "s"), AS_GIVEN), None);
    let all = between("ZK", "ZK", "type: All, select: {include: [{path: /a}]}").there;
    assert!(all.scope(&ServiceKey::new("public", "g", "s"), AS_GIVEN).is_some());
}

#[test]
fn namespaces_between_kinds() {
    type Way = &'static [(&'static str, Option<&'static str>)];
    let table: [(&str, &str, &str, Way, Way); 10] = [
        ("ZK", "ZK", "", &[("public", Some("public"))], &[("public", Some("public"))]),
        ("ZK", "MEMORY", "", &[("public", Some("public"))], &[("public", Some("public")), ("dev", None)]),
        (
            "ZK",
            "MEMORY, namespace: dev",
            "",
            &[("public", Some("dev"))],
            &[("dev", Some("public")), ("public", None), ("prod", None)],
        ),
        (
            "ZK",
            "MEMORY, namespace: 'dev,prod'",
            "map: {namespace: {public: prod}}",
            &[("public", Some("prod"))],
            &[("prod", Some("public")), ("public", None), ("dev", None)],
        ),
        (
            "ZK",
            "MEMORY",
            "map: {namespace: 'zk-{namespace}'}",
            &[("public", Some("zk-public"))],
            &[("zk-public", Some("public")), ("zk-dev", None), ("public", None)],
        ),
        ("ZK", "MEMORY, namespace: '{x}'", "", &[("public", Some("{x}"))], &[("{x}", Some("public")), ("x", None)]),
        ("MEMORY, namespace: dev", "ZK", "", &[("dev", Some("public"))], &[("public", Some("dev"))]),
        ("MEMORY", "ZK", "", &[("public", Some("public")), ("dev", Some("dev"))], &[("public", Some("public"))]),
        (
            "MEMORY, namespace: 'dev,public'",
            "ZK",
            "",
            &[("public", Some("public")), ("dev", Some("dev"))],
            &[("public", Some("public"))],
        ),
        (
            "MEMORY, namespace: 'dev,public'",
            "ZK",
            "map: {namespace: {dev: public, public: other}}",
            &[("dev", Some("public")), ("public", Some("other"))],
            &[("public", Some("dev")), ("other", Some("public"))],
        ),
    ];
    for (source, destination, task, there, back) in table {
        let lenses = between(source, destination, task);
        let ways = [(lenses.there, there), (lenses.back.unwrap(), back)];
        for (n, (lens, way)) in ways.into_iter().enumerate() {
            for (from, to) in way {
                let scope = lens.scope(&ServiceKey::new(from, "g", "s"), AS_GIVEN);
                let want = to.map(|to| ServiceKey::new(to, "g", "s"));
                assert_eq!(scope, want, "{source} to {destination}, {task}: {n} {from}");
                let instance = Instance::new("127.0.0.1", 1);
                let record = lens.record(&ServiceKey::new(from, "g", "s"), &instance, AS_GIVEN).possible();
                assert_eq!(record.is_some(), to.is_some(), "{source} to {destination}, {task}: {n} {from}");
                if let Some(to) = to {
                    assert_eq!(lens.part(&Part::new(from)), Part::new(to));
                }
            }
        }
    }
}

#[test]
fn a_namespace_that_is_named_by_its_display_name_becomes_public() {
    // The settings say `dev`; the namespace's id is what comes.
    let lenses = between("MEMORY, namespace: dev", "ZK", "");
    let id = "7d2a1c0e";
    assert_eq!(lenses.there.part(&Part::new(id)), Part::new("public"));
    assert!(lenses.there.renames() && lenses.back.unwrap().renames());
    // Nothing is renamed where both sides have `public` only.
    assert!(!between("ZK", "MEMORY", "").there.renames());
}

#[test]
fn the_way_back_undoes_the_way_there() {
    let table = lenses("map: {namespace: {dev: test}, service: 'x-{service}'}, serviceMatchPattern: 'o.*'");
    let back = table.back.unwrap();
    let here = ServiceKey::new("dev", "g", "orders");
    let there = table.there.scope(&here, AS_GIVEN).unwrap();
    assert_eq!(there, ServiceKey::new("test", "g", "x-orders"));
    assert_eq!(back.scope(&there, AS_GIVEN), Some(here));
    assert_eq!(back.part(&Part::new("test")), Part::new("dev"));
    for (other, why) in [
        (ServiceKey::new("test", "g", "orders"), "has no prefix"),
        (ServiceKey::new("dev", "g", "x-orders"), "its namespace is renamed away"),
        (ServiceKey::new("test", "g", "x-pay"), "does not match"),
    ] {
        assert_eq!(back.scope(&other, AS_GIVEN), None, "{why}");
    }
}

#[test]
fn metadata_keys_are_named_back() {
    let lenses = lenses("map: {metadata: {rename: {ver: version}, add: {from: a}, drop: [debug]}}");
    let mut instance = Instance::new("127.0.0.1", 1);
    instance.metadata = [("version", "1"), ("debug", "x")].into();
    let copy =
        lenses.back.unwrap().record(&ServiceKey::new("public", "g", "s"), &instance, AS_GIVEN).possible().unwrap();
    let pairs: Vec<_> = copy.metadata.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(pairs, ["debug=x", "ver=1"]);
}

#[test]
fn a_service_on_which_a_pattern_gives_up_is_refused_both_ways() {
    let name = "a".repeat(60);
    for filter in [
        "serviceMatchPattern: '(a+)+\\1b'",
        "select: {include: [{service: '(a+)+\\1b'}]}",
        "select: {exclude: [{service: '(a+)+\\1b'}]}",
    ] {
        let lenses = lenses(filter);
        let key = ServiceKey::new("public", "g", &name);
        for lens in [lenses.there, lenses.back.unwrap()] {
            assert_eq!(lens.scope(&key, AS_GIVEN), Some(key.clone()), "{filter}: it has to be seen to be refused");
            let choice = lens.record(&key, &Instance::new("127.0.0.1", 1), AS_GIVEN);
            let Choice::Undecided(_, why) = choice else { panic!("{filter}: {choice:?}") };
            assert!(why.to_string().contains(&name) && why.to_string().contains("(a+)+"), "{why}");
        }
    }
}

#[test]
fn the_case_of_names_between_kinds() {
    let spell = |given: ServiceKey| {
        let known = if &*given.name == "orders" { "Orders" } else { &given.name };
        ServiceKey::new("public", "g", known)
    };
    type Way = &'static [(&'static str, Option<&'static str>)];
    let table: [(&str, &str, &str, Way, Way); 9] = [
        (
            "EUREKA",
            "MEMORY",
            "serviceMatchPattern: 'O.*'",
            &[("ORDERS", Some("orders")), ("PAY", None)],
            &[("orders", Some("ORDERS")), ("Orders", Some("ORDERS")), ("pay", None)],
        ),
        ("EUREKA", "MEMORY", "nameCase: keep", &[("ORDERS", Some("ORDERS"))], &[("orders", Some("ORDERS"))]),
        (
            "EUREKA",
            "MEMORY",
            "map: {service: {orders: Shop}}",
            &[("ORDERS", Some("Shop")), ("SHOP", Some("shop"))],
            &[("Shop", Some("ORDERS")), ("orders", None)],
        ),
        ("EUREKA", "EUREKA", "", &[("ORDERS", Some("ORDERS"))], &[("ORDERS", Some("ORDERS"))]),
        (
            "MEMORY",
            "EUREKA",
            "serviceMatchPattern: '[Op].*'",
            &[("Orders", Some("Orders"))],
            &[("ORDERS", Some("Orders")), ("PAY", Some("pay")), ("STOCK", None)],
        ),
        ("MEMORY", "EUREKA", "nameCase: upper", &[("pay", Some("pay"))], &[("PAY", Some("PAY"))]),
        (
            "MEMORY",
            "EUREKA",
            "map: {service: 'X-{service}'}",
            &[("Orders", Some("X-Orders"))],
            &[("X-ORDERS", Some("Orders")), ("X-PAY", Some("pay")), ("PAY", None)],
        ),
        (
            "MEMORY",
            "EUREKA",
            "map: {service: {orders: ORDERS, Stock: shop}}",
            &[("orders", Some("ORDERS")), ("Stock", Some("shop"))],
            &[("ORDERS", Some("orders")), ("SHOP", Some("Stock")), ("STOCK", None)],
        ),
        (
            "MEMORY",
            "MEMORY",
            "nameCase: lower",
            &[("Orders", Some("orders"))],
            &[("orders", Some("Orders")), ("PAY", Some("pay"))],
        ),
    ];
    for (source, destination, task, there, back) in table {
        let lenses = between(source, destination, task);
        for (lens, way) in [(lenses.there, there), (lenses.back.unwrap(), back)] {
            for (from, to) in way {
                let scope = lens.scope(&ServiceKey::new("public", "g", from), &spell);
                let want = to.map(|to| ServiceKey::new("public", "g", to));
                assert_eq!(scope, want, "{source} to {destination}, {task}: {from}");
            }
        }
    }
}

#[test]
fn services_are_divided_into_groups_where_the_destination_has_a_place_for_each() {
    let groups = |source: &str, destination: &str, task: &str| {
        let text = format!(
            "clusters: [{{clusterName: src, connectKeyList: [a], clusterType: {source}}}, \
             {{clusterName: gate, connectKeyList: [b], clusterType: {destination}}}]\n\
             tasks: [{{source: src, destination: gate, {task}}}]"
        );
        let kinds = causeway_connectors::kinds();
        let read = settings::parse("t", &text, &settings::FixedEnv::default(), &kinds);
        let lens = Lenses::of(&read.unwrap_or_else(|problems| panic!("{problems}")).tasks[0]).there;
        let scope = lens.scope(&ServiceKey::new("public", "G", "s"), AS_GIVEN).unwrap();
        let scopes = lens.grouping().map(|grouping| {
            let scopes = grouping.scopes(&scope);
            scopes.map(|(scope, group)| format!("{scope} {:?}", group.metadata)).collect::<Vec<_>>()
        });
        (scopes, lens.renames())
    };
    let texts = |all: &[&str]| (Some(all.iter().map(|&text| text.to_owned()).collect::<Vec<_>>()), true);
    let two = "groups: [{name: v1, metadata: {version: '1'}}, {name: v2, upstreamName: 'x-{service}'}]";
    assert_eq!(groups("MEMORY", "MEMORY", "type: Service"), (None, false));
    assert_eq!(groups("MEMORY", "KONG", "type: Service"), texts(&["public/default/src.public.G__s {}"]));
    assert_eq!(
        groups("NACOS", "KONG", two),
        texts(&[
            "public/default/src.empty_ns.G__s {}",
            "public/v1/src.empty_ns.G__s {\"version\": \"1\"}",
            "public//x-s {}",
        ])
    );
    assert_eq!(
        groups(
            "NACOS",
            "KONG",
            "map: {namespace: {public: prod}, group: DEFAULT_GROUP, service: 'x-{service}'}, groups: [{name: default, metadata: {a: b}}]"
        ),
        texts(&["prod/default/src.prod.x-s {\"a\": \"b\"}"])
    );
    // Every namespace takes part, whatever the kind of the source.
    let lens = |source: &str| {
        let text = format!(
            "clusters: [{{clusterName: src, connectKeyList: [a], clusterType: {source}}}, {{clusterName: k, connectKeyList: [b], \
             clusterType: KONG}}]\ntasks: [{{source: src, destination: k}}]"
        );
        settings::parse("t", &text, &settings::FixedEnv::default(), &causeway_connectors::kinds()).unwrap()
    };
    for source in ["NACOS, namespace: 'dev,prod'", "CONSUL", "EUREKA", "ZK"] {
        let read = lens(source);
        assert_eq!((read.warnings.len(), &read.tasks[0].namespaces), (0, &Namespaces::Each), "{source}");
    }
}
