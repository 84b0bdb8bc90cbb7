//! What processes have used so far, by `/proc`: processor time and memory. Two readings make a cost.

use anyhow::{Context, Result};
use procfs::process::Process;

use crate::cluster::Cluster;

/// Processor time of one process, user and system, in seconds.
///
/// # Errors
/// When it has ended.
pub(crate) fn cpu_seconds(pid: i32) -> Result<f64> {
    let stat = Process::new(pid)?.stat()?;
    Ok(seconds(stat.utime + stat.stime))
}

/// Processor time of a server: the postmaster, its children, and its children that have ended.
///
/// # Errors
/// When it is down.
pub(crate) fn server_cpu_seconds(cluster: &Cluster) -> Result<f64> {
    let processes = cluster.processes()?;
    let postmaster = processes.first().context("the server is down")?;
    let ended = Process::new(*postmaster)?.stat()?;
    let ended = u64::try_from(ended.cutime + ended.cstime).unwrap_or_default();
    // One that ends between the two looks is left out: a few milliseconds.
    let alive = processes.iter().filter_map(|pid| cpu_seconds(*pid).ok());
    Ok(alive.sum::<f64>() + seconds(ended))
}

/// The most memory that a process has had in RAM at one time, in MB.
///
/// # Errors
/// When it has ended.
pub(crate) fn peak_memory_mb(pid: i32) -> Result<f64> {
    let peak_kb = Process::new(pid)?.status()?.vmhwm;
    Ok(peak_kb.context("the system does not say")? as f64 / 1024.0)
}

fn seconds(ticks: u64) -> f64 {
    ticks as f64 / procfs::ticks_per_second() as f64
}
