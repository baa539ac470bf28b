//! What operators do: in the destination's console, with two installs, with wrong files.

use crate::estate::{instances, namespace, pair, pause, provide, seconds, service, settings, total, until};
use crate::node::Node;
use anyhow::{Result, ensure};
use causeway_testbed::{Backdoor, Edit, Instance};

pub async fn an_override_is_kept_and_does_not_travel() -> Result<()> {
    let (a, b) = pair().await?;
    namespace(&[a], "override").await?;
    let who = Backdoor::start().await?;
    who.connect("p", &a.addr(), "override").await?;
    provide(&who, "p", "override", 1, 3).await?;
    let (at_a, at_b, svc) = (a.open_api().await?, b.open_api().await?, service("override", 0));
    let node = Node::start().await?;
    node.apply(&settings(&a.addr(), &b.addr(), "override", "Bidirectional"))?;
    until("copies", seconds(10), async || Ok(at_b.visible(&svc).await?.len() == 3)).await?;
    let edit = Edit { weight: Some(9.0), enabled: Some(false), metadata: None };
    at_b.edit(&svc, &Instance::new("127.0.0.1", 20_000), &edit).await?;
    until("shown", seconds(15), async || {
        Ok(node.task()?["skipped"].to_string().contains("by hand") && node.events()?.contains("by hand"))
    })
    .await?;
    pause(5).await;
    let offline = at_b.all(&svc).await?.into_iter().filter(|one| !one.enabled && one.weight == 9.0).count();
    ensure!(offline == 1, "the override stays");
    ensure!(at_a.all(&svc).await?.iter().all(|one| one.enabled && one.weight == 1.0), "and does not travel back");
    Ok(())
}

pub async fn an_override_travels_where_the_task_says_so() -> Result<()> {
    let (a, b) = pair().await?;
    namespace(&[a], "travel").await?;
    let who = Backdoor::start().await?;
    who.connect("p", &a.addr(), "travel").await?;
    provide(&who, "p", "travel", 1, 2).await?;
    let (at_a, at_b, svc) = (a.open_api().await?, b.open_api().await?, service("travel", 0));
    let node = Node::start().await?;
    node.apply(&(settings(&a.addr(), &b.addr(), "travel", "Bidirectional") + "    overrides: travel\n"))?;
    until("copies", seconds(10), async || Ok(at_b.visible(&svc).await?.len() == 2)).await?;
    for (enabled, shown) in [(false, 1), (true, 2)] {
        let edit = Edit { weight: None, enabled: Some(enabled), metadata: None };
        at_b.edit(&svc, &Instance::new("127.0.0.1", 20_000), &edit).await?;
        until("offline, or online again, at its home", seconds(10), async || {
            Ok(at_a.visible(&svc).await?.len() == shown && at_b.visible(&svc).await?.len() == shown)
        })
        .await?;
    }
    ensure!(at_a.all(&svc).await?.iter().all(|one| !one.metadata.contains_key("causeway")), "still natives");
    Ok(())
}

pub async fn a_blanked_mark_makes_no_zombie() -> Result<()> {
    let (a, b) = pair().await?;
    namespace(&[a], "blank").await?;
    let who = Backdoor::start().await?;
    who.connect("p", &a.addr(), "blank").await?;
    provide(&who, "p", "blank", 1, 2).await?;
    let (at_a, at_b, svc) = (a.open_api().await?, b.open_api().await?, service("blank", 0));
    let node = Node::start().await?;
    node.apply(&settings(&a.addr(), &b.addr(), "blank", "Bidirectional"))?;
    until("copies", seconds(10), async || Ok(at_b.visible(&svc).await?.len() == 2)).await?;
    for port in [20_000, 20_001] {
        let metadata = [("causeway".to_owned(), String::new())].into();
        let edit = Edit { weight: None, enabled: None, metadata: Some(metadata) };
        at_b.edit(&svc, &Instance::new("127.0.0.1", port), &edit).await?;
    }
    pause(4).await;
    ensure!(at_a.all(&svc).await?.len() == 2, "no echo: {:?}", at_a.all(&svc).await?);
    let one = |port| Instance::new("127.0.0.1", port);
    who.batch_deregister("p", &svc, &[one(20_000)]).await?;
    until("gone though its mark was", seconds(10), async || {
        Ok(at_b.all(&svc).await?.len() == 1 && at_a.all(&svc).await?.len() == 1)
    })
    .await?;
    let (data, port) = node.kill()?;
    let node = Node::on(data, port).await?;
    pause(5).await;
    who.batch_deregister("p", &svc, &[one(20_001)]).await?;
    until("gone after a restart", seconds(15), async || {
        Ok(at_b.all(&svc).await?.is_empty() && at_a.all(&svc).await?.is_empty())
    })
    .await?;
    drop(node);
    Ok(())
}

