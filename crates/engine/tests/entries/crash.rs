//! The process dies at every single step, with the ledger as it was kept until then, while people go on editing.

use crate::harness::ports::{Fuse, Mortal, MortalNotebook};
use crate::harness::*;
use causeway_connectors::memory::MemoryData;
use causeway_core::*;
use causeway_engine::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// One process: its engine is at work until it is dropped.
fn process(a: &MemoryData, b: &MemoryData, notebook: &Arc<Notebook>, fuse: &Arc<Fuse>, keeps: bool) -> Arc<DataEngine> {
    let mortal = |tree: &MemoryData| Arc::new(Mortal(tree.clone(), fuse.clone()));
    let mut spec = spec(mortal(a), mortal(b));
    (spec.ways, spec.conflicts) = (Ways::Two, Conflicts::Manual);
    let recorder = MortalNotebook { notebook: notebook.clone(), fuse: fuse.clone(), keeps };
    let timing = DataTiming { kept: Duration::from_secs(1_000_000), ..DataTiming::default() };
    let engine = DataEngine::new(timing, Arc::new(recorder), notebook.ledgers(false));
    engine.configure(vec![spec]);
    engine
}

struct Trees {
    a: MemoryData,
    b: MemoryData,
    notebook: Arc<Notebook>,
}

/// Two trees in step, and then edits of both sides while nobody watches.
async fn edited(keeps: bool) -> Trees {
    let (a, b, notebook) = (MemoryData::new(), MemoryData::new(), Arc::<Notebook>::default());
    for path in ["/e/1", "/e/2", "/d/1", "/d/2", "/t/x/y", "/still"] {
        put(&a, path, "old");
    }
    let engine = process(&a, &b, &notebook, &Fuse::new(usize::MAX), keeps);
    seconds(40).await;
    engine.stop().await;
    notebook.keep();
    put(&a, "/e/1", "second");
    put(&a, "/n/1/2", "new in a");
    a.remove(&key("/d/1"));
    put(&b, "/e/2", "second");
    put(&b, "/m/1", "new in b");
    b.remove(&key("/d/2"));
    b.remove(&key("/t"));
    Trees { a, b, notebook }
}

/// What people do while the process is dead.
fn edit_again(trees: &Trees) {
    put(&trees.a, "/e/1", "third");
    put(&trees.b, "/e/2", "third");
    put(&trees.b, "/m/1", "again");
    put(&trees.a, "/n/1/2", "again");
    put(&trees.a, "/d/1", "reborn");
}

fn texts(tree: &MemoryData) -> BTreeMap<String, String> {
    let text = |content: Content| content.body.map(|body| String::from_utf8(body.to_vec()).unwrap());
    tree.all().into_iter().map(|(key, content)| (key.name.to_string(), text(content).unwrap_or_default())).collect()
}

/// Lets a process die after so many steps; answers whether it died at all.
async fn die_after(trees: &Trees, steps: usize, keeps: bool) -> bool {
    let fuse = Fuse::new(steps);
    let engine = process(&trees.a, &trees.b, &trees.notebook, &fuse, keeps);
    seconds(60).await;
    drop(engine);
    fuse.burnt()
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_step_is_never_seen() {
    let wanted = [
        ("/d", ""),
        ("/d/1", "reborn"),
        ("/e", ""),
        ("/e/1", "third"),
        ("/e/2", "third"),
        ("/m", ""),
        ("/m/1", "again"),
        ("/n", ""),
        ("/n/1", ""),
        ("/n/1/2", "again"),
        ("/still", "old"),
    ];
    let wanted: BTreeMap<_, _> = wanted.map(|(path, text)| (path.to_owned(), text.to_owned())).into();
    let mut steps = 0;
    loop {
        let trees = edited(true).await;
        let died = die_after(&trees, steps, true).await;
        edit_again(&trees);
        let engine = process(&trees.a, &trees.b, &trees.notebook, &Fuse::new(usize::MAX), true);
        seconds(90).await;
        let status = engine.status().remove(0);
        assert_eq!(texts(&trees.a), wanted, "left, died after {steps} steps: {status:#?}");
        assert_eq!(texts(&trees.b), wanted, "right, died after {steps} steps: {status:#?}");
        assert_eq!(status.state, RouteState::InStep, "died after {steps} steps: {status:#?}");
        // What was created before and after is taken back, and nothing else.
        assert_eq!(status.entries, wanted.len());
        if !died {
            break;
        }
        steps += 1;
    }
    assert!(steps > 40, "only {steps} steps");
    println!("died at each of {steps} steps");
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_is_always_late_loses_nothing() {
    let mut steps = 0;
    loop {
        let trees = edited(false).await;
        let died = die_after(&trees, steps, false).await;
        edit_again(&trees);
        let engine = process(&trees.a, &trees.b, &trees.notebook, &Fuse::new(usize::MAX), false);
        seconds(90).await;
        let status = engine.status().remove(0);
        let conflicts: Vec<_> = engine.conflicts(&status.route.owner).into_iter().map(|row| row.key.name).collect();
        let (left, right) = (texts(&trees.a), texts(&trees.b));
        for (path, text) in [
            ("/d/1", "reborn"),
            ("/e/1", "third"),
            ("/e/2", "third"),
            ("/m/1", "again"),
            ("/n/1/2", "again"),
            ("/still", "old"),
        ] {
            let (here, there) = (left.get(path), right.get(path));
            let disputed = conflicts.iter().any(|name| &**name == path);
            assert!(here == there || disputed, "{path} after {steps} steps: {here:?} {there:?} {status:#?}");
            assert!([here, there].contains(&Some(&text.to_owned())), "{path} after {steps} steps: {here:?} {there:?}");
        }
        if !died {
            break;
        }
        steps += 1;
    }
    assert!(steps > 40, "only {steps} steps");
}

#[tokio::test(start_paused = true)]
async fn a_drain_after_a_crash_knows_its_own_creations() {
    let mut steps = 0;
    loop {
        let trees = Trees { a: MemoryData::new(), b: MemoryData::new(), notebook: Arc::default() };
        put(&trees.a, "/a/1", "a's");
        put(&trees.a, "/a/2", "a's");
        put(&trees.b, "/b/1", "b's");
        let before = (trees.a.all(), trees.b.all());
        let died = die_after(&trees, steps, true).await;
        let engine = DataEngine::new(DataTiming::default(), trees.notebook.clone(), trees.notebook.ledgers(false));
        let mut spec = spec(Arc::new(trees.a.clone()), Arc::new(trees.b.clone()));
        spec.ways = Ways::Two;
        engine.configure(vec![spec.clone()]);
        seconds(40).await;
        assert_eq!(trees.a.all(), trees.b.all(), "after {steps} steps");
        spec.run = RunState::Drain;
        engine.configure(vec![spec]);
        seconds(5).await;
        assert_eq!((trees.a.all(), trees.b.all()), before, "after {steps} steps");
        if !died {
            break;
        }
        steps += 1;
    }
    assert!(steps > 15, "only {steps} steps");
}
