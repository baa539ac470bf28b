//! What an installation of polaris-sync is told from outside: its environment variables, and its application's file.
//!
//! A variable wins over the file, and the file over the defaults. Where there is nothing of polaris-sync, there is no [`Installation`].

use crate::providers::{EtcdOptions, KubernetesOptions, ProviderOptions};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where its application's file may be; the first that is there counts.
const APPLICATION: [&str; 4] = ["bin/application.yaml", "bin/application.yml", "application.yaml", "application.yml"];
/// The port of its health answer.
const PORT: u16 = 8690;
/// The variables that mean that somebody has set it up.
const VARIABLES: [&str; 13] = [
    "POLARIS_SYNC_REGISTRY_CONFIG_PROVIDER",
    "POLARIS_SYNC_REGISTRY_CONFIG_BACKUP_PATH",
    "POLARIS_SYNC_REGISTRY_BACKUP_PATH",
    "POLARIS_SYNC_REGISTRY_FILE_WATCH",
    "POLARIS_SYNC_CONFIGCENTER_CONFIG_PROVIDER",
    "POLARIS_SYNC_CONFIG_BACKUP_PATH",
    "POLARIS_SYNC_CONFIG_FILE_WATCH",
    "POLARIS_SYNC_CONFIG_K8S_ADDRESS",
    "POLARIS_SYNC_CONFIG_K8S_TOKEN",
    "POLARIS_SYNC_CONFIG_K8S_NAMESPACE",
    "POLARIS_SYNC_CONFIG_K8S_CONFIGMAP_NAME",
    "POLARIS_SYNC_CONFIG_K8S_CONFIGMAP_DATA_ID",
    "POLARIS_SYNC_LOGGER_PATH",
];

/// One of the two documents that polaris-sync follows. Either may be about registries or configuration: their contents say it.
struct SlotNames {
    name: &'static str,
    provider: &'static str,
    backups: &'static [&'static str],
    watch: &'static str,
    file: &'static str,
    /// Where backups went: as its manual says, and as its program did it.
    backup_files: [&'static str; 2],
    /// The keys of a ConfigMap: as its program looks for it, and as the one that came with it has it.
    keys: [&'static str; 2],
}

const SLOTS: [SlotNames; 2] = [
    SlotNames {
        name: "registry",
        provider: "POLARIS_SYNC_REGISTRY_CONFIG_PROVIDER",
        backups: &["POLARIS_SYNC_REGISTRY_BACKUP_PATH", "POLARIS_SYNC_REGISTRY_CONFIG_BACKUP_PATH"],
        watch: "POLARIS_SYNC_REGISTRY_FILE_WATCH",
        file: "conf/sync-registry.json",
        backup_files: ["conf/sync-config-backup.json", "conf/registry/sync-config-backup.json"],
        keys: ["registry_watch.json", "sync-registry.json"],
    },
    SlotNames {
        name: "config",
        provider: "POLARIS_SYNC_CONFIGCENTER_CONFIG_PROVIDER",
        backups: &["POLARIS_SYNC_CONFIG_BACKUP_PATH"],
        watch: "POLARIS_SYNC_CONFIG_FILE_WATCH",
        file: "conf/sync-config.json",
        backup_files: ["conf/config/sync-config-backup.json", "conf/config/sync-config-backup.json"],
        keys: ["config_watch.json", "sync-config.json"],
    },
];

/// What an installation is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// The documents to follow, one or two.
    pub slots: Vec<SlotOptions>,
    /// The port of `GET /sync/health`.
    pub port: u16,
    /// The folder of the report file.
    pub log_folder: PathBuf,
    /// What could not be used, in words.
    pub warnings: Vec<String>,
}

/// One document to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotOptions {
    /// `registry` or `config`: which of the two it is, not what it is about.
    pub name: &'static str,
    /// Where it comes from.
    pub provider: ProviderOptions,
    /// Where its backup is kept.
    pub backup: PathBuf,
    /// Whether somebody named it. One that nobody named may be missing.
    pub is_named: bool,
}

