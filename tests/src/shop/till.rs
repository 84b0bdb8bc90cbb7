//! An application with tables and code of its own: the schema `shop`, which belongs to an operator who is no superuser, payments that
//! answer for the provider `ledger` without any sidecar, and hooks. Owns how these are put together.

use std::ops::Deref;

use anyhow::{Context, Result};
use tokio_postgres::Client;
use tokio_postgres::error::DbError;

use super::Shop;
use crate::cluster::Cluster;

/// Payments as the application keeps them. A hook notes in `told` what it was called with.
const TABLES: &str = "
    create schema shop;
    create table shop.payments (
        order_number text primary key, status text not null, amount numeric default 0.73, currency text default 'USD', reference text
    );
    create table shop.told (order_number text, state text, by text default current_user);
    select reconcile.add_provider('ledger', kind => 'sql', lookup_table => 'shop.payments', status_path => '$.status',
        status_map => '{\"paid\": \"succeeded\", \"declined\": \"failed\", \"void\": \"cancelled\", \"back\": \"refunded\", \"open\": \"pending\"}',
        amount_path => '$.amount', currency_path => '$.currency', reference_path => '$.reference');
";

/// See the module.
pub struct Till {
    shop: Shop<'static>,
    /// The connection of the operator who owns the application's schema.
    pub owner: Client,
}

impl Deref for Till {
    type Target = Shop<'static>;

    fn deref(&self) -> &Self::Target {
        &self.shop
    }
}

impl Till {
    /// A shop with an application in it, with `name` for its database.
    ///
    /// # Errors
    /// As [`Shop::open`].
    pub async fn open(name: &'static str) -> Result<Self> {
        Self::around(Shop::open(name).await?, name).await
    }

    /// As [`Self::open`], in a cluster of one's own, which was started with [`super::settings`].
    ///
    /// # Errors
    /// As [`Shop::open_in`].
    pub async fn open_in(cluster: &'static Cluster, name: &'static str) -> Result<Self> {
        Self::around(Shop::open_in(cluster, name).await?, name).await
    }

    async fn around(shop: Shop<'static>, name: &str) -> Result<Self> {
        shop.run(&format!(
            "grant create on database {name} to shop_operator; grant usage on schema reconcile to shop_operator"
        ))
        .await?;
        let owner = shop.database.connect_as("shop_operator").await?;
        owner.batch_execute(TABLES).await?;
        Ok(Self { shop, owner })
    }

    /// Runs SQL as the owner.
    ///
    /// # Errors
    /// When it fails.
    pub async fn does(&self, sql: &str) -> Result<()> {
        self.owner
            .batch_execute(sql)
            .await
            .with_context(|| sql.to_owned())
    }

    /// Makes a function of this body (`order_number` and `facts` are its arguments) and has it called when any order comes to this
    /// state.
    ///
    /// # Errors
    /// When one of these is refused.
    pub async fn hook(&self, name: &str, on_state: &str, body: &str) -> Result<()> {
        self.does(&format!(
            "create function shop.{name}(order_number text, facts jsonb) returns void language plpgsql as $hook$
             #variable_conflict use_variable
             {body} $hook$;
             select reconcile.add_hook('{name}', '{on_state}', 'shop.{name}(text, jsonb)', every_provider => true)"
        ))
        .await
    }

    /// Writes what the application knows of the payments of these orders.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn pays(&self, status: &str, order_numbers: &[&str]) -> Result<()> {
        let pay =
            "insert into shop.payments (order_number, status) select unnest($1::text[]), $2::text
            on conflict (order_number) do update set status = excluded.status";
        self.owner.execute(pay, &[&order_numbers, &status]).await?;
        Ok(())
    }

    /// As [`Self::pays`], with orders of `ledger` that are all due and were handed over in this order.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn sells(&self, status: &str, order_numbers: &[&str]) -> Result<()> {
        self.pays(status, order_numbers).await?;
        for number in order_numbers {
            self.track_at_ledger(number).await?;
        }
        Ok(())
    }

    /// Tracks an order of `ledger` that is due.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn track_at_ledger(&self, order_number: &str) -> Result<()> {
        let track = "select reconcile.track_order($1, 'ledger', amount => 0.73, currency => 'USD',
            created_at => clock_timestamp() - interval '10 minutes')";
        self.client.execute(track, &[&order_number]).await?;
        Ok(())
    }

    /// Has all due orders settled, as the schedule does; answers how many of them are closed by it.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn settles(&self) -> Result<i32> {
        self.one("select closed from reconcile_stale_orders(1000)", &[])
            .await
    }

    /// As [`Self::settles`], after the time of every order in the queue has come.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn settles_all(&self) -> Result<i32> {
        self.run("update reconcile.due_checks set due_at = clock_timestamp()")
            .await?;
        self.settles().await
    }

    /// What the hooks have noted, each as `A succeeded`, by their text.
    ///
    /// # Errors
    /// When the database is not there.
    pub async fn told(&self) -> Result<Vec<String>> {
        let told = "select coalesce(array_agg(t.order_number || ' ' || t.state order by t.order_number || t.state collate \"C\"), '{}') from shop.told as t";
        self.one(told, &[]).await
    }

    /// An order's failed effects: how often they failed, how often they waited, the SQLSTATE and the message.
    ///
    /// # Errors
    /// When the database is not there.
    pub async fn failure(&self, order_number: &str) -> Result<Option<(i32, i32, String, String)>> {
        let failed = "select failures, waits, sqlstate, problem from reconcile.failed_effects where order_number = $1";
        let row = self.client.query_opt(failed, &[&order_number]).await?;
        Ok(row.map(|row| (row.get(0), row.get(1), row.get(2), row.get(3))))
    }

    /// The states of all orders, each as `A succeeded`, by their number.
    ///
    /// # Errors
    /// When the database is not there.
    pub async fn states(&self) -> Result<Vec<String>> {
        let states = "select coalesce(array_agg(order_number || ' ' || state order by order_number collate \"C\"), '{}') from reconcile.orders";
        self.one(states, &[]).await
    }
}

/// The error with which a client's SQL is refused.
///
/// # Errors
/// When it is not refused, or not by the server.
pub async fn refusal(client: &Client, sql: &str) -> Result<DbError> {
    let error = client
        .batch_execute(sql)
        .await
        .err()
        .with_context(|| format!("this was not refused: {sql}"))?;
    let refused = error.as_db_error().cloned();
    refused.with_context(|| format!("{sql}: {error}"))
}
