//! Orders settled a second, with everything that makes it safe, against the bare loop in the same
//! run; and what an order costs in processor time, WAL and statements.
//!
//! A provider's concurrency is a number of leases, which begin before a call and end after its report;
//! the bare loop's is a number of calls. So pg_reconcile is measured twice: with as many leases as the
//! loop has calls, and with leases to spare.

use std::time::Duration;

use anyhow::Result;

use super::plan::Plan;
use super::progress::Progress;
use super::samples::Samples;
use super::server::Server;
use super::table::{Aim, Table};
use super::vendor::Vendor;
use super::{bare_loop, ledger::Ledger, usage};
use crate::sidecar::Sidecar;
use crate::wait;

const PATIENCE: Duration = Duration::from_secs(300);

/// One round of one side. Processor times are in seconds.
struct Round {
    rate: f64,
    server_cpu: f64,
    caller_cpu: f64,
    vendor_cpu: f64,
    wal_bytes: i64,
    statements: i64,
}

pub(crate) async fn measure(
    plan: &Plan,
    server: &Server,
    progress: &Progress,
    table: &mut Table,
) -> Result<()> {
    let (mut ours, mut bare, mut roomy) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=plan.rounds {
        let step = |who: &str| {
            progress.step(&format!(
                "throughput: {who}, round {round} of {}",
                plan.rounds
            ));
        };
        step("bare loop");
        bare.push(bare_round(plan, server, &format!("bare_{round}")).await?);
        step("pg_reconcile");
        let name = format!("throughput_{round}");
        ours.push(our_round(plan, server, &name, plan.in_flight).await?);
        step("pg_reconcile with leases to spare");
        let name = format!("roomy_{round}");
        roomy.push(our_round(plan, server, &name, plan.slots).await?);
    }
    let calls = format!("{} calls at a time", plan.in_flight);
    settled(plan, table, "bare loop", &bare, &calls);
    let leases = format!("{} leases at a time", plan.in_flight);
    settled(plan, table, "pg_reconcile", &ours, &leases);
    share(
        table,
        "pg_reconcile of the bare loop",
        &ours,
        &bare,
        Aim::AtLeast(60.0),
    );
    let leases = format!("{} leases at a time", plan.slots);
    settled(plan, table, "pg_reconcile, roomy", &roomy, &leases);
    share(table, "roomy of the bare loop", &roomy, &bare, Aim::None);
    costs(plan, table, "bare loop", "loop", &bare);
    costs(plan, table, "pg_reconcile", "sidecar", &ours);
    let statements = of(&ours, |round| round.statements as f64 / plan.orders as f64);
    let detail = "one statement claims or reports many orders";
    table.add(
        "statements, pg_reconcile",
        statements.median(),
        "an order",
        detail,
        Aim::None,
    );
    Ok(())
}

fn settled(plan: &Plan, table: &mut Table, who: &str, rounds: &[Round], limit: &str) {
    let rate = of(rounds, |round| round.rate);
    // As many as come in the time that one takes.
    let at_provider = rate.median() * plan.latency.as_secs_f64();
    let detail = format!(
        "{}, by round; {limit}, {at_provider:.0} of them at the provider on average",
        rate.range(0)
    );
    table.add(
        &format!("settled, {who}"),
        rate.median(),
        "orders/s",
        &detail,
        Aim::None,
    );
}

fn share(table: &mut Table, what: &str, ours: &[Round], bare: &[Round], aim: Aim) {
    let rate = |rounds| of(rounds, |round| round.rate).median();
    let pairs = ours.iter().zip(bare);
    let shares: Samples = pairs
        .map(|(ours, bare)| ours.rate / bare.rate * 100.0)
        .collect();
    let detail = format!("{} by round", shares.range(0));
    table.add(what, rate(ours) / rate(bare) * 100.0, "%", &detail, aim);
}

