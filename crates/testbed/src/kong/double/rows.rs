//! What Kong does with one entity: create, replace, merge, remove.

use super::answer::{KongAnswer, KongError, KongResult};
use super::clock;
use super::schema::{KongEntity, KongRow, complete, is_uuid};
use super::store::{KongStore, id, parent_id, unique_name};
use serde_json::{Value, json};

/// One workspace, to write to.
pub struct KongRows<'a> {
    pub store: &'a mut KongStore,
    pub space: &'a str,
}

/// A path's segment in words of an error: by id or by name.
fn key_of(kind: KongEntity, key: &str) -> &'static str {
    if is_uuid(key) { "id" } else { kind.key_field() }
}

impl KongRows<'_> {
    /// The entity under a path's segment: an id where it looks like one, else a name.
    pub fn find(&self, kind: KongEntity, key: &str) -> Option<&KongRow> {
        let table = self.store.space(self.space).table(kind);
        table.get(if is_uuid(key) { key } else { table.id_of(key)? })
    }

    /// The same, or 404.
    pub fn found(&self, kind: KongEntity, key: &str) -> KongResult<KongRow> {
        self.find(kind, key).cloned().ok_or_else(KongAnswer::not_found)
    }

    /// A target of an upstream by id or by its exact text.
    pub fn target(&self, upstream: &str, key: &str) -> KongResult<KongRow> {
        let table = self.store.space(self.space).table(KongEntity::Targets);
        let id = if is_uuid(key) { Some(key) } else { table.id_of(&format!("{upstream} {key}")) };
        let row = id.and_then(|id| table.get(id)).filter(|row| parent_id(KongEntity::Targets, row) == Some(upstream));
        row.cloned().ok_or_else(KongAnswer::not_found)
    }

    /// POST: an id or a name that is taken is refused.
    pub fn create(&mut self, kind: KongEntity, given: &KongRow) -> KongResult<KongRow> {
        let mut row = complete(kind, given, None).map_err(KongError::schema)?;
        let id = match row.get("id").and_then(Value::as_str) {
            Some(id) if self.find(kind, id).is_some() => return Err(KongError::primary("id", id).into()),
            Some(id) => id.to_owned(),
            None => uuid::Uuid::new_v4().to_string(),
        };
        row.insert("id".into(), id.into());
        self.store_new(kind, row)
    }

    /// PUT: what is not said becomes its default. The path's name or id wins over the body's; a new entity may be given its id
    /// in the body.
    pub fn replace(&mut self, kind: KongEntity, key: &str, given: &KongRow) -> KongResult<KongRow> {
        let mut given = given.clone();
        let id = if is_uuid(key) {
            key.to_owned()
        } else {
            given.insert(kind.key_field().to_owned(), key.into());
            let own = given.get("id").and_then(Value::as_str);
            match (self.find(kind, key), own) {
                (Some(row), _) => id(row).to_owned(),
                (None, Some(own)) if self.find(kind, own).is_some() => {
                    return Err(KongError::primary("name", key).into());
                }
                (None, own) => own.map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned),
            }
        };
        given.insert("id".into(), id.into());
        let row = complete(kind, &given, None).map_err(KongError::schema)?;
        self.store_new(kind, row)
    }

    /// PATCH, and PUT of targets: what is not said stays.
    pub fn merge(&mut self, kind: KongEntity, key: &str, given: &KongRow) -> KongResult<KongRow> {
        let missing = || KongError::missing(key_of(kind, key), key);
        let before = self.find(kind, key).cloned().ok_or_else(missing)?;
        let mut given = given.clone();
        given.insert("id".into(), before["id"].clone());
        let mut row = complete(kind, &given, Some(&before)).map_err(KongError::schema)?;
        self.resolve(kind, &mut row)?;
        self.check_unique(kind, &row)?;
        row.insert("created_at".into(), before["created_at"].clone());
        row.insert("updated_at".into(), now(kind));
        self.store.put(self.space, kind, row.clone());
        Ok(row)
    }

    /// DELETE: nothing happens when there is nothing. What belongs to an upstream goes with it; what belongs to a service
    /// keeps it.
    pub fn remove(&mut self, kind: KongEntity, key: &str) -> KongResult<()> {
        let Some(id) = self.find(kind, key).map(|row| id(row).to_owned()) else { return Ok(()) };
        let ids = |child| self.store.space(self.space).table(child).of(&id).map(|row| self::id(row).to_owned());
        if kind == KongEntity::Services && ids(KongEntity::Routes).next().is_some() {
            return Err(KongError::referenced(kind, KongEntity::Routes).into());
        }
        if kind == KongEntity::Upstreams {
            let targets: Vec<String> = ids(KongEntity::Targets).collect();
            for target in targets {
                self.store.remove(self.space, KongEntity::Targets, &target);
            }
        }
        self.store.remove(self.space, kind, &id);
        Ok(())
    }

    fn store_new(&mut self, kind: KongEntity, mut row: KongRow) -> KongResult<KongRow> {
        self.resolve(kind, &mut row)?;
        self.check_unique(kind, &row)?;
        // A replaced entity is as new as a created one.
        row.insert("created_at".into(), now(kind));
        row.insert("updated_at".into(), now(kind));
        self.store.put(self.space, kind, row.clone());
        Ok(row)
    }

    /// Turns the name of what it belongs to into its id.
    fn resolve(&self, kind: KongEntity, row: &mut KongRow) -> KongResult<()> {
        let Some((field, parent)) = kind.parent() else { return Ok(()) };
        let Some(Value::Object(named)) = row.get(field) else { return Ok(()) };
        let text = |key: &str| named.get(key).and_then(Value::as_str);
        let id = match (text("id"), text("name")) {
            (Some(id), _) => match self.store.space(self.space).table(parent).get(id) {
                Some(_) => id.to_owned(),
                None => return Err(KongError::foreign(field, id, parent).into()),
            },
            (None, Some(name)) => match self.store.space(self.space).table(parent).id_of(name) {
                Some(id) => id.to_owned(),
                None => return Err(KongError::unresolved(field, name, parent).into()),
            },
            (None, None) => {
                let wrong = json!({field: {"id": "missing primary key"}});
                return Err(KongError::schema(wrong.as_object().cloned().unwrap_or_default()).into());
            }
        };
        row.insert(field.to_owned(), json!({"id": id}));
        Ok(())
    }

    fn check_unique(&self, kind: KongEntity, row: &KongRow) -> KongResult<()> {
        let Some(name) = unique_name(kind, row) else { return Ok(()) };
        match self.store.space(self.space).table(kind).id_of(&name) {
            Some(other) if other != id(row) => {
                let fields = match kind {
                    KongEntity::Targets => json!({"target": row["target"], "upstream": row["upstream"]}),
                    _ => json!({kind.key_field(): row[kind.key_field()]}),
                };
                Err(KongError::unique(fields).into())
            }
            _ => Ok(()),
        }
    }
}

/// Seconds; of targets with milliseconds.
fn now(kind: KongEntity) -> Value {
    let time = clock::milliseconds();
    if kind == KongEntity::Targets { Value::from(time as f64 / 1_000.0) } else { Value::from(time / 1_000) }
}
