//! One database of a cluster: its URLs, connections to it, psql on it. Decides nothing about the
//! server. When a test has done with one that it created, its ledger is looked at: see `upheld`.

use std::process::Stdio;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use tokio::io::AsyncWriteExt;
use tokio_postgres::{Client, NoTls};

use super::Cluster;
use super::upheld::Upheld;

/// The database that databases with the extension are copied from.
const TEMPLATE: &str = "reconcile_template";

/// What a new database holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    /// The extension, and what the cluster's settings run after it.
    Extension,
    /// Nothing: for tests of installing, and of the harness itself.
    Nothing,
}

/// A database. Dropping this leaves the database where it is: it goes away with the cluster. With the
/// last copy of one that was created here, what always holds of a ledger is looked at.
#[derive(Clone, Debug)]
pub struct Database<'cluster> {
    cluster: &'cluster Cluster,
    name: &'cluster str,
    upheld: Option<Arc<Upheld<'cluster>>>,
}

/// What psql said.
#[derive(Clone, Debug)]
pub struct PsqlOutput {
    /// Its exit code; 3 after an error in a script with ON_ERROR_STOP.
    pub code: i32,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error: errors, warnings and notices.
    pub stderr: String,
}

impl PsqlOutput {
    /// The standard output of a psql that succeeded.
    ///
    /// # Errors
    /// With its standard error, when it did not.
    pub fn ok(self) -> Result<String> {
        ensure!(
            self.code == 0,
            "psql ended with {}: {}",
            self.code,
            self.stderr
        );
        Ok(self.stdout)
    }
}

impl Cluster {
    /// Creates a database: one a test, named after the test.
    ///
    /// # Errors
    /// When there is one of this name, the name is not made of `a-z`, `0-9` and `_` alone, or the
    /// extension is asked for and not installed.
    pub async fn database<'cluster>(
        &'cluster self,
        name: &'cluster str,
        contents: Contents,
    ) -> Result<Database<'cluster>> {
        let plain = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '_');
        ensure!(
            (1..=63).contains(&name.len()) && name.chars().all(plain),
            "{name:?} is no plain database name"
        );
        let template = match contents {
            Contents::Nothing => "template0",
            Contents::Extension => {
                self.template
                    .get_or_try_init(|| self.create_template())
                    .await?;
                TEMPLATE
            }
        };
        let administrator = self.existing("postgres").connect().await?;
        administrator
            .batch_execute(&format!("create database {name} template {template}"))
            .await
            .with_context(|| format!("database {name} could not be created"))?;
        Ok(Database {
            upheld: Some(Arc::new(Upheld::new(self, name))),
            ..self.existing(name)
        })
    }

    /// A database that is there already, `postgres` for instance.
    #[must_use]
    pub fn existing<'cluster>(&'cluster self, name: &'cluster str) -> Database<'cluster> {
        Database {
            cluster: self,
            name,
            upheld: None,
        }
    }

    async fn create_template(&self) -> Result<()> {
        let administrator = self.existing("postgres").connect().await?;
        // With force: an attempt that was cancelled half way may have left one.
        for statement in [
            "drop database if exists %T with (force)",
            "create database %T",
        ] {
            administrator
                .batch_execute(&statement.replace("%T", TEMPLATE))
                .await?;
        }
        let inside = self.existing(TEMPLATE).connect().await?;
        inside
            .batch_execute("create extension pg_reconcile cascade")
            .await
            .context("extension pg_reconcile could not be created: is it installed?")?;
        if let Some(sql) = self.settings.template_sql() {
            inside
                .batch_execute(sql)
                .await
                .context("the SQL that follows the extension failed")?;
        }
        Ok(())
    }
}

impl Database<'_> {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name
    }

    /// Its URL by TCP on loopback, as the superuser.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_as("postgres")
    }

    /// Its URL by TCP on loopback, as another role (a plain name; no password is asked for).
    #[must_use]
    pub fn url_as(&self, role: &str) -> String {
        format!(
            "postgres://{role}@127.0.0.1:{}/{}",
            self.cluster.port(),
            self.name
        )
    }

    /// Its URL by Unix socket, as the superuser.
    #[must_use]
    pub fn socket_url(&self) -> String {
        let folder = self.cluster.folder().display().to_string();
        let folder =
            percent_encoding::utf8_percent_encode(&folder, percent_encoding::NON_ALPHANUMERIC);
        format!(
            "postgres://postgres@{folder}:{}/{}",
            self.cluster.port(),
            self.name
        )
    }

    /// For a test that breaks what always holds, and leaves it broken.
    pub fn is_left_broken(&self) {
        if let Some(upheld) = &self.upheld {
            upheld.excuse();
        }
    }

    /// A connection as the superuser.
    ///
    /// # Errors
    /// When the server does not take it.
    pub async fn connect(&self) -> Result<Client> {
        self.connect_as("postgres").await
    }

    /// A connection as another role. It ends when the client is dropped.
    ///
    /// # Errors
    /// When the server does not take it.
    pub async fn connect_as(&self, role: &str) -> Result<Client> {
        let (client, connection) = tokio_postgres::connect(&self.url_as(role), NoTls)
            .await
            .with_context(|| format!("no connection to {} as {role}", self.name))?;
        // A lost connection shows in the client's next call.
        tokio::spawn(async move { connection.await.ok() });
        Ok(client)
    }

    /// Runs psql as the superuser, without a psqlrc, with `script` as its standard input. Neither
    /// quiet nor stopping at errors unless `arguments` say so (`-q`, `-At`, `-v ON_ERROR_STOP=1`).
    ///
    /// # Errors
    /// When psql can't be run; that it fails is part of the output.
    pub async fn psql(&self, arguments: &[&str], script: &str) -> Result<PsqlOutput> {
        let mut psql = self
            .cluster
            .installation
            .as_client("psql")
            .args(["--no-psqlrc", "--dbname", &self.url()])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("psql could not be started")?;
        let mut stdin = psql.stdin.take().context("no standard input")?;
        let feed = async move {
            // A psql that ends early, by \q or an error, does not read the rest.
            stdin.write_all(script.as_bytes()).await.ok();
        };
        // Both at once: a long script and a long answer would otherwise wait for each other.
        let ((), output) = tokio::join!(feed, psql.wait_with_output());
        let output = output?;
        Ok(PsqlOutput {
            code: output.status.code().context("psql was killed")?,
            stdout: String::from_utf8(output.stdout)?,
            stderr: String::from_utf8(output.stderr)?,
        })
    }
}
