//! Lists, in pages.

use super::answer::{KongAnswer, KongError, KongResult};
use super::schema::{KongEntity, KongRow};
use super::store::{KongSpace, id};
use super::text::{KongQuery, encode};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

/// `GET /{kind}`: by id; `tags` filters; `next` carries tags and size.
pub fn all(space: &KongSpace, kind: KongEntity, query: &KongQuery) -> KongResult {
    let tags = query.tags()?;
    let fits = |row: &&KongRow| tags.as_ref().is_none_or(|(wanted, any)| tagged(row, wanted, *any));
    let rows = space.table(kind).rows().filter(fits);
    let (data, offset) = by_id(rows, query)?;
    let mut next = offset.as_ref().map(|offset| format!("/{}?offset={}", kind.name(), encode(offset)));
    if let Some(next) = &mut next {
        for name in ["tags", "size"] {
            if let Some(value) = query.get(name) {
                next.push_str(&format!("&{name}={}", encode(value)));
            }
        }
    }
    Ok(page(data, offset, next))
}

/// `GET /consumers` and the like: what a declarative configuration has brought.
pub fn others(space: &KongSpace, kind: &str, path: &str, query: &KongQuery) -> KongResult {
    paged(other_rows(space, kind), path, query)
}

/// `GET /services/{s}/plugins` and `GET /routes/{r}/plugins`.
pub fn plugins(space: &KongSpace, of: KongEntity, holder: &str, query: &KongQuery) -> KongResult {
    let mut rows = other_rows(space, "plugins");
    rows.retain(|row| row.get(of.singular()).is_some_and(|of| of["id"] == holder));
    paged(rows, &format!("{}/{holder}/plugins", of.name()), query)
}

fn other_rows(space: &KongSpace, kind: &str) -> Vec<KongRow> {
    let rows = space.others.get(kind).and_then(Value::as_array).into_iter().flatten();
    rows.filter_map(|row| row.as_object().cloned()).collect()
}

fn paged(mut rows: Vec<KongRow>, path: &str, query: &KongQuery) -> KongResult {
    rows.sort_by(|a, b| id(a).cmp(id(b)));
    let (data, offset) = by_id(rows.iter(), query)?;
    let next = offset.as_ref().map(|offset| format!("/{path}?offset={}", encode(offset)));
    Ok(page(data, offset, next))
}

/// `GET /services/{s}/routes`: `tags` is ignored, and `next` carries nothing.
pub fn routes(space: &KongSpace, service: &str, query: &KongQuery) -> KongResult {
    let (data, offset) = by_id(space.table(KongEntity::Routes).of(service), query)?;
    let next = offset.as_ref().map(|offset| format!("/services/{service}/routes?offset={}", encode(offset)));
    Ok(page(data, offset, next))
}

/// `GET /upstreams/{u}/targets`: the newest first, in pages that are counted: writes between two of them shift the second.
/// `tags` is ignored, bounds of `size` are not looked at, and `next` carries nothing. `show` may add to a target. `path`: what
/// `next` begins with.
pub fn targets(
    space: &KongSpace,
    upstream: &str,
    path: &str,
    query: &KongQuery,
    show: impl Fn(&KongRow) -> Value,
) -> KongResult {
    let number = |name: &str, default: usize| match query.get(name) {
        Some(text) => text.parse().map_err(|_| KongAnswer::unexpected()),
        None => Ok(default),
    };
    let (size, offset): (usize, usize) = (number("size", 100)?, number("offset", 0)?);
    let mut rows: Vec<&KongRow> = space.table(KongEntity::Targets).of(upstream).collect();
    let age = |row: &KongRow| row.get("created_at").and_then(Value::as_f64).unwrap_or_default();
    rows.sort_by(|a, b| age(b).total_cmp(&age(a)).then_with(|| id(b).cmp(id(a))));
    let data = rows.iter().skip(offset).take(size).map(|row| show(row)).collect();
    let after = (rows.len() > offset.saturating_add(size)).then(|| (offset + size).to_string());
    let next = after.as_ref().map(|after| format!("{path}?offset={after}"));
    Ok(page(data, after, next))
}

