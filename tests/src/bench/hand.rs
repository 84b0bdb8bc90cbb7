//! A sidecar that asks nobody: claims and reports through the same functions and as the same role,
//! so that the two are timed without a call in between.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio_postgres::{Client, Statement};

use super::ledger::Ledger;
use super::server::SIDECAR_ROLE;

/// See the module.
pub(crate) struct Hand {
    client: Client,
    sidecar_id: i64,
    claim: Statement,
    report: Statement,
}

/// How long a claim and its report took, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    /// The claim.
    pub(crate) claim_ms: f64,
    /// The report.
    pub(crate) report_ms: f64,
}

impl Hand {
    /// One that is known to the database.
    ///
    /// # Errors
    /// When the database does not let it in.
    pub(crate) async fn new(ledger: &Ledger<'_>) -> Result<Self> {
        let client = ledger.database.connect_as(SIDECAR_ROLE).await?;
        let start = "select reconcile.sidecar_start('by hand', '0', 1000)";
        let sidecar_id = client.query_one(start, &[]).await?.get(0);
        let claim = "select order_id, token, url from reconcile.sidecar_claim($1, $2)";
        let report = "select order_id, verdict \
                      from reconcile.sidecar_report($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        Ok(Self {
            sidecar_id,
            claim: client.prepare(claim).await?,
            report: client.prepare(report).await?,
            client,
        })
    }

    /// Claims exactly so many orders, and reports that the provider says `status`.
    ///
    /// # Errors
    /// When there are fewer, or a report is not applied.
    pub(crate) async fn turn(&self, orders: usize, status: &str) -> Result<Turn> {
        let began = Instant::now();
        let wanted = i32::try_from(orders)?;
        let claimed = self
            .client
            .query(&self.claim, &[&self.sidecar_id, &wanted])
            .await?;
        let claim_ms = milliseconds(began);
        ensure!(
            claimed.len() == orders,
            "{} claimed of {orders}",
            claimed.len()
        );
        let order_ids: Vec<i64> = claimed.iter().map(|row| row.get(0)).collect();
        let tokens: Vec<i64> = claimed.iter().map(|row| row.get(1)).collect();
        let bodies = claimed.iter().map(|row| body(row.get(2), status));
        let bodies: Vec<String> = bodies
            .collect::<Option<_>>()
            .context("a URL without invoice")?;
        let (none, nothing) = (vec![None::<&str>; orders], vec![None::<i32>; orders]);
        let (statuses, durations) = (vec![200; orders], vec![21; orders]);
        let began = Instant::now();
        let refused = self
            .client
            .query(
                &self.report,
                &[
                    &self.sidecar_id,
                    &order_ids,
                    &tokens,
                    &none,
                    &statuses,
                    &bodies,
                    &none,
                    &durations,
                    &nothing,
                ],
            )
            .await?;
        ensure!(
            refused.is_empty(),
            "{} reports were not applied",
            refused.len()
        );
        Ok(Turn {
            claim_ms,
            report_ms: milliseconds(began),
        })
    }
}

/// What the simulator would say.
fn body(url: &str, status: &str) -> Option<String> {
    let (path, invoice) = url.split_once("?invoice=")?;
    let order_number = path.rsplit('/').next()?;
    let said = json!({"message": "Success", "data": {
        "invoiceId": invoice, "reference": order_number, "retailPrice": "0.73", "currency": "USD",
        "status": status, "transactionId": format!("TXN-{order_number}"),
        "productName": "Honor of Kings", "trxDate": "2025-12-10T10:33:32.774Z",
    }});
    Some(said.to_string())
}

/// Since then.
pub(crate) fn milliseconds(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1000.0
}
