//! A declarative configuration, from its document to tables.

use super::clock;
use super::schema::{KongEntity, KongRow, complete, is_uuid};
use super::store::{KongSpace, id};
use serde_json::{Map, Value, json};
use sha1::{Digest, Sha1};
use std::collections::{BTreeMap, BTreeSet};

/// Kinds of entity that this double keeps, lists and gives back, and does not look into; and what paths call them.
pub const OTHERS: [(&str, &str); 12] = [
    ("basicauth_credentials", "basic-auths"),
    ("ca_certificates", "ca_certificates"),
    ("certificates", "certificates"),
    ("consumer_groups", "consumer_groups"),
    ("consumers", "consumers"),
    ("key_sets", "key-sets"),
    ("keyauth_credentials", "key-auths"),
    ("keys", "keys"),
    ("plugins", "plugins"),
    ("snis", "snis"),
    ("vaults", "vaults"),
    ("workspaces", "workspaces"),
];

/// What is wrong with a document: by path, and one entry for each entity.
#[derive(Debug, Default)]
pub struct KongMistakes {
    pub fields: KongRow,
    pub flat: Vec<Value>,
}

/// An entity as the document has it, and where.
struct KongDeclared {
    path: Vec<KongStep>,
    given: KongRow,
}

/// A list, and the place in it.
type KongStep = (&'static str, usize);

impl KongMistakes {
    fn document(&mut self, key: &str, why: &str) {
        self.fields.insert(key.to_owned(), why.into());
    }

    fn entity(&mut self, kind: KongEntity, declared: &KongDeclared, wrong: KongRow) {
        let mut errors = Vec::new();
        flatten("", &wrong, &mut errors);
        let given = &declared.given;
        let mut flat = json!({"entity_type": kind.singular(), "entity": given, "errors": errors});
        for (key, field) in [("entity_name", "name"), ("entity_id", "id"), ("entity_tags", "tags")] {
            if let (Some(value), Some(map)) = (given.get(field), flat.as_object_mut()) {
                map.insert(key.to_owned(), value.clone());
            }
        }
        self.flat.push(flat);
        place(&mut self.fields, &declared.path, wrong);
    }
}

/// Puts what is wrong with an entity where the entity stands in the document.
fn place(fields: &mut KongRow, path: &[KongStep], wrong: KongRow) {
    let [(key, n), rest @ ..] = path else {
        fields.extend(wrong);
        return;
    };
    let Value::Array(all) = fields.entry(*key).or_insert_with(|| json!([])) else { return };
    if all.len() <= *n {
        all.resize(n + 1, Value::Null);
    }
    if all[*n].is_null() {
        all[*n] = Map::new().into();
    }
    if let Value::Object(inner) = &mut all[*n] {
        place(inner, rest, wrong);
    }
}

fn flatten(prefix: &str, wrong: &KongRow, errors: &mut Vec<Value>) {
    for (name, why) in wrong {
        let field = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match why {
            Value::Object(inner) => flatten(&field, inner, errors),
            Value::Array(list) if name == "@entity" => {
                errors.extend(list.iter().map(|why| json!({"type": "entity", "message": why})));
            }
            Value::Array(list) => {
                let each = list.iter().enumerate().filter(|(_, why)| !why.is_null());
                errors.extend(
                    each.map(
                        |(n, why)| json!({"type": "field", "field": format!("{field}[{}]", n + 1), "message": why}),
                    ),
                );
            }
            why => errors.push(json!({"type": "field", "field": field, "message": why})),
        }
    }
}

/// The tables that a document describes.
pub fn parse(document: &KongRow) -> Result<KongSpace, KongMistakes> {
    let (mut space, mut mistakes) = (KongSpace::default(), KongMistakes::default());
    match document.get("_format_version") {
        Some(Value::String(version)) if ["1.1", "2.1", "3.0"].contains(&version.as_str()) => {}
        Some(Value::String(_)) => mistakes.document("_format_version", "expected one of: 1.1, 2.1, 3.0"),
        Some(_) => mistakes.document("_format_version", "expected a string"),
        None => mistakes.document("_format_version", "required field missing"),
    }
    let mut declared: [Vec<KongDeclared>; 4] = Default::default();
    let mut others: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (key, value) in document {
        match (KongEntity::named(key), value) {
            (Some(kind), Value::Array(list)) => {
                for (n, one) in list.iter().enumerate() {
                    let path = vec![(kind.name(), n)];
                    others.entry("plugins".into()).or_default().extend(plugins_in(kind, one));
                    declare(kind, one, path, None, &mut declared, &mut mistakes);
                }
            }
            (Some(_), _) => mistakes.document(key, "expected an array"),
            (None, _) if key.starts_with('_') => {}
            (None, Value::Array(list)) if OTHERS.iter().any(|(name, _)| name == key) => {
                others.entry(key.clone()).or_default().extend(list.iter().cloned());
            }
            (None, _) => mistakes.document(key, "unknown field"),
        }
    }
    for (kind, declared) in KongEntity::ALL.into_iter().zip(&mut declared) {
        for one in declared {
            name_parent(kind, &mut one.given);
            match complete(kind, &one.given, None) {
                Ok(row) => one.given = row,
                Err(wrong) => mistakes.entity(kind, one, wrong),
            }
        }
    }
    if !mistakes.fields.is_empty() {
        return Err(mistakes);
    }
    // Parents come first.
    for (kind, declared) in KongEntity::ALL.into_iter().zip(&declared) {
        let mut names = BTreeSet::new();
        for one in declared {
            match row(kind, one, &space, &mut names) {
                Ok(row) => space.table_mut(kind).put(kind, row),
                Err(wrong) => mistakes.entity(kind, one, wrong),
            }
        }
    }
    for (kind, list) in others.into_iter().filter(|(_, list)| !list.is_empty()) {
        let list: Vec<Value> = list.into_iter().map(|one| other(&space, one)).collect();
        space.others.insert(kind, list.into());
    }
    if mistakes.fields.is_empty() { Ok(space) } else { Err(mistakes) }
}

/// The plugins that stand in a service or in one of its routes, each with what it is for.
fn plugins_in(kind: KongEntity, entity: &Value) -> Vec<Value> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let named = |of: &Value| if of["id"].is_string() { of["id"].clone() } else { of["name"].clone() };
    let mut found = Vec::new();
    for mut plugin in list(&entity["plugins"]).into_iter().filter(Value::is_object) {
        plugin[kind.singular()] = named(entity);
        found.push(plugin);
    }
    for route in if kind == KongEntity::Services { list(&entity["routes"]) } else { Vec::new() } {
        found.extend(plugins_in(KongEntity::Routes, &route));
    }
    found
}

