//! A server's process and its folder: started, frozen, ended, and started again in the same place.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use parking_lot::Mutex;
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::time::sleep;

use crate::guard::Guarded;

/// A temporary folder, or a given one that is left behind.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _temporary: Option<TempDir>,
}

impl Folder {
    pub fn new(prefix: &str, given: Option<&Path>) -> Result<Self> {
        if let Some(folder) = given {
            std::fs::create_dir_all(folder)?;
            return Ok(Self { path: folder.canonicalize()?, _temporary: None });
        }
        let folder = tempfile::Builder::new().prefix(prefix).tempdir()?;
        Ok(Self { path: folder.path().to_path_buf(), _temporary: Some(folder) })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Dropping it kills what runs.
#[derive(Debug)]
pub struct Process {
    log: PathBuf,
    running: Mutex<Option<Guarded>>,
}

impl Process {
    /// Nothing runs yet. What a command prints is appended to `log`.
    pub fn new(log: PathBuf) -> Self {
        Self { log, running: Mutex::new(None) }
    }

    pub fn start(&self, command: &Command) -> Result<()> {
        let mut running = self.running.lock();
        if running.is_some() {
            bail!("the server runs already");
        }
        *running = Some(Guarded::start(command, &self.log)?);
        Ok(())
    }

    /// `None` while nothing runs.
    pub fn pid(&self) -> Option<u32> {
        self.running.lock().as_ref().map(Guarded::pid)
    }

    /// An error that says how it ended, if it has.
    pub fn check(&self) -> Result<()> {
        let mut running = self.running.lock();
        let process = running.as_mut().context("the server was stopped while it started")?;
        if let Some(status) = process.ended()? {
            running.take();
            bail!("the server ended at its start ({status}); its last words:\n{}", self.last_words());
        }
        Ok(())
    }

    /// A crash: the process is gone when this returns.
    pub fn kill9(&self) -> Result<()> {
        match self.running.lock().take() {
            Some(mut process) => process.kill9(),
            None => Ok(()),
        }
    }

    /// SIGTERM, and kill -9 after `limit`.
    pub async fn stop(&self, limit: Duration) -> Result<()> {
        let Some(mut process) = self.running.lock().take() else {
            return Ok(());
        };
        process.signal(Signal::TERM)?;
        let end = Instant::now() + limit;
        while process.ended()?.is_none() {
            if Instant::now() > end {
                return process.kill9();
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// SIGSTOP: it accepts connections (the kernel does) and never answers.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Ends a [`Self::pause`].
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// SIGHUP.
    pub fn hang_up(&self) -> Result<()> {
        self.signal(Signal::HUP)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        self.running.lock().as_mut().context("the server does not run")?.signal(signal)
    }

    pub fn last_words(&self) -> String {
        last_words(&self.log)
    }
}

/// The last 40 lines of a file.
pub fn last_words(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
