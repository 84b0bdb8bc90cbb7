//! Events that a handler has verified and hands over: as a doorbell, as evidence, early, late, repeated, hostile, and at the same
//! instant as the check.

mod claims;
mod crowded;
mod doorbell;
mod early;
mod evidence;
mod hostile;
mod overlapping;
mod races;
mod rights;
mod several;
mod two_phase;

use anyhow::Result;
use reconcile_tests::shop::Shop;
use tokio_postgres::Client;

/// Reads events of the vendor by the simulator's own paths.
const EVIDENCE: &str =
    "webhook => '{\"evidence\": true, \"order_number_path\": \"$.data.reference\"}'";

/// What the vendor says in an event, as in its answers.
fn said(status: &str, order_number: &str, amount: &str) -> String {
    format!(
        r#"{{"data": {{"status": "{status}", "invoiceId": "INV-{order_number}", "retailPrice": "{amount}", "currency": "USD",
            "transactionId": "TXN-{order_number}", "reference": "{order_number}"}}}}"#
    )
}

/// Hands an event over; answers what record_webhook does.
async fn record(
    client: &Client,
    event_id: &str,
    payload: &str,
    order_number: Option<&str>,
) -> Result<String> {
    let record = "select reconcile.record_webhook('vendor', $1, $2::text::jsonb, $3)";
    Ok(client
        .query_one(record, &[&event_id, &payload, &order_number])
        .await?
        .get(0))
}

/// The effects of all events, each as `e1 asked`, by the events' ids.
async fn effects(shop: &Shop<'_>) -> Result<Vec<String>> {
    let effects = "select coalesce(array_agg(event_id || ' ' || effect order by event_id), '{}') from reconcile.webhooks";
    shop.one(effects, &[]).await
}
