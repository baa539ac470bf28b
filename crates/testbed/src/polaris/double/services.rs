//! Services and namespaces are made, changed and taken away.

use causeway_proto::polaris::{Namespace, Service};

use super::answers::OneAnswer;
use super::checks;
use super::codes::AnswerCode;
use super::json::AskedService;
use super::records::{HeldRecords, random_id};

impl HeldRecords {
    pub fn create_namespace(&mut self, asked: &Namespace) -> OneAnswer {
        if let Err(code) = checks::namespace(asked) {
            return OneAnswer::namespace(code, asked.clone());
        }
        let name = asked.name.as_deref().unwrap_or_default();
        if self.namespaces.contains_key(name) {
            return OneAnswer::namespace(AnswerCode::EXISTED, asked.clone());
        }
        let made = self.put_namespace(Namespace { token: None, ctime: None, ..asked.clone() });
        let shown = Namespace { name: made.name, token: made.token, ..Namespace::default() };
        OneAnswer::namespace(AnswerCode::SUCCESS, shown)
    }

    pub fn update_namespace(&mut self, asked: &Namespace) -> OneAnswer {
        if let Err(code) = checks::namespace(asked) {
            return OneAnswer::namespace(code, asked.clone());
        }
        let Some(there) = self.namespaces.get(asked.name.as_deref().unwrap_or_default()).cloned() else {
            return OneAnswer::namespace(AnswerCode::NOT_FOUND, asked.clone());
        };
        let mut it = there.it.clone();
        it.comment = asked.comment.clone().or(it.comment);
        it.owners = asked.owners.clone().or(it.owners);
        self.put_namespace(it);
        OneAnswer::namespace(AnswerCode::SUCCESS, asked.clone())
    }

    /// One with services stays; one that is not there counts as gone.
    pub fn delete_namespace(&mut self, asked: &Namespace) -> OneAnswer {
        if let Err(code) = checks::namespace(asked) {
            return OneAnswer::namespace(code, asked.clone());
        }
        let name = asked.name.as_deref().unwrap_or_default();
        if self.names.keys().any(|(namespace, _)| namespace == name) {
            return OneAnswer::namespace(AnswerCode::NAMESPACE_HAS_SERVICES, asked.clone());
        }
        self.drop_namespace(name);
        OneAnswer::namespace(AnswerCode::SUCCESS, asked.clone())
    }

    /// The id of a service. It is made where it is missing, and so is its namespace.
    pub fn service_made(&mut self, namespace: &str, name: &str) -> String {
        if let Some(there) = self.service_named(namespace, name) {
            return there.id().to_owned();
        }
        let owners = Some(self.maker.clone().unwrap_or_else(|| "Polaris".to_owned()));
        let (namespace, name) = (Some(namespace.to_owned()), Some(name.to_owned()));
        let made = self.make_service(Service { namespace, name, owners, ..Service::default() });
        made.id.unwrap_or_default()
    }

    fn make_service(&mut self, asked: Service) -> Service {
        let namespace = asked.namespace.clone().unwrap_or_default();
        if !self.namespaces.contains_key(&namespace) {
            self.put_namespace(Namespace {
                name: Some(namespace),
                owners: asked.owners.clone(),
                ..Namespace::default()
            });
        }
        let fresh = Service { id: None, token: None, ctime: None, revision: Some(random_id()), ..asked };
        self.put_service(fresh)
    }

    pub fn create_service(&mut self, asked: &Service) -> OneAnswer {
        let (namespace, name) =
            (asked.namespace.as_deref().unwrap_or_default(), asked.name.as_deref().unwrap_or_default());
        if let Some(there) = self.service_named(namespace, name) {
            let id = Some(there.id().to_owned());
            return OneAnswer::service(AnswerCode::EXISTED, Service { id, ..asked.clone() });
        }
        let made = self.make_service(asked.clone());
        let shown = Service {
            id: made.id,
            name: made.name,
            namespace: made.namespace,
            token: made.token,
            ..Service::default()
        };
        OneAnswer::service(AnswerCode::SUCCESS, shown)
    }

    /// Changes what the request names; metadata is replaced as a whole, and lost where only something else changes.
    pub fn update_service(&mut self, AskedService { it: asked, has_metadata }: &AskedService) -> OneAnswer {
        let told = |code| OneAnswer::service(code, asked.clone());
        let (namespace, name) =
            (asked.namespace.as_deref().unwrap_or_default(), asked.name.as_deref().unwrap_or_default());
        let Some(there) = self.service_named(namespace, name).cloned() else { return told(AnswerCode::NOT_FOUND) };
        let mut it = there.it.clone();
        let is_replaced = *has_metadata && asked.metadata != it.metadata;
        if is_replaced {
            it.metadata = asked.metadata.clone();
            it.revision = Some(random_id());
        }
        it.ports = asked.ports.clone().or(it.ports);
        it.business = asked.business.clone().or(it.business);
        it.department = asked.department.clone().or(it.department);
        it.comment = asked.comment.clone().or(it.comment);
        it.owners = asked.owners.clone().or(it.owners);
        if it == there.it {
            return told(AnswerCode::NO_NEED);
        }
        if !is_replaced {
            // The server loses it.
            it.metadata.clear();
        }
        self.put_service(it);
        told(AnswerCode::SUCCESS)
    }

    /// One with instances stays; one that is not there counts as gone.
    pub fn delete_service(&mut self, asked: &Service) -> OneAnswer {
        let told = |code| OneAnswer::service(code, asked.clone());
        let (namespace, name) =
            (asked.namespace.as_deref().unwrap_or_default(), asked.name.as_deref().unwrap_or_default());
        let Some(id) = self.service_named(namespace, name).map(|there| there.id().to_owned()) else {
            return told(AnswerCode::SUCCESS);
        };
        if self.standing.get(&id).is_some_and(|instances| !instances.is_empty()) {
            return told(AnswerCode::SERVICE_HAS_INSTANCES);
        }
        self.drop_service(&id);
        told(AnswerCode::SUCCESS)
    }
}