/// What the environment says; `variable` returns the value of one of its variables, and paths are below `folder`. `None`: nothing of
/// polaris-sync is there.
pub fn installation(variable: &dyn Fn(&str) -> Option<String>, folder: &Path) -> Option<Installation> {
    let mut warnings = Vec::new();
    let application = application(variable, folder, &mut warnings);
    let given = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
    let is_there = |path: &str| folder.join(path).exists();
    let settings = application.pointer("/polaris/sync").is_some();
    if !settings && !VARIABLES.iter().any(|name| given(name).is_some()) && !SLOTS.iter().any(|slot| is_there(slot.file))
    {
        return None;
    }
    let mut slots: Vec<SlotOptions> = Vec::new();
    for names in &SLOTS {
        let own = application.pointer(&format!("/polaris/sync/{}", names.name)).cloned().unwrap_or_default();
        let slot = slot(names, &Given { variable: &given, own: &own }, folder);
        // Both may be told to follow one place.
        if slots.iter().all(|other| other.provider != slot.provider) {
            slots.push(slot);
        }
    }
    if let [first, second] = &mut slots[..] {
        let is_file = |slot: &SlotOptions| matches!(&slot.provider, ProviderOptions::File(path) if slot.is_named || path.exists());
        let own = given("POLARIS_SYNC_CONFIG_BACKUP_PATH")
            .or_else(|| text(&application, "/polaris/sync/config/configBackupPath"));
        let absent = matches!(first.provider, ProviderOptions::File(_)) && !is_file(first);
        // Its manual knows one document only, which it calls as the program calls the second, and the backup of that one.
        if absent && is_file(second) && own.is_none() {
            std::mem::swap(&mut first.backup, &mut second.backup);
        }
    }
    let port = given("SERVER_PORT").or_else(|| text(&application, "/server/port"));
    let port = port.map(|port| port.parse().map_err(|_| port));
    let port = match port {
        None => PORT,
        Some(Ok(port)) => port,
        Some(Err(port)) => {
            warnings.push(format!("server.port: `{port}` is no port; {PORT} is used"));
            PORT
        }
    };
    let log_folder = given("POLARIS_SYNC_LOGGER_PATH").unwrap_or_else(|| "loggers".into());
    Some(Installation { slots, port, log_folder: folder.join(log_folder), warnings })
}

/// What is given for one slot.
struct Given<'a> {
    variable: &'a dyn Fn(&str) -> Option<String>,
    own: &'a Value,
}

impl Given<'_> {
    fn option(&self, name: &str) -> Option<String> {
        text(self.own, &format!("/options/{name}"))
    }

    /// The variable, else the option.
    fn either(&self, variable: &str, option: &str) -> Option<String> {
        (self.variable)(variable).or_else(|| self.option(option))
    }
}

fn slot(names: &SlotNames, given: &Given<'_>, folder: &Path) -> SlotOptions {
    let word = first(given, &[names.provider]).or_else(|| text(given.own, "/configProvider"));
    let is_file = word.as_deref().is_none_or(|word| word == "file");
    let watch = given.either(names.watch, "watchFile");
    let is_named = watch.is_some() || !is_file;
    let provider = match word.as_deref() {
        None | Some("file") => ProviderOptions::File(folder.join(watch.as_deref().unwrap_or(names.file))),
        Some("kubernetes") => ProviderOptions::Kubernetes(kubernetes(names, given)),
        Some("etcd") => etcd(names, given, folder),
        Some(other) => ProviderOptions::Unusable(
            format!("the {} document", names.name),
            format!("`{other}` is no provider: write `file`, `kubernetes` or `etcd` into {}", names.provider),
        ),
    };
    let backup = first(given, names.backups).or_else(|| text(given.own, "/configBackupPath"));
    let backup = backup.unwrap_or_else(|| {
        let [manual, program] = names.backup_files;
        let lives = Path::new(program).parent().is_some_and(|parent| folder.join(parent).is_dir());
        if lives { program.to_owned() } else { manual.to_owned() }
    });
    SlotOptions { name: names.name, provider, backup: folder.join(backup), is_named }
}

fn first(given: &Given<'_>, variables: &[&str]) -> Option<String> {
    variables.iter().find_map(|name| (given.variable)(name))
}

