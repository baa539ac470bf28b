//! Which fields requests may have, and of which type. Servers up to 1.17 refuse others; later ones pass over them, and
//! this one refuses them, so that nobody relies on that.

use serde_json::{Map, Value};

use FieldKind::{Flag, List, Message, Number, Text, Texts, Word};

/// What stands in a field.
pub enum FieldKind {
    Text,
    /// Not negative, below 2³². A text of digits is one, too.
    Number,
    Flag,
    /// One of these words, or its number.
    Word(&'static str, &'static [(&'static str, u32)]),
    /// Texts by name.
    Texts,
    /// A list of texts.
    List,
    Message(&'static MessageSchema),
}

/// A message: its name, and its fields by their name in protobuf and the one in JSON. Both are taken.
pub struct MessageSchema {
    name: &'static str,
    fields: &'static [(&'static str, &'static str, FieldKind)],
}

/// A field that has one name.
macro_rules! fields {
    ($($name:literal $(= $json:literal)? : $field:expr),* $(,)?) => {
        &[$(($name, fields!(@ $name $($json)?), $field)),*]
    };
    (@ $name:literal) => { $name };
    (@ $name:literal $json:literal) => { $json };
}

static LOCATION: MessageSchema =
    MessageSchema { name: "v1.Location", fields: fields!["region": Text, "zone": Text, "campus": Text] };
static HEARTBEAT: MessageSchema = MessageSchema { name: "v1.HeartbeatHealthCheck", fields: fields!["ttl": Number] };
static HEALTH_CHECK: MessageSchema = MessageSchema {
    name: "v1.HealthCheck",
    fields: fields![
        "type": Word("v1.HealthCheck.HealthCheckType", &[("UNKNOWN", 0), ("HEARTBEAT", 1)]),
        "heartbeat": Message(&HEARTBEAT),
    ],
};
pub static INSTANCE: MessageSchema = MessageSchema {
    name: "v1.Instance",
    fields: fields![
        "id": Text, "service": Text, "namespace": Text, "vpc_id": Text, "host": Text, "port": Number,
        "protocol": Text, "version": Text, "priority": Number, "weight": Number,
        "enable_health_check" = "enableHealthCheck": Flag, "health_check" = "healthCheck": Message(&HEALTH_CHECK),
        "healthy": Flag, "isolate": Flag, "location": Message(&LOCATION), "metadata": Texts, "logic_set": Text,
        "ctime": Text, "mtime": Text, "revision": Text, "service_token": Text,
    ],
};
pub static SERVICE: MessageSchema = MessageSchema {
    name: "v1.Service",
    fields: fields![
        "name": Text, "namespace": Text, "metadata": Texts, "ports": Text, "business": Text, "department": Text,
        "cmdb_mod1": Text, "cmdb_mod2": Text, "cmdb_mod3": Text, "comment": Text, "owners": Text, "token": Text,
        "ctime": Text, "mtime": Text, "revision": Text, "platform_id": Text, "total_instance_count": Number,
        "healthy_instance_count": Number, "user_ids": List, "group_ids": List, "remove_user_ids": List,
        "remove_group_ids": List, "id": Text, "editable": Flag, "export_to": List, "deleteable": Flag,
    ],
};
pub static NAMESPACE: MessageSchema = MessageSchema {
    name: "v1.Namespace",
    fields: fields![
        "name": Text, "comment": Text, "owners": Text, "token": Text, "ctime": Text, "mtime": Text,
        "total_service_count": Number, "total_health_instance_count": Number, "total_instance_count": Number,
        "user_ids": List, "group_ids": List, "remove_user_ids": List, "remove_group_ids": List, "id": Text,
        "editable": Flag, "service_export_to": List, "metadata": Texts, "deleteable": Flag,
    ],
};
static FILTER: MessageSchema =
    MessageSchema { name: "v1.DiscoverFilter", fields: fields!["OnlyHealthyInstance" = "OnlyHealthyInstance": Flag] };
pub static DISCOVER: MessageSchema = MessageSchema {
    name: "v1.DiscoverRequest",
    fields: fields![
        "type": Word(
            "v1.DiscoverRequest.DiscoverRequestType",
            &[
                ("UNKNOWN", 0), ("INSTANCE", 1), ("CLUSTER", 2), ("ROUTING", 3), ("RATE_LIMIT", 4),
                ("CIRCUIT_BREAKER", 5), ("SERVICES", 6), ("NAMESPACES", 12), ("FAULT_DETECTOR", 13),
            ],
        ),
        "service": Message(&SERVICE),
        "Filter" = "Filter": Message(&FILTER),
    ],
};
pub static CLIENT: MessageSchema = MessageSchema {
    name: "v1.Client",
    fields: fields![
        "host": Text,
        "type": Word("v1.Client.ClientType", &[("UNKNOWN", 0), ("SDK", 1), ("AGENT", 2)]),
        "version": Text, "location": Message(&LOCATION), "id": Text, "ctime": Text, "mtime": Text,
    ],
};
pub static LOGIN: MessageSchema = MessageSchema {
    name: "v1.LoginRequest",
    fields: fields!["owner": Text, "name": Text, "password": Text, "options": Texts],
};

impl MessageSchema {
    /// The fields that are there and not null, under their names in protobuf.
    pub fn read(&self, value: &Value) -> Result<Map<String, Value>, String> {
        let Value::Object(all) = value else {
            return Err(mismatch(value, "map[string]json.RawMessage"));
        };
        let known = |name: &String| self.fields.iter().any(|(proto, json, _)| name == proto || name == json);
        if let Some(name) = all.keys().find(|name| !known(name)) {
            return Err(format!("unknown field {name:?} in {}", self.name));
        }
        let mut read = Map::new();
        for (proto, json, field) in self.fields {
            match all.get(*json).or_else(|| all.get(*proto)) {
                None | Some(Value::Null) => {}
                Some(value) => drop(read.insert((*proto).to_owned(), field.read(value)?)),
            }
        }
        Ok(read)
    }
}

impl FieldKind {
    fn read(&self, value: &Value) -> Result<Value, String> {
        match self {
            Text => text(value),
            Number => number(value),
            Flag => value.as_bool().map(Value::from).ok_or_else(|| mismatch(value, "bool")),
            Word(name, words) => match value {
                Value::String(word) => {
                    let found = words.iter().find(|(known, _)| known == word);
                    let number = found.map(|(_, number)| Value::from(*number));
                    number.ok_or_else(|| format!("unknown value {word:?} for enum {name}"))
                }
                other => number(other),
            },
            Texts => {
                let all = value.as_object().ok_or_else(|| mismatch(value, "map[string]json.RawMessage"))?;
                let all = all.iter().map(|(key, value)| match value {
                    Value::Null => Ok((key.clone(), Value::from(""))),
                    value => Ok((key.clone(), text(value)?)),
                });
                all.collect::<Result<Map<_, _>, String>>().map(Value::Object)
            }
            List => {
                let all = value.as_array().ok_or_else(|| mismatch(value, "[]json.RawMessage"))?;
                all.iter().map(text).collect::<Result<Vec<_>, _>>().map(Value::Array)
            }
            Message(schema) => schema.read(value).map(Value::Object),
        }
    }
}

fn text(value: &Value) -> Result<Value, String> {
    value.as_str().map(Value::from).ok_or_else(|| mismatch(value, "string"))
}

fn number(value: &Value) -> Result<Value, String> {
    let number = match value {
        Value::String(digits) => digits.parse().ok(),
        other => other.as_u64().and_then(|number| u32::try_from(number).ok()),
    };
    number.map(Value::from).ok_or_else(|| mismatch(value, "uint32"))
}

fn mismatch(value: &Value, wanted: &str) -> String {
    let kind = match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "bool".to_owned(),
        Value::Number(number) if wanted == "uint32" => format!("number {number}"),
        Value::Number(_) => "number".to_owned(),
        Value::String(_) => "string".to_owned(),
        Value::Array(_) => "array".to_owned(),
        Value::Object(_) => "object".to_owned(),
    };
    format!("json: cannot unmarshal {kind} into Go value of type {wanted}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn both_names_of_a_field_are_taken_and_null_is_absent() {
        let read =
            INSTANCE.read(&json!({"enableHealthCheck": true, "health_check": {"type": "HEARTBEAT"}, "id": null}));
        assert_eq!(json!(read.unwrap()), json!({"enable_health_check": true, "health_check": {"type": 1}}));
        assert_eq!(
            json!(INSTANCE.read(&json!({"port": "80", "weight": 5})).unwrap()),
            json!({"port": 80, "weight": 5})
        );
    }

    #[test]
    fn what_is_not_known_or_of_another_type_is_refused() {
        for (wrong, why) in [
            (json!({"vpcId": "a"}), r#"unknown field "vpcId" in v1.Instance"#),
            (json!({"health_check": {"interval": 1}}), r#"unknown field "interval" in v1.HealthCheck"#),
            (json!({"port": "http"}), "json: cannot unmarshal string into Go value of type uint32"),
            (json!({"port": -1}), "json: cannot unmarshal number -1 into Go value of type uint32"),
            (json!({"weight": 0.5}), "json: cannot unmarshal number 0.5 into Go value of type uint32"),
            (json!({"host": 1}), "json: cannot unmarshal number into Go value of type string"),
            (json!({"healthy": "true"}), "json: cannot unmarshal string into Go value of type bool"),
            (json!({"metadata": {"a": 1}}), "json: cannot unmarshal number into Go value of type string"),
            (
                json!({"health_check": {"type": "PING"}}),
                r#"unknown value "PING" for enum v1.HealthCheck.HealthCheckType"#,
            ),
            (json!([]), "json: cannot unmarshal array into Go value of type map[string]json.RawMessage"),
        ] {
            assert_eq!(INSTANCE.read(&wrong).unwrap_err(), why, "{wrong}");
        }
    }
}
