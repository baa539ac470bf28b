//! `MYSQL_URL`: a JDBC URL as MySQL's and MariaDB's drivers for Java take it.

use std::time::Duration;

use percent_encoding::percent_decode_str;
use secrecy::SecretString;

use super::tls::{Tls, TlsWish};
use crate::Error;

const PORT: u16 = 3306;
/// How long connecting to one server may take, unless `connectTimeout` says something else.
const CONNECT: Duration = Duration::from_secs(5);
/// What is put between the scheme and `//`: how hosts are chosen. We take the first that answers and writes.
const MODES: [&str; 8] =
    ["", "failover:", "sequential:", "loadbalance:", "load-balance:", "replication:", "aurora:", "aws:"];

/// Where a MySQL-compatible database is, and as whom it is used.
#[derive(Clone, Debug)]
pub struct MySqlSettings {
    pub(super) hosts: Vec<Host>,
    pub(super) database: String,
    pub(super) user: String,
    pub(super) password: SecretString,
    /// The one before, with which the key in the database may still be encrypted.
    pub(super) password_before: Option<SecretString>,
    pub(super) tls: Tls,
    pub(super) connect: Duration,
    pub(super) create_database: bool,
    /// What is not as the URL wants it, in words.
    pub warnings: Vec<String>,
    /// What the URL says and has no effect here, in words.
    pub notes: Vec<String>,
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Host {
    /// An IPv6 address without brackets.
    pub(super) name: String,
    pub(super) port: u16,
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name.contains(':') {
            true => write!(f, "[{}]:{}", self.name, self.port),
            false => write!(f, "{}:{}", self.name, self.port),
        }
    }
}

impl MySqlSettings {
    /// Reads a URL such as `jdbc:mysql://h1:3306,h2/database?useSSL=false`; `jdbc:mariadb:`, `mysql:` and `mariadb:` are taken as well.
    /// What its parameters ask for and cannot be done is in `warnings`, what has no meaning here in `notes`. No text of an error, a
    /// warning or a note holds a value that may be secret.
    pub fn parse(url: &str, user: &str, password: SecretString) -> Result<Self, Error> {
        let failed =
            |why: String| Error::Place(format!("MYSQL_URL: {why}; it is written jdbc:mysql://host:3306/database"));
        let rest = after_scheme(url.trim()).map_err(failed)?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.rsplit_once('/').unwrap_or((rest, ""));
        let database = decoded(database);
        if database.is_empty() {
            return Err(failed("it names no database".into()));
        }
        let mut notes = Vec::new();
        let hosts = match authority.rsplit_once('@') {
            Some((_, hosts)) => {
                notes.push("MYSQL_URL: the user in it is not used; MYSQL_USER_NAME and MYSQL_PASSWORD are".to_owned());
                hosts
            }
            None => authority,
        };
        let hosts = hosts_of(hosts).map_err(failed)?;
        let mut settings = Self {
            hosts,
            database,
            user: user.to_owned(),
            password,
            password_before: None,
            tls: Tls::default(),
            connect: CONNECT,
            create_database: false,
            warnings: Vec::new(),
            notes,
        };
        settings.parameters(query, url.contains("mariadb:")).map_err(failed)?;
        Ok(settings)
    }

    /// With the password that was used before, if the key in the database is still encrypted with that one.
    pub fn with_password_before(self, password: Option<SecretString>) -> Self {
        Self { password_before: password, ..self }
    }

    /// The database's name.
    pub fn database(&self) -> &str {
        &self.database
    }

    pub(crate) fn password(&self) -> &SecretString {
        &self.password
    }

    pub(crate) fn password_before(&self) -> Option<&SecretString> {
        self.password_before.as_ref()
    }

    /// The servers, as `host:port`, with commas.
    pub fn servers(&self) -> String {
        self.hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    }