fn kubernetes(names: &SlotNames, given: &Given<'_>) -> KubernetesOptions {
    let either = |variable: &str, option: &str| given.either(&format!("POLARIS_SYNC_CONFIG_K8S_{variable}"), option);
    let key = either("CONFIGMAP_DATA_ID", "dataId");
    let keys = match key {
        // The application's file gives the program's own default where nobody gave another.
        Some(key) if key != names.keys[0] => vec![key],
        _ => names.keys.iter().map(|key| (*key).to_owned()).collect(),
    };
    let known = ["address", "token", "namespace", "configmapName", "dataId", "watchFile"];
    let options = given.own.pointer("/options").and_then(Value::as_object);
    let mut others: BTreeMap<String, String> = options
        .into_iter()
        .flatten()
        .filter(|(name, _)| !known.contains(&name.as_str()))
        .filter_map(|(name, value)| Some((name.clone(), scalar(value)?)))
        .collect();
    // Ours, for those who have no application's file.
    for (variable, option) in [("CA_FILE", "caFile"), ("INSECURE_SKIP_VERIFY", "insecureSkipVerify")] {
        let value = (given.variable)(&format!("POLARIS_SYNC_CONFIG_K8S_{variable}"));
        others.extend(value.map(|value| (option.to_owned(), value)));
    }
    KubernetesOptions {
        address: either("ADDRESS", "address"),
        token: either("TOKEN", "token"),
        namespace: either("NAMESPACE", "namespace"),
        configmap: either("CONFIGMAP_NAME", "configmapName").unwrap_or_else(|| "polaris-sync-config".into()),
        keys,
        others,
    }
}

fn etcd(names: &SlotNames, given: &Given<'_>, folder: &Path) -> ProviderOptions {
    let list = given.option("endpoints").unwrap_or_default();
    let endpoints: Vec<String> =
        list.split(',').map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned).collect();
    let data_id = given.option("dataId").unwrap_or_else(|| names.keys[0].to_owned());
    if endpoints.is_empty() {
        let why = "it has no `endpoints`: write them into the `options` of bin/application.yaml";
        return ProviderOptions::Unusable(format!("etcd key {data_id}"), why.into());
    }
    let file = |name: &str| given.option(name).map(|path| folder.join(path));
    ProviderOptions::Etcd(EtcdOptions {
        endpoints,
        user: given.option("user"),
        password: given.option("password"),
        authority: given.option("authority"),
        trust_cert_collection_file: file("trustCertCollectionFile"),
        key_cert_chain_file: file("keyCertChainFile"),
        key_file: file("keyFile"),
        data_id,
    })
}

/// The application's file, with its placeholders filled in; `Null` without one.
fn application(variable: &dyn Fn(&str) -> Option<String>, folder: &Path, warnings: &mut Vec<String>) -> Value {
    let path = APPLICATION.iter().find(|path| folder.join(path).is_file());
    let Some(path) = path else { return Value::Null };
    let read = std::fs::read_to_string(folder.join(path)).map_err(|error| error.to_string());
    let read = read.and_then(|text| serde_saphyr::from_str::<Value>(&text).map_err(|error| error.to_string()));
    match read {
        Ok(mut value) => {
            fill(&mut value, variable);
            value
        }
        Err(error) => {
            warnings.push(format!("{path} cannot be read, and is left aside: {error}"));
            Value::Null
        }
    }
}

fn fill(value: &mut Value, variable: &dyn Fn(&str) -> Option<String>) {
    match value {
        Value::String(text) => *text = filled(text, variable, 0),
        Value::Array(items) => items.iter_mut().for_each(|item| fill(item, variable)),
        Value::Object(members) => members.values_mut().for_each(|member| fill(member, variable)),
        _ => {}
    }
}

/// `${NAME:default}` and `${NAME}`; the default may hold others. A variable without a value is an empty text.
fn filled(text: &str, variable: &dyn Fn(&str) -> Option<String>, depth: usize) -> String {
    let Some((before, rest)) = text.split_once("${") else { return text.to_owned() };
    let mut open = 1;
    let end = rest.char_indices().find_map(|(at, c)| {
        match c {
            '{' => open += 1,
            '}' => open -= 1,
            _ => {}
        }
        (open == 0).then_some(at)
    });
    let (Some(end), true) = (end, depth < 8) else { return text.to_owned() };
    let (inner, behind) = (&rest[..end], &rest[end + 1..]);
    let (name, default) = inner.split_once(':').unwrap_or((inner, ""));
    let value = variable(name.trim()).filter(|value| !value.is_empty());
    let value = value.unwrap_or_else(|| filled(default, variable, depth + 1));
    format!("{before}{value}{}", filled(behind, variable, depth + 1))
}

/// A value that is there and not empty.
fn text(value: &Value, pointer: &str) -> Option<String> {
    value.pointer(pointer).and_then(scalar).filter(|text| !text.trim().is_empty())
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