/// `GET /tags/{tag}`, and `GET /tags`: entities of every kind, with nothing but their ids.
pub fn tags(space: &KongSpace, tag: Option<&str>, query: &KongQuery) -> KongResult {
    let mut found: Vec<(String, Value)> = Vec::new();
    for kind in KongEntity::ALL {
        for row in space.table(kind).rows() {
            let own = row.get("tags").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
            for one in own.filter(|one| tag.is_none_or(|tag| tag == *one)) {
                let entry = json!({"entity_name": kind.name(), "entity_id": id(row), "tag": one});
                found.push((format!("{}{one}", id(row)), entry));
            }
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    let size = query.size()?;
    let last = offset(query)?.unwrap_or_default();
    let mut rest = found.into_iter().filter(|(key, _)| *key > last);
    let data: Vec<(String, Value)> = rest.by_ref().take(size).collect();
    let after = rest.next().and(data.last()).map(|(key, _)| BASE64_STANDARD.encode(key));
    let path = tag.map_or_else(|| "/tags".to_owned(), |tag| format!("/tags/{}", encode(tag)));
    let next = after.as_ref().map(|after| format!("{path}?offset={}", encode(after)));
    Ok(page(data.into_iter().map(|(_, entry)| entry).collect(), after, next))
}

/// The same of a Kong without a database: a page for each kind, and a failure where anything of it carries no tag.
pub fn tags_by_kind(space: &KongSpace, tag: Option<&str>, query: &KongQuery) -> KongResult {
    let word = |kind: &KongEntity| format!("{}|nil", kind.name());
    let at = match query.get("offset") {
        Some(text) => 1 + KongEntity::ALL.iter().position(|kind| word(kind) == text).ok_or(KongError::offset(text))?,
        None => 0,
    };
    let mut data = Vec::new();
    let rows =
        KongEntity::ALL.get(at).into_iter().flat_map(|kind| space.table(*kind).rows().map(|row| (kind.name(), row)));
    for (kind, row) in rows {
        let own = row.get("tags").and_then(Value::as_array).ok_or_else(KongAnswer::unexpected)?;
        let own = own.iter().filter_map(Value::as_str).filter(|one| tag.is_none_or(|tag| tag == *one));
        data.extend(own.map(|one| json!({"entity_name": kind, "entity_id": id(row), "tag": one})));
    }
    let after = KongEntity::ALL.get(at).filter(|_| at + 1 < KongEntity::ALL.len()).map(word);
    let path = tag.map_or_else(|| "/tags".to_owned(), |tag| format!("/tags/{}", encode(tag)));
    let next = after.as_ref().map(|after| format!("{path}?offset={}", encode(after)));
    Ok(page(data, after, next))
}

/// Without a database a filter by tags fails where anything has none.
pub fn can_filter(space: &KongSpace, kind: KongEntity, query: &KongQuery) -> KongResult<()> {
    let all_tagged = || space.table(kind).rows().all(|row| row.get("tags").is_some_and(Value::is_array));
    if query.get("tags").is_none() || all_tagged() { Ok(()) } else { Err(KongAnswer::unexpected()) }
}

fn tagged(row: &KongRow, wanted: &[String], any: bool) -> bool {
    let own: Vec<&str> =
        row.get("tags").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let has = |tag: &String| own.contains(&tag.as_str());
    if any { wanted.iter().any(has) } else { wanted.iter().all(has) }
}

/// An offset is the last id of the page before, so that writes between pages neither skip nor repeat anything.
fn by_id<'a>(rows: impl Iterator<Item = &'a KongRow>, query: &KongQuery) -> KongResult<(Vec<Value>, Option<String>)> {
    let (size, last) = (query.size()?, offset(query)?.unwrap_or_default());
    let mut rest = rows.filter(|row| id(row) > last.as_str());
    let data: Vec<&KongRow> = rest.by_ref().take(size).collect();
    let after = rest.next().and(data.last()).map(|row| BASE64_STANDARD.encode(id(row)));
    Ok((data.into_iter().cloned().map(Value::from).collect(), after))
}

fn offset(query: &KongQuery) -> KongResult<Option<String>> {
    let Some(text) = query.get("offset") else { return Ok(None) };
    let decoded = BASE64_STANDARD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    Ok(Some(decoded.ok_or_else(|| KongError::offset(text))?))
}

fn page(data: Vec<Value>, offset: Option<String>, next: Option<String>) -> KongAnswer {
    let mut body = json!({"data": data, "next": next});
    if let (Some(offset), Some(map)) = (offset, body.as_object_mut()) {
        map.insert("offset".into(), offset.into());
    }
    KongAnswer::ok(body)
}
