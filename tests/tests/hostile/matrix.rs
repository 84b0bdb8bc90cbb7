//! Every carrier at every moment. A cell holds when each run of the payload was as the role that owns it and gained nothing, when nothing
//! ran otherwise at COMMIT, and when the caller's session is as it was.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::carriers::{self, Carrier};
use crate::moments;
use crate::probe;
use crate::row::{Row, changed};
use crate::scene::{Scene, failure, left_over, run};

/// One carrier at all moments.
async fn live_through(carrier: &Carrier, nth: usize) -> Result<Row> {
    let name: &'static str = format!("hostile_{nth}").leak();
    let scene = Scene::open(name, &carrier.code, carrier.shape)
        .await
        .with_context(|| carrier.name)?;
    let mut row = Row {
        carrier: carrier.name,
        scene,
        runs: 0,
        wrong: BTreeMap::new(),
        errors: Vec::new(),
    };
    for (moment, dry_run) in [("dry run", true), ("attach", false)] {
        let mark = probe::mark(row.scene.cluster)?;
        let session = row.scene.database.connect().await?;
        let before = left_over(&session).await?;
        if let Some(error) = row.scene.attach(&session, dry_run).await {
            row.errors.push(format!("{moment}: {error}"));
        }
        if let Some(changed) = changed(&before, &left_over(&session).await?)? {
            row.note(moment, changed);
        }
        let runs = row.since(mark, name)?;
        row.judge(moment, &runs);
    }
    row.scene.shape(carrier.after).await?;
    run(&row.scene.dba, carrier.by_dba).await?;
    for (number, moment) in moments::ALL.iter().enumerate() {
        if moment.name == "detach" {
            row.restore("restored", &[], 100).await?;
            row.restore("restored without owners", &["--no-owner"], 101)
                .await?;
        }
        row.live(moment, number).await?;
    }
    let mark = probe::mark(row.scene.cluster)?;
    if let Some(error) = failure(&row.scene.dba, "drop extension pg_reconcile cascade").await {
        row.errors.push(format!("drop extension: {error}"));
    }
    let runs = row.since(mark, name)?;
    row.judge("drop extension", &runs);
    Ok(row)
}

/// What is wrong with a row, a line each.
fn verdict(row: &Row, carrier: &Carrier) -> Vec<String> {
    let mut wrong: Vec<String> = row
        .wrong
        .iter()
        .map(|((moment, what), times)| {
            format!("{} × {moment}: {what} ({times} times)", carrier.name)
        })
        .collect();
    if carrier.bites && row.runs == 0 {
        wrong.push(format!(
            "{}: its payload has never run: {:#?}",
            carrier.name, row.errors
        ));
    }
    // Without a carrier everything works: a matrix of errors would prove nothing.
    if carrier.name == "none" && !row.errors.is_empty() {
        wrong.push(format!("none: {:#?}", row.errors));
    }
    wrong
}

/// Proves that code of an application, however it is placed, runs as the role that owns it and gains nothing at any moment, that it
/// leaves nothing for COMMIT, and that it leaves the sessions of others as they were. Prints the cells that fail, and no others.
/// `HOSTILE_ONLY` names one carrier.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_of_others_runs_as_its_owner_at_every_moment() -> Result<()> {
    let only = std::env::var("HOSTILE_ONLY").ok();
    let turns = Arc::new(Semaphore::new(3));
    let mut rows = JoinSet::new();
    for (nth, carrier) in carriers::all().into_iter().enumerate() {
        if only.as_deref().is_some_and(|only| only != carrier.name) {
            continue;
        }
        let turns = Arc::clone(&turns);
        rows.spawn(async move {
            let _turn = turns.acquire().await?;
            let row = live_through(&carrier, nth)
                .await
                .with_context(|| carrier.name)?;
            anyhow::Ok(verdict(&row, &carrier))
        });
    }
    let mut wrong = Vec::new();
    for row in rows.join_all().await {
        wrong.extend(row?);
    }
    ensure!(
        wrong.is_empty(),
        "{} cells fail:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    Ok(())
}