/// An entity that is not looked into, with an id, and with the ids of what it is for.
fn other(space: &KongSpace, mut entity: Value) -> Value {
    for kind in [KongEntity::Services, KongEntity::Routes] {
        let table = space.table(kind);
        let found = entity.get(kind.singular()).and_then(Value::as_str).and_then(|named| match is_uuid(named) {
            true => table.get(named).map(id),
            false => table.id_of(named),
        });
        if let Some(found) = found {
            entity[kind.singular()] = json!({"id": found});
        }
    }
    if let Some(fields) = entity.as_object_mut() {
        fields.entry("id").or_insert_with(|| uuid::Uuid::new_v4().to_string().into());
    }
    entity
}

/// Takes an entity and those that stand in it.
fn declare(
    kind: KongEntity,
    value: &Value,
    path: Vec<KongStep>,
    parent: Option<Value>,
    into: &mut [Vec<KongDeclared>; 4],
    mistakes: &mut KongMistakes,
) {
    let Value::Object(given) = value else {
        mistakes.document(kind.name(), "expected a record");
        return;
    };
    let mut given = given.clone();
    let nested = KongEntity::ALL.into_iter().find(|child| child.parent().is_some_and(|(_, of)| of == kind));
    if let Some((child, inner)) = nested.and_then(|child| Some((child, given.shift_remove(child.name())?))) {
        // What stands in another belongs to it by id, where it has one, or by name.
        let by = ["id", "name"].into_iter().find_map(|key| Some(json!({key: given.get(key)?})));
        for (n, one) in inner.as_array().into_iter().flatten().enumerate() {
            let path = path.iter().copied().chain([(child.name(), n)]).collect();
            declare(child, one, path, by.clone(), into, mistakes);
        }
    }
    if kind == KongEntity::Services || kind == KongEntity::Routes {
        // They were taken before.
        given.shift_remove("plugins");
    }
    if let (Some((field, _)), Some(parent)) = (kind.parent(), parent) {
        given.insert(field.to_owned(), parent);
    }
    let place = KongEntity::ALL.iter().position(|one| *one == kind).unwrap_or_default();
    into[place].push(KongDeclared { path, given });
}

