//! What the demo plays on: a private server with pg_cron and the extension, the simulated vendor,
//! and the sidecar under a role that can only execute its protocol. Knows nothing of orders.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use reconcile_tests::cluster::{Cluster, Contents, Database, Settings};
use reconcile_tests::sidecar::{self, Sidecar};
use reconcile_tests::simulator::{Fate, Recording, Simulator};
use reconcile_tests::wait;

use crate::screen::Screen;

/// The database, which is pg_cron's too.
const DATABASE: &str = "shop";
/// The role that hands orders over.
pub(crate) const APPLICATION: &str = "shop_app";
/// The role that the sidecar connects as.
const SIDECAR: &str = "shop_sidecar";
/// The secret that the vendor's row names, and that the sidecar alone knows.
pub(crate) const SECRET_NAME: &str = "VENDOR_TOKEN";

/// Everything that runs. Dropping it ends it, in the order of the fields.
pub(crate) struct Stage {
    sidecar: Sidecar,
    simulator: Simulator,
    cluster: Cluster,
}

impl Stage {
    /// Puts it up, a step a line.
    pub(crate) async fn put_up(screen: &Screen) -> Result<Self> {
        let cluster = screen.step("PostgreSQL", server()).await?;
        let database = cluster.existing(DATABASE);
        screen.step("Extension", extension(&cluster)).await?;
        screen.step("Migrations", migrations(&database)).await?;
        screen.step("pg_cron", scheduler(&database)).await?;
        let simulator = screen.step("Simulated vendor", vendor()).await?;
        let asking = ask(&database, simulator.address());
        let sidecar = screen.step("Sidecar", asking).await?;
        drop(database);
        Ok(Self {
            sidecar,
            simulator,
            cluster,
        })
    }

    /// The database with the extension.
    pub(crate) fn database(&self) -> Database<'_> {
        self.cluster.existing(DATABASE)
    }

    /// The vendor.
    pub(crate) fn simulator(&self) -> &Simulator {
        &self.simulator
    }

    /// Ends it all, in order.
    pub(crate) async fn take_down(self, screen: &Screen) -> Result<()> {
        let end = async {
            self.sidecar.stop().await?;
            drop(self);
            Ok(((), "sidecar, vendor and server".to_owned()))
        };
        screen.line("")?;
        screen.step("Stopped and removed", end).await
    }
}

async fn server() -> Result<(Cluster, String)> {
    let cluster = Cluster::start_new(Settings::default().cron(DATABASE)).await?;
    let client = cluster.existing("postgres").connect().await?;
    let version: String = client.query_one("show server_version", &[]).await?.get(0);
    let number = version.split(' ').next().unwrap_or(&version);
    let result = format!("{number}, a server of its own on port {}", cluster.port());
    Ok((cluster, result))
}

async fn extension(cluster: &Cluster) -> Result<((), String)> {
    let database = cluster.database(DATABASE, Contents::Nothing).await?;
    let client = database.connect().await?;
    let install = "create extension pg_reconcile";
    client.batch_execute(install).await.context(install)?;
    Ok(((), format!("{install}, in database {DATABASE}")))
}

/// As a DBA applies them, followed by roles that can log in.
async fn migrations(database: &Database<'_>) -> Result<((), String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sql/migrations");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .and_then(|entries| entries.map(|entry| entry.map(|e| e.path())).collect())
        .with_context(|| format!("{} can't be read", folder.display()))?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "sql"));
    files.sort();
    let mut names = Vec::new();
    for file in &files {
        let file_path = file.to_string_lossy();
        let arguments = ["-q", "-v", "ON_ERROR_STOP=1", "-f", &file_path];
        database.psql(&arguments, "").await?.ok()?;
        names.extend(file.file_name().map(|name| name.to_string_lossy()));
    }
    let logins = format!(
        "create role {APPLICATION} login in role reconcile_app;
        create role {SIDECAR} login in role reconcile_sidecar"
    );
    database.connect().await?.batch_execute(&logins).await?;
    Ok(((), names.join(", ")))
}

async fn scheduler(database: &Database<'_>) -> Result<((), String)> {
    let client = database.connect().await?;
    let running = "select from pg_stat_activity where backend_type = 'pg_cron launcher'";
    // It starts with the server, and again every other second until its database is there.
    let patience = Duration::from_secs(20);
    wait::value(patience, "pg_cron's launcher", async || {
        Ok(client.query_opt(running, &[]).await?)
    })
    .await?;
    let facts = "select extversion, (select count(*) from cron.job where active)
        from pg_extension where extname = 'pg_cron'";
    let facts = client.query_one(facts, &[]).await?;
    let (version, jobs): (String, i64) = (facts.get(0), facts.get(1));
    Ok(((), format!("{version}, running, with {jobs} jobs")))
}

async fn vendor() -> Result<(Simulator, String)> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let simulator = Simulator::start_with(address, Fate::status("succeeded"), Recording::Counts)?;
    let result = simulator.url("");
    Ok((simulator, result))
}

async fn ask(database: &Database<'_>, vendor: SocketAddr) -> Result<(Sidecar, String)> {
    let mut settings = sidecar::Settings::new(&database.url_as(SIDECAR), vendor);
    settings.secrets = vec![(SECRET_NAME.to_owned(), "s3cret".to_owned())];
    settings.environment = vec![
        ("RECONCILE_NAME".to_owned(), "demo".to_owned()),
        // Some calls will never be answered: their orders are put back, and not waited for.
        ("RECONCILE_STOP_TIMEOUT".to_owned(), "1".to_owned()),
    ];
    let sidecar = Sidecar::start_ready(&settings).await?;
    let pid = sidecar.process().pid();
    Ok((sidecar, format!("process {pid}, as role {SIDECAR}")))
}
