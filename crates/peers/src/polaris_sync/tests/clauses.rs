//! Names, words, durations, checks: each as its own reader takes it, or as it should have.

use super::*;
use std::time::Duration;

fn nacos() -> String {
    end("a", "nacos", "h:1")
}

fn polaris() -> String {
    end("b", "polaris", "h:2")
}

#[test]
fn what_is_not_enabled_does_not_count_and_is_not_checked() {
    let converted = convert(r#"{"tasks": [{"name": "t", "source": {"name": ""}}, {}]}"#);
    assert!(converted.settings.tasks.is_empty() && converted.unsupported.is_empty(), "`enable` is false by default");
    let text = one_task(&nacos(), &polaris(), ALL);
    assert!(convert(&text.replace("true, \"source", "false, \"source")).settings.tasks.is_empty());
    assert_eq!(convert(&text.replace("true, \"source", "\"true\", \"source")).settings.tasks.len(), 1);
}

#[test]
fn names_are_taken_only_as_they_are_defined() {
    let text = one_task(&nacos(), &polaris(), ALL);
    for (from, to, says) in [
        (
            "\"name\": \"a\",",
            "\"name\": \"a\", \"productName\": \"p\",",
            "tasks[0].source.productName: this name is not known here; write `product_name`",
        ),
        ("\"methods\"", "\"healthCheck\": {}, \"methods\"", "write `health_check`"),
        (
            "\"service\": \"*\"",
            "\"service\": \"*\", \"groups\": [{\"name\": \"g\", \"upstream_name\": \"u\"}]",
            "write `upstreamName`",
        ),
        ("\"enable\": true, \"source", "\"Enable\": true, \"source", "write `enable`"),
        ("\"match\"", "\"matches\": [], \"match\"", "take it out; known here are name, enable"),
    ] {
        let errors = refused(&text.replace(from, to));
        assert!(errors.len() == 1 && errors[0].contains(says), "{errors:?}");
    }
    let fine = text.replace("\"name\": \"a\",", "\"name\": \"a\", \"product_name\": \"p\",");
    assert_eq!(convert(&fine).rows[0].detail, "p");
}

#[test]
fn words_and_their_numbers() {
    let text = |kind: &str| one_task(&nacos().replace("\"nacos\"", kind), &polaris(), ALL);
    for kind in ["\"nacos\"", "1", "\"1\""] {
        assert_eq!(convert(&text(kind)).settings.clusters[0].kind, "nacos", "{kind}");
    }
    for kind in ["\"NACOS\"", "\"nacoss\"", "17", "true"] {
        assert!(
            refused(&text(kind))[0].contains("is not a word for this; write one of `nacos`, `consul`, `polaris`"),
            "{kind}"
        );
    }
    for kind in ["0", "\"unknown\"", "\"\"", "null"] {
        assert!(!refused(&text(kind)).is_empty(), "{kind}");
    }
    // Kinds of ours that the form has no word for.
    let converted = convert(&text("\"eureka\""));
    assert!(converted.warnings[0].message.contains("polaris-sync itself does not know"), "{:?}", converted.warnings);
}

#[test]
fn a_duration_that_cannot_be_read_is_the_default_and_a_warning() {
    let pull = |interval: &str| {
        let text = one_task(&nacos(), &polaris(), ALL);
        let method = format!(r#"{{"type": "pull", "enable": true{interval}}}"#);
        let converted = convert(&text.replace(r#"{"type": "watch", "enable": true}"#, &method));
        (
            converted.settings.tasks[0].pull_interval.unwrap(),
            converted.warnings.into_iter().map(|w| w.message).collect::<Vec<_>>(),
        )
    };
    for (interval, seconds) in [
        ("", 300),
        (", \"interval\": \"60s\"", 60),
        (", \"interval\": \"2000\"", 2),
        (", \"interval\": 3000", 3),
        (", \"interval\": \"1H\"", 3600),
    ] {
        assert_eq!(pull(interval), (Duration::from_secs(seconds), Vec::new()), "{interval}");
    }
    let (found, warnings) = pull(", \"interval\": \"1.5m\"");
    assert_eq!(found, Duration::from_secs(300));
    assert_eq!(warnings, ["`1.5m` is not a duration: the default of 5m counts"]);
    // Somebody who wrote 5 meant seconds.
    let (found, warnings) = pull(", \"interval\": \"5\"");
    assert_eq!((found, warnings.len()), (Duration::from_millis(100), 1));
}

#[test]
fn watching_and_pulling() {
    let text = one_task(&nacos(), &polaris(), ALL);
    let methods = |methods: &str| text.replace(r#"[{"type": "watch", "enable": true}]"#, methods);
    for (given, interval) in [
        (r#"[{"type": "watch", "enable": true}]"#, None),
        (r#"[{"type": "watch", "enable": true}, {"type": "pull", "enable": true, "interval": "9s"}]"#, None),
        (r#"[{"type": "watch"}, {"type": "pull", "enable": true, "interval": "9s"}]"#, Some(9)),
        (r#"[{"type": 2, "enable": true, "interval": "9s"}]"#, Some(9)),
    ] {
        let pull = convert(&methods(given)).settings.tasks[0].pull_interval;
        assert_eq!(pull, interval.map(Duration::from_secs), "{given}");
    }
    for (given, says) in [
        (r#"[]"#, "methods: tasks are enabled, and no method is"),
        (r#"[{"type": "watch"}]"#, "no method is"),
        (r#"[{"enable": true}]"#, "methods[0].type: this method has no type"),
        (r#"[{"type": "watch", "enable": true}, {"type": "watch"}]"#, "methods[1].type: this method stands here twice"),
        (r#"[{"type": "push", "enable": true}]"#, "`push` is not a word for this; write one of `watch`, `pull`"),
    ] {
        let errors = refused(&methods(given));
        assert!(errors[0].contains(says), "{given}: {errors:?}");
    }
    // Without tasks no method is needed.
    convert(r#"{"tasks": [], "methods": []}"#);
    convert("{}");
}

#[test]
fn checks_tell_the_line() {
    let good = "{\n\"name\": \"t\", \"enable\": true,\n\"source\": {\"name\": \"a\",\n\"type\": \"nacos\",\n\"addresses\": [\"h:1\"]},\n\
                \"destination\": {\"name\": \"b\", \"type\": \"polaris\", \"addresses\": [\"h:2\"]},\n\
                \"match\": [{\"namespace\": \"n\",\n\"service\": \"s\",\n\"groups\": [{\"name\": \"g\", \"metadata\": {\"k\": \"v\"}}]}]}";
    let whole = |tasks: &str| format!("{{\"methods\": [{{\"type\": 1, \"enable\": true}}],\n\"tasks\": [\n{tasks}]}}");
    convert(&whole(good));
    for (from, to, says) in [
        ("\"t\"", "\" \"", "4:9: error: tasks[0].name: this task has no name"),
        ("\"name\": \"a\"", "\"name\": \"\"", "5:20: error: tasks[0].source.name: this has no name"),
        ("\"type\": \"nacos\",", "", "5:11: error: tasks[0].source.type: this has no type"),
        ("[\"h:1\"]", "[]", "7:14: error: tasks[0].source.addresses: there is no address here"),
        ("[\"h:1\"]", "[\"\"]", "7:15: error: tasks[0].source.addresses: this address is empty"),
        ("[\"h:1\"]", "[\"h:99999\"]", "7:15: error"),
        ("\"name\": \"b\"", "\"name\": \"a\"", "8:25: error: tasks[0].destination.name: this is the source too"),
        ("\"n\"", "\"\"", "9:25: error: tasks[0].match[0].namespace: the namespace is missing"),
        ("\"service\": \"s\",", "", "9:11: error: tasks[0].match[0].service: `service` is missing"),
        ("\"g\"", "\"\"", "11:12: error: tasks[0].match[0].groups[0].name: this group has no name"),
        ("\"v\"", "\" \"", "11:12: error: tasks[0].match[0].groups[0].metadata: a key or a value"),
        ("\"nacos\"", "\"kong\"", "6:9: error: tasks[0].source.type: `kong` can only be a destination"),
        ("\"h:1\"", "{}", "7:15: error: tasks[0].source.addresses[0]: this is an object, and should be a text"),
    ] {
        let errors = refused(&whole(&good.replacen(from, to, 1)));
        assert!(errors[0].starts_with(says), "{says}: {errors:?}");
    }
    let twice = refused(&whole(&format!("{good},\n{good}")));
    assert!(
        twice[0].starts_with("13:9: error: tasks[1].name: two tasks have the name `t`") && twice[0].ends_with("line 4"),
        "{twice:?}"
    );
    // An entry without anything in it is none.
    assert_eq!(
        convert(&whole(&good.replace("\"match\": [", "\"match\": [{}, "))).settings.tasks[0].select.include.len(),
        1
    );
    let nothing = convert(&whole(
        &good
            .replace("\"match\": [", "\"match\": [], \"match\": [")
            .split(", \"match\": [{")
            .next()
            .map(|text| format!("{text}}}"))
            .unwrap(),
    ));
    assert_eq!(nothing.unsupported[0].reason, "it copies nothing: its `match` is empty");
}

#[test]
fn one_name_is_one_cluster() {
    let task = |name: &str, source: &str| {
        format!(
            r#"{{"name": "{name}", "enable": true, "source": {source}, "destination": {}, "match": [{ALL}]}}"#,
            polaris()
        )
    };
    let both = |one: &str, other: &str| {
        format!(
            r#"{{"methods": [{{"type": 1, "enable": true}}], "tasks": [{},{}{}]}}"#,
            task("t", one),
            "\n",
            task("u", other)
        )
    };
    let more = |more: &str| nacos().replace('}', &format!(", {more}}}"));
    let login = more(r#""user": "u", "password": "p""#);
    let united = convert(&both(&nacos().replace("\"h:1\"", "\"h:1\", \"h:2\""), &login.replace("h:1", "h:3")));
    assert_eq!(united.settings.clusters[0].addresses, ["h:1", "h:2", "h:3"]);
    assert_eq!(united.settings.clusters[0].user.as_deref(), Some("u"), "one that says nothing contradicts nothing");
    for (other, says) in [
        (nacos().replace("nacos", "consul"), "`a` is of the type `consul` here and of `nacos` at doc.json:1"),
        (login.replace("\"p\"", "\"q\""), "`a` has other credentials here than at doc.json:1"),
    ] {
        let errors = refused(&both(&login, &other));
        assert!(errors.len() == 1 && errors[0].starts_with("2:") && errors[0].contains(says), "{errors:?}");
    }
    assert!(!refused(&both(&login, &login.replace("\"p\"", "\"s3cret\""))).concat().contains("s3cret"));
    let half = convert(&both(&more(r#""user": "u""#), &nacos()));
    assert!(
        half.settings.clusters[0].user.is_none() && half.warnings[0].message.contains("only one of user and password")
    );
    let referred = convert(&one_task(&nacos(), &polaris().replace('}', r#", "token": "${env:TOKEN}"}"#), ALL));
    let token = referred.settings.clusters[1].token.clone().unwrap();
    assert_eq!((token.expose(), token.reference()), ("from the environment", Some("${env:TOKEN}")));
    let plain = convert(&one_task(&nacos(), &polaris().replace('}', r#", "token": "a${env:TOKEN}"}"#), ALL));
    assert_eq!(plain.settings.clusters[1].token.clone().unwrap().expose(), "a${env:TOKEN}");
}

#[test]
fn whole_namespaces_and_patterns() {
    let rule = |source: &str, service: &str| {
        let matches = format!(r#"{{"namespace": "empty_ns", "service": "{service}"}}"#);
        let converted = convert(&one_task(source, &polaris(), &matches));
        let task = converted.settings.tasks[0].clone();
        let text = |pattern: &Option<causeway_settings::Pattern>| {
            pattern.as_ref().map(|p| p.as_str().to_owned()).unwrap_or_default()
        };
        let rule = task.select.include.first().cloned().unwrap_or_default();
        ([text(&rule.namespace), text(&rule.group), text(&rule.service)], converted.warnings.len())
    };
    for (service, expected, warnings) in [
        ("*", ["public", "", ""], 0),
        ("pay", ["public", "DEFAULT_GROUP", "pay"], 0),
        ("G1__pay__v2", ["public", "G1", "pay__v2"], 0),
        ("G1__*", ["public", "G1", ""], 1),
        ("order-*", ["public", "DEFAULT_GROUP", "order-.*"], 1),
        ("(order|pay)-.*", ["public", "DEFAULT_GROUP", "(order|pay)-.*"], 1),
    ] {
        assert_eq!(rule(&nacos(), service), (expected.map(str::to_owned), warnings), "{service}");
    }
    // Nothing of such a name is a group where the source has none, and its one namespace is not named.
    let consul = end("c", "consul", "h:8500");
    assert_eq!(rule(&consul, "a__b").0, ["", "", "a__b"].map(str::to_owned));
    assert_eq!(rule(&consul, "*").0, ["", "", ""].map(str::to_owned));
    let broken = refused(&one_task(&nacos(), &polaris(), r#"{"namespace": "n", "service": "a("}"#));
    assert!(broken[0].contains("tasks[0].match[0].service: the pattern cannot be used"), "{broken:?}");
}

#[test]
fn namespaces_at_kinds_without_any() {
    let map = |source: &str, destination: &str, matches: &str| {
        convert(&one_task(source, destination, matches))
            .settings
            .tasks
            .iter()
            .map(|task| task.map.namespace.clone())
            .collect::<Vec<_>>()
    };
    let table =
        |from: &str, to: &str| Some(causeway_settings::Rename::Table([(from.to_owned(), to.to_owned())].into()));
    let consul = end("c", "consul", "h:8500");
    let one = |namespace: &str| format!(r#"{{"namespace": "{namespace}", "service": "s"}}"#);
    assert_eq!(map(&consul, &polaris(), &one("empty_ns")), [table("public", "default")]);
    assert_eq!(map(&consul, &polaris(), &one("team")), [table("public", "team")]);
    assert_eq!(map(&polaris(), &consul, &one("team")), [table("team", "public")]);
    // One namespace of a source without any, under two names: two tasks.
    assert_eq!(map(&consul, &polaris(), &[one("x"), one("y")].join(",")), [table("public", "x"), table("public", "y")]);
    let merged = refused(&one_task(&polaris(), &consul, &[one("x"), one("y")].join(",")));
    assert!(merged[0].contains("several namespaces of `b` would fall into one of `c`"), "{merged:?}");
}

#[test]
fn what_is_not_there_yet() {
    let text = one_task(&end("k", "kubernetes", "10.0.0.1:443"), &nacos(), ALL);
    let converted = convert(&text);
    assert!(converted.settings.tasks.is_empty() && converted.settings.clusters.is_empty());
    let expected = ("t", "k", "a", false, "`kubernetes` is not supported yet");
    let one = &converted.unsupported[0];
    assert_eq!(
        (one.name.as_str(), one.source.as_str(), one.destination.as_str(), one.configuration, one.reason.as_str()),
        expected
    );
    assert!(converted.warnings[0].message.contains("`t` does nothing"), "{:?}", converted.warnings);
    let report = r#"{"report": {"interval": "5s", "targets": [{"type": "balad", "enable": true, "options": {"url": "u"}}, {"type": "prometheus", "enable": true}, {"type": 1}]}}"#;
    let converted = convert(report);
    assert_eq!(converted.report.interval, Duration::from_secs(5));
    let warned: Vec<_> = converted.warnings.iter().map(|w| (w.field.as_str(), w.message.as_str())).collect();
    assert_eq!(warned, [("report.targets[0].type", "reports to `balad` are not supported yet")]);
}

const CENTRES: &str = r#"{
  "tasks": [{
    "name": "c", "enable": true,
    "source": {"name": "n", "type": "nacos", "product_name": "x",
      "server": {"addresses": ["h:8848"], "user": "u", "password": "p"},
      "db": {"jdbc_url": "jdbc:mysql://h/nacos", "username": "u", "password": "p"}},
    "destination": {"name": "p", "type": 2, "server": {"addresses": ["h:8090"], "token": "t"}},
    "match": [{"namespace": "empty_ns", "config_group": "DEFAULT_GROUP"}, {"namespace": "n", "product_name": "*"}]
  }],
  "methods": [{"type": "pull", "enable": true, "interval": "60s"}],
  "report": {"interval": "1m", "targets": [{"type": "file", "enable": true}]}
}"#;

#[test]
fn documents_of_configuration_are_checked_and_their_tasks_wait() {
    let loaded = load(CENTRES);
    assert_eq!(loaded.subject(), DocumentSubject::Configuration);
    let converted = convert(CENTRES);
    assert!(converted.settings.tasks.is_empty() && converted.unsupported[0].configuration);
    assert!(converted.unsupported[0].reason.contains("is not supported yet"));
    for (from, to, says) in [
        ("\"server\": {\"addresses\": [\"h:8848\"]", "\"server\": {\"addresses\": []", "5:"),
        ("\"nacos\"", "\"consul\"", "write one of `nacos`, `polaris`, `apollo`"),
        ("\"config_group\": \"DEFAULT_GROUP\"", "\"config_group\": \"\"", "`config_group` is missing"),
        ("jdbc_url", "jdbcUrl", "write `jdbc_url`"),
        ("\"namespace\": \"n\", ", "", "the namespace is missing"),
    ] {
        let errors = refused(&CENTRES.replace(from, to));
        assert!(errors.len() == 1 && errors[0].contains(says), "{errors:?}");
    }
}

/// The manual of polaris-sync calls the registry's file `conf/sync-config.json` too.
#[test]
fn the_content_says_what_a_document_is_about() {
    let registry = one_task(&nacos(), &polaris(), ALL);
    assert_eq!(load(&registry).subject(), DocumentSubject::Registry);
    let converted = convert_all(&[CENTRES, &registry]);
    assert_eq!((converted.settings.tasks.len(), converted.unsupported.len()), (1, 1));
    assert_eq!((converted.task_places["t"].as_str(), converted.task_documents["t"]), ("1.json:1", 1));
    assert!(
        is_document(&registry)
            && is_document("// x\n{")
            && !is_document("clusters: []")
            && !is_document("{\"clusters\": []}")
    );
}

#[test]
fn two_documents_with_one_task() {
    let registry = one_task(&nacos(), &polaris(), ALL);
    assert_eq!(convert_all(&[&registry, &registry]).settings.tasks.len(), 1, "both slots may be given one place");
    let other = registry.replace("\"*\"", "\"s\"");
    let read = |text: &str| Loaded::read("doc.json", text, &kinds()).unwrap();
    let problems = to_settings(&[read(&registry), read(&other)], &env(), &kinds()).unwrap_err();
    assert!(problems.to_string().contains("two tasks have the name `t`, and say different things"), "{problems}");
}

#[test]
fn what_is_no_document() {
    for (text, says) in [
        ("", "1:1: error: the document is empty"),
        ("{\"tasks\": [{]}", "1:13: error: a name is missing here"),
        ("[]", "1:1: error: this is a list, and should be an object in braces"),
        ("{\"tasks\": {}}", "1:11: error: tasks: this is an object, and should be a list in brackets"),
        ("tasks: []", "1:1: error: this is no value"),
    ] {
        let errors = refused(text);
        assert!(errors[0].starts_with(says), "{text}: {errors:?}");
    }
}
