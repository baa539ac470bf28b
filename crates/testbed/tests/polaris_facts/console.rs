//! The console's calls.

use super::place::Place;
use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};

const NAMESPACES: &str = "/naming/v1/namespaces";
const SERVICES: &str = "/naming/v1/services";
const INSTANCES: &str = "/naming/v1/instances";
const DELETE: &str = "/naming/v1/instances/delete";
const ISOLATE: &str = "/naming/v1/instances/isolate/host";

pub async fn sign_in(at: Place) -> Result<()> {
    let path = "/core/v1/user/login";
    let said =
        at.ask(Method::POST, path, &json!({"owner": "polaris", "name": "polaris", "password": "polaris"})).await?;
    ensure!(said["code"] == 200_000 && said["loginResponse"]["token"] == at.token, "{said}");
    let wrong = json!({"owner": "polaris", "name": "polaris", "password": "no"});
    ensure!(at.code(Method::POST, path, &wrong).await? == 401_001);
    let nobody = json!({"owner": "nobody", "name": "nobody", "password": "polaris"});
    ensure!(at.code(Method::POST, path, &nobody).await? == 400_312);
    Ok(())
}

/// Reads without a token, or with a wrong one, are 401001 with an amount of 0, and writes do nothing. Clients need none.
pub async fn tokens(at: Place) -> Result<()> {
    for headers in [&[][..], &[("X-Polaris-Token", "wrong")]] {
        for path in [NAMESPACES, SERVICES, "/naming/v1/instances?namespace=default"] {
            let (status, body) = at.raw(Method::GET, path, headers, "").await?;
            let said: Value = serde_json::from_str(&body)?;
            ensure!(status == 401 && said["code"] == 401_001 && said["amount"] == 0, "{path}: {status}: {body}");
        }
        let json = [headers, &[("Content-Type", "application/json")]].concat();
        let body = json!([at.one("web", 80)]).to_string();
        for (method, path) in [(Method::POST, INSTANCES), (Method::PUT, INSTANCES), (Method::POST, DELETE)] {
            let (status, said) = at.raw(method, path, &json, &body).await?;
            ensure!(status == 401 && said.contains("401001"), "{path}: {status}: {said}");
        }
        let (status, said) = at.raw(Method::POST, "/v1/Heartbeat", &json, &at.one("web", 80).to_string()).await?;
        ensure!(status == 200, "a client needs no token: {status}: {said}");
    }
    ensure!(at.rows("web").await?.is_empty(), "something was written");
    Ok(())
}

pub async fn namespaces_and_services(at: Place) -> Result<()> {
    let space = json!([{"name": at.space, "comment": "of a test"}]);
    let said = at.ask(Method::POST, NAMESPACES, &space).await?;
    ensure!(said["code"] == 200_000 && said["size"] == 1 && said["responses"][0]["code"] == 200_000, "{said}");
    ensure!(at.code(Method::POST, NAMESPACES, &space).await? == 400_201, "twice");
    ensure!(at.code(Method::POST, NAMESPACES, &json!([{"name": "two words"}])).await? == 400_110);
    ensure!(at.code(Method::POST, NAMESPACES, &json!([])).await? == 400_002);

    let web = json!([{"namespace": at.space, "name": "web"}]);
    let said = at.ask(Method::POST, SERVICES, &web).await?;
    ensure!(said["code"] == 200_000 && said["responses"][0]["service"]["id"].is_string(), "{said}");
    ensure!(at.code(Method::POST, SERVICES, &web).await? == 400_201, "twice");
    let mixed = json!([{"namespace": at.space, "name": "web"}, {"namespace": at.space, "name": "shop"}]);
    let said = at.ask(Method::POST, SERVICES, &mixed).await?;
    ensure!(said["code"] == 400_000 && said["responses"][1]["code"] == 200_000, "one of two is there: {said}");
    for (name, good) in [("a b", false), ("订单", false), ("a@b", false), ("A__B__C", true), ("a-b.c/d:e", true)] {
        let code = at.code(Method::POST, SERVICES, &json!([{"namespace": at.space, "name": name}])).await?;
        ensure!(code == if good { 200_000 } else { 400_120 }, "{name}: {code}");
    }
    ensure!(
        at.code(Method::POST, SERVICES, &json!([{"namespace": at.space, "name": "x".repeat(129)}])).await? == 400_120
    );

    // What is in use stays.
    ensure!(at.code(Method::POST, "/naming/v1/namespaces/delete", &space).await? == 400_203);
    ensure!(at.code(Method::POST, INSTANCES, &json!([at.one("web", 80)])).await? == 200_000);
    ensure!(at.code(Method::POST, "/naming/v1/services/delete", &web).await? == 400_204);
    ensure!(at.code(Method::POST, DELETE, &json!([at.one("web", 80)])).await? == 200_000);
    ensure!(at.code(Method::POST, "/naming/v1/services/delete", &web).await? == 200_000);
    ensure!(at.code(Method::POST, "/naming/v1/services/delete", &web).await? == 200_000, "what is gone is gone");
    Ok(())
}

