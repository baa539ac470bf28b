//! What `causeway demo` shows: two registries in memory with live providers, and a real node between them.

mod registries;
mod travel;
mod view;

use crate::client::Client;
use crate::failure::Failure;
use crate::output::Tone;
use causeway_server::api::ApplyRequest;
use registries::{STEPS, World};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use travel::{Travel, time_words};
use view::View;

/// Between two things that happen.
const PACE: Duration = Duration::from_millis(1500);
/// How often both sides are looked at, and so how exact the times are.
const LOOK: Duration = Duration::from_millis(1);
/// How often the picture is drawn.
const DRAW: Duration = Duration::from_millis(100);
/// How long a change may take before the demo has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// The demo's settings: what an operator would write, but for the short time to settle.
const SETTINGS: &str = "\
clusters:
  - clusterName: hangzhou
    clusterType: MEMORY
    connectKeyList: [hangzhou]
  - clusterName: shanghai
    clusterType: MEMORY
    connectKeyList: [shanghai]
tasks:
  - name: demo
    source: hangzhou
    destination: shanghai
    type: Service
    mode: Bidirectional
    settle: 1s
";

/// Shows the demo until `end` is there, on a node that listens at `url`. `seconds`: ends by itself; without it and
/// without a terminal, after everything has happened once. Fails when a change does not travel.
pub async fn show(url: &str, seconds: Option<u64>, end: impl Future<Output = ()>) -> Result<(), Failure> {
    let mut view = View::new();
    let world = World::new();
    view.say(Tone::Strong, "causeway demo: two registries in memory with live providers, one task both ways")?;
    view.say(Tone::Faint, &format!("node: {url} (elsewhere: causeway --server {url} get tasks)"))?;
    let begin = Instant::now();
    let client = Client::new(url, None)?;
    let request = ApplyRequest { file: "demo".into(), text: SETTINGS.into(), ..ApplyRequest::default() };
    client.apply(&request).await?;
    while !world.in_step() {
        if begin.elapsed() > PATIENCE {
            let why = client.task("demo").await?.reason;
            return Err(Failure::new(format!("the registries are not in step after {}: {why}", time_words(PATIENCE))));
        }
        sleep(LOOK).await;
    }
    view.say(Tone::Good, &format!("in step {} after the task was added\n", time_words(begin.elapsed())))?;
    // Until the registries are settled, nothing is believed to be gone.
    let mut travel = Travel::new(begin);
    let length = match seconds {
        Some(seconds) => Some(Duration::from_secs(seconds)),
        None if view.is_live() => None,
        None => Some(PACE * (STEPS.len() as u32 + 1)),
    };
    let ended = play(&mut view, &world, &mut travel, begin, length, end).await;
    ended?;
    finish(&mut view, &world, &mut travel, begin).await
}

async fn play(
    view: &mut View,
    world: &World,
    travel: &mut Travel,
    begin: Instant,
    length: Option<Duration>,
    end: impl Future<Output = ()>,
) -> Result<(), Failure> {
    let (mut looks, mut steps, mut draws) = (interval(LOOK), interval(PACE), interval(DRAW));
    looks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    draws.set_missed_tick_behavior(MissedTickBehavior::Skip);
    steps.reset();
    let over = async {
        match length {
            Some(length) => tokio::time::sleep_until(begin + length).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(end, over);
    loop {
        tokio::select! {
            () = &mut end => return Ok(()),
            () = &mut over => return Ok(()),
            _ = looks.tick() => for trip in travel.look(world) {
                view.arrived(&trip)?;
            },
            _ = steps.tick() => travel.step(world),
            _ = draws.tick() => view.draw(world, travel, begin.elapsed())?,
        }
    }
}

/// Waits for what is still on its way, and tells how it went.
async fn finish(view: &mut View, world: &World, travel: &mut Travel, begin: Instant) -> Result<(), Failure> {
    let patience = Instant::now() + PATIENCE;
    while !travel.all_arrived() && Instant::now() < patience {
        for trip in travel.look(world) {
            view.arrived(&trip)?;
        }
        sleep(LOOK).await;
    }
    view.draw(world, travel, begin.elapsed())?;
    let lost: Vec<_> = travel.lost().map(|trip| trip.step.words()).collect();
    if !lost.is_empty() {
        return Err(Failure::new(format!("did not travel within {}: {}", time_words(PATIENCE), lost.join("; "))));
    }
    if let Some((median, longest)) = travel.times() {
        let all = travel.trips.len();
        let times = format!("half of them within {}, all within {}", time_words(median), time_words(longest));
        view.say(Tone::Good, &format!("\n{all} of {all} changes travelled: {times}"))?;
    }
    if travel.gaps > 0 {
        return Err(Failure::new(format!("`mail` was missing on one side in {} looks while it moved", travel.gaps)));
    }
    if travel.trips.iter().any(|trip| trip.step.act == registries::Act::MovesOut) {
        view.say(Tone::Good, "`mail` moved from one registry to the other: never missing on either side")?;
    }
    view.say(Tone::Plain, NEXT)
}

const NEXT: &str = "
Next, with your own registries: describe them in a file, say my.yaml (five lines,
see the README), and then
  causeway validate -f my.yaml   what is wrong with it, if anything
  causeway serve                 a node, in a terminal of its own
  causeway plan -f my.yaml       what it would copy; nothing is written
  causeway apply -f my.yaml      go; then look: causeway get tasks";
