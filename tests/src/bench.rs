//! The benchmark: each part measures one thing against a server, a provider and a sidecar of its
//! own, and adds its rows to one table. Nothing in here is asserted: a number that misses its aim
//! says so in the table.
//!
//! # Layout
//! - [`plan`]: how much is measured, in full and quickly
//! - [`throughput`]: orders settled a second, against [`bare_loop`]
//! - [`claims`]: a claim with ever more orders waiting; [`old_snapshot`]: with an old snapshot held
//! - [`footprint`]: the sidecar's memory, and its statements when there is nothing to do
//! - [`waiting_calls`]: what `reconcile_order` adds to the provider's time
//! - [`attach`]: what an attached table's triggers cost its writers
//! - [`neighbours`]: a provider beside one whose attached table is locked
//! - [`server`], [`ledger`], [`vendor`], [`hand`]: what they measure with
//! - [`usage`], [`samples`], [`machine`]: numbers of the system, of many measurements, of the machine
//! - [`table`], [`progress`]: what is shown

mod attach;
mod bare_loop;
mod claims;
mod footprint;
mod hand;
mod ledger;
mod machine;
mod neighbours;
mod old_snapshot;
mod plan;
mod progress;
mod samples;
mod server;
mod table;
mod throughput;
mod usage;
mod vendor;
mod waiting_calls;

use anyhow::Result;

pub use plan::{Part, Plan};
use progress::Progress;
use server::Server;
use table::Table;

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// To print: machine, versions, settings, and the table as far as it went.
    pub text: String,
    /// What ended the run early.
    pub failure: Option<anyhow::Error>,
}

/// Measures what the plan says. A part that fails ends the run, and what was measured before is
/// still told.
///
/// # Errors
/// When there is no server to measure.
pub async fn run(plan: &Plan) -> Result<Outcome> {
    let progress = Progress::new(plan.parts.len());
    let server = Server::start().await?;
    let mut table = Table::default();
    let measured = measure(plan, &server, &progress, &mut table).await;
    progress.finish();
    let heading = machine::describe(&server, plan).await?;
    Ok(Outcome {
        text: format!("{heading}\n{table}\n"),
        failure: measured.err(),
    })
}

async fn measure(
    plan: &Plan,
    server: &Server,
    progress: &Progress,
    table: &mut Table,
) -> Result<()> {
    for part in &plan.parts {
        match part {
            Part::Throughput => throughput::measure(plan, server, progress, table).await?,
            Part::Claims => claims::measure(plan, server, progress, table).await?,
            Part::OldSnapshot => old_snapshot::measure(plan, server, progress, table).await?,
            Part::Footprint => footprint::measure(plan, server, progress, table).await?,
            Part::WaitingCalls => waiting_calls::measure(plan, server, progress, table).await?,
            Part::Attach => attach::measure(plan, server, progress, table).await?,
            Part::Neighbours => neighbours::measure(plan, server, progress, table).await?,
        }
        progress.part_done();
    }
    Ok(())
}
