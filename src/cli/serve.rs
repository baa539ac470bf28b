//! `causeway serve`.

use super::{LISTEN, settings_text};
use crate::failure::Failure;
use crate::logs::{self, LogFormat, LogTarget};
use crate::node::{Local, asked_to_end, own_program, token_words};
use causeway_peers::environment::installation;
use causeway_peers::java_options::java_options;
use causeway_server::{Database, Options};
use causeway_store::Environment;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Loaded when it is there and `-c` names no other.
const CONFIG: &str = "conf/config.yaml";

/// Runs a node in the foreground, until SIGTERM or Ctrl-C. Ending it withdraws nothing: copies stay where they are.
///
/// Nodes that are to share their settings, ledger and history find their database in MYSQL_URL, MYSQL_USER_NAME and MYSQL_PASSWORD.
#[derive(clap::Args)]
pub struct Serve {
    /// Where the API listens; port 0: any free one. Beyond loopback callers need a token
    #[arg(long, env = "CAUSEWAY_LISTEN", value_name = "HOST:PORT", default_value = LISTEN)]
    listen: String,
    /// Where the node keeps clusters, tasks and what it wrote; with a shared database only what is the node's own
    #[arg(long, value_name = "DIR", default_value = "data")]
    data_dir: PathBuf,
    /// A settings file to apply at the start, once per content [default: conf/config.yaml, when it is there]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where /metrics, /healthz and /readyz are also answered, without a token, to everybody who reaches it
    #[arg(long, value_name = "HOST:PORT", env = "CAUSEWAY_METRICS_LISTEN")]
    metrics_listen: Option<String>,
    /// Where the log goes; CAUSEWAY_LOG says how much: error, warn, info, debug
    #[arg(long, value_enum, default_value_t)]
    log: LogTarget,
    /// The form of the log
    #[arg(long, value_enum, default_value_t, env = "CAUSEWAY_LOG_FORMAT")]
    log_format: LogFormat,
}

/// The database that the environment names; what is to be said of it goes to the log.
fn database() -> Result<Database, Failure> {
    let variable = |name: &str| std::env::var(name).ok();
    let found = Environment::read(&variable).map_err(|error| Failure::new(error.to_string()))?;
    for warning in &found.warnings {
        tracing::warn!("{warning}");
    }
    for note in found.notes.iter().chain(&java_options(&variable).notes) {
        tracing::info!("{note}");
    }
    if let Database::MySql(settings) = &found.database {
        tracing::info!("settings are kept in the database {} at {}", settings.database(), settings.servers());
    }
    Ok(found.database)
}

impl Serve {
    pub async fn run(self) -> Result<u8, Failure> {
        // polaris-sync's own word for it; CAUSEWAY_LOG wins.
        let level = std::env::var("POLARIS_SYNC_LOGGER_LEVEL").unwrap_or_default().to_lowercase();
        let level = if ["error", "warn", "info", "debug", "trace"].contains(&level.as_str()) { &level } else { "info" };
        let traces = logs::start(self.log, self.log_format, level)?;
        let end = asked_to_end(false)?;
        tokio::pin!(end);
        let file = match &self.config {
            Some(path) => Some(settings_text(path)?),
            None => Path::new(CONFIG).exists().then(|| settings_text(Path::new(CONFIG))).transpose()?,
        };
        let installation = installation(&|name| std::env::var(name).ok(), Path::new(""));
        let options =
            Options { data_dir: self.data_dir, database: database()?, exe: own_program(), file, keep_sockets: true };
        let mut local = tokio::select! {
            local = Local::start(&self.listen, options) => local?,
            () = &mut end => return Ok(0),
        };
        if let Some(token) = &local.token {
            writeln!(io::stdout().lock(), "{}", token_words(token))?;
        }
        tracing::info!("listening on {}", local.url());
        if let Some(address) = self.metrics_listen.as_deref().filter(|address| !address.is_empty()) {
            local.serve_metrics(address).await?;
        }
        if let Some(installation) = &installation {
            local.follow(installation).await;
        }
        let broken = tokio::select! {
            () = end => None,
            broken = local.ended_early() => Some(broken),
        };
        tracing::info!("stopping; copies stay where they are");
        local.stop().await;
        traces.end().await;
        // Whatever is dropped from here on would say goodbye to the clusters.
        match broken {
            None => std::process::exit(0),
            Some(broken) => {
                tracing::error!("{broken}");
                std::process::exit(i32::from(broken.code()))
            }
        }
    }
}