/// A record reads back as it was made, with the server's defaults. Namespace and service are made on the way.
pub async fn records_of_instances(at: Place) -> Result<()> {
    let mut full = at.one("web", 81);
    for (key, value) in [
        ("protocol", json!("http")),
        ("version", json!("2")),
        ("priority", json!(3)),
        ("weight", json!(7)),
        ("healthy", json!(false)),
        ("isolate", json!(true)),
        ("location", json!({"region": "r", "zone": "z", "campus": "c"})),
        ("metadata", json!({"a": "b", "empty": ""})),
    ] {
        full[key] = value;
    }
    let said = at.ask(Method::POST, INSTANCES, &json!([at.one("web", 80), full])).await?;
    ensure!(said["code"] == 200_000 && said["size"] == 2, "{said}");
    ensure!(said["responses"][0]["instance"]["id"].as_str().is_some_and(|id| id.len() == 40), "{said}");
    // Lists bring the cache up to date.
    let mut rows = at.rows("web").await?;
    ensure!(rows.len() == 2, "{rows:?}");
    rows.sort_by_key(|row| row["port"].as_u64());
    let (plain, full) = (&rows[0], &rows[1]);
    for (key, value) in
        [("weight", json!(100)), ("healthy", json!(true)), ("isolate", json!(false)), ("metadata", json!({}))]
    {
        ensure!(plain[key] == value, "{key} of {plain}");
    }
    // Fields that are not set are named, too.
    for key in ["healthCheck", "vpc_id", "logic_set", "enableHealthCheck"] {
        ensure!(plain.get(key).is_some_and(Value::is_null), "{key} of {plain}");
    }
    for (key, value) in [
        ("protocol", json!("http")),
        ("version", json!("2")),
        ("priority", json!(3)),
        ("weight", json!(7)),
        ("healthy", json!(false)),
        ("isolate", json!(true)),
        ("metadata", json!({"a": "b", "empty": ""})),
    ] {
        ensure!(full[key] == value, "{key} of {full}");
    }
    ensure!(full["location"]["zone"] == "z" && full["namespace"] == at.space && full["service"] == "web", "{full}");
    ensure!(full["revision"].as_str().is_some_and(|text| text.len() == 32) && full["ctime"].is_string(), "{full}");

    // Made again, it is replaced: all of it but its isolation.
    ensure!(at.code(Method::POST, INSTANCES, &json!([at.one("web", 81)])).await? == 200_000);
    let now = loop {
        let rows = at.rows("web").await?;
        let row = rows.into_iter().find(|row| row["port"] == 81).context("gone")?;
        if row["weight"] == 100 {
            break row;
        }
    };
    ensure!(now["isolate"] == true && now["healthy"] == true && now["metadata"] == json!({}), "{now}");
    Ok(())
}

