//! Files that Causeway makes.

use super::*;

#[tokio::test]
async fn a_destination_is_made_written_and_read_back_by_the_next_process() {
    for (form, name) in FORMS {
        let (_guard, path) = folder();
        let file = path.join(name);
        let port = sink(&file, form);
        let mut items = port.watch(&everything());
        assert!(told(&mut items).await.starts_with("lost Some(\"public\")"), "a missing file is missing");
        let refused = port.apply(&key("orders"), &[Change::Create(copy(1))]).await;
        assert!(matches!(&refused[..], [Err(Error::Missing(_))]) && !file.exists(), "{refused:?}");
        port.prepare(&Part::new("public"), None).await.unwrap();
        assert_eq!(told(&mut items).await, "reset public 0");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();

        let mut heavy = copy(2);
        (heavy.weight, heavy.healthy, heavy.metadata) = (0.5, false, [("zone", "a")].into());
        let outcomes = port.apply(&key("orders"), &[Change::Create(copy(1)), Change::Create(heavy.clone())]).await;
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        assert_eq!(told(&mut items).await, "changed orders 2");
        let about = fs::metadata(&file).unwrap();
        assert_eq!(about.permissions().mode() & 0o777, 0o640, "the mode stays");
        // The same again: the same bytes, and no write.
        let text = fs::read_to_string(&file).unwrap();
        port.apply(&key("orders"), &[Change::Adopt(heavy.clone())]).await;
        assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), about.modified().unwrap());
        assert_eq!(fs::read_to_string(&file).unwrap(), text);

        // The next process knows them by what stands in the file alone.
        let next_one = sink(&file, form);
        let began = Instant::now();
        let sets = sets(&*next_one).await;
        assert!(began.elapsed() < Duration::from_millis(300), "a whole file needs no second look");
        let copies: Vec<_> = sets[0].records.values().flat_map(|held| held.copies.clone()).collect();
        assert_eq!(copies, [copy(1), heavy.clone()]);
        // Somebody takes the file away: its readers still have the list, and it is put back whole, by this process and by one
        // that knows it from the ledger alone.
        let mut ledger = Written::default();
        ledger.note(&Change::Create(copy(1)), &[]);
        ledger.note(&Change::Create(heavy.clone()), &[]);
        let from_ledger = sink(&file, form);
        for port in [next_one.clone(), from_ledger] {
            fs::remove_file(&file).unwrap();
            port.adopt(&[(key("orders"), ledger.clone())]).await.unwrap();
            port.prepare(&Part::new("public"), None).await.unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), text, "{form:?}");
        }
        assert!(next_one.apply(&key("orders"), &[delete(&copy(1)), delete(&heavy)]).await.iter().all(Result::is_ok));
        assert_eq!(told(&mut items).await, "removed orders");

        // Gone altogether: an outage, and nothing is removed.
        fs::remove_file(&file).unwrap();
        assert!(told(&mut items).await.starts_with("lost Some(\"public\")"));
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0, "nothing is left beside it");
    }
}