pub async fn two_installs_and_a_drain() -> Result<()> {
    let (a, b) = pair().await?;
    // The second source is the destination's twin: the same server, under another namespace is not the same scope, so a
    // second install copies from 3.1 to 2.5 under the same names.
    namespace(&[a], "two-installs").await?;
    let who = Backdoor::start().await?;
    who.connect("p", &a.addr(), "two-installs").await?;
    provide(&who, "p", "two-installs", 3, 2).await?;
    let (at_a, at_b) = (a.open_api().await?, b.open_api().await?);
    let (first, second) = (Node::start().await?, Node::start().await?);
    let text = settings(&a.addr(), &b.addr(), "two-installs", "Bidirectional");
    first.apply(&text)?;
    until("copies", seconds(15), async || Ok(total(&at_b, "two-installs", 3).await? == 6)).await?;
    second.apply(&text)?;
    pause(5).await;
    for n in 0..3 {
        ensure!(at_b.all(&service("two-installs", n)).await?.len() == 2, "one copy each");
        ensure!(at_a.all(&service("two-installs", n)).await?.len() == 2, "no echo");
    }
    second.ok(&["drain", "src-dst-service", "--yes"])?;
    pause(3).await;
    ensure!(total(&at_b, "two-installs", 3).await? == 6, "the other's copies stay");
    first.ok(&["drain", "src-dst-service", "--yes"])?;
    until("drained", seconds(15), async || {
        Ok(total(&at_b, "two-installs", 3).await? == 0 && first.task()?["state"] == "drained")
    })
    .await?;
    ensure!(total(&at_a, "two-installs", 3).await? == 6, "natives stay");
    Ok(())
}

pub async fn two_installs_with_different_sources() -> Result<()> {
    let (a, b) = pair().await?;
    namespace(&[a], "one-target").await?;
    namespace(&[a], "other-source").await?;
    let who = Backdoor::start().await?;
    for ns in ["one-target", "other-source"] {
        who.connect(ns, &a.addr(), ns).await?;
    }
    // The same service in both sources: one address is in both, one only in each.
    let svc = service("one-target", 0);
    let one = |port| Instance::new("127.0.0.1", port);
    who.batch_register("one-target", &svc, &[one(21_000), one(21_001)]).await?;
    who.batch_register("other-source", &service("other-source", 0), &[one(21_001), one(21_002)]).await?;
    let at_b = b.open_api().await?;
    let (first, second) = (Node::start().await?, Node::start().await?);
    first.apply(&settings(&a.addr(), &b.addr(), "one-target", "Unidirectional"))?;
    let other = settings(&a.addr(), &b.addr(), "other-source", "Unidirectional");
    second.apply(&(other + "    map:\n      namespace: {other-source: one-target}\n"))?;
    until("of both", seconds(15), async || Ok(at_b.visible(&svc).await?.len() == 3)).await?;
    who.batch_register("other-source", &service("other-source", 0), &[one(21_001)]).await?;
    until("less of the second", seconds(10), async || Ok(at_b.visible(&svc).await?.len() == 2)).await?;
    second.ok(&["drain", "src-dst-service", "--yes"])?;
    pause(5).await;
    ensure!(at_b.visible(&svc).await?.len() == 2, "nothing of the first's is gone");
    drop(first.kill()?);
    Ok(())
}

pub async fn wrong_files_leave_the_running_tasks_alone() -> Result<()> {
    let (a, b) = pair().await?;
    namespace(&[a], "wrong-files").await?;
    let who = Backdoor::start().await?;
    who.connect("p", &a.addr(), "wrong-files").await?;
    who.batch_register("p", &service("wrong-files", 0), &instances(2, 20_000)).await?;
    let at_b = b.open_api().await?;
    let node = Node::start().await?;
    let good = settings(&a.addr(), &b.addr(), "wrong-files", "Bidirectional");
    node.apply(&good)?;
    let svc = service("wrong-files", 0);
    until("copies", seconds(10), async || Ok(at_b.visible(&svc).await?.len() == 2)).await?;
    let publisher = || async { at_b.publishers(&svc, "127.0.0.1", 20_000).await };
    let before = publisher().await?;
    for (wrong, words) in [
        ("clusters: [", "line"),
        ("clusterz: []\n", "clusters"),
        (&good.replace("NACOS", "NACOSS"), "NACOS"),
        (&good.replace("Bidirectional", "Sideways"), "Bidirectional"),
        (&good.replace("type: Service", "type: Servise"), "Service"),
        (&good.replace("destination: dst", "destination: dts"), "dst"),
        (&good.replace("clusterName: dst", "clusterName: src"), "src"),
        (&format!("{good}    serviceMatchPattern: \"(\"\n"), "serviceMatchPattern"),
        (&good.replace("type: Service", "type: Config"), "Config"),
        (&good.replace("namespace: wrong-files", "namespace: ${env:NOT_SET_ANYWHERE}"), "NOT_SET_ANYWHERE"),
        (&good.replace("clusterType: NACOS", "clusterType: APISIX"), "not supported yet"),
    ] {
        let file = node.write("wrong.yaml", wrong)?;
        let output = node.cli(&["apply", "-f", &file.to_string_lossy()])?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(!output.status.success(), "taken: {wrong}");
        ensure!(said.contains(words) && said.contains("wrong.yaml"), "{words}: {said}");
    }
    node.apply(&good)?;
    pause(2).await;
    ensure!(at_b.visible(&svc).await?.len() == 2);
    ensure!(format!("{before:?}") == format!("{:?}", publisher().await?), "no reconnect");
    Ok(())
}
