//! What we make in Kong beside targets: upstreams, services and routes, as the Admin API takes them. Pure.

use super::client::Body;
use super::convert::our_tag;
use super::names::{ServiceParts, service_parts};
use super::settings::{KongOptions, RouteTemplate};
use serde_json::{Value, json};

/// An upstream of ours.
pub(super) fn upstream(options: &KongOptions, install: &str, name: &str) -> Body {
    let mut body = options.upstream.clone();
    body.insert("name".into(), name.into());
    body.insert("tags".into(), json!([our_tag(install)]));
    body
}

/// A service of ours, whose host is an upstream.
pub(super) fn service(install: &str, name: &str, upstream: &str) -> Body {
    let fields = json!({"name": name, "host": upstream, "port": 80, "protocol": "http", "tags": [our_tag(install)]});
    fields.as_object().cloned().unwrap_or_default()
}

/// The routes of a service, which stands in Kong as `service` and is wanted as `wanted`.
pub(super) fn routes(options: &KongOptions, install: &str, service: &str, wanted: &str) -> Vec<Body> {
    let parts = service_parts(wanted);
    let route = |(n, template): (usize, &RouteTemplate)| {
        let fill = |texts: &[String]| texts.iter().map(|text| fill(text, &parts, service)).collect::<Vec<_>>();
        let mut body = Body::new();
        body.insert("name".into(), format!("{service}.route-{}", n + 1).into());
        body.insert("tags".into(), json!([our_tag(install)]));
        let lists = [
            ("hosts", &template.hosts),
            ("paths", &template.paths),
            ("methods", &template.methods),
            ("protocols", &template.protocols),
        ];
        for (key, texts) in lists.into_iter().filter(|(_, texts)| !texts.is_empty()) {
            body.insert(key.into(), json!(fill(texts)));
        }
        let flags = [("strip_path", template.strip_path), ("preserve_host", template.preserve_host)];
        body.extend(flags.into_iter().filter_map(|(key, flag)| Some((key.to_owned(), flag?.into()))));
        body
    };
    options.routes.iter().enumerate().map(route).collect()
}

fn fill(text: &str, parts: &ServiceParts<'_>, name: &str) -> String {
    let places = [
        ("{source}", parts.source),
        ("{namespace}", parts.namespace),
        ("{group}", parts.group),
        ("{service}", parts.service),
        ("{name}", name),
    ];
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    // In one pass: a name that looks like a place is not filled again.
    while let Some(first) = rest.chars().next() {
        match places.iter().find(|(place, _)| rest.starts_with(place)) {
            Some((place, name)) => {
                out.push_str(name);
                rest = &rest[place.len()..];
            }
            None => {
                out.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    out
}

/// The fields of `wanted` that stand otherwise. What it does not name is somebody else's, and so are the entity's tags.
pub(super) fn differences(wanted: &Body, stands: &Body) -> Body {
    let differs = |(key, value): &(&String, &Value)| {
        !matches!(key.as_str(), "name" | "tags") && !stands.get(*key).is_some_and(|stands| covers(stands, value))
    };
    wanted.iter().filter(differs).map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn covers(stands: &Value, wanted: &Value) -> bool {
    match (stands, wanted) {
        (Value::Object(stands), Value::Object(wanted)) => {
            wanted.iter().all(|(key, value)| stands.get(key).map_or(value.is_null(), |stands| covers(stands, value)))
        }
        (Value::Number(stands), Value::Number(wanted)) => stands.as_f64() == wanted.as_f64(),
        (stands, wanted) => stands == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(value: Value) -> Body {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn only_what_we_set_is_compared() {
        let stands = body(json!({
            "algorithm": "round-robin", "slots": 10000, "tags": ["x"], "client_certificate": null,
            "healthchecks": {"active": {"type": "http", "healthy": {"interval": 0, "successes": 0}}, "threshold": 0},
        }));
        for (wanted, differs) in [
            (json!({"name": "other", "tags": ["y"]}), json!({})),
            (json!({"healthchecks": {"active": {"healthy": {"interval": 0.0}}}}), json!({})),
            (json!({"slots": 100, "algorithm": "round-robin"}), json!({"slots": 100})),
            (
                json!({"healthchecks": {"active": {"healthy": {"interval": 5}}}}),
                json!({"healthchecks": {"active": {"healthy": {"interval": 5}}}}),
            ),
            (json!({"hash_on": "ip"}), json!({"hash_on": "ip"})),
        ] {
            assert_eq!(differences(&body(wanted), &stands), body(differs));
        }
    }

    #[test]
    fn routes_by_template() {
        let template = RouteTemplate {
            paths: vec!["/{namespace}/{service}".into(), "/{x}".into()],
            hosts: vec!["{group}.{source}.example".into()],
            strip_path: Some(false),
            ..RouteTemplate::default()
        };
        let options = KongOptions { routes: vec![template], ..KongOptions::default() };
        let routes = routes(&options, "i", "s.n.G__a_3ab", "s.n.G__a:b");
        assert_eq!(
            json!(routes),
            json!([{
                "name": "s.n.G__a_3ab.route-1", "tags": ["causeway:i"], "hosts": ["G.s.example"],
                "paths": ["/n/a:b", "/{x}"], "strip_path": false,
            }])
        );
        assert_eq!(service("i", "s.n.a", "s.n.a.default")["host"], "s.n.a.default");
    }
}