    fn parameters(&mut self, query: &str, is_mariadb: bool) -> Result<(), String> {
        let mut tls = TlsWish::default();
        let mut unused = Vec::new();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            // As it stands in an XML file that somebody copied it from.
            let part = part.strip_prefix("amp;").unwrap_or(part);
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let (name, value) = (decoded(name), decoded(value));
            match name.to_ascii_lowercase().as_str() {
                "connecttimeout" => match value.parse() {
                    Ok(0) => {}
                    Ok(ms) => self.connect = Duration::from_millis(ms),
                    Err(_) => return Err("connectTimeout must be a number of milliseconds".to_owned()),
                },
                "createdatabaseifnotexist" => self.create_database = is_true(&value),
                _ if tls.take(&name, &value)? => {}
                _ => unused.push(name),
            }
        }
        if !unused.is_empty() {
            self.notes.push(format!("MYSQL_URL: these have no effect here: {}", unused.join(", ")));
        }
        self.tls = tls.settle(is_mariadb, &mut self.warnings, &mut self.notes)?;
        Ok(())
    }
}

pub(super) fn is_true(value: &str) -> bool {
    value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("yes") || value == "1"
}

fn after_scheme(url: &str) -> Result<&str, String> {
    let rest = strip_word(url, "jdbc:").unwrap_or(url);
    let rest = strip_word(rest, "mysql:").or_else(|| strip_word(rest, "mariadb:"));
    let Some(rest) = rest else {
        return Err("it must begin with jdbc:mysql:// or jdbc:mariadb://".to_owned());
    };
    let known = MODES.iter().find_map(|mode| strip_word(rest, mode)?.strip_prefix("//"));
    known.ok_or_else(|| {
        let word = rest.split("//").next().unwrap_or_default();
        format!("`{word}` before // is not known; those without a word, failover, loadbalance and replication are")
    })
}

/// Without regard to case.
fn strip_word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let head = text.get(..word.len())?;
    head.eq_ignore_ascii_case(word).then(|| &text[word.len()..])
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// `h1:3306,[::1],address=(host=h3)(port=3306),(host=h4,port=3306)`, each once.
fn hosts_of(text: &str) -> Result<Vec<Host>, String> {
    // Both drivers mean this machine.
    if text.is_empty() {
        return Ok(vec![Host { name: "localhost".to_owned(), port: PORT }]);
    }
    let mut hosts: Vec<Host> = Vec::new();
    for part in split_hosts(text) {
        let host = host_of(part.trim())?;
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    Ok(hosts)
}

/// At the commas that stand outside parentheses and brackets.
fn split_hosts(text: &str) -> Vec<&str> {
    let (mut parts, mut from, mut depth) = (Vec::new(), 0, 0_i32);
    for (at, letter) in text.char_indices() {
        match letter {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts
}

fn host_of(text: &str) -> Result<Host, String> {
    if let Some(keys) = text.strip_prefix("address=").or_else(|| text.starts_with('(').then_some(text)) {
        return host_of_keys(keys);
    }
    let (name, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, "")) => (name, None),
        Some((name, rest)) => (name, rest.strip_prefix(':').map(Some).ok_or_else(|| bad_host(text))?),
        // More than one colon, and no brackets: an IPv6 address alone.
        None if text.matches(':').count() > 1 => (text, None),
        None => text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port))),
    };
    host(text, &decoded(name), port)
}

/// `(host=h)(port=3306)` and `(host=h,port=3306)`.
fn host_of_keys(text: &str) -> Result<Host, String> {
    let (mut name, mut port) = (String::new(), None);
    for pair in text.split(['(', ')', ',']).filter(|pair| !pair.trim().is_empty()) {
        let (key, value) = pair.split_once('=').ok_or_else(|| bad_host(text))?;
        match key.trim().to_ascii_lowercase().as_str() {
            "host" => name = decoded(value.trim()).trim_matches(['[', ']']).to_owned(),
            "port" => port = Some(value.trim()),
            _ => {}
        }
    }
    host(text, &name, port)
}

fn host(text: &str, name: &str, port: Option<&str>) -> Result<Host, String> {
    let port = match port {
        None | Some("") => PORT,
        Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or_else(|| bad_host(text))?,
    };
    match name.is_empty() || name.contains(char::is_whitespace) {
        true => Err(bad_host(text)),
        false => Ok(Host { name: name.to_owned(), port }),
    }
}

fn bad_host(text: &str) -> String {
    format!("`{text}` is no host with a port")
}

#[cfg(test)]
#[path = "url_tests.rs"]
mod tests;