#[tokio::test]
async fn what_is_not_ours_is_never_written_over() {
    let (_guard, path) = folder();
    let static_yaml = format!("services:\n{}", service("orders", &["h:1"]));
    let foreign = r#"[{"targets": ["h:1"], "labels": {"job": "mine"}}]"#;
    let ours = contents::write(FileFormat::Prometheus, &Contents { ours: true, ..Contents::default() });
    let mixed = ours.replace("\n]", &format!(",\n{}", foreign.trim_start_matches('[')));
    let cases = [
        (FileFormat::Services, "a.yaml", static_yaml.as_str(), "is only read"),
        (FileFormat::Yaml, "s.yaml", static_yaml.as_str(), "was not made by Causeway"),
        (FileFormat::Json, "s.json", r#"{"services": []}"#, "was not made by Causeway"),
        (FileFormat::Json, "t.json", "", "the file is empty"),
        (FileFormat::Json, "u.json", "{\"a\": 1}", "the key `a` is not known"),
        (FileFormat::Prometheus, "p.json", "[]", "was not made by Causeway"),
        (FileFormat::Prometheus, "q.json", foreign, "the label `job` is not one of Causeway's"),
        (FileFormat::Prometheus, "r.json", &mixed, "the label `job` is not one of Causeway's"),
    ];
    for (form, name, text, why) in cases {
        let file = path.join(name);
        fs::write(&file, text).unwrap();
        let port = sink(&file, form);
        let applied = port.apply(&key("orders"), &[Change::Create(copy(1))]).await.pop().unwrap();
        for error in [applied.unwrap_err(), port.prepare(&Part::new("dev"), None).await.unwrap_err()] {
            let said = error.to_string();
            assert!(said.contains(why) && said.contains(name), "{name}: {said}");
            let ways =
                ["name a file", "move it away", "move the file away", "file of its own", "take it out", "expected"];
            assert!(ways.iter().any(|way| said.contains(way)), "{said}");
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
    }
    // Nor is a folder, or what a link points to.
    let port = sink(&path, FileFormat::Json);
    assert!(matches!(port.prepare(&Part::new("public"), None).await, Err(Error::Denied(_))));
    let port = sink(&path.join("none/s.json"), FileFormat::Json);
    assert!(matches!(port.prepare(&Part::new("public"), None).await, Err(Error::Unavailable(_))));
}

#[tokio::test]
async fn an_edit_by_somebody_else_is_seen_and_kept() {
    let (_guard, path) = folder();
    let file = path.join("s.yaml");
    let port = sink(&file, FileFormat::Yaml);
    port.prepare(&Part::new("public"), None).await.unwrap();
    let mut items = port.watch(&everything());
    assert_eq!(told(&mut items).await, "reset public 0");
    port.apply(&key("orders"), &[Change::Create(copy(1))]).await.pop().unwrap().unwrap();
    assert_eq!(told(&mut items).await, "changed orders 1");
    // The mark is taken out, and another service put in, at the very moment of a write of ours.
    let text = fs::read_to_string(&file).unwrap();
    let mark = copy(1).mark().unwrap().encode();
    assert!(text.contains(&mark));
    let edited = text
        .replace(&format!(",\"metadata\":{{\"causeway\":\"{mark}\"}}"), "")
        .replace("\n...", &format!("\n{}...", service("carts", &["h:9"])));
    assert_ne!(edited, text);
    fs::write(&file, edited).unwrap();
    port.apply(&key("orders"), &[Change::Create(copy(2))]).await.pop().unwrap().unwrap();
    assert_eq!(told(&mut items).await, "changed carts 1");
    assert_eq!(told(&mut items).await, "changed orders 2");
    let sets = sets(&*port).await;
    assert_eq!(sets.len(), 2);
    let lost = sets[1].records.values().next().unwrap().copies[0].mark.clone().unwrap();
    assert!(lost.owner == owner() && lost.path.is_empty(), "known as ours without its mark");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_never_see_half_a_file_while_a_thousand_changes_are_made() {
    let (_guard, path) = folder();
    let file = path.join("targets.json");
    let port = sink(&file, FileFormat::Prometheus);
    port.prepare(&Part::new("public"), None).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let reader = {
        let (file, stop) = (file.clone(), stop.clone());
        std::thread::spawn(move || {
            let (mut looks, mut most, mut files) = (0, 0, std::collections::BTreeSet::new());
            while !stop.load(Ordering::SeqCst) {
                let text = fs::read_to_string(&file).unwrap();
                let groups: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
                (looks, most) = (looks + 1, most.max(groups.len()));
                files.insert(fs::metadata(&file).unwrap().modified().unwrap());
            }
            (looks, most, files.len())
        })
    };
    let writes = (0..100).map(async |n| {
        let scope = key(&format!("s{n}"));
        for m in 0..10 {
            port.apply(&scope, &[Change::Create(copy(m + 1))]).await.pop().unwrap().unwrap();
        }
    });
    futures_util::future::join_all(writes).await;
    stop.store(true, Ordering::SeqCst);
    let (looks, most, files) = reader.join().unwrap();
    assert!(looks > 5, "{looks} looks");
    assert!(files <= 200, "a thousand changes are gathered into far fewer writes, not {files}");
    assert!(most <= 1001);
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(serde_json::from_str::<Vec<serde_json::Value>>(&text).unwrap().len(), 1001);
}
