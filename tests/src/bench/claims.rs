//! A claim while ever more orders wait for later: what is due has to be found without reading what
//! is not.

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
    let mut ledger = Ledger::new(server, "claims", NOWHERE, plan.claim_size).await?;
    let due = i64::try_from(plan.claims * plan.claim_size)?;
    let mut waiting = 0;
    let mut first = None;
    for wanted in plan.waiting {
        progress.step(&format!("claims: putting in {wanted} orders"));
        ledger.add_orders(wanted - waiting + due, due).await?;
        waiting = wanted;
        progress.step(&format!(
            "claims: {} with {wanted} orders waiting",
            plan.claims
        ));
        let hand = Hand::new(&ledger).await?;
        let mut turns = Vec::with_capacity(plan.claims);
        for _ in 0..plan.claims {
            turns.push(hand.turn(plan.claim_size, "succeeded").await?);
        }
        let median = row(plan, table, wanted, &turns);
        let first = *first.get_or_insert(median);
        if wanted == plan.waiting[plan.waiting.len() - 1] {
            let what = format!("the same, {wanted} waiting to {}", plan.waiting[0]);
            let detail = "medians";
            table.add(&what, median / first, "times", detail, Aim::AtMost(1.5));
        }
    }
    Ok(())
}

fn row(plan: &Plan, table: &mut Table, waiting: i64, turns: &[Turn]) -> f64 {
    let claims: Samples = turns.iter().map(|turn| turn.claim_ms).collect();
    let reports: Samples = turns.iter().map(|turn| turn.report_ms).collect();
    let what = format!("claim of {}, {waiting} waiting", plan.claim_size);
    let detail = format!(
        "99th percentile {:.1}, {} claims; a report {:.1} ms",
        claims.quantile(0.99),
        turns.len(),
        reports.median()
    );
    table.add(&what, claims.median(), "ms", &detail, Aim::None);
    claims.median()
}