/// What is wrong with one record keeps all of its list from being written, and only the wrong ones are answered.
pub async fn one_bad_record_refuses_the_list(at: Place) -> Result<()> {
    let mut bad = at.one("web", 81);
    bad["weight"] = json!(65_536);
    let said = at.ask(Method::POST, INSTANCES, &json!([at.one("web", 80), bad])).await?;
    ensure!(said["code"] == 400_103 && said["size"] == 1, "{said}");
    let long = json!({"k": "x".repeat(4_097)});
    let many: serde_json::Map<_, _> = (0..65).map(|n| (n.to_string(), json!(""))).collect();
    for (key, value, code) in [
        ("host", json!(""), 400_131),
        ("host", json!("x".repeat(129)), 400_131),
        ("port", json!(65_536), 400_132),
        ("port", Value::Null, 400_132),
        ("protocol", json!("x".repeat(33)), 400_136),
        ("version", json!("x".repeat(33)), 400_137),
        ("metadata", long, 400_150),
        ("metadata", json!(many), 400_150),
        ("service", json!("two words"), 400_120),
        ("namespace", json!(""), 400_110),
    ] {
        let mut bad = at.one("web", 82);
        bad[key] = value;
        let code_told = at.code(Method::POST, INSTANCES, &json!([at.one("web", 80), bad])).await?;
        ensure!(code_told == code, "{key}: {code_told}, not {code}");
    }
    // The same twice: the first counts.
    let said = at.ask(Method::POST, INSTANCES, &json!([at.one("web", 83), at.one("web", 83)])).await?;
    ensure!(said["code"] == 400_000, "{said}");
    let codes: Vec<_> =
        said["responses"].as_array().context("no responses")?.iter().map(|one| one["code"].clone()).collect();
    ensure!(codes.contains(&json!(200_000)) && codes.contains(&json!(400_208)), "{said}");
    let rows = at.shows("web", 1).await?;
    ensure!(rows[0]["port"] == 83, "{rows:?}");
    Ok(())
}

