//! Processes that must not outlive the test process, however that ends. Owns the `sh` between the
//! two: it holds the reading end of a pipe whose only writing end is in the test process, so the
//! kernel tells it of every death, SIGKILL included. It never knows what the programs are for.
//!
//! The parent-death signal of Linux would not do: it fires when the *thread* that started the
//! process ends, and the test runner ends a thread with each test.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use parking_lot::Mutex;

use crate::wait;

/// A shell script that runs until its standard input ends, and then tidies up.
#[derive(Debug)]
pub struct Leash {
    shell: Child,
    stdin: Option<ChildStdin>,
}

impl Leash {
    /// Starts `script` with `$1`, `$2`, … The script has to read its standard input to the end
    /// before it does anything else. It gets a process group of its own, so that a Ctrl-C meant
    /// for the tests does not take away what cleans up after them. `account` is the user and group
    /// to run it as: looking into another account's processes takes more than root has in a container.
    ///
    /// # Errors
    /// When there is no `sh`.
    pub fn hold(script: &str, arguments: &[&OsStr], account: Option<(u32, u32)>) -> Result<Self> {
        let mut shell = Command::new("sh");
        if let Some((user, group)) = account {
            shell.uid(user).gid(group);
        }
        let mut shell = shell
            .args(["-c", script, "leash"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("sh could not be started")?;
        let stdin = shell.stdin.take();
        Ok(Self { shell, stdin })
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        drop(self.stdin.take());
        // Nothing to be done about a shell that can't be waited for.
        self.shell.wait().ok();
    }
}

/// Runs `$@` in the background and kills it when standard input ends. The inner shell tells the
/// pid of what it becomes. A child that was not waited for keeps its pid: the kill hits no stranger.
const RUN: &str = r#"
exec 3<&0
sh -c 'echo "$$"; exec "$@"' leashed "$@" </dev/null 3<&- &
program=$!
{ read -r _ <&3; kill -KILL "$program"; } >/dev/null 2>&1 &
reader=$!
wait "$program"; code=$?
kill -KILL "$reader"
exit "$code"
"#;

/// A running program that dies with the test process, or when this is dropped.
#[derive(Debug)]
pub struct Leashed {
    pid: Pid,
    shell: Mutex<Child>,
    stdin: Option<ChildStdin>,
    stdout: Arc<Mutex<Vec<u8>>>,
    stderr: Arc<Mutex<Vec<u8>>>,
}

impl Leashed {
    /// Starts `program`, with `environment` on top of the test process's own.
    ///
    /// # Errors
    /// When it can't be executed.
    pub fn start(
        program: &Path,
        arguments: &[String],
        environment: &[(String, String)],
    ) -> Result<Self> {
        let mut shell = Command::new("sh")
            .args(["-c", RUN, "leash"])
            .arg(program)
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .context("sh could not be started")?;
        let stdin = shell.stdin.take();
        let mut stdout = BufReader::new(shell.stdout.take().context("no standard output")?);
        let stderr = shell.stderr.take().context("no standard error")?;
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        let pid = Pid::from_raw(
            line.trim()
                .parse()
                .with_context(|| format!("{} did not start", program.display()))?,
        );
        Ok(Self {
            pid,
            shell: Mutex::new(shell),
            stdin,
            stdout: collect(stdout),
            stderr: collect(stderr),
        })
    }

    /// The program's process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When the program has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        // With the lock held nobody else reaps; an ended program's pid may belong to a stranger.
        let mut shell = self.shell.lock();
        anyhow::ensure!(
            shell.try_wait()?.is_none(),
            "{signal} can't be sent: the program has ended"
        );
        kill(self.pid, signal).with_context(|| format!("{signal} could not be sent"))
    }

    /// Its exit code once it has ended; 128 + n when signal n ended it.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn exit_code(&self) -> Result<Option<i32>> {
        Ok(self
            .shell
            .lock()
            .try_wait()?
            .and_then(|status| status.code()))
    }

    /// Waits for the program to end and gives its exit code, as [`Self::exit_code`] does.
    ///
    /// # Errors
    /// When it still runs after `within`.
    pub async fn ended(&self, within: Duration) -> Result<i32> {
        let what = format!("the end of process {}", self.pid);
        wait::value(within, what, async || self.exit_code()).await
    }

    /// What it has written to standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.stdout.lock()).into_owned()
    }

    /// What it has written to standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr.lock()).into_owned()
    }
}

impl Drop for Leashed {
    fn drop(&mut self) {
        drop(self.stdin.take());
        // Nothing to be done about a shell that can't be waited for.
        self.shell.lock().wait().ok();
    }
}

/// Reads on a thread of its own: a program whose pipe nobody empties stops, and a test's runtime may
/// be busy or gone.
fn collect(mut from: impl Read + Send + 'static) -> Arc<Mutex<Vec<u8>>> {
    let collected = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&collected);
    std::thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            into.lock().extend_from_slice(&buffer[..read]);
        }
    });
    collected
}
