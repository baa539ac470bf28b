//! What the server answers.

use causeway_proto::polaris::{Client, Instance, Namespace, Response, Service};
use serde_json::{Value, json};

use super::codes::AnswerCode;
use super::json;
use super::state::USER_ID;

/// About one thing.
#[derive(Clone, Debug)]
pub struct OneAnswer {
    /// `None`: an answer that the server forgot to fill in.
    pub code: Option<AnswerCode>,
    info: String,
    about: AnswerTopic,
}

#[derive(Clone, Debug)]
enum AnswerTopic {
    Nothing,
    Namespace(Namespace),
    Service(Box<Service>),
    Instance(Box<Instance>),
    Client(Client),
    /// Of who signed in.
    Token(String),
}

impl OneAnswer {
    pub fn of(code: AnswerCode) -> Self {
        Self { code: Some(code), info: code.info().to_owned(), about: AnswerTopic::Nothing }
    }

    pub fn unfilled() -> Self {
        Self { code: None, info: String::new(), about: AnswerTopic::Nothing }
    }

    /// With what exactly is wrong behind the code's words.
    pub fn with(code: AnswerCode, message: &str) -> Self {
        Self::said(code, &format!(": {message}"))
    }

    /// With these words right behind the code's.
    pub fn said(code: AnswerCode, words: &str) -> Self {
        Self { info: format!("{}{words}", code.info()), ..Self::of(code) }
    }

    pub fn namespace(code: AnswerCode, it: Namespace) -> Self {
        Self { about: AnswerTopic::Namespace(it), ..Self::of(code) }
    }

    pub fn service(code: AnswerCode, it: Service) -> Self {
        Self { about: AnswerTopic::Service(Box::new(it)), ..Self::of(code) }
    }

    pub fn instance(code: AnswerCode, it: Instance) -> Self {
        Self { about: AnswerTopic::Instance(Box::new(it)), ..Self::of(code) }
    }

    pub fn client(it: Client) -> Self {
        Self { about: AnswerTopic::Client(it), ..Self::of(AnswerCode::SUCCESS) }
    }

    pub fn token(token: &str) -> Self {
        Self { about: AnswerTopic::Token(token.to_owned()), ..Self::of(AnswerCode::SUCCESS) }
    }

    pub fn is_success(&self) -> bool {
        self.code.is_some_and(AnswerCode::is_success)
    }

    pub fn json(&self) -> Value {
        let mut all = json!({
            "code": self.code.map(|code| code.0), "info": self.code.map(|_| &self.info), "client": null,
            "namespace": null, "service": null, "instance": null, "routing": null, "alias": null, "rateLimit": null,
            "circuitBreaker": null, "configRelease": null, "user": null, "userGroup": null, "authStrategy": null,
            "relation": null, "loginResponse": null, "modifyAuthStrategy": null, "modifyUserGroup": null,
            "resources": null, "optionSwitch": null, "instanceLabels": null, "data": null, "serviceContract": null,
        });
        match &self.about {
            AnswerTopic::Nothing => {}
            AnswerTopic::Namespace(it) => all["namespace"] = json::namespace(it, None),
            AnswerTopic::Service(it) => all["service"] = json::service(it, None),
            AnswerTopic::Instance(it) => all["instance"] = json::instance(it),
            AnswerTopic::Client(it) => {
                all["client"] = json!({
                    "host": it.host, "type": "UNKNOWN", "version": it.version, "location": null, "id": null, "stat": [],
                    "ctime": null, "mtime": null,
                });
            }
            AnswerTopic::Token(token) => {
                all["loginResponse"] = json!({
                    "user_id": USER_ID, "name": "polaris", "role": "main",
                    "owner_id": "", "token": token, "options": {},
                });
            }
        }
        all
    }

    pub fn proto(self) -> Response {
        let mut all = Response {
            code: self.code.map(|code| code.0),
            info: Some(self.info),
            client: None,
            namespace: None,
            service: None,
            instance: None,
        };
        match self.about {
            AnswerTopic::Nothing | AnswerTopic::Token(_) => {}
            AnswerTopic::Namespace(it) => all.namespace = Some(it),
            AnswerTopic::Service(it) => all.service = Some(*it),
            AnswerTopic::Instance(it) => all.instance = Some(*it),
            AnswerTopic::Client(it) => all.client = Some(it),
        }
        all
    }
}

