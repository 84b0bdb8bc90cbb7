//! What the sidecar takes from the machine: memory with many calls in flight, and statements when
//! there is nothing to do.

use std::time::Duration;

use anyhow::Result;

use super::ledger::Ledger;
use super::plan::Plan;
use super::progress::Progress;
use super::server::Server;
use super::table::{Aim, Table};
use super::usage;
use super::vendor::Vendor;
use crate::sidecar::Sidecar;
use crate::wait;

const PATIENCE: Duration = Duration::from_secs(120);

/// Orders that wait for tomorrow while nothing is due.
const WAITING: i64 = 1000;

pub(crate) async fn measure(
    plan: &Plan,
    server: &Server,
    progress: &Progress,
    table: &mut Table,
) -> Result<()> {
    progress.step(&format!(
        "footprint: memory with {} in flight",
        plan.memory_in_flight
    ));
    let vendor = Vendor::start(plan.memory_latency).await?;
    let host = vendor.address().to_string();
    let mut ledger = Ledger::new(server, "footprint", &host, plan.memory_in_flight).await?;
    ledger.add_orders(WAITING, plan.memory_orders).await?;
    let settings = ledger.sidecar(vendor.address(), plan.memory_in_flight);
    let sidecar = Sidecar::start_ready(&settings).await?;
    wait::until(PATIENCE, "the last order to be settled", async || {
        ledger
            .reported()
            .await
            .is_ok_and(|reported| reported == plan.memory_orders)
    })
    .await?;
    ledger.all_succeeded(plan.memory_orders).await?;
    let peak = usage::peak_memory_mb(sidecar.process().pid())?;
    let totals = vendor.totals().await?;
    let detail = format!(
        "at most {} at the provider at a time, {} orders of {} ms",
        totals.max_in_flight,
        plan.memory_orders,
        plan.memory_latency.as_millis()
    );
    let what = format!("sidecar's peak memory, {} slots", plan.memory_in_flight);
    table.add(&what, peak, "MB", &detail, Aim::AtMost(64.0));

    progress.step(&format!("footprint: idle for {} s", plan.idle.as_secs()));
    let cpu = usage::cpu_seconds(sidecar.process().pid())?;
    let before = ledger.statements().await?;
    tokio::time::sleep(plan.idle).await;
    let minutes = plan.idle.as_secs_f64() / 60.0;
    let statements = (ledger.statements().await? - before) as f64 / minutes;
    let cpu_ms = (usage::cpu_seconds(sidecar.process().pid())? - cpu) * 1000.0 / minutes;
    let detail =
        format!("{WAITING} orders wait for tomorrow; sidecar {cpu_ms:.0} ms of processor a minute");
    table.add(
        "idle load",
        statements,
        "statements/min",
        &detail,
        Aim::None,
    );
    sidecar.stop().await
}
