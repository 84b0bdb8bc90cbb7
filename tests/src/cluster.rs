//! A private PostgreSQL cluster (Linux): its own folder, port and socket, started and stopped, killed
//! and restarted at will. Whatever happens to the test process, no server and no file is left over.
//! It never touches a server that it did not start.
//!
//! Tests that leave the server alone share one ([`shared`]) and take a database each; tests that
//! break it start their own.

mod clock;
mod database;
mod installation;
mod processes;
mod settings;
mod standby;
mod upheld;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use tokio::process::Command;
use tokio::sync::OnceCell;

pub use database::{Contents, Database, PsqlOutput};
pub use settings::Settings;

use crate::leash::Leash;
use crate::port;
use installation::Installation;

/// How long a start or a stop may take; crash recovery on a slow disk is the longest of them.
const PATIENCE_SECONDS: &str = "120";

/// How a server is asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Waits for every client to leave.
    Smart,
    /// Ends the clients' sessions, and shuts down in order.
    Fast,
    /// Leaves without shutting down: the next start recovers.
    Immediate,
}

/// A cluster. Dropping it stops the server and removes its files.
#[derive(Debug)]
pub struct Cluster {
    folder: PathBuf,
    port: u16,
    installation: Installation,
    settings: Settings,
    /// Set when the database that others are copied from is there.
    template: OnceCell<()>,
    _tidy_up: Leash,
}

/// The cluster that the tests of one process share, started by the first of them with the default
/// settings. It goes away with the process.
///
/// # Errors
/// When it can't be started.
pub async fn shared() -> Result<&'static Cluster> {
    static SHARED: OnceCell<Cluster> = OnceCell::const_new();
    SHARED
        .get_or_try_init(|| Cluster::start_new(Settings::default()))
        .await
}

impl Cluster {
    /// Makes a cluster and starts its server.
    ///
    /// # Errors
    /// When PostgreSQL is not installed or does not come up; the message has its log.
    pub async fn start_new(settings: Settings) -> Result<Self> {
        let installation = Installation::find().await?;
        let folder = installation.folder()?;
        let tidy_up = Leash::hold(
            include_str!("cluster/tidy_up.sh"),
            &[folder.as_os_str(), installation.programs.as_os_str()],
            installation.account,
        )?;
        let mut cluster = Self {
            folder,
            port: port::free()?,
            installation,
            settings,
            template: OnceCell::new(),
            _tidy_up: tidy_up,
        };
        let mut initdb = cluster.command("initdb");
        initdb.args([
            "--username=postgres",
            "--auth=trust",
            "--no-sync",
            "--no-instructions",
        ]);
        initdb.args(["--encoding=UTF8", "--locale=C.UTF-8"]);
        cluster
            .run(initdb.arg("--pgdata").arg(cluster.data()))
            .await?;
        cluster.first_start().await?;
        Ok(cluster)
    }

    /// With another port if somebody was faster.
    async fn first_start(&mut self) -> Result<()> {
        let file = self.data().join("postgresql.conf");
        let stock = std::fs::read_to_string(&file)?;
        for _ in 0..5 {
            let own = self.settings.configuration(self.port, &self.folder);
            std::fs::write(&file, format!("{stock}{own}"))?;
            let Err(error) = self.start().await else {
                return Ok(());
            };
            if !self.log()?.contains("Address already in use") {
                return Err(error);
            }
            self.port = port::free()?;
        }
        bail!("five ports in a row were taken by others")
    }

    /// Starts the server after a stop or a kill, and waits until it takes connections.
    ///
    /// # Errors
    /// When it does not come up; the message has its log.
    pub async fn start(&self) -> Result<()> {
        let mut command = self.pg_ctl("start");
        command.arg("--log").arg(self.log_file());
        if self.settings.has_stepping_clock() {
            command.envs(clock::environment(&self.folder)?);
        }
        if let Err(error) = self.run(&mut command).await {
            bail!(
                "{error:#}\nthe server's log:\n{}",
                self.log().unwrap_or_default()
            );
        }
        Ok(())
    }

    /// Has the server's wall clock stand this far from the true one, from now on. It was started with
    /// [`Settings::stepping_clock`].
    ///
    /// # Errors
    /// When the file that says so can't be written.
    pub fn step_clock(&self, seconds: i64) -> Result<()> {
        clock::step(&self.folder, seconds)
    }

    /// Stops the server and waits until it is gone.
    ///
    /// # Errors
    /// When it does not stop: a smart stop with clients that stay.
    pub async fn stop(&self, how: Stop) -> Result<()> {
        let mode = match how {
            Stop::Smart => "smart",
            Stop::Fast => "fast",
            Stop::Immediate => "immediate",
        };
        self.run(self.pg_ctl("stop").args(["--mode", mode])).await
    }

    /// A fast stop and a start, on the same port.
    ///
    /// # Errors
    /// As [`Self::stop`] and [`Self::start`].
    pub async fn restart(&self) -> Result<()> {
        self.stop(Stop::Fast).await?;
        self.start().await
    }

    /// The port on 127.0.0.1; the same for the cluster's whole life.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The cluster's folder: its socket is in it, and its data under `data`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The server's log so far.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn log(&self) -> Result<String> {
        let bytes = std::fs::read(self.log_file()).context("the server has no log")?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// One of the server's programs (`pg_dump`, `pgbench`, …) as the server's account, run from the
    /// cluster's folder, with host, port and user set for this cluster.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = self.installation.as_server(program, &self.folder);
        command
            .env("PGHOST", &self.folder)
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", "postgres");
        command
    }

    fn pg_ctl(&self, action: &str) -> Command {
        let mut command = self.command("pg_ctl");
        command.args([
            action,
            "--silent",
            "--wait",
            "--timeout",
            PATIENCE_SECONDS,
            "--pgdata",
        ]);
        command.arg(self.data());
        command
    }

    async fn run(&self, command: &mut Command) -> Result<()> {
        let output = command.output().await?;
        let program = command.as_std().get_program().display();
        ensure!(
            output.status.success(),
            "{program}: {}: {}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join("server.log")
    }
}
