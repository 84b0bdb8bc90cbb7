//! A demo that is running, in a temporary folder of its own so that what it leaves can be found.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reconcile_tests::process::{self, Process};
use reconcile_tests::wait;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// The demo itself gives up after a minute.
const PATIENCE: Duration = Duration::from_secs(120);
/// What is killed is gone a moment later.
const SOON: Duration = Duration::from_secs(10);

pub(crate) struct Demo {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    folder: TempDir,
}

/// How one ended.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Demo {
    pub(crate) fn start(arguments: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir_in("/tmp")?;
        // As /tmp itself: the server may run as another user.
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o1777))?;
        let mut child = Command::new(env!("CARGO_BIN_EXE_demo"))
            .args(arguments)
            .env("TMPDIR", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take().context("no standard output")?;
        let lines = BufReader::new(stdout).lines();
        Ok(Self {
            child,
            lines,
            folder,
        })
    }

    /// Reads on until a line that holds `part`, and gives that line.
    pub(crate) async fn line_with(&mut self, part: &str) -> Result<String> {
        let reading = async {
            while let Some(line) = self.lines.next_line().await? {
                if line.contains(part) {
                    return Ok(line);
                }
            }
            anyhow::bail!("the demo ended before it said {part:?}")
        };
        timeout(PATIENCE, reading).await?
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.child.id().context("the demo has ended")?;
        Ok(kill(Pid::from_raw(pid.try_into()?), signal)?)
    }

    /// The command lines of all that it has started and that runs, its own included.
    pub(crate) fn processes(&self) -> Result<Vec<Vec<String>>> {
        processes(self.folder.path())
    }

    /// Waits for its end, and makes sure that nothing is left: no process, no file.
    pub(crate) async fn ended(mut self) -> Result<Ended> {
        let mut errors = self.child.stderr.take().context("no standard error")?;
        let (mut stdout, mut stderr) = (String::new(), String::new());
        let reading = async {
            while let Some(line) = self.lines.next_line().await? {
                stdout.push_str(&line);
                stdout.push('\n');
            }
            errors.read_to_string(&mut stderr).await
        };
        let folder = self.folder.path();
        let ending = async {
            // Its own end and not that of its output, which what is left over would hold open.
            let status = timeout(PATIENCE, self.child.wait()).await??;
            wait::value(SOON, "the end of everything it has started", async || {
                let processes = processes(folder)?;
                ensure!(processes.is_empty(), "{processes:?}");
                let files = std::fs::read_dir(folder)?.count();
                ensure!(files == 0, "{files} files in its temporary folder");
                Ok(Some(()))
            })
            .await?;
            status.code().context("it was killed")
        };
        let (code, _) = tokio::try_join!(ending, async { Ok(reading.await?) })?;
        Ok(Ended {
            code,
            stdout,
            stderr,
        })
    }
}

/// The command lines of all that works in a folder or has inherited the environment that names it.
fn processes(folder: &Path) -> Result<Vec<Vec<String>>> {
    let all = process::all()?.into_iter();
    let its = all.filter(|process| belongs_to(process, folder));
    Ok(its.map(|process| process.command_line()).collect())
}

fn belongs_to(process: &Process, folder: &Path) -> bool {
    let folder = folder.to_string_lossy();
    // Another account's environment can't be read: the server's command line names its folder.
    let environment = std::fs::read(format!("/proc/{}/environ", process.pid)).unwrap_or_default();
    String::from_utf8_lossy(&environment).contains(&*folder)
        || process
            .command_line()
            .iter()
            .any(|word| word.contains(&*folder))
}
