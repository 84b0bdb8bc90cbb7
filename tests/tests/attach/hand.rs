//! A sidecar by hand: claims and reports when the test says so, as the sidecar's role.

use anyhow::{Context, Result, ensure};
use reconcile_tests::shop::Shop;
use tokio_postgres::Client;

/// See the module.
pub(crate) struct Hand {
    client: Client,
    id: i64,
}

/// An order that was claimed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claimed {
    order_id: i64,
    token: i64,
}

impl Hand {
    /// One that is known to the database.
    pub(crate) async fn new(shop: &Shop<'_>) -> Result<Self> {
        // It says the status alone, whatever its rows cost.
        shop.alter_provider(
            "vendor",
            "may_be_silent_on => '{amount, currency, reference}'",
        )
        .await?;
        let client = shop.database.connect_as("shop_sidecar").await?;
        let start = "select reconcile.sidecar_start('by hand', '0', 1000)";
        let id = client.query_one(start, &[]).await?.get(0);
        Ok(Self { client, id })
    }

    /// Says that it lives, and follows what was noted.
    pub(crate) async fn beat(&self) -> Result<()> {
        let beat = "select backlog from reconcile.sidecar_heartbeat($1, 0)";
        if self.client.query_one(beat, &[&self.id]).await?.get(0) {
            let follow = "select reconcile.sidecar_follow($1, waiting.attachment_id),
                reconcile.sidecar_settle_webhooks($1, waiting.provider_id)
                from reconcile.sidecar_backlog($1) as waiting";
            self.client.query(follow, &[&self.id]).await?;
        }
        Ok(())
    }

    /// Begins a transaction, which the next calls are part of.
    pub(crate) async fn begin(&self) -> Result<()> {
        Ok(self.client.batch_execute("begin").await?)
    }

    /// Ends it.
    pub(crate) async fn commit(&self) -> Result<()> {
        Ok(self.client.batch_execute("commit").await?)
    }

    /// Claims these orders, which are made due.
    pub(crate) async fn claim(&self, shop: &Shop<'_>, numbers: &[&str]) -> Result<Vec<Claimed>> {
        let ids = "select order_id from reconcile.tracked_orders where order_number = any ($1) order by order_number";
        let ids: Vec<i64> = shop
            .client
            .query(ids, &[&numbers])
            .await?
            .iter()
            .map(|row| row.get(0))
            .collect();
        ensure!(
            ids.len() == numbers.len(),
            "not all of {numbers:?} are watched"
        );
        let due =
            "update reconcile.due_checks set due_at = clock_timestamp() where order_id = any ($1)";
        shop.client.execute(due, &[&ids]).await?;
        self.beat().await?;
        let claim = "select order_id, token from reconcile.sidecar_claim($1, $2)";
        let most = i32::try_from(numbers.len())?;
        let rows = self.client.query(claim, &[&self.id, &most]).await?;
        let claimed: Vec<_> = rows
            .iter()
            .map(|row| Claimed {
                order_id: row.get(0),
                token: row.get(1),
            })
            .collect();
        ensure!(
            claimed.len() == ids.len() && claimed.iter().all(|one| ids.contains(&one.order_id)),
            "claimed {claimed:?} in place of {ids:?}"
        );
        Ok(claimed)
    }

    /// Reports that the provider says `status` of all of them, in one batch; the verdicts of those that
    /// were not applied.
    pub(crate) async fn report(&self, claimed: &[Claimed], status: &str) -> Result<Vec<String>> {
        let order_ids: Vec<i64> = claimed.iter().map(|one| one.order_id).collect();
        let tokens: Vec<i64> = claimed.iter().map(|one| one.token).collect();
        let body = format!(r#"{{"data": {{"status": "{status}", "transactionId": "TXN-1"}}}}"#);
        let bodies = vec![body; claimed.len()];
        let statuses = vec![200; claimed.len()];
        let report = "select verdict from reconcile.sidecar_report($1, $2, $3, null, $4, $5, null, null, null)";
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
            [&self.id, &order_ids, &tokens, &statuses, &bodies];
        let rows = self
            .client
            .query(report, &parameters)
            .await
            .context("the report failed")?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Claims these orders and reports that the provider says `status` of each.
    pub(crate) async fn say(&self, shop: &Shop<'_>, numbers: &[&str], status: &str) -> Result<()> {
        let claimed = self.claim(shop, numbers).await?;
        let verdicts = self.report(&claimed, status).await?;
        ensure!(verdicts.is_empty(), "{numbers:?}: {verdicts:?}");
        Ok(())
    }
}
