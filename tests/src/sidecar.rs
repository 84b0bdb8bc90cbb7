//! The real sidecar as a process: started with settings, signalled, its log and metrics read. It
//! never speaks the protocol itself, and never outlives the test process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::leash::Leashed;
use crate::{port, process, wait};

/// How long a sidecar may take to be ready, and to stop; its own stop timeout is 10 seconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a sidecar is started with.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Its PostgreSQL; the role is part of the URL.
    pub database_url: String,
    /// Most calls in flight; its own default when none.
    pub slots: Option<usize>,
    /// Hosts that may be plain http and private: `127.0.0.1:8080`.
    pub allow_hosts: Vec<String>,
    /// Secrets by name, handed over in its environment.
    pub secrets: Vec<(String, String)>,
    /// Any other variable of its environment (`RECONCILE_NAME`, `LOG_LEVEL`, …).
    pub environment: Vec<(String, String)>,
    /// Another program than the workspace's sidecar.
    pub program: Option<PathBuf>,
}

impl Settings {
    /// A sidecar of this database that may call this host.
    #[must_use]
    pub fn new(database_url: &str, allow_host: SocketAddr) -> Self {
        Self {
            database_url: database_url.to_owned(),
            allow_hosts: vec![allow_host.to_string()],
            ..Self::default()
        }
    }

    fn environment(&self, http_port: u16) -> Vec<(String, String)> {
        let own = [
            ("DATABASE_URL", self.database_url.clone()),
            ("RECONCILE_ALLOW_HOSTS", self.allow_hosts.join(",")),
            ("RECONCILE_HTTP_ADDRESS", format!("127.0.0.1:{http_port}")),
        ];
        let slots = self
            .slots
            .map(|slots| ("RECONCILE_SLOTS".to_owned(), slots.to_string()));
        let secrets = self.secrets.iter();
        let secrets =
            secrets.map(|(name, value)| (format!("RECONCILE_SECRET_{name}"), value.clone()));
        own.into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .chain(slots)
            .chain(secrets)
            .chain(self.environment.iter().cloned())
            .collect()
    }
}

/// A running sidecar; dropping it kills it.
#[derive(Debug)]
pub struct Sidecar {
    process: Leashed,
    http_port: u16,
    http: reqwest::Client,
}

impl Sidecar {
    /// Starts one, and does not wait until it is ready.
    ///
    /// # Errors
    /// When its program has not been built.
    pub fn start(settings: &Settings) -> Result<Self> {
        let program = match &settings.program {
            Some(program) => program.clone(),
            None => program()?,
        };
        let http_port = port::free()?;
        let process = Leashed::start(&program, &[], &settings.environment(http_port))?;
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(5))
            .pool_max_idle_per_host(0)
            .build()?;
        Ok(Self {
            process,
            http_port,
            http,
        })
    }

    /// Starts one and waits until it is ready.
    ///
    /// # Errors
    /// As [`Self::start`] and [`Self::ready`].
    pub async fn start_ready(settings: &Settings) -> Result<Self> {
        let sidecar = Self::start(settings)?;
        sidecar.ready().await?;
        Ok(sidecar)
    }

    /// Waits until it is connected and well.
    ///
    /// # Errors
    /// When it ends before, or is not after 20 seconds; the message has its log.
    pub async fn ready(&self) -> Result<()> {
        let ready = wait::value(PATIENCE, "a sidecar that is ready", async || {
            if let Some(code) = self.process.exit_code()? {
                return Ok(Some(Err(anyhow::anyhow!("the sidecar ended with {code}"))));
            }
            let (status, body) = self.health().await?;
            ensure!(status == 200, "its health is {status}: {body}");
            Ok(Some(Ok(())))
        });
        ready
            .await
            .and_then(|ended| ended)
            .with_context(|| self.stderr())
    }

    /// The HTTP status and the JSON of its health page.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn health(&self) -> Result<(u16, Value)> {
        let response = self.http.get(self.url("/health")).send().await?;
        let status = response.status().as_u16();
        Ok((status, serde_json::from_str(&response.text().await?)?))
    }

    /// Its metrics page.
    ///
    /// # Errors
    /// When it does not answer with 200.
    pub async fn metrics(&self) -> Result<String> {
        let response = self.http.get(self.url("/metrics")).send().await?;
        Ok(response.error_for_status()?.text().await?)
    }

    /// The sum of a metric over those of its series whose labels contain `labels` (`""` takes all);
    /// 0 when there is none.
    ///
    /// # Errors
    /// As [`Self::metrics`].
    pub async fn metric(&self, name: &str, labels: &str) -> Result<f64> {
        let page = self.metrics().await?;
        Ok(page
            .lines()
            .filter_map(|line| sample(line, name, labels))
            .sum())
    }

    /// Asks it to stop and waits until it has, in order.
    ///
    /// # Errors
    /// When its exit code is not 0 or it takes longer than 20 seconds; the message has its log.
    pub async fn stop(&self) -> Result<()> {
        self.process.signal(Signal::SIGTERM)?;
        let code = self
            .process
            .ended(PATIENCE)
            .await
            .with_context(|| self.stderr())?;
        ensure!(
            code == 0,
            "the sidecar ended with {code}:\n{}",
            self.stderr()
        );
        Ok(())
    }

    /// Kills it and waits until it is gone.
    ///
    /// # Errors
    /// When it has ended already.
    pub async fn kill9(&self) -> Result<()> {
        self.process.signal(Signal::SIGKILL)?;
        self.process.ended(PATIENCE).await?;
        Ok(())
    }

    /// Freezes it: its connections stay open, and nobody is there. Each of its threads goes on until it is stopped itself, so that is
    /// waited for.
    ///
    /// # Errors
    /// When it has ended.
    pub async fn freeze(&self) -> Result<()> {
        self.process.signal(Signal::SIGSTOP)?;
        let pid = self.process.pid();
        wait::until(
            PATIENCE,
            "every thread of the sidecar to stop",
            async || process::is_stopped(pid),
        )
        .await
    }

    /// Lets a frozen one go on.
    ///
    /// # Errors
    /// When it has ended.
    pub fn thaw(&self) -> Result<()> {
        self.process.signal(Signal::SIGCONT)
    }

    /// The process, for other signals, its pid and its exit code.
    #[must_use]
    pub fn process(&self) -> &Leashed {
        &self.process
    }

    /// Its log: the lines of standard error that are JSON.
    #[must_use]
    pub fn log(&self) -> Vec<Value> {
        let lines = self.stderr();
        lines
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// All of its standard error, as it is: what must not be in the log is looked for here.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.process.stderr()
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.http_port)
    }
}

/// The value of a line of the metrics page, if it is one of this metric and its labels fit.
fn sample(line: &str, name: &str, labels: &str) -> Option<f64> {
    let rest = line.strip_prefix(name)?;
    let (found, value) = rest.rsplit_once(' ')?;
    let complete_name = found.is_empty() || found.starts_with('{');
    (complete_name && found.contains(labels)).then(|| value.parse().ok())?
}

/// The environment's `RECONCILE_SIDECAR`, else what the workspace's build has put near this test.
fn program() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("RECONCILE_SIDECAR") {
        return Ok(named.into());
    }
    let own = std::env::current_exe()?;
    own.ancestors()
        .skip(1)
        .take(2)
        .map(|folder: &Path| folder.join("reconcile-sidecar"))
        .find(|candidate| candidate.is_file())
        .context(
            "the sidecar is not built: cargo build -p reconcile-sidecar, or set RECONCILE_SIDECAR",
        )
}