pub async fn lists_have_a_hundred_rows(at: Place) -> Result<()> {
    let all: Vec<_> = (0..101).map(|n| at.one("web", 1_000 + n)).collect();
    let said = at.ask(Method::POST, INSTANCES, &json!(all)).await?;
    ensure!(said["code"] == 400_003 && said["size"] == 0, "101 at once: {said}");
    ensure!(at.code(Method::POST, INSTANCES, &json!(all[..100])).await? == 200_000);
    ensure!(at.code(Method::POST, INSTANCES, &json!(all[100..])).await? == 200_000);
    let space = &at.space;
    let page = async |query: &str| {
        let path = format!("/naming/v1/instances?namespace={space}&service=web{query}");
        at.ask(Method::GET, &path, &Value::Null).await
    };
    at.shows("web", 100).await?;
    for _ in 0..60 {
        if page("").await?["amount"] == 101 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    for (query, size) in
        [("", 100), ("&limit=500", 100), ("&limit=10", 10), ("&offset=100", 1), ("&offset=101", 0), ("&offset=500", 0)]
    {
        let said = page(query).await?;
        ensure!(said["amount"] == 101 && said["size"] == size, "{query}: {} of {}", said["size"], said["amount"]);
    }
    for (query, code) in [("&limit=x", 400_103), ("&offset=-1", 400_103), ("&color=red", 400_103), ("&host=", 400_103)]
    {
        ensure!(page(query).await?["code"] == code, "{query}");
    }
    for (query, size) in [
        ("&host=127.0.0.1&port=1007", 1),
        ("&healthy=false", 0),
        ("&isolate=false&limit=5", 5),
        ("&keys=a&values=b", 0),
    ] {
        let said = page(query).await?;
        ensure!(said["size"] == size, "{query}: {said}");
    }
    ensure!(at.code(Method::GET, "/naming/v1/instances", &Value::Null).await? == 400_104, "without any filter");
    Ok(())
}

/// jsonpb's ways: names in both spellings, numbers as texts, null for absent; anything else is 400001.
pub async fn what_json_may_say(at: Place) -> Result<()> {
    let mut both = at.one("web", 80);
    both["port"] = json!("80");
    both["enable_health_check"] = json!(true);
    both["healthCheck"] = json!({"type": "HEARTBEAT", "heartbeat": {"ttl": 61}});
    both["weight"] = Value::Null;
    ensure!(at.code(Method::POST, INSTANCES, &json!([both])).await? == 200_000);
    let rows = at.shows("web", 1).await?;
    ensure!(
        rows[0]["healthCheck"] == json!({"type": "HEARTBEAT", "heartbeat": {"ttl": 5}}),
        "a TTL over 60: {}",
        rows[0]
    );
    for (key, value) in [
        ("port", json!("http")),
        ("weight", json!(0.5)),
        ("weight", json!(-1)),
        ("host", json!(1)),
        ("healthy", json!("true")),
        ("metadata", json!({"a": 1})),
        ("metadata", json!(["a"])),
        ("healthCheck", json!({"type": "PING"})),
    ] {
        let mut wrong = at.one("web", 81);
        wrong[key] = value;
        let said = at.ask(Method::POST, INSTANCES, &json!([wrong])).await?;
        ensure!(said["code"] == 400_001 && said["size"] == 0, "{key}: {said}");
    }
    if at.double.is_some() {
        // As servers up to 1.17.
        let mut unknown = at.one("web", 82);
        unknown["vpcId"] = json!("a");
        let said = at.ask(Method::POST, INSTANCES, &json!([unknown])).await?;
        ensure!(said["info"] == "request decode failed: unknown field \"vpcId\" in v1.Instance", "{said}");
    }
    let token = [("X-Polaris-Token", at.token.as_str())];
    let (status, body) = at.raw(Method::POST, INSTANCES, &token, "[]").await?;
    ensure!(status == 415, "without a content type: {status}: {body}");
    let json = [&token[..], &[("Content-Type", "application/json")]].concat();
    // It reads one bracket, and then elements.
    let bodies = [
        ("", 400_001),
        ("{", 400_002),
        ("{}", 400_002),
        ("5", 400_002),
        ("[] x", 400_002),
        ("[{]", 400_001),
        ("{\"a\":1}", 400_001),
    ];
    for (body, code) in bodies {
        let (status, said) = at.raw(Method::POST, INSTANCES, &json, body).await?;
        ensure!(status == 400 && said.contains(&code.to_string()), "{body}: {status}: {said}");
    }
    let (status, said) = at.raw(Method::DELETE, INSTANCES, &json, "[]").await?;
    ensure!(status == 405, "{status}: {said}");
    let (status, body) = at.raw(Method::GET, "/naming/v1/nothing", &token, "").await?;
    ensure!(status == 404, "{status}: {body}");
    Ok(())
}

/// An update changes what it names, and metadata as a whole.
pub async fn updates_merge(at: Place) -> Result<()> {
    let mut first = at.one("web", 80);
    first["metadata"] = json!({"a": "1", "b": "2"});
    first["version"] = json!("1");
    ensure!(at.code(Method::POST, INSTANCES, &json!([first])).await? == 200_000);
    let changed = async |fields: Value| {
        let mut asked = at.one("web", 80);
        asked.as_object_mut().context("no object")?.extend(fields.as_object().context("no object")?.clone());
        at.code(Method::PUT, INSTANCES, &json!([asked])).await
    };
    ensure!(changed(json!({})).await? == 200_002, "nothing named");
    ensure!(changed(json!({"weight": 100, "metadata": {"a": "1", "b": "2"}})).await? == 200_002, "all as it is");
    ensure!(changed(json!({"weight": 5})).await? == 200_000);
    ensure!(changed(json!({"metadata": {"a": "3"}})).await? == 200_000);
    ensure!(changed(json!({"isolate": true, "healthy": false})).await? == 200_000);
    let row = loop {
        let rows = at.shows("web", 1).await?;
        if rows[0]["isolate"] == true {
            break rows[0].clone();
        }
    };
    ensure!(row["metadata"] == json!({"a": "3"}) && row["weight"] == 5 && row["version"] == "1", "{row}");
    ensure!(changed(json!({"metadata": {}})).await? == 200_000, "an empty map empties");
    let said = at.ask(Method::PUT, INSTANCES, &json!([at.one("web", 99)])).await?;
    ensure!(said["code"] == 400_303, "an unknown one: {said}");
    let mut both = at.one("web", 80);
    both["weight"] = json!(6);
    let said = at.ask(Method::PUT, INSTANCES, &json!([both, at.one("web", 99)])).await?;
    ensure!(said["code"] == 400_000 && said["responses"][0]["code"] == 200_000, "one of two: {said}");
    ensure!(at.code(Method::POST, DELETE, &json!([at.one("web", 99)])).await? == 200_000, "what is gone is gone");
    Ok(())
}

/// An id is the hash of the place; one that a request brings counts instead, so that two stand at one address.
pub async fn ids(at: Place) -> Result<()> {
    let own = format!("own-{}", at.space);
    let mut named = at.one("web", 80);
    named["id"] = json!(own);
    let mut apart = at.one("web", 80);
    apart["vpc_id"] = json!("v");
    let said = at.ask(Method::POST, INSTANCES, &json!([at.one("web", 80), named, apart])).await?;
    ensure!(said["code"] == 200_000, "{said}");
    let rows = at.shows("web", 3).await?;
    ensure!(rows.iter().filter(|row| row["id"] == own).count() == 1, "{rows:?}");
    ensure!(at.code(Method::PUT, INSTANCES, &json!([{"id": own, "weight": 1}])).await? == 200_000, "by its id alone");
    ensure!(at.code(Method::POST, DELETE, &json!([{"id": own}])).await? == 200_000);
    ensure!(at.code(Method::POST, DELETE, &json!([{"id": ""}])).await? == 400_130);
    at.shows("web", 2).await?;
    Ok(())
}

/// What is done to all instances of a host.
pub async fn hosts(at: Place) -> Result<()> {
    let mut away = at.one("web", 82);
    away["host"] = json!("127.0.0.2");
    ensure!(at.code(Method::POST, INSTANCES, &json!([at.one("web", 80), at.one("web", 81), away])).await? == 200_000);
    let host =
        |isolate: Value| json!([{"namespace": at.space, "service": "web", "host": "127.0.0.1", "isolate": isolate}]);
    ensure!(at.code(Method::PUT, ISOLATE, &host(json!(true))).await? == 200_000);
    ensure!(at.code(Method::PUT, ISOLATE, &host(json!(true))).await? == 200_002, "again");
    ensure!(at.code(Method::PUT, ISOLATE, &host(Value::Null)).await? == 400_139);
    let nowhere = json!([{"namespace": at.space, "service": "none", "host": "127.0.0.1", "isolate": true}]);
    ensure!(at.code(Method::PUT, ISOLATE, &nowhere).await? == 400_301);
    let isolated = loop {
        let rows = at.shows("web", 3).await?;
        let isolated = rows.iter().filter(|row| row["isolate"] == true).count();
        if isolated > 0 {
            break isolated;
        }
    };
    ensure!(isolated == 2, "{isolated} are isolated");
    ensure!(at.code(Method::POST, "/naming/v1/instances/delete/host", &host(Value::Null)).await? == 200_000);
    at.shows("web", 1).await?;
    Ok(())
}
