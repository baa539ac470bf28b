//! A process that ends with us, however we end.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

use crate::recipe;

/// A running command under `testbed/guard`. Dropping it kills the command.
#[derive(Debug)]
pub struct Guarded {
    guard: Child,
    pid: Pid,
}

impl Guarded {
    /// Starts `command` with its output appended to `log`. The command gets a process group of its own, so that Ctrl-C
    /// reaches it only through us.
    pub fn start(command: &Command, log: &Path) -> Result<Self> {
        let mut guard = Command::new(recipe::folder().join("guard"));
        guard
            .arg(log)
            .arg(command.get_program())
            .args(command.get_args())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0);
        if let Some(folder) = command.get_current_dir() {
            guard.current_dir(folder);
        }
        let mut guard = guard.spawn().context("testbed/guard")?;
        let mut line = String::new();
        let said = guard.stdout.take().context("the guard has no output")?;
        BufReader::new(said).read_line(&mut line)?;
        let pid = line.trim().parse().ok().and_then(Pid::from_raw);
        let pid = pid.with_context(|| format!("the guard said «{}» instead of a pid", line.trim()))?;
        Ok(Self { guard, pid })
    }

    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// How the command ended, `None` while it runs.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.guard.try_wait()?)
    }

    /// Sends a signal, unless the command has ended: its pid may be somebody else's by then.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.ended()?.is_none() {
            kill_process(self.pid, signal)?;
        }
        Ok(())
    }

    /// kill -9, and waits until the process is gone.
    pub fn kill9(&mut self) -> Result<()> {
        self.signal(Signal::KILL)?;
        self.guard.wait()?;
        Ok(())
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // Whatever fails here, the guard kills the command when our end of its pipe closes.
        drop(self.kill9());
    }
}
