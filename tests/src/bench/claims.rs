//! A claim while ever more orders wait for later: what is due has to be found without reading what
//! is not. Measured with due orders that are the newest, as they mostly are, and with due orders
//! spread over all there are, each on a page of its own that no cache holds.

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

/// The most that a claim may take longer with many orders waiting, or with an old snapshot held.
pub(crate) const FLAT: Aim = Aim::AtMost(1.5);

pub(crate) async fn measure(
    plan: &Plan,
    server: &Server,
    progress: &Progress,
    table: &mut Table,
) -> Result<()> {
    let mut ledger = Ledger::new(server, "claims", NOWHERE, plan.claim_size).await?;
    let due = i64::try_from(plan.claims * plan.claim_size)?;
    let mut waiting = 0;
    let mut medians = Vec::new();
    for wanted in plan.waiting {
        progress.step(&format!("claims: putting in {wanted} orders"));
        ledger.add_orders(wanted - waiting, due).await?;
        waiting = wanted;
        progress.step(&format!(
            "claims: {} with {wanted} orders waiting",
            plan.claims
        ));
        let what = format!("claim of {}, {wanted} waiting", plan.claim_size);
        medians.push(claims(plan, &ledger, table, &what).await?);
    }
    let (first, last) = (medians[0], medians[medians.len() - 1]);
    let what = format!("the same, {waiting} to {} waiting", plan.waiting[0]);
    table.add(&what, last / first, "times", "medians", FLAT);

    progress.step(&format!(
        "claims: {} of orders spread over {waiting}",
        plan.claims
    ));
    ledger.make_due(due).await?;
    let what = format!("claim of {}, {waiting} waiting, far apart", plan.claim_size);
    let far_apart = claims(plan, &ledger, table, &what).await?;
    let what = format!("the same, to {} waiting", plan.waiting[0]);
    let detail = "each order is read from a page of its own, beyond shared_buffers";
    table.add(&what, far_apart / first, "times", detail, FLAT);
    Ok(())
}

/// Claims and reports, and adds a row; gives a claim's median.
async fn claims(plan: &Plan, ledger: &Ledger<'_>, table: &mut Table, what: &str) -> Result<f64> {
    let hand = Hand::new(ledger).await?;
    let mut turns = Vec::with_capacity(plan.claims);
    for _ in 0..plan.claims {
        turns.push(hand.turn(plan.claim_size, "succeeded").await?);
    }
    let claims: Samples = turns.iter().map(|turn: &Turn| turn.claim_ms).collect();
    let reports: Samples = turns.iter().map(|turn: &Turn| turn.report_ms).collect();
    let detail = format!(
        "99th percentile {:.1}, {} claims; a report {:.1} ms",
        claims.quantile(0.99),
        turns.len(),
        reports.median()
    );
    table.add(what, claims.median(), "ms", &detail, Aim::None);
    Ok(claims.median())
}
