//! The server's processes, found in /proc: whether they are there, and how they die at once.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Cluster;
use crate::{process, wait};

impl Cluster {
    /// Kills the postmaster and all its children with SIGKILL, as a power cut would (only what the
    /// kernel holds in its page cache survives). [`Self::start`] then goes through crash recovery.
    ///
    /// # Errors
    /// When a process is still there after 10 seconds.
    pub async fn kill9(&self) -> Result<()> {
        // A stopped postmaster neither starts more children nor restarts after their death.
        if let Some(postmaster) = self.postmaster()? {
            kill(Pid::from_raw(postmaster.pid), Signal::SIGSTOP)?;
        }
        let doomed = self.processes()?;
        for pid in &doomed {
            // One that has ended by itself in between is just as well.
            kill(Pid::from_raw(*pid), Signal::SIGKILL).ok();
        }
        // Not even as a zombie: the next start takes the lock file's pid for a running server then.
        let what = "every killed server process to be reaped by this machine's init";
        wait::until(Duration::from_secs(10), what, async || {
            !doomed
                .iter()
                .any(|pid| Path::new(&format!("/proc/{pid}")).exists())
        })
        .await
    }

    /// Whether the server's process is there.
    ///
    /// # Errors
    /// When `/proc` can't be read.
    pub fn is_running(&self) -> Result<bool> {
        Ok(self.postmaster()?.is_some())
    }

    /// The process ids of the postmaster and its children, the postmaster's first; none when it is
    /// down.
    ///
    /// # Errors
    /// When `/proc` can't be read.
    pub fn processes(&self) -> Result<Vec<i32>> {
        let Some(postmaster) = self.postmaster()? else {
            return Ok(Vec::new());
        };
        let children = process::all()?
            .into_iter()
            .filter(|process| process.parent == postmaster.pid)
            .map(|process| process.pid);
        Ok(std::iter::once(postmaster.pid).chain(children).collect())
    }

    /// The postmaster, if it is alive. Found by its command line: the lock file of a killed one may
    /// name a stranger.
    fn postmaster(&self) -> Result<Option<process::Process>> {
        let program = self.installation.programs.join("postgres");
        let data = self.data();
        Ok(process::all()?.into_iter().find(|process| {
            let words = process.command_line();
            words.first().is_some_and(|word| Path::new(word) == program)
                && words.iter().any(|word| Path::new(word) == data)
        }))
    }
}
