//! Answers, pages and what is sent.

use super::*;
use crate::kong::fake::Fake;
use reqwest::header::HeaderMap;

fn refusal(status: u16, body: &Value) -> Option<Error> {
    let status = StatusCode::from_u16(status).unwrap();
    refused(&Reply { status, headers: HeaderMap::new(), body: body.to_string().into_bytes() })
}

#[test]
fn what_answers_mean() {
    type Is = fn(&Error) -> bool;
    let schema = json!({"code": 2, "name": "schema violation", "message": "schema violation (weight)", "fields": {"weight": "expected an integer"}});
    let table: [(u16, Value, Is, &str); 12] = [
        (400, schema, |e| matches!(e, Error::Rejected(_)), "expected an integer"),
        (
            400,
            json!({"code": 4, "message": "an existing 'routes' entity references this"}),
            |e| matches!(e, Error::Blocked(_)),
            "routes",
        ),
        (409, json!({"code": 5, "name": "unique constraint violation"}), |e| matches!(e, Error::Conflict), ""),
        (404, json!({"code": 6, "message": "Not found"}), |e| matches!(e, Error::Missing(_)), "Not found"),
        (405, json!({"code": 12, "message": "cannot create"}), |e| matches!(e, Error::Denied(_)), "mode: database"),
        (405, json!({"message": "Method not allowed"}), |e| matches!(e, Error::Denied(_)), "not allowed"),
        (401, json!({"message": "Invalid credentials"}), |e| matches!(e, Error::Denied(_)), "Invalid"),
        (403, json!("<html>no</html>"), |e| matches!(e, Error::Denied(_)), "html"),
        (429, json!({}), |e| matches!(e, Error::Throttled(_)), "wait"),
        (500, json!({"message": "An unexpected error occurred"}), |e| matches!(e, Error::Unavailable(_)), "500"),
        (413, json!({}), |e| matches!(e, Error::Rejected(_)), ""),
        (302, json!({}), |e| matches!(e, Error::Protocol(_)), "302"),
    ];
    for (status, body, is, words) in table {
        let error = refusal(status, &body).unwrap();
        assert!(is(&error) && error.to_string().contains(words), "{status} {body}: {error}");
    }
    assert!(refusal(204, &json!(null)).is_none() && refusal(304, &json!(null)).is_none());
}

#[tokio::test]
async fn pages_are_read_to_the_end() {
    let upstreams: Vec<_> =
        (0..25).map(|n| json!({"name": format!("u{n:02}"), "tags": [if n % 2 == 0 { "a:b" } else { "c" }]})).collect();
    let fake = Fake::start(&json!({ "upstreams": upstreams })).await;
    fake.state.lock().page = 4;
    let client = fake.client(&KongOptions::default());
    let names = |rows: Vec<UpstreamRow>| rows.into_iter().map(|row| row.name).collect::<Vec<_>>();
    assert_eq!(names(client.list("/upstreams", None).await.unwrap()).len(), 25);
    let tagged = names(client.list("/upstreams", Some("a:b")).await.unwrap());
    assert_eq!((tagged.len(), tagged[12].as_str()), (13, "u24"));
    let seen = fake.state.lock().seen.clone();
    assert_eq!(seen[0], "GET /upstreams?size=1000");
    assert_eq!(seen[1], "GET /upstreams?size=1000&offset=4");
    assert_eq!(seen.len(), 7 + 4);
    // A page that never ends is no list.
    fake.state.lock().faults.push(("GET /upstreams".into(), 200, json!({"data": [], "offset": "x"})));
    assert!(matches!(client.list::<UpstreamRow>("/upstreams", None).await, Err(Error::Protocol(_))));
}

#[tokio::test]
async fn the_token_goes_in_both_headers_and_in_no_error() {
    let fake = Fake::start(&json!({})).await;
    let options = KongOptions { workspace: Some("team a".into()), ..KongOptions::default() };
    let client = fake.client(&options);
    assert!(matches!(client.check().await, Err(Error::Missing(_))), "the fake has no workspaces");
    let (head, line) = {
        let state = fake.state.lock();
        (state.heads[0].to_lowercase(), state.seen[0].clone())
    };
    assert!(head.contains("kong-admin-token: hunter2") && head.contains("authorization: hunter2"), "{head}");
    assert_eq!(line, "GET /team%20a/upstreams?size=1");
    fake.state.lock().faults.push(("GET".into(), 401, json!({"message": "no"})));
    let error = client.check().await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"));
    assert!(client.has_no_database().await.is_err());
}

#[test]
fn addresses() {
    for (address, secured, path, expected) in [
        ("h", false, "", "http://h:8001"),
        ("h:1", false, "", "http://h:1"),
        ("[::1]", true, "", "https://[::1]:8444"),
        ("https://h", false, "/kong", "https://h:8444/kong"),
        ("http://h:80/admin/", false, "", "http://h:80/admin"),
    ] {
        assert_eq!(base(address, secured, path).unwrap(), expected);
    }
    assert!(base("http://h", true, "").is_err());
}
