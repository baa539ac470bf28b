//! Two registries in memory, and providers that come, change, go and move between them.

use causeway_connectors::memory::Memory;
use causeway_core::{Instance, InstanceId, ServiceKey};

/// The two sides, by the names that the demo's clusters have.
pub const NAMES: [&str; 2] = ["hangzhou", "shanghai"];

/// Who is first: services, their side, the third number of their addresses, and how many instances they begin with.
const SERVICES: [(&str, usize, u8, u8); 5] =
    [("orders", 0, 1, 3), ("payments", 0, 2, 2), ("mail", 0, 3, 1), ("stock", 1, 4, 2), ("users", 1, 5, 3)];

/// What a provider does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Act {
    /// It registers.
    Comes,
    /// It deregisters.
    Goes,
    /// It registers again with another weight.
    Weighs(f64),
    /// It is taken out of traffic, or put back.
    Enabled(bool),
    /// It registers, while it still stands on the other side: the first half of a move.
    MovesIn,
    /// It deregisters, while it stands on the other side already: the second half of a move.
    MovesOut,
}

/// One thing that happens: on which side, to which service, to which of its instances.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// 0 or 1, see [`NAMES`].
    pub side: usize,
    /// The service's name.
    pub service: &'static str,
    /// The instance's number.
    pub instance: u8,
    /// What it does.
    pub act: Act,
}

const fn step(side: usize, service: &'static str, instance: u8, act: Act) -> Step {
    Step { side, service, instance, act }
}

/// What happens, again and again; at its end all is as at its beginning.
pub const STEPS: [Step; 14] = [
    step(0, "orders", 4, Act::Comes),
    step(1, "stock", 1, Act::Weighs(5.0)),
    step(0, "payments", 2, Act::Goes),
    step(1, "mail", 1, Act::MovesIn),
    step(0, "mail", 1, Act::MovesOut),
    step(1, "users", 3, Act::Enabled(false)),
    step(0, "payments", 2, Act::Comes),
    step(1, "stock", 3, Act::Comes),
    step(0, "orders", 4, Act::Goes),
    step(1, "users", 3, Act::Enabled(true)),
    step(0, "mail", 1, Act::MovesIn),
    step(1, "mail", 1, Act::MovesOut),
    step(1, "stock", 3, Act::Goes),
    step(1, "stock", 1, Act::Weighs(1.0)),
];

impl Step {
    /// What happens, without where: `orders 127.0.1.4:8080 registers`.
    pub fn words(&self) -> String {
        let what = match self.act {
            Act::Comes => "registers".to_owned(),
            Act::Goes => "deregisters".to_owned(),
            Act::Weighs(weight) => format!("gets weight {weight}"),
            Act::Enabled(false) => "is disabled".to_owned(),
            Act::Enabled(true) => "is enabled".to_owned(),
            Act::MovesIn => "moves here".to_owned(),
            Act::MovesOut => "has left".to_owned(),
        };
        format!("{} {} {what}", self.service, self.instance().id)
    }

    /// What follows from it, as soon as [`World::arrived`] says so.
    pub fn effect(&self) -> String {
        let there = NAMES[1 - self.side];
        match self.act {
            Act::MovesIn => "copy made room".to_owned(),
            Act::MovesOut => "copied back".to_owned(),
            _ => format!("-> {there}"),
        }
    }

    /// The instance as its provider registers it.
    pub fn instance(&self) -> Instance {
        let third = SERVICES.iter().find(|(name, ..)| *name == self.service).map_or(0, |(_, _, third, _)| *third);
        let mut instance = Instance::new(&format!("127.0.{third}.{}", self.instance), 8080);
        match self.act {
            Act::Weighs(weight) => instance.weight = weight,
            Act::Enabled(enabled) => instance.enabled = enabled,
            _ => {}
        }
        instance
    }
}

/// The service of this name.
pub fn service(name: &str) -> ServiceKey {
    ServiceKey::new("public", "DEFAULT_GROUP", name)
}

/// What one registry shows of one service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShownCount {
    /// Registered there by providers.
    pub native: usize,
    /// Written there by us.
    pub copies: usize,
}

impl ShownCount {
    /// All that stand there.
    pub fn sum(self) -> usize {
        self.native + self.copies
    }
}

/// The two registries.
pub struct World {
    sides: [Memory; 2],
}

impl World {
    /// The registries with what they begin with.
    pub fn new() -> Self {
        let world = Self { sides: NAMES.map(Memory::named) };
        for (service, side, _, instances) in SERVICES {
            for instance in 1..=instances {
                world.act(&step(side, service, instance, Act::Comes));
            }
        }
        world
    }

    /// Lets a step happen.
    pub fn act(&self, step: &Step) {
        let instance = step.instance();
        let provider = instance.id.to_string();
        match step.act {
            Act::Goes | Act::MovesOut => {
                self.sides[step.side].deregister(&service(step.service), &provider, &instance.id)
            }
            _ => self.sides[step.side].register(&service(step.service), &provider, instance),
        }
    }

    /// Whether the other side shows what the step has done.
    pub fn arrived(&self, step: &Step) -> bool {
        let instance = step.instance();
        let (here, there) =
            (self.shown(step.side, step.service, &instance.id), self.shown(1 - step.side, step.service, &instance.id));
        let copy_of = |shown: &[Instance]| matches!(shown, [one] if one.mark.is_some() && one.same(&instance));
        match step.act {
            Act::Goes => there.is_empty(),
            // Subscribers are not shown what takes no traffic.
            Act::Enabled(false) => there.is_empty(),
            Act::Comes | Act::Weighs(_) | Act::Enabled(true) => copy_of(&there),
            // Where it moves in, our copy has made room for it.
            Act::MovesIn => matches!(here.as_slice(), [one] if one.mark.is_none()),
            // Where it has moved out, our copy of it stands.
            Act::MovesOut => copy_of(&here),
        }
    }

    /// Whether every subscriber of the other side sees all that this side's providers registered.
    pub fn in_step(&self) -> bool {
        SERVICES.iter().all(|(name, ..)| {
            let [a, b] = [0, 1].map(|side| self.count(side, name));
            a.native == b.copies && b.native == a.copies
        })
    }

    /// The services' names, in order.
    pub fn services(&self) -> impl Iterator<Item = &'static str> {
        SERVICES.iter().map(|(name, ..)| *name)
    }

    /// What a side shows of a service to its subscribers.
    pub fn count(&self, side: usize, name: &str) -> ShownCount {
        let shown = self.sides[side].list(&service(name));
        let native = shown.iter().filter(|instance| instance.mark.is_none()).count();
        ShownCount { native, copies: shown.len() - native }
    }

    fn shown(&self, side: usize, name: &str, id: &InstanceId) -> Vec<Instance> {
        self.sides[side].list(&service(name)).into_iter().filter(|instance| instance.id == *id).collect()
    }
}
