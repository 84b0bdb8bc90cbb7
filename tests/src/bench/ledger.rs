//! A database with one provider and as many orders as a measurement needs, put in by the set: what
//! is measured is what becomes of them.

use std::ops::Range;

use anyhow::{Context, Result, ensure};
use tokio_postgres::Client;

use super::server::{SIDECAR_ROLE, Server};
use crate::cluster::Database;
use crate::sidecar;

/// An order's number in SQL, from its number `n`.
pub(crate) const ORDER_NUMBER: &str = "'ORD-1765360649-' || lpad(upper(to_hex(n)), 8, '0')";

const PROVIDER: &str = "
    select reconcile.add_provider(
        name => 'vendor', url => $1, status_path => '$.data.status',
        status_map => '{\"succeeded\": \"succeeded\", \"failed\": \"failed\", \"cancelled\": \"failed\",
            \"processing\": \"pending\", \"pending\": \"pending\"}',
        transaction_id_path => '$.data.transactionId', amount_path => '$.data.retailPrice',
        currency_path => '$.data.currency', reference_path => '$.data.invoiceId',
        schedule => 'then 1h', concurrency => $2
    )";

/// See the module.
pub(crate) struct Ledger<'a> {
    /// The database.
    pub(crate) database: Database<'a>,
    /// A superuser's session in it.
    pub(crate) client: Client,
    orders: i64,
    last_waiting: Range<i64>,
}

impl<'a> Ledger<'a> {
    /// A new database, whose provider is at `host` and takes so many calls at a time.
    ///
    /// # Errors
    /// When there is one of this name.
    pub(crate) async fn new(
        server: &'a Server,
        name: &'a str,
        host: &str,
        concurrency: usize,
    ) -> Result<Self> {
        let database = server.database(name).await?;
        let client = database.connect().await?;
        let url = format!("http://{host}/orders/{{order_number}}?invoice={{reference}}");
        let concurrency = i32::try_from(concurrency)?;
        client.query(PROVIDER, &[&url, &concurrency]).await?;
        Ok(Self {
            database,
            client,
            orders: 0,
            last_waiting: 0..0,
        })
    }

    /// Adds orders that wait for tomorrow, and then orders that are due since a moment ago.
    ///
    /// # Errors
    /// When the database refuses.
    pub(crate) async fn add_orders(&mut self, waiting: i64, due: i64) -> Result<()> {
        let first = self.orders + 1;
        let first_due = first + waiting;
        let last = self.orders + waiting + due;
        // Without the triggers of foreign keys, which would check 10 million rows one by one. The
        // queue is filled in due order, as it is in life.
        let load = format!(
            "set session_replication_role = replica;
             insert into reconcile.tracked_orders
                 (order_id, order_number, provider_id, reference, amount, currency, details, created_at)
             select n, {ORDER_NUMBER}, 1, 'INV-' || n, 0.73, 'USD', '{{\"product\": \"Honor of Kings\"}}',
                 now() - interval '2 minutes'
             from generate_series({first}::bigint, {last}::bigint) as n;
             insert into reconcile.due_checks (order_id, provider_id, due_at)
             select n, 1, now() - interval '1 minute' + n * interval '1 microsecond'
             from generate_series({first_due}::bigint, {last}::bigint) as n;
             insert into reconcile.due_checks (order_id, provider_id, due_at)
             select n, 1, now() + interval '1 day' + n * interval '1 millisecond'
             from generate_series({first}::bigint, {first_due} - 1) as n;
             reset session_replication_role;
             select setval('reconcile.order_ids', {last})"
        );
        self.client.batch_execute(&load).await?;
        self.last_waiting = first..first_due;
        self.orders = last;
        self.settle_down().await
    }

    /// Makes so many of the orders due that were last added to wait, evenly spread among them.
    ///
    /// # Errors
    /// When there are not so many.
    pub(crate) async fn make_due(&self, due: i64) -> Result<()> {
        let waiting = &self.last_waiting;
        let step = (waiting.end - waiting.start) / due;
        ensure!(step > 0, "{due} of {waiting:?} can't be made due");
        let last = waiting.start + step * (due - 1);
        let sql = "update reconcile.due_checks set due_at = now() \
                   where due_at > now() and order_id = any (array(select generate_series($1::bigint, $2, $3)))";
        let made = self
            .client
            .execute(sql, &[&waiting.start, &last, &step])
            .await?;
        ensure!(
            i64::try_from(made) == Ok(due),
            "{made} of {due} were waiting"
        );
        self.settle_down().await
    }

    /// Leaves nothing for autovacuum and the checkpointer to do in the middle of a measurement.
    ///
    /// # Errors
    /// When the server goes away.
    pub(crate) async fn settle_down(&self) -> Result<()> {
        let tables = "vacuum (analyze) reconcile.tracked_orders, reconcile.due_checks";
        self.client.batch_execute(tables).await?;
        Ok(self.client.batch_execute("checkpoint").await?)
    }

    /// What a sidecar for this database is started with.
    pub(crate) fn sidecar(&self, host: std::net::SocketAddr, slots: usize) -> sidecar::Settings {
        let url = self.database.url_as(SIDECAR_ROLE);
        let mut settings = sidecar::Settings::new(&url, host);
        settings.slots = Some(slots);
        settings
    }

    /// How many checks sidecars have reported.
    ///
    /// # Errors
    /// When the server goes away.
    pub(crate) async fn reported(&self) -> Result<i64> {
        let sql = "select coalesce(sum(reported), 0)::bigint from reconcile.registered_sidecars";
        Ok(self.client.query_one(sql, &[]).await?.get(0))
    }

    /// Statements that sidecars have sent to this database since the counters were last reset.
    ///
    /// # Errors
    /// When the server goes away.
    pub(crate) async fn statements(&self) -> Result<i64> {
        let sql = "select coalesce(sum(s.calls), 0)::bigint from pg_stat_statements as s \
                   join pg_database as d on d.oid = s.dbid \
                   join pg_roles as r on r.oid = s.userid \
                   where d.datname = current_database() and r.rolname = $1";
        Ok(self.client.query_one(sql, &[&SIDECAR_ROLE]).await?.get(0))
    }

    /// Fails unless so many orders stand as succeeded, one transition and one check each.
    ///
    /// # Errors
    /// When they don't: numbers of a run that went wrong are none.
    pub(crate) async fn all_succeeded(&self, orders: i64) -> Result<()> {
        let sql = "select (select count(*) from reconcile.tracked_orders where state = 'succeeded'), \
                   (select count(*) from reconcile.transitions), \
                   (select count(*) from reconcile.recorded_checks)";
        let row = self.client.query_one(sql, &[]).await?;
        for (place, what) in ["succeeded orders", "transitions", "checks"]
            .iter()
            .enumerate()
        {
            let found: i64 = row.get(place);
            ensure!(found == orders, "{found} {what} instead of {orders}");
        }
        Ok(())
    }

    /// Where the server's log of writes ends, in bytes.
    ///
    /// # Errors
    /// When the server goes away.
    pub(crate) async fn wal_bytes(&self) -> Result<i64> {
        let sql = "select (pg_current_wal_insert_lsn() - '0/0')::bigint";
        let row = self.client.query_one(sql, &[]).await;
        Ok(row.context("no WAL position")?.get(0))
    }
}
