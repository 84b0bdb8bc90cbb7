//! Claims while somebody holds an old snapshot, a long report for instance: nothing that was deleted
//! or changed since can be vacuumed away, and claims must not wade through it. Measured with large
//! claims, where the rows count, and with small ones, where the bookkeeping of each claim does; and
//! with statistics of the first minute, when tables were small, by which a plan that reads a whole
//! index looks cheap.

use anyhow::Result;

use super::claims::FLAT;
use super::hand::{Hand, Turn};
use super::ledger::Ledger;
use super::plan::Plan;
use super::progress::Progress;
use super::samples::Samples;
use super::server::Server;
use super::table::Table;

/// Nobody listens there, and nobody asks.
const NOWHERE: &str = "127.0.0.1:9";

/// How much smaller the small claims are.
const SMALLER: usize = 10;

pub(crate) async fn measure(
    plan: &Plan,
    server: &Server,
    progress: &Progress,
    table: &mut Table,
) -> Result<()> {
    let orders = plan.claims_under_snapshot * plan.claim_size;
    let small = plan.claim_size / SMALLER;
    for (name, size, statistics) in [
        ("old_snapshot", plan.claim_size, "fresh"),
        ("old_snapshot_small", small, "fresh"),
        ("old_snapshot_young", small, "young"),
    ] {
        progress.step(&format!(
            "old snapshot, {statistics} statistics: {orders} orders, {size} at a time"
        ));
        let mut ledger = Ledger::new(server, name, NOWHERE, plan.claim_size).await?;
        // With as many more as the turn takes that statistics are gathered after.
        ledger.add_orders(0, i64::try_from(orders + size)?).await?;
        if statistics == "young" {
            keep_statistics_young(&ledger, size).await?;
        }
        let turns = under_snapshot(&ledger, orders / size, size).await?;
        rows(table, size, statistics, &turns);
    }
    Ok(())
}

/// Has statistics of the bookkeeping gathered while there is one page of it, and never again.
async fn keep_statistics_young(ledger: &Ledger<'_>, size: usize) -> Result<()> {
    Hand::new(ledger).await?.turn(size, "pending").await?;
    let young = ["leases", "ended_calls", "provider_traffic"].map(|table| {
        format!(
            "alter table reconcile.{table} set (autovacuum_enabled = off); \
             analyze reconcile.{table}"
        )
    });
    Ok(ledger.client.batch_execute(&young.join(";")).await?)
}

async fn under_snapshot(ledger: &Ledger<'_>, turns: usize, size: usize) -> Result<Vec<Turn>> {
    let holder = ledger.database.connect().await?;
    holder
        .batch_execute(
            "begin isolation level repeatable read; select count(*) from reconcile.due_checks",
        )
        .await?;
    let hand = Hand::new(ledger).await?;
    let mut taken = Vec::with_capacity(turns);
    for _ in 0..turns {
        // Still open, so that each order goes back into the queue, as in life.
        taken.push(hand.turn(size, "pending").await?);
    }
    holder.batch_execute("commit").await?;
    Ok(taken)
}

fn rows(table: &mut Table, size: usize, statistics: &str, turns: &[Turn]) {
    let tenth = turns.len().div_ceil(10);
    let (first, last) = (&turns[..tenth], &turns[turns.len() - tenth..]);
    let compare = |value: fn(&Turn) -> f64| {
        let (first, last) = (median(first, value), median(last, value));
        (last / first, format!("{first:.1} ms to {last:.1} ms"))
    };
    let (times, detail) = compare(|turn| turn.claim_ms);
    let detail = format!("{detail}, first and last tenth of {} claims", turns.len());
    let what = format!("claim of {size}, old snapshot, {statistics} statistics, last to first");
    table.add(&what, times, "times", &detail, FLAT);
    let (times, detail) = compare(|turn| turn.report_ms);
    let what = format!("report of {size}, the same");
    table.add(&what, times, "times", &detail, FLAT);
}

fn median(turns: &[Turn], value: fn(&Turn) -> f64) -> f64 {
    turns.iter().map(value).collect::<Samples>().median()
}
