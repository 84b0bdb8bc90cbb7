//! What runs on this machine, as far as `/proc` tells everyone: ids, parents, command lines. It
//! sends no signals.

use std::fs;

use anyhow::{Context, Result};

/// A running process; one that ended and was not waited for does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    /// Its parent's id.
    pub parent: i32,
}

impl Process {
    /// Its command line in words; empty when it has ended.
    #[must_use]
    pub fn command_line(&self) -> Vec<String> {
        let bytes = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        text.split_terminator('\0').map(str::to_owned).collect()
    }
}

/// All of them.
///
/// # Errors
/// When there is no `/proc`.
pub fn all() -> Result<Vec<Process>> {
    let folder = fs::read_dir("/proc").context("there is no /proc: not Linux?")?;
    Ok(folder
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(one)
        .collect())
}

/// Whether every thread of a process is stopped by a signal; not when it has ended.
#[must_use]
pub fn is_stopped(pid: i32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return false;
    };
    threads.filter_map(Result::ok).all(|thread| {
        // One that has ended since is as good as stopped.
        fs::read_to_string(thread.path().join("stat")).map_or(true, |stat| {
            stat.rfind(')')
                .and_then(|end| stat.get(end + 1..)?.split_whitespace().next())
                .is_some_and(|state| matches!(state, "T" | "t"))
        })
    })
}

/// The process of this id, if it runs.
#[must_use]
pub fn one(pid: i32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in brackets, which may hold brackets and spaces.
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(Process { pid, parent })
}
