//! Claims while somebody holds an old snapshot, a long report for instance: nothing that was deleted
//! since can be vacuumed away, and claims must not wade through it.

use anyhow::Result;

use super::hand::{Hand, Turn};
use super::ledger::Ledger;
use super::plan::Plan;
use super::progress::Progress;
use super::samples::Samples;
use super::server::Server;
use super::table::{Aim, Table};

/// Nobody listens there, and nobody asks.
const NOWHERE: &str = "127.0.0.1:9";

pub(crate) async fn measure(
    plan: &Plan,
    server: &Server,
    progress: &Progress,
    table: &mut Table,
) -> Result<()> {
    let orders = i64::try_from(plan.claims_under_snapshot * plan.claim_size)?;
    progress.step(&format!("old snapshot: putting in {orders} orders"));
    let mut ledger = Ledger::new(server, "old_snapshot", NOWHERE, plan.claim_size).await?;
    ledger.add_orders(orders, orders).await?;
    let holder = ledger.database.connect().await?;
    holder
        .batch_execute(
            "begin isolation level repeatable read; select count(*) from reconcile.due_checks",
        )
        .await?;
    progress.step(&format!(
        "old snapshot: {orders} orders claimed and reported"
    ));
    let hand = Hand::new(&ledger).await?;
    let mut turns = Vec::with_capacity(plan.claims_under_snapshot);
    for _ in 0..plan.claims_under_snapshot {
        // Still open, so that each order goes back into the queue, as in life.
        turns.push(hand.turn(plan.claim_size, "pending").await?);
    }
    holder.batch_execute("commit").await?;
    let tenth = turns.len().div_ceil(10);
    let (first, last) = (&turns[..tenth], &turns[turns.len() - tenth..]);
    let claim = |turn: &Turn| turn.claim_ms;
    let report = |turn: &Turn| turn.report_ms;
    let detail = format!(
        "{:.1} ms to {:.1} ms, first and last tenth of {} claims",
        median(first, claim),
        median(last, claim),
        turns.len()
    );
    let what = format!(
        "claim of {}, old snapshot held, last to first",
        plan.claim_size
    );
    let times = median(last, claim) / median(first, claim);
    table.add(&what, times, "times", &detail, Aim::AtMost(1.5));
    let detail = format!(
        "{:.1} ms to {:.1} ms",
        median(first, report),
        median(last, report)
    );
    let times = median(last, report) / median(first, report);
    table.add("report, the same", times, "times", &detail, Aim::None);
    Ok(())
}

fn median(turns: &[Turn], value: impl Fn(&Turn) -> f64) -> f64 {
    turns.iter().map(value).collect::<Samples>().median()
}
