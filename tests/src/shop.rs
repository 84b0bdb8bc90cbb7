//! An application's database with pg_reconcile in it, a provider that it asks, and sidecars as they
//! are wanted: what the suites of whole behaviours start from. Owns how these are put together and
//! what is true of the ledger whenever nothing is under way; what a test expects is the test's.

mod ledger;
mod load;
mod till;
mod time;

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result};
use parking_lot::Mutex;
use tokio::sync::OnceCell;
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;

pub use ledger::{Check, Order};
pub use load::Load;
pub use till::{Till, refusal};

use crate::cluster::{self, Cluster, Contents, Database};
use crate::sidecar::{self, Sidecar};
use crate::simulator::Simulator;
use crate::wait;

/// Within this time everything happens that happens at all, on a machine that is busy with other
/// tests; nothing is asserted about speed.
pub const SOON: Duration = Duration::from_secs(30);

/// The longest that a report may be missing: a lease lasts for the call and 20 seconds more, and a
/// sidecar looks for such leases every few seconds.
pub const LEASE_OVER: Duration = Duration::from_secs(60);

/// The roles of the migration, and one login role for each part that connects.
const ROLES: &str = concat!(
    include_str!("../../sql/migrations/001_roles.sql"),
    r"
    do $$
    declare
        v_part text;
    begin
        foreach v_part in array array['app', 'sidecar', 'operator', 'reader'] loop
            if not exists (select from pg_roles where rolname = 'shop_' || v_part) then
                execute format('create role shop_%1$s login in role reconcile_%1$s', v_part);
            end if;
        end loop;
    end
    $$;
    "
);

/// What every provider of a shop is added with: the answer's shape in the simulator.
const PROVIDER: &str = r#"
    select reconcile.add_provider(
        name => '%NAME', url => '%URL/orders/{order_number}?invoice={reference}',
        status_map => '{
            "succeeded": "succeeded", "failed": "failed", "cancelled": "cancelled", "refunded": "refunded",
            "processing": "pending", "pending": "pending", "unheard of": "not_found"
        }',
        status_path => '$.data.status', transaction_id_path => '$.data.transactionId',
        amount_path => '$.data.retailPrice', currency_path => '$.data.currency', reference_path => '$.data.invoiceId'
    )
"#;

/// See the module.
pub struct Shop<'cluster> {
    /// Its database.
    pub database: Database<'cluster>,
    /// The superuser's connection to it.
    pub client: Client,
    /// The provider called `vendor`.
    pub vendor: Simulator,
    /// How many checks of each order [`Shop::next_check`] has given.
    given: Mutex<HashMap<String, usize>>,
}

/// The settings of a cluster for shops: with the roles of the migration.
#[must_use]
pub fn settings() -> cluster::Settings {
    cluster::Settings::default().after_extension(ROLES)
}

impl Shop<'static> {
    /// A shop in the cluster that the tests of this process share, with `name` for its database.
    ///
    /// # Errors
    /// As [`Shop::open_in`].
    pub async fn open(name: &'static str) -> Result<Self> {
        static SHARED: OnceCell<Cluster> = OnceCell::const_new();
        let cluster = SHARED
            .get_or_try_init(|| Cluster::start_new(settings()))
            .await?;
        Self::open_in(cluster, name).await
    }
}

impl<'cluster> Shop<'cluster> {
    /// A shop in a cluster of one's own, which was started with [`settings`].
    ///
    /// # Errors
    /// When there is no such database to be made, or no provider to be had.
    pub async fn open_in(cluster: &'cluster Cluster, name: &'cluster str) -> Result<Self> {
        let shop = Self::bare_in(cluster, name).await?;
        shop.add_provider("vendor", &shop.vendor, "").await?;
        Ok(shop)
    }

    /// As [`Self::open_in`], and no provider is described yet: `vendor` only listens.
    ///
    /// # Errors
    /// When there is no such database to be made, or no provider to be had.
    pub async fn bare_in(cluster: &'cluster Cluster, name: &'cluster str) -> Result<Self> {
        Self::found_in(cluster.database(name, Contents::Extension).await?).await
    }