/// What an entity belongs to may be a text: a name or an id.
fn name_parent(kind: KongEntity, given: &mut KongRow) {
    let Some((field, _)) = kind.parent() else { return };
    let named = given.get(field).and_then(Value::as_str).map(str::to_owned);
    if let Some(named) = named {
        let key = if is_uuid(&named) { "id" } else { "name" };
        given.insert(field.to_owned(), json!({key: named}));
    }
}

/// The row of an entity that is sound by itself, with its id and that of what it belongs to.
fn row(
    kind: KongEntity,
    declared: &KongDeclared,
    space: &KongSpace,
    names: &mut BTreeSet<String>,
) -> Result<KongRow, KongRow> {
    let wrong = |field: &str, why: String| Err(KongRow::from_iter([(field.to_owned(), why.into())]));
    let mut row = declared.given.clone();
    let mut parent = None;
    if let Some((field, of)) = kind.parent()
        && let Some(Value::Object(named)) = row.get(field)
        && let Some(named) = ["id", "name"].iter().find_map(|key| named.get(*key)?.as_str())
    {
        let table = space.table(of);
        let found = if is_uuid(named) { table.get(named).map(id) } else { table.id_of(named) };
        let Some(found) = found else {
            return wrong(field, format!("invalid reference '{}: {named}' (no such entity)", of.name()));
        };
        parent = Some(found.to_owned());
        row.insert(field.to_owned(), json!({"id": found}));
    }
    let key = row.get(kind.key_field()).and_then(Value::as_str).map(str::to_owned);
    let unique = match kind {
        KongEntity::Targets => key.map(|key| format!("{}:{key}", parent.unwrap_or_default())),
        _ => key,
    };
    if let Some(unique) = &unique
        && !names.insert(unique.clone())
    {
        let field = kind.key_field();
        return wrong(
            field,
            format!("uniqueness violation: '{}' entity with {field} set to '{unique}' already declared", kind.name()),
        );
    }
    if row["id"].is_null() {
        let id = unique.map_or_else(|| uuid::Uuid::new_v4().to_string(), |name| stable_id(kind, &name));
        row.insert("id".into(), id.into());
    }
    for time in ["created_at", "updated_at"] {
        if row[time].is_null() {
            row.insert(time.to_owned(), (clock::milliseconds() / 1_000).into());
        }
    }
    Ok(row)
}

/// The same name has the same id, whenever and wherever it is read: version 5 of UUIDs.
fn stable_id(kind: KongEntity, name: &str) -> String {
    const ENTITIES: u128 = 0xfd02_801f_0957_4a15_a55a_c8d9_606f_30b5;
    let of = |space: uuid::Uuid, name: &str| {
        let digest = Sha1::new().chain_update(space.as_bytes()).chain_update(name.as_bytes()).finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        uuid::Builder::from_sha1_bytes(bytes).into_uuid()
    };
    of(of(uuid::Uuid::from_u128(ENTITIES), kind.name()), name).to_string()
}

/// A document that describes these tables, as `GET /config` gives it: one list a kind, and ids for what belongs together.
pub fn export(space: &KongSpace) -> KongRow {
    let mut document = KongRow::new();
    document.insert("_format_version".into(), "3.0".into());
    document.insert("_transform".into(), false.into());
    for kind in KongEntity::ALL {
        let plain = |row: &KongRow| {
            let mut row = row.clone();
            if let Some((field, _)) = kind.parent()
                && let Some(id) = row.get(field).and_then(|of| of.get("id")).cloned()
            {
                row.insert(field.to_owned(), id);
            }
            Value::Object(row)
        };
        let rows: Vec<Value> = space.table(kind).rows().map(plain).collect();
        if !rows.is_empty() {
            document.insert(kind.name().to_owned(), rows.into());
        }
    }
    for (kind, list) in &space.others {
        let plain = |mut entity: Value| {
            for parent in ["service", "route", "consumer"] {
                let id = entity.get(parent).and_then(|of| of.get("id")).cloned();
                if let Some(id) = id {
                    entity[parent] = id;
                }
            }
            entity
        };
        let list = list.as_array().into_iter().flatten().cloned();
        document.insert(kind.clone(), list.map(plain).collect());
    }
    document
}

/// The tables as `POST /config` shows them: by kind and id.
pub fn echo(space: &KongSpace) -> KongRow {
    let mut shown = KongRow::new();
    for kind in KongEntity::ALL {
        let rows: KongRow = space.table(kind).rows().map(|row| (id(row).to_owned(), row.clone().into())).collect();
        if !rows.is_empty() {
            shown.insert(kind.name().to_owned(), rows.into());
        }
    }
    shown.extend(space.others.clone());
    shown
}
