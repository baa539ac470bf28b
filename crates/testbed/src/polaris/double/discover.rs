//! What clients discover, over HTTP and over gRPC alike.

use causeway_proto::polaris::discover_request::DiscoverRequestType;
use causeway_proto::polaris::discover_response::DiscoverResponseType;
use causeway_proto::polaris::{DiscoverResponse, Instance, Service};
use serde_json::{Value, json};

use super::cache::digest;
use super::codes::AnswerCode;
use super::json as words;
use super::rights::Rights;
use super::state::PolarisState;

/// What is asked when no namespace is named.
const DEFAULT: &str = "default";

/// The server's answer to a client.
pub fn answer(code: AnswerCode, kind: DiscoverResponseType, service: Option<Service>) -> DiscoverResponse {
    DiscoverResponse {
        code: Some(code.0),
        info: Some(code.info().to_owned()),
        r#type: kind.into(),
        service,
        ..DiscoverResponse::default()
    }
}

impl PolarisState {
    /// `healthy`: only healthy instances.
    pub fn discover(&self, kind: i32, asked: Option<Service>, healthy: bool, rights: &Rights) -> DiscoverResponse {
        match DiscoverRequestType::try_from(kind) {
            Ok(DiscoverRequestType::Instance) => self.discover_instances(asked, healthy, rights),
            Ok(DiscoverRequestType::Services) => self.discover_services(asked, rights),
            // There are no rules here.
            Ok(DiscoverRequestType::Routing) => answer(AnswerCode::SUCCESS, DiscoverResponseType::Routing, asked),
            Ok(DiscoverRequestType::RateLimit) => answer(AnswerCode::SUCCESS, DiscoverResponseType::RateLimit, asked),
            Ok(DiscoverRequestType::CircuitBreaker) => {
                answer(AnswerCode::SUCCESS, DiscoverResponseType::CircuitBreaker, asked)
            }
            Ok(DiscoverRequestType::FaultDetector) => {
                answer(AnswerCode::SUCCESS, DiscoverResponseType::FaultDetector, asked)
            }
            // Namespaces among them: their list is not to be had so.
            _ => answer(AnswerCode::DISCOVER_RESOURCE, DiscoverResponseType::Routing, asked),
        }
    }

    fn discover_services(&self, asked: Option<Service>, rights: &Rights) -> DiscoverResponse {
        let kind = DiscoverResponseType::Services;
        let Some(asked) = asked else { return answer(AnswerCode::EMPTY_REQUEST, kind, None) };
        let cache = self.cache();
        let namespace = asked.namespace.clone().filter(|name| !name.is_empty());
        let all: Vec<_> = cache.services_of(namespace.as_deref()).collect();
        if all.is_empty() {
            return answer(AnswerCode::SUCCESS, kind, Some(asked));
        }
        let mut revisions: Vec<_> = all.iter().map(|one| one.it.it.revision.as_deref().unwrap_or_default()).collect();
        revisions.sort_unstable();
        let revision = digest(revisions);
        if asked.revision.as_deref() == Some(&revision) {
            return answer(AnswerCode::NO_CHANGE, kind, Some(asked));
        }
        let services = all.iter().filter(|one| rights.sees(one.namespace())).map(|one| Service {
            namespace: one.it.it.namespace.clone(),
            name: one.it.it.name.clone(),
            metadata: one.it.it.metadata.clone(),
            ..Service::default()
        });
        let service = Service {
            namespace: Some(asked.namespace.unwrap_or_default()),
            name: Some(asked.name.unwrap_or_default()),
            revision: Some(revision),
            ..Service::default()
        };
        DiscoverResponse { services: services.collect(), ..answer(AnswerCode::SUCCESS, kind, Some(service)) }
    }

    fn discover_instances(&self, asked: Option<Service>, healthy: bool, rights: &Rights) -> DiscoverResponse {
        let kind = DiscoverResponseType::Instance;
        let Some(mut asked) = asked else { return answer(AnswerCode::EMPTY_REQUEST, kind, None) };
        if asked.namespace.as_deref().unwrap_or_default().is_empty() {
            asked.namespace = Some(DEFAULT.to_owned());
        }
        let (namespace, name) = (asked.namespace.clone().unwrap_or_default(), asked.name.clone().unwrap_or_default());
        if name.is_empty() {
            return answer(AnswerCode::SERVICE_NAME, kind, Some(asked));
        }
        if !rights.sees(&namespace) {
            // Without a word about what was asked.
            return answer(AnswerCode::NOT_ALLOWED, DiscoverResponseType::Unknown, None);
        }
        let cache = self.cache();
        let Some(found) = cache.service_named(&namespace, &name) else {
            return answer(AnswerCode::NOT_FOUND, kind, Some(asked));
        };
        if asked.revision.as_deref() == Some(found.revision.as_str()) {
            return answer(AnswerCode::NO_CHANGE, kind, Some(asked));
        }
        let shown = found.instances.iter().filter(|one| !healthy || one.it.healthy == Some(true)).map(|one| Instance {
            service: Some(name.clone()),
            namespace: Some(namespace.clone()),
            service_token: None,
            ..one.it.clone()
        });
        let mut instances: Vec<_> = shown.collect();
        // In no order.
        let first = self.calls.counts().total % instances.len().max(1);
        instances.rotate_left(first);
        let source = found.shown();
        let service = Service { revision: Some(found.revision.clone()), ..source.clone() };
        let alias_for = Some(source);
        DiscoverResponse { instances, alias_for, ..answer(AnswerCode::SUCCESS, kind, Some(service)) }
    }
}

/// The same as JSON.
pub fn shown(answer: &DiscoverResponse) -> Value {
    let service = |one: &Service| words::service(one, None);
    let kind = DiscoverResponseType::try_from(answer.r#type).map_or("UNKNOWN", |kind| kind.as_str_name());
    json!({
        "code": answer.code, "info": answer.info, "type": kind, "service": answer.service.as_ref().map(service),
        "instances": answer.instances.iter().map(words::instance).collect::<Vec<_>>(), "routing": null,
        "rateLimit": null, "circuitBreaker": null,
        "services": answer.services.iter().map(service).collect::<Vec<_>>(), "namespaces": [], "faultDetector": null,
        "aliasFor": answer.alias_for.as_ref().map(service), "lanes": [],
        "customRouteRules": [], "nearbyRouteRules": [], "losslessRules": [],
    })
}
