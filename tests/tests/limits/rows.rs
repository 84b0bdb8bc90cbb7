//! All that the ledger holds, as one text: what was only tried must leave it as it was.

use anyhow::Result;
use reconcile_tests::shop::Shop;

const TABLES: [&str; 5] = [
    "tracked_orders",
    "due_checks",
    "leases",
    "recorded_checks",
    "transitions",
];

/// Every row of orders, queue, leases and audit.
pub(crate) async fn ledger(shop: &Shop<'_>) -> Result<String> {
    let mut rows = String::new();
    for table in TABLES {
        rows += &of(shop, table).await?;
    }
    Ok(rows)
}

/// Every row of what is known of the traffic with providers.
pub(crate) async fn traffic(shop: &Shop<'_>) -> Result<String> {
    Ok(of(shop, "provider_traffic").await? + &of(shop, "ended_calls").await?)
}

async fn of(shop: &Shop<'_>, table: &str) -> Result<String> {
    let rows = format!(
        "select coalesce(string_agg(t::text, E'\\n' order by t::text), '') from reconcile.{table} as t"
    );
    Ok(format!(
        "{table}:\n{}\n",
        shop.one::<String>(&rows, &[]).await?
    ))
}
