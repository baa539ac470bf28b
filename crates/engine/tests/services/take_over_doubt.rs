//! What is not certain while another tool's copies are taken over: nothing is said or done about it.

use crate::harness::*;
use crate::take_over::*;
use causeway_connectors::memory::Fault;
use causeway_core::*;
use causeway_engine::*;

/// Until everything is read and planned, something may go missing when the tool stops.
#[tokio::test(start_paused = true)]
async fn it_is_not_said_that_the_tool_can_stop_before_all_is_backed() {
    let clusters = registries(&["a", "b"]);
    let (a, b) = (&clusters["a"], &clusters["b"]);
    copied(&clusters, 400, 1);
    a.create_part("late", None);
    let late = ServiceKey::new("late", "DEFAULT_GROUP", "s");
    a.register(&late, "p", instance(1000));
    b.register(&late, "tool", synced(1000, "a"));
    a.fail(Fault::PartDenied(late.part()));
    let world = world(&clusters, tool("polaris-sync", Some("a")));
    for _ in 0..2_000 {
        millis(10).await;
        let told = notices(&world).into_iter().any(|notice| notice.contains("can be stopped"));
        assert!(!told, "{:?}", notices(&world));
    }
}

/// The tool's id of a source of which the task has taken nothing over but what that has at the same address is not the task's.
#[tokio::test(start_paused = true)]
async fn what_another_source_copied_is_not_left_behind() {
    let clusters = registries(&["a", "b"]);
    let (a, b) = (&clusters["a"], &clusters["b"]);
    b.share_records();
    populate(a, 3, 1);
    // The provider of the last service is registered in the tool's other source too.
    for (n, source) in [(0, "c1"), (1, "c1"), (2, "c2")] {
        b.register(&service(n), "tool", tagged(1000, source));
    }
    b.register(&service(3), "tool", tagged(3000, "c2"));
    let world = world(&clusters, tool("nacos-sync", None));
    seconds(90).await;
    assert_eq!(world.engine.left_copies(&world.owner()), []);
}

/// A second task goes on from where the tool's copies stand: what it has copied stays when the tool is started again.
#[tokio::test(start_paused = true)]
async fn a_tool_that_comes_back_takes_nothing_from_the_next_cluster() {
    let clusters = registries(&["a", "b", "c"]);
    let (b, c) = (&clusters["b"], &clusters["c"]);
    populate(&clusters["a"], 2, 2);
    let mut world = World::new("i", &clusters);
    let take_over = tool("polaris-sync", Some("a"));
    world.routes = vec![RouteSpec { take_over, ..world.route("task", "a", "b") }, world.route("next", "b", "c")];
    world.start();
    seconds(60).await;
    assert_eq!((total(b), total(c)), (4, 4));
    let seen = shown(c, 2, async {
        for n in 0..2 {
            for i in 0..2 {
                b.register(&service(n), &format!("tool{i}"), synced(1000 + i, "a"));
            }
        }
        seconds(120).await;
        assert_eq!(holds(&world, b), (4, 0, 4), "ours stand with the tool's");
        ends(b, 2, 2);
        seconds(60).await;
    })
    .await;
    assert_eq!((seen, holds(&world, b)), ((2, 2), (4, 4, 0)));
}

/// Which task is told of a copy follows the tasks.
#[tokio::test(start_paused = true)]
async fn another_task_of_the_source_is_told_when_the_first_has_gone() {
    let clusters = registries(&["a", "b"]);
    let b = &clusters["b"];
    b.share_records();
    populate(&clusters["a"], 1, 1);
    b.register(&service(0), "tool", synced(7000, "a"));
    let mut world = World::new("i", &clusters);
    let route = |task: &str| RouteSpec { take_over: tool("polaris-sync", Some("a")), ..world.route(task, "a", "b") };
    let routes = vec![route("task"), route("second")];
    world.routes = routes;
    world.start();
    seconds(60).await;
    let told = |world: &World, task: &str| world.engine.left_copies(&OwnerId::new("i", task)).len();
    assert_eq!(told(&world, "task") + told(&world, "second"), 1);
    let gone = if told(&world, "task") == 1 { "task" } else { "second" };
    world.routes.retain(|route| &*route.task != gone);
    world.start();
    seconds(120).await;
    assert_eq!(told(&world, "task") + told(&world, "second"), 1);
}
