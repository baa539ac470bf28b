//! Instances are made, changed and taken away: what a write finds is always what was written last.

use causeway_proto::polaris::{HealthCheck, HeartbeatHealthCheck, Instance, Location};

use super::answers::OneAnswer;
use super::codes::AnswerCode;
use super::json::AskedInstance;
use super::records::HeldRecords;

/// The key with the second of the last heartbeat, while an instance is unhealthy for want of them.
pub const LAST_BEAT: &str = "internal-lastheartbeat";
const WEIGHT: u32 = 100;
/// Of a TTL that is none, or is longer than a minute.
const TTL: u32 = 5;

fn heartbeat(it: &Instance) -> Option<HealthCheck> {
    let beat = it.health_check.and_then(|check| check.heartbeat)?;
    let ttl = beat.ttl.filter(|ttl| (1..=60).contains(ttl)).unwrap_or(TTL);
    let checked = it.enable_health_check != Some(false);
    checked.then_some(HealthCheck { r#type: 1, heartbeat: Some(HeartbeatHealthCheck { ttl: Some(ttl) }) })
}

/// Whether a request wants another location; one without any wants none.
fn moves(asked: Option<&Location>, there: Option<&Location>) -> bool {
    let words =
        |place: &Location| [&place.region, &place.zone, &place.campus].map(|word| word.clone().unwrap_or_default());
    let there = there.map(words).unwrap_or_default();
    asked.is_some_and(|asked| words(asked) != there)
}

impl HeldRecords {
    /// Makes an instance, or replaces all of the one with its id but its isolation, unless the request names that, too. Its
    /// service and namespace are made where they are missing. `asked` has an id.
    pub fn create_instance(&mut self, asked: &Instance) -> OneAnswer {
        let (namespace, name) =
            (asked.namespace.clone().unwrap_or_default(), asked.service.clone().unwrap_or_default());
        let service = self.service_made(&namespace, &name);
        let id = asked.id.clone().unwrap_or_default();
        let isolated = self.instances.get(&id).and_then(|there| there.it.isolate);
        let check = heartbeat(asked);
        let it = Instance {
            host: asked.host.as_deref().map(|host| host.trim().to_owned()),
            weight: Some(asked.weight.unwrap_or(WEIGHT)),
            healthy: Some(asked.healthy.unwrap_or(true)),
            isolate: Some(asked.isolate.or(isolated).unwrap_or(false)),
            enable_health_check: check.map(|_| true),
            health_check: check,
            ctime: None,
            ..asked.clone()
        };
        let shown = Instance {
            id: it.id.clone(),
            service: Some(name),
            namespace: Some(namespace),
            vpc_id: it.vpc_id.clone(),
            host: it.host.clone(),
            port: it.port,
            ..Instance::default()
        };
        self.put_instance(&service, it);
        OneAnswer::instance(AnswerCode::SUCCESS, shown)
    }

    /// Changes what the request names; metadata is replaced as a whole.
    pub fn update_instance(&mut self, asked: &AskedInstance) -> OneAnswer {
        let told = |code| OneAnswer::instance(code, asked.it.clone());
        let id = asked.it.id.as_deref().unwrap_or_default();
        let Some(there) = self.instances.get(id).cloned() else { return told(AnswerCode::NO_INSTANCE) };
        if !self.services.contains_key(&there.service) {
            return told(AnswerCode::NOT_FOUND);
        }
        let (before, asked_it, mut it) = (&there.it, &asked.it, there.it.clone());
        if asked.has_metadata {
            it.metadata = asked_it.metadata.clone();
        }
        if moves(asked_it.location.as_ref(), before.location.as_ref()) {
            it.location = asked_it.location.clone();
        }
        it.protocol = asked_it.protocol.clone().or(it.protocol);
        it.version = asked_it.version.clone().or(it.version);
        it.logic_set = asked_it.logic_set.clone().or(it.logic_set);
        it.priority = asked_it.priority.or(it.priority);
        it.weight = asked_it.weight.or(it.weight);
        it.healthy = asked_it.healthy.or(it.healthy);
        it.isolate = asked_it.isolate.or(it.isolate);
        if let Some(check) = heartbeat(asked_it) {
            if it.enable_health_check != Some(true) {
                it.healthy = Some(false);
                it.enable_health_check = Some(true);
            }
            it.health_check = Some(check);
        }
        if asked_it.enable_health_check == Some(false) && before.enable_health_check == Some(true) {
            (it.enable_health_check, it.health_check) = (Some(false), None);
        }
        // An empty text and none are one.
        let plain = |it: &Instance| {
            let text = |word: &Option<String>| word.clone().filter(|word| !word.is_empty());
            Instance {
                protocol: text(&it.protocol),
                version: text(&it.version),
                logic_set: text(&it.logic_set),
                priority: it.priority.filter(|number| *number > 0),
                ..it.clone()
            }
        };
        if plain(&it) == plain(before) {
            return told(AnswerCode::NO_NEED);
        }
        self.put_instance(&there.service, it);
        told(AnswerCode::SUCCESS)
    }

    /// Succeeds as well where there is none.
    pub fn delete_instance(&mut self, asked: &Instance) -> OneAnswer {
        self.drop_instance(asked.id.as_deref().unwrap_or_default());
        OneAnswer::instance(AnswerCode::SUCCESS, asked.clone())
    }

    fn on_host(&self, asked: &Instance) -> Option<Vec<String>> {
        let (namespace, name) = (asked.namespace.as_deref()?, asked.service.as_deref()?);
        let service = self.service_named(namespace, name)?.id();
        let ids = self.standing.get(service).into_iter().flatten();
        let here = |id: &&String| self.instances.get(*id).is_some_and(|one| one.it.host == asked.host);
        Some(ids.filter(here).cloned().collect())
    }

    /// All instances of a service on a host.
    pub fn delete_host(&mut self, asked: &Instance) -> OneAnswer {
        let Some(ids) = self.on_host(asked) else {
            return OneAnswer::instance(AnswerCode::NO_SERVICE, asked.clone());
        };
        ids.iter().for_each(|id| self.drop_instance(id));
        OneAnswer::instance(AnswerCode::SUCCESS, asked.clone())
    }

    /// The same: isolates them, or ends that.
    pub fn isolate_host(&mut self, asked: &Instance) -> OneAnswer {
        let told = |code| OneAnswer::instance(code, asked.clone());
        let Some(isolate) = asked.isolate else { return told(AnswerCode::INSTANCE_ISOLATE) };
        let Some(ids) = self.on_host(asked) else { return told(AnswerCode::NO_SERVICE) };
        let held: Vec<_> = ids.iter().filter_map(|id| self.instances.get(id).cloned()).collect();
        if held.iter().all(|one| one.it.isolate.unwrap_or_default() == isolate) {
            return told(AnswerCode::NO_NEED);
        }
        for one in held {
            self.put_instance(&one.service, Instance { isolate: Some(isolate), ..one.it.clone() });
        }
        told(AnswerCode::SUCCESS)
    }

    /// By the server's own checks. `last`: the second of the last heartbeat.
    pub fn set_health(&mut self, id: &str, healthy: bool, last: i64) {
        let Some(there) = self.instances.get(id).cloned() else { return };
        let mut it = Instance { healthy: Some(healthy), ..there.it.clone() };
        match healthy {
            true => drop(it.metadata.remove(LAST_BEAT)),
            false => drop(it.metadata.insert(LAST_BEAT.to_owned(), last.to_string())),
        }
        self.put_instance(&there.service, it);
    }
}
