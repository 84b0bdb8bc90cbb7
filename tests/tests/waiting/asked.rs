//! `reconcile_order` as the application calls it, and its one row. Owns nothing of what is expected.

use std::time::Duration;

use anyhow::{Context, Result};
use reconcile_tests::shop::Shop;
use reconcile_tests::wait;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Error, Row};

/// A call that answers at once comes back long before its own wait of a minute is over.
pub(crate) const AT_ONCE: Duration = Duration::from_secs(30);

/// The one row.
#[derive(Debug, PartialEq)]
pub(crate) struct Asked {
    pub(crate) state: String,
    pub(crate) previous_state: String,
    pub(crate) updated: bool,
    pub(crate) outcome: Option<String>,
    pub(crate) provider_status: Option<String>,
    pub(crate) transaction_id: Option<String>,
    pub(crate) message: String,
}

impl From<Row> for Asked {
    fn from(row: Row) -> Self {
        Self {
            state: row.get("state"),
            previous_state: row.get("previous_state"),
            updated: row.get("updated"),
            outcome: row.get("outcome"),
            provider_status: row.get("provider_status"),
            transaction_id: row.get("transaction_id"),
            message: row.get("message"),
        }
    }
}

impl Asked {
    /// Fails unless nothing has changed and the message says `why`.
    pub(crate) fn unchanged_because(&self, why: &str) -> Result<()> {
        anyhow::ensure!(
            !self.updated && self.state == self.previous_state && self.message.contains(why),
            "expected no change, because {why:?}: {self:?}"
        );
        Ok(())
    }
}

/// `select * from reconcile_order(order_number, wait)`; `wait` is an interval, or NULL.
pub(crate) async fn ask(
    client: &Client,
    order_number: &str,
    wait: Option<&str>,
) -> Result<Asked, Error> {
    let call = "select * from reconcile_order($1, $2::text::interval)";
    Ok(client
        .query_one(call, &[&order_number, &wait])
        .await?
        .into())
}

/// Asks with a wait of a minute, and fails when the answer does not come at once.
pub(crate) async fn ask_at_once(client: &Client, order_number: &str) -> Result<Asked> {
    let asked = tokio::time::timeout(AT_ONCE, ask(client, order_number, Some("60 s"))).await;
    Ok(asked.context("it waited, though it had nothing to wait for")??)
}

/// Starts a call of the application that waits for a minute, and waits until it does.
pub(crate) async fn waiter(
    shop: &Shop<'_>,
    order_number: &str,
) -> Result<(i32, JoinHandle<Result<Asked, Error>>)> {
    let client = shop.app().await?;
    let pid = client.query_one("select pg_backend_pid()", &[]).await?;
    let pid: i32 = pid.get(0);
    let number = order_number.to_owned();
    let call = tokio::spawn(async move { ask(&client, &number, Some("60 s")).await });
    wait::until(AT_ONCE, "a caller that waits", async || {
        let sleeps = "select wait_event = 'PgSleep' from pg_stat_activity where pid = $1";
        let sleeps = shop.one::<Option<bool>>(sleeps, &[&pid]).await;
        sleeps.is_ok_and(|sleeps| sleeps == Some(true))
    })
    .await?;
    Ok((pid, call))
}
