//! Nothing is left over: after a drop, and after the test process was killed with SIGKILL.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use reconcile_tests::cluster::{Cluster, Settings};
use reconcile_tests::leash::Leashed;
use reconcile_tests::{process, wait};
use tokio::process::Command;

const SOON: Duration = Duration::from_secs(20);
/// Where the victim is told to write down what it has started.
const REPORT: &str = "HARNESS_VICTIM_REPORT";

async fn shared_memory_segments() -> Result<String> {
    let output = Command::new("ipcs").args(["-m", "-p"]).output().await?;
    Ok(String::from_utf8(output.stdout)?)
}

/// Whether a line of `ipcs -m -p` names this process as the segment's maker.
fn made_by(segments: &str, pid: i32) -> bool {
    let pid = pid.to_string();
    segments
        .lines()
        .any(|line| line.split_whitespace().nth(2) == Some(pid.as_str()))
}

async fn is_gone(folder: &Path, pids: &[i32]) -> Result<()> {
    wait::value(SOON, "processes and files to be gone", async || {
        let alive: Vec<_> = pids
            .iter()
            .filter(|pid| process::one(**pid).is_some())
            .collect();
        anyhow::ensure!(alive.is_empty(), "alive: {alive:?}");
        anyhow::ensure!(!folder.exists(), "{} is there", folder.display());
        Ok(Some(()))
    })
    .await?;
    let segments = shared_memory_segments().await?;
    assert!(
        !pids.iter().any(|pid| made_by(&segments, *pid)),
        "{pids:?}:\n{segments}"
    );
    Ok(())
}

#[tokio::test]
async fn a_dropped_cluster_is_gone_at_once_in_whatever_state_it_was() -> Result<()> {
    for state in ["running", "frozen", "killed"] {
        let cluster = Cluster::start_new(Settings::default()).await?;
        let client = cluster.existing("postgres").connect().await?;
        client.batch_execute("begin").await?;
        let (folder, pids) = (cluster.folder().to_owned(), cluster.processes()?);
        assert!(made_by(&shared_memory_segments().await?, pids[0]));
        match state {
            "frozen" => {
                for pid in &pids {
                    let pid = nix::unistd::Pid::from_raw(*pid);
                    nix::sys::signal::kill(pid, Signal::SIGSTOP)?;
                }
            }
            "killed" => cluster.kill9().await?,
            _ => {}
        }
        drop(cluster);
        assert!(!folder.exists(), "{state}");
        is_gone(&folder, &pids).await.context(state)?;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "run by the next test, as the process that is killed"]
async fn victim() -> Result<()> {
    let Some(report) = std::env::var_os(REPORT) else {
        return Ok(());
    };
    let cluster = Cluster::start_new(Settings::default()).await?;
    let sleep = Leashed::start(Path::new("/bin/sleep"), &["1000".to_owned()], &[])?;
    let mut pids = cluster.processes()?;
    pids.push(sleep.pid());
    let facts = serde_json::json!({ "folder": cluster.folder(), "pids": pids });
    // Under another name first: its reader must not see half of it.
    let draft = Path::new(&report).with_extension("draft");
    std::fs::write(&draft, facts.to_string())?;
    std::fs::rename(&draft, &report)?;
    std::future::pending::<()>().await;
    Ok(())
}

#[tokio::test]
async fn a_killed_test_process_leaves_nothing() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let report = folder.path().join("report");
    let mut victim = Command::new(std::env::current_exe()?)
        .args(["--exact", "left_over::victim", "--ignored", "--nocapture"])
        .env(REPORT, &report)
        .kill_on_drop(true)
        .spawn()?;
    let facts = wait::value(SOON, "the victim's report", async || {
        Ok(Some(serde_json::from_slice::<serde_json::Value>(
            &std::fs::read(&report)?,
        )?))
    });
    let facts = facts.await?;
    let cluster: String = serde_json::from_value(facts["folder"].clone())?;
    let pids: Vec<i32> = serde_json::from_value(facts["pids"].clone())?;
    assert!(Path::new(&cluster).exists());
    assert!(
        pids.len() > 4 && pids.iter().all(|pid| process::one(*pid).is_some()),
        "{pids:?}"
    );

    victim.kill().await?;
    is_gone(Path::new(&cluster), &pids).await
}
