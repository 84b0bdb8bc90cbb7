//! What `reconcile_order` adds to the provider's own time, for one caller and for many: the way from
//! the caller's session through the worker, the sidecar and the report back into that session.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Result, ensure};

use super::hand::milliseconds;
use super::ledger::Ledger;
use super::plan::Plan;
use super::progress::Progress;
use super::samples::Samples;
use super::server::Server;
use super::table::{Aim, Table};
use super::vendor::Vendor;
use crate::sidecar::Sidecar;

pub(crate) async fn measure(
    plan: &Plan,
    server: &Server,
    progress: &Progress,
    table: &mut Table,
) -> Result<()> {
    let vendor = Vendor::start(plan.latency).await?;
    let host = vendor.address().to_string();
    let mut ledger = Ledger::new(server, "waiting_calls", &host, plan.in_flight).await?;
    let calls = plan.calls_of_one + plan.calls_of_many;
    ledger.add_orders(i64::try_from(calls)?, 0).await?;
    let sidecar = Sidecar::start_ready(&ledger.sidecar(vendor.address(), plan.slots)).await?;
    let sql = "select order_number from reconcile.tracked_orders order by order_id";
    let rows = ledger.client.query(sql, &[]).await?;
    let mut alone: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let together = alone.split_off(plan.calls_of_one);
    for (callers, order_numbers) in [(1, alone), (plan.callers, together)] {
        let calls = order_numbers.len();
        progress.step(&format!("waiting calls: {calls} of {callers} callers"));
        let added = call(&ledger, callers, order_numbers, plan).await?;
        let who = if callers == 1 {
            "1 caller".to_owned()
        } else {
            format!("{callers} callers")
        };
        let median = added.median();
        let detail = format!(
            "99th percentile {:.1}, worst {:.1}; {calls} calls",
            added.quantile(0.99),
            added.quantile(1.0)
        );
        let what = format!("reconcile_order adds, {who}");
        table.add(&what, median, "ms", &detail, Aim::None);
    }
    sidecar.stop().await
}

/// Milliseconds above the provider's own for each order, which has to come out as succeeded.
async fn call(
    ledger: &Ledger<'_>,
    callers: usize,
    order_numbers: Vec<String>,
    plan: &Plan,
) -> Result<Samples> {
    let order_numbers = Arc::new(order_numbers);
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = Vec::new();
    for _ in 0..callers {
        let client = ledger.database.connect().await?;
        let (order_numbers, next) = (Arc::clone(&order_numbers), Arc::clone(&next));
        tasks.push(tokio::spawn(async move {
            let sql = "select state, message from reconcile_order($1, '10 s')";
            let statement = client.prepare(sql).await?;
            let mut took = Vec::new();
            while let Some(order_number) = order_numbers.get(next.fetch_add(1, Ordering::Relaxed)) {
                let began = Instant::now();
                let row = client.query_one(&statement, &[order_number]).await?;
                took.push(milliseconds(began));
                let (state, message): (&str, &str) = (row.get(0), row.get(1));
                ensure!(state == "succeeded", "{order_number} is {state}: {message}");
            }
            Ok(took)
        }));
    }
    let own_ms = plan.latency.as_secs_f64() * 1000.0;
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await??.into_iter().map(|took| took - own_ms));
    }
    Ok(all.into_iter().collect())
}
