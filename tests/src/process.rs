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