fn costs(plan: &Plan, table: &mut Table, who: &str, caller: &str, rounds: &[Round]) {
    let orders = plan.orders as f64;
    let micros =
        |value: fn(&Round) -> f64| of(rounds, |round| value(round) * 1e6 / orders).median();
    let parts = [
        micros(|round| round.server_cpu),
        micros(|round| round.caller_cpu),
        micros(|round| round.vendor_cpu),
    ];
    let detail = format!(
        "PostgreSQL {:.0}, {caller} {:.0}, provider {:.0}",
        parts[0], parts[1], parts[2]
    );
    let what = format!("processor time, {who}");
    table.add(&what, parts.iter().sum(), "us an order", &detail, Aim::None);
    let wal = of(rounds, |round| round.wal_bytes as f64 / orders);
    let detail = "after a checkpoint, with full_page_writes";
    table.add(
        &format!("WAL, {who}"),
        wal.median(),
        "bytes an order",
        detail,
        Aim::None,
    );
}

fn of(rounds: &[Round], value: impl Fn(&Round) -> f64) -> Samples {
    rounds.iter().map(value).collect()
}

async fn bare_round(plan: &Plan, server: &Server, name: &str) -> Result<Round> {
    let vendor = Vendor::start(plan.latency).await?;
    let ledger = Ledger::new(server, name, &vendor.address().to_string(), plan.in_flight).await?;
    bare_loop::prepare(&ledger.client, plan.orders).await?;
    let own = i32::try_from(std::process::id())?;
    let before = (
        usage::server_cpu_seconds(server.cluster())?,
        usage::cpu_seconds(own)?,
    );
    let wal = ledger.wal_bytes().await?;
    let took = bare_loop::run(&ledger.client, &vendor, plan).await?;
    Ok(Round {
        rate: plan.orders as f64 / took.as_secs_f64(),
        server_cpu: usage::server_cpu_seconds(server.cluster())? - before.0,
        caller_cpu: usage::cpu_seconds(own)? - before.1,
        vendor_cpu: vendor.cpu_seconds()?,
        wal_bytes: ledger.wal_bytes().await? - wal,
        statements: 0,
    })
}

async fn our_round(plan: &Plan, server: &Server, name: &str, leases: usize) -> Result<Round> {
    let vendor = Vendor::start(plan.latency).await?;
    let host = vendor.address().to_string();
    let mut ledger = Ledger::new(server, name, &host, leases).await?;
    ledger.add_orders(0, plan.orders).await?;
    let server_cpu = usage::server_cpu_seconds(server.cluster())?;
    let wal = ledger.wal_bytes().await?;
    let sidecar = Sidecar::start_ready(&ledger.sidecar(vendor.address(), plan.slots)).await?;
    let what = "the last order to be settled";
    // By the database's clock, from the first claim to a moment when all reports are committed.
    let ended_at = wait::value(PATIENCE, what, async || {
        let sql = "select extract(epoch from clock_timestamp())::float8 from reconcile.registered_sidecars \
                   where reported = $1";
        let row = ledger.client.query_opt(sql, &[&plan.orders]).await?;
        Ok(row.map(|row| row.get::<_, f64>(0)))
    });
    let ended_at = ended_at.await?;
    let round = Round {
        rate: 0.0,
        server_cpu: usage::server_cpu_seconds(server.cluster())? - server_cpu,
        caller_cpu: usage::cpu_seconds(sidecar.process().pid())?,
        vendor_cpu: vendor.cpu_seconds()?,
        wal_bytes: ledger.wal_bytes().await? - wal,
        statements: ledger.statements().await?,
    };
    sidecar.stop().await?;
    ledger.all_succeeded(plan.orders).await?;
    let sql = "select extract(epoch from min(claimed_at))::float8 from reconcile.recorded_checks";
    let began_at: f64 = ledger.client.query_one(sql, &[]).await?.get(0);
    Ok(Round {
        rate: plan.orders as f64 / (ended_at - began_at),
        ..round
    })
}
