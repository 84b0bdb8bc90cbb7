//! A recipe, applied by psql in a database of its own by the role that owns the application's tables, which is an operator and no
//! superuser. Owns how a recipe is run and asked; what it has to say is its test's.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use reconcile_tests::cluster::Cluster;
use reconcile_tests::shop::{self, SOON, Shop};
use reconcile_tests::sidecar::{self, Sidecar};
use reconcile_tests::simulator::Simulator;
use reconcile_tests::wait;
use tokio::sync::OnceCell;
use tokio_postgres::{Client, SimpleQueryMessage};

/// The role that owns the application's tables.
const OWNER: &str = "
    do $$
    begin
        create role shop_owner login in role reconcile_operator;
    exception
        when duplicate_object or unique_violation then null;
    end
    $$";

/// See the module.
pub(crate) struct Recipe {
    /// The database, and the provider that the recipe asks.
    pub(crate) shop: Shop<'static>,
    /// A connection as the tables' owner.
    pub(crate) owner: Client,
    /// A provider without limits, to see by that a claim has passed by the recipe's own.
    witness: Simulator,
    file: PathBuf,
}

/// Where the recipes are.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../sql/recipes")
}

impl Recipe {
    /// A database with the recipe of this name applied. `{host}` in the variables is the provider's address.
    pub(crate) async fn apply(
        name: &str,
        database: &'static str,
        variables: &[(&str, &str)],
    ) -> Result<Self> {
        let recipe = Self::open(name, database).await?;
        recipe.run_file(variables).await?;
        Ok(recipe)
    }

    /// A database in which the recipe of this name can be applied, by [`Self::run_file`].
    pub(crate) async fn open(name: &str, database: &'static str) -> Result<Self> {
        static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
        let cluster = CLUSTER
            .get_or_try_init(|| Cluster::start_new(shop::settings()))
            .await?;
        let shop = Shop::bare_in(cluster, database).await?;
        shop.run(OWNER).await?;
        shop.run(&format!(
            "grant create on database {database} to shop_owner"
        ))
        .await?;
        Ok(Self {
            owner: shop.database.connect_as("shop_owner").await?,
            shop,
            witness: Simulator::start()?,
            file: folder().join(format!("{name}.sql")),
        })
    }

    /// Runs the recipe's file by psql, as the owner.
    pub(crate) async fn run_file(&self, variables: &[(&str, &str)]) -> Result<()> {
        let host = self.shop.vendor.url("");
        let mut arguments = Vec::new();
        for (variable, value) in variables {
            arguments.push("-v".to_owned());
            arguments.push(format!("{variable}={}", value.replace("{host}", &host)));
        }
        arguments.push("-f".to_owned());
        arguments.push(self.file.display().to_string());
        let printed = self.psql(&arguments, "").await?;
        ensure!(printed.contains("rows are to be watched now"), "{printed}");
        Ok(())
    }

    /// What psql prints as the owner, errors and notices included; it stops at an error.
    pub(crate) async fn psql(&self, arguments: &[String], script: &str) -> Result<String> {
        let owner = self.shop.database.url_as("shop_owner");
        let mut all = vec!["--dbname", &owner, "-v", "ON_ERROR_STOP=1"];
        all.extend(arguments.iter().map(String::as_str));
        let said = self.shop.database.psql(&all, script).await?;
        ensure!(
            said.code == 0 && !said.stderr.contains("ERROR"),
            "{}{}",
            said.stdout,
            said.stderr
        );
        Ok(said.stdout + &said.stderr)
    }

    /// Runs the statements that the recipe shows under "By hand", one by one as the owner, and gives what was printed.
    pub(crate) async fn by_hand(&self) -> Result<String> {
        let text = std::fs::read_to_string(&self.file)?;
        let (_, by_hand) = text.split_once("\n-- By hand").context("no By hand")?;
        let statements: Vec<&str> = by_hand
            .lines()
            .filter_map(|line| line.strip_prefix("--     "))
            .collect();
        ensure!(statements.len() >= 4, "{statements:?}");
        ensure!(
            statements.iter().all(|line| line.ends_with(';')),
            "each by itself: {statements:?}"
        );
        self.psql(&[], &statements.join("\n")).await
    }

    /// A query's answer as text, asked as the owner: a line a row, with `|` between columns, nothing for NULL.
    pub(crate) async fn ask(&self, sql: &str) -> Result<String> {
        answer(&self.owner, sql).await
    }

    /// Runs SQL as the owner, as the application does.
    pub(crate) async fn run(&self, sql: &str) -> Result<()> {
        self.owner
            .batch_execute(sql)
            .await
            .with_context(|| sql.to_owned())
    }

    /// Waits until a query answers this.
    pub(crate) async fn comes_to(&self, sql: &str, expected: &str) -> Result<()> {
        let mut last = String::new();
        let came = wait::until(SOON, format!("{expected} of {sql}"), async || {
            last = self
                .ask(sql)
                .await
                .unwrap_or_else(|error| format!("{error:#}"));
            last == expected
        });
        came.await.with_context(|| format!("the last was {last}"))
    }

    /// A sidecar that may ask the provider and the witness, with these secrets, ready.
    pub(crate) async fn sidecar(&self, secrets: &[(&str, &str)]) -> Result<Sidecar> {
        Sidecar::start_ready(&self.sidecar_settings(secrets)).await
    }

    /// What [`Self::sidecar`] starts with.
    pub(crate) fn sidecar_settings(&self, secrets: &[(&str, &str)]) -> sidecar::Settings {
        let mut settings = self.shop.sidecar_settings();
        settings
            .allow_hosts
            .push(self.witness.address().to_string());
        for (name, value) in secrets {
            let secret = ((*name).to_owned(), (*value).to_owned());
            settings.secrets.push(secret);
        }
        settings
    }

    /// Sees that the provider is not asked any more although its orders are due: it has had so many calls, and a claim passed it by.
    pub(crate) async fn is_left_alone(&self, provider: &str, calls: u64) -> Result<()> {
        let due = format!(
            "select count(*) > 0 from reconcile.stale_orders where provider = '{provider}'"
        );
        ensure!(self.ask(&due).await? == "t", "nothing is due");
        self.shop.add_provider("witness", &self.witness, "").await?;
        self.shop
            .track_at("witness", "WITNESS", "10 minutes")
            .await?;
        self.shop.signal().await?;
        self.shop.becomes("WITNESS", "succeeded").await?;
        let leases = format!(
            "select count(*) from reconcile.orders where provider = '{provider}' and in_flight"
        );
        ensure!(self.ask(&leases).await? == "0", "calls are under way");
        let seen = self.shop.vendor.totals().calls;
        ensure!(seen == calls, "{seen} calls, not {calls}");
        Ok(())
    }
}

/// As [`Recipe::ask`], on another connection.
pub(crate) async fn answer(client: &Client, sql: &str) -> Result<String> {
    let messages = client.simple_query(sql).await;
    let messages = messages.with_context(|| sql.to_owned())?;
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => {
            let columns = (0..row.len()).map(|column| row.get(column).unwrap_or_default());
            Some(columns.collect::<Vec<_>>().join("|"))
        }
        _ => None,
    });
    Ok(rows.collect::<Vec<_>>().join("\n"))
}
