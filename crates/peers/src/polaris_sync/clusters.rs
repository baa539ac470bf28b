//! The clusters that ends of tasks name: one name is one cluster.

use super::model::{Located, SyncEnd};
use super::report::ReportRow;
use super::to_settings::Builder;
use super::values::{bare, referable};
use crate::problem_list::Source;
use causeway_settings::escape;
use serde_json::{Map, Value, json};

const POLARIS: &str = "polaris";

/// A cluster in the making.
pub(super) struct MadeCluster {
    pub name: String,
    pub kind: String,
    pub addresses: Vec<(String, Source)>,
    pub user: String,
    pub password: String,
    pub token: String,
    /// Groups are made of what it holds: polaris-sync finds a Polaris' protocol, version and place among the metadata.
    pub feeds_groups: bool,
    pub at: Source,
    pub login: Source,
}

impl Builder<'_> {
    /// Takes an end into the cluster of its name.
    pub fn cluster(&mut self, n: usize, end: &SyncEnd) {
        let row = ReportRow { name: end.name.clone(), kind: end.kind.to_uppercase(), detail: end.product_name.clone() };
        if !self.converted.rows.contains(&row) {
            self.converted.rows.push(row);
        }
        let at = self.source(n, end.places.name, "");
        let login = self.source(n, end.places.login, "");
        let known = match self.clusters.iter().position(|cluster| cluster.name == end.name) {
            Some(known) => known,
            None => {
                self.converted.cluster_places.insert(end.name.clone(), self.shown(&at));
                self.clusters.push(MadeCluster {
                    name: end.name.clone(),
                    kind: end.kind.clone(),
                    addresses: Vec::new(),
                    user: String::new(),
                    password: String::new(),
                    token: String::new(),
                    feeds_groups: false,
                    at,
                    login: login.clone(),
                });
                self.clusters.len() - 1
            }
        };
        for Located { value, place } in &end.addresses {
            let source = self.source(n, *place, "");
            let (address, addresses) = (value.trim(), &mut self.clusters[known].addresses);
            if !addresses.iter().any(|(other, _)| bare(other) == bare(address)) {
                addresses.push((address.to_owned(), source));
            }
        }
        let cluster = &self.clusters[known];
        let first = self.shown(&cluster.at);
        if cluster.kind != end.kind {
            let message =
                format!("`{}` is of the type `{}` here and of `{}` at {first}", end.name, end.kind, cluster.kind);
            self.lists[n].error(
                end.places.kind,
                "",
                message,
                "one name is one cluster: give one of the two another name",
            );
        }
        let mut contradiction = false;
        let cluster = &mut self.clusters[known];
        for (own, given) in
            [(&mut cluster.user, &end.user), (&mut cluster.password, &end.password), (&mut cluster.token, &end.token)]
        {
            contradiction |= !own.is_empty() && !given.is_empty() && own != given;
            if own.is_empty() {
                own.clone_from(given);
                if !given.is_empty() {
                    cluster.login = login.clone();
                }
            }
        }
        if contradiction {
            let message = format!("`{}` has other credentials here than at {first}", end.name);
            self.lists[n].error(
                end.places.login,
                "",
                message,
                "make the two the same, or give one of the two another name",
            );
        }
    }

    /// The cluster with the keys of the settings file.
    pub fn cluster_value(&mut self, cluster: MadeCluster) -> Value {
        let mut made = Map::new();
        made.insert("clusterName".into(), json!(escape(&cluster.name)));
        made.insert("clusterType".into(), json!(cluster.kind.to_uppercase()));
        let addresses: Vec<String> = cluster.addresses.iter().map(|(address, _)| referable(address)).collect();
        made.insert("connectKeyList".into(), json!(addresses));
        if cluster.user.is_empty() != cluster.password.is_empty() {
            let Source { document, place, .. } = cluster.login;
            let message = format!("`{}` has only one of user and password, and is not signed in to", cluster.name);
            self.lists[document].warning(place, "", message, "write both, or neither");
        } else if !cluster.user.is_empty() {
            made.insert("userName".into(), json!(referable(&cluster.user)));
            made.insert("password".into(), json!(referable(&cluster.password)));
        }
        if !cluster.token.is_empty() {
            made.insert("token".into(), json!(referable(&cluster.token)));
        }
        if cluster.feeds_groups && cluster.kind == POLARIS {
            made.insert(POLARIS.into(), json!({"fieldsInMetadata": true}));
        }
        Value::Object(made)
    }
}