    /// The shop that a database has already, one that was restored for instance; `vendor` only listens.
    ///
    /// # Errors
    /// When the server does not take a connection.
    pub async fn found_in(database: Database<'cluster>) -> Result<Self> {
        Ok(Self {
            client: database.connect().await?,
            database,
            vendor: Simulator::start()?,
            given: Mutex::default(),
        })
    }

    /// A new superuser's connection, after the server was away.
    ///
    /// # Errors
    /// When the server does not take it.
    pub async fn reconnect(&mut self) -> Result<()> {
        let database = &self.database;
        let client = wait::value(SOON, "a server that takes connections", async || {
            Ok(Some(database.connect().await?))
        });
        self.client = client.await?;
        Ok(())
    }

    /// Adds a provider whose answers have the simulator's shape. `fields` are named arguments of
    /// `reconcile.alter_provider`, such as `concurrency => 4`; none when empty.
    ///
    /// # Errors
    /// When a field is refused.
    pub async fn add_provider(&self, name: &str, at: &Simulator, fields: &str) -> Result<()> {
        let add = PROVIDER.replace("%NAME", name).replace("%URL", &at.url(""));
        self.client.batch_execute(&add).await?;
        if fields.is_empty() {
            return Ok(());
        }
        self.alter_provider(name, fields).await
    }

    /// Changes a provider; `fields` as in [`Self::add_provider`].
    ///
    /// # Errors
    /// When a field is refused.
    pub async fn alter_provider(&self, name: &str, fields: &str) -> Result<()> {
        self.run(&format!(
            "select reconcile.alter_provider('{name}', {fields})"
        ))
        .await
    }

    /// A sidecar that may ask the vendor, ready.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn sidecar(&self) -> Result<Sidecar> {
        Sidecar::start_ready(&self.sidecar_settings()).await
    }

    /// What [`Self::sidecar`] starts with.
    #[must_use]
    pub fn sidecar_settings(&self) -> sidecar::Settings {
        let url = self.database.url_as("shop_sidecar");
        sidecar::Settings::new(&url, self.vendor.address())
    }

    /// A connection of the application, which may do nothing but track orders and ask about them.
    ///
    /// # Errors
    /// When the server does not take it.
    pub async fn app(&self) -> Result<Client> {
        self.database.connect_as("shop_app").await
    }

    /// Tracks an order of the vendor over 0.73 USD, created just now: its first check is due in a
    /// minute.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn track(&self, order_number: &str) -> Result<()> {
        self.track_aged(order_number, "0").await
    }

    /// Tracks an order that was created this long ago, an interval such as `2 hours`. From a minute
    /// on its first check is due at once.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn track_aged(&self, order_number: &str, age: &str) -> Result<()> {
        self.track_at("vendor", order_number, age).await
    }

    /// As [`Self::track_aged`], of another provider.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn track_at(&self, provider: &str, order_number: &str, age: &str) -> Result<()> {
        let track =
            "select reconcile.track_order($1, $2, reference => left('INV-' || $1, 500), amount => 0.73,
            currency => 'USD', created_at => clock_timestamp() - $3::text::interval)";
        self.client
            .execute(track, &[&order_number, &provider, &age])
            .await
            .with_context(|| format!("order {order_number} could not be tracked"))?;
        Ok(())
    }

    /// Runs SQL as the superuser.
    ///
    /// # Errors
    /// When it fails.
    pub async fn run(&self, sql: &str) -> Result<()> {
        self.client
            .batch_execute(sql)
            .await
            .with_context(|| sql.to_owned())
    }

    /// The first column of a query's only row, asked as the superuser.
    ///
    /// # Errors
    /// When there is not exactly one row, or the value is of another type.
    pub async fn one<T>(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<T>
    where
        T: for<'a> tokio_postgres::types::FromSql<'a>,
    {
        let row = self.client.query_one(sql, parameters).await;
        Ok(row.with_context(|| sql.to_owned())?.try_get(0)?)
    }
}