/// About many things, in their order.
#[derive(Clone, Debug)]
pub struct ManyAnswers {
    pub code: AnswerCode,
    info: String,
    pub all: Vec<OneAnswer>,
}

impl ManyAnswers {
    pub fn of(code: AnswerCode) -> Self {
        Self { code, info: code.info().to_owned(), all: Vec::new() }
    }

    pub fn with(code: AnswerCode, message: &str) -> Self {
        Self { info: format!("{}: {message}", code.info()), ..Self::of(code) }
    }

    /// Of these: the largest code that is no success.
    pub fn collected(all: Vec<OneAnswer>) -> Self {
        let worst = all.iter().filter(|one| !one.is_success()).filter_map(|one| one.code).max();
        Self { all, ..Self::of(worst.unwrap_or(AnswerCode::SUCCESS)) }
    }

    /// Of these: the code that all have; else 500000 where there is one like it, 400000 where there is one like it, and
    /// success.
    pub fn summed_up(all: Vec<OneAnswer>) -> Self {
        let collected = Self::collected(all);
        let codes: Vec<_> = collected.all.iter().filter_map(|one| one.code).collect();
        let alike = codes.windows(2).all(|pair| pair[0] == pair[1]).then(|| codes.first().copied()).flatten();
        let of = |status: u16| codes.iter().any(|code| code.status() >= status);
        let code = match alike {
            Some(code) => code,
            None if of(500) => AnswerCode::EXCEPTION,
            None if of(400) => AnswerCode::BAD_REQUEST,
            None => collected.code,
        };
        Self { all: collected.all, ..Self::of(code) }
    }

    pub fn json(&self) -> Value {
        let all: Vec<_> = self.all.iter().map(OneAnswer::json).collect();
        json!({"code": self.code.0, "info": self.info, "size": all.len(), "responses": all})
    }
}

/// A page of a list.
#[derive(Debug)]
pub struct ListAnswer {
    pub code: AnswerCode,
    info: String,
    /// How many there are on all pages.
    amount: usize,
    kind: &'static str,
    rows: Vec<Value>,
    summary: Value,
}

impl ListAnswer {
    pub fn of(code: AnswerCode) -> Self {
        Self {
            code,
            info: code.info().to_owned(),
            amount: 0,
            kind: "instances",
            rows: Vec::new(),
            summary: Value::Null,
        }
    }

    pub fn with(code: AnswerCode, message: &str) -> Self {
        Self { info: format!("{}: {message}", code.info()), ..Self::of(code) }
    }

    /// `kind`: the field with the rows.
    pub fn page(kind: &'static str, amount: usize, rows: Vec<Value>) -> Self {
        Self { amount, kind, rows, ..Self::of(AnswerCode::SUCCESS) }
    }

    pub fn summary(mut self, summary: Value) -> Self {
        self.summary = summary;
        self
    }

    pub fn json(self) -> Value {
        let mut all = json!({
            "code": self.code.0, "info": self.info, "amount": self.amount, "size": self.rows.len(), "namespaces": [],
            "services": [], "instances": [], "routings": [], "aliases": [], "rateLimits": [],
            "configWithServices": [], "users": [], "userGroups": [], "authStrategies": [], "clients": [], "data": [],
            "summary": self.summary,
        });
        all[self.kind] = Value::Array(self.rows);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summed(codes: &[AnswerCode]) -> AnswerCode {
        ManyAnswers::summed_up(codes.iter().map(|code| OneAnswer::of(*code)).collect()).code
    }

    #[test]
    fn one_code_for_many() {
        let (good, same) = (AnswerCode::SUCCESS, AnswerCode::NO_NEED);
        assert_eq!(summed(&[good, good]), good);
        assert_eq!(summed(&[same, same]), same);
        assert_eq!(summed(&[good, same]), good);
        assert_eq!(summed(&[AnswerCode::EXISTED; 2]), AnswerCode::EXISTED);
        assert_eq!(summed(&[good, AnswerCode::EXISTED]), AnswerCode::BAD_REQUEST);
        assert_eq!(summed(&[good, AnswerCode::EXISTED, AnswerCode::EXCEPTION]), AnswerCode::EXCEPTION);
        let collected = ManyAnswers::collected(vec![OneAnswer::of(good), OneAnswer::of(AnswerCode::EXISTED)]);
        assert_eq!(collected.code, AnswerCode::EXISTED);
    }
}
