//! What it costs an application that its table is attached: a bulk load and inserts one by one, with the
//! triggers and without, in turns; and how fast what they noted is taken in.

use std::time::Instant;

use anyhow::{Result, ensure};
use tokio_postgres::Client;

use super::hand::milliseconds;
use super::ledger::Ledger;
use super::plan::Plan;
use super::progress::Progress;
use super::samples::Samples;
use super::server::Server;
use super::table::{Aim, Table};

/// Nobody listens there, and nobody asks.
const NOWHERE: &str = "127.0.0.1:9";

/// Two tables of one shape. All rows are to be watched: the worst that a load can be.
const TABLES: &str = r#"
    create table plain (
        number text primary key, invoice_id text, status text not null, amount numeric, currency text,
        created_at timestamptz not null default now(), details jsonb not null default '{"product": "Honor of Kings"}'
    );
    create index on plain (status, number);
    create table attached (like plain including all);
    select from reconcile.attach_table('attached', 'vendor', track => '{processing}',
        write => '{"succeeded": {"status": "CONFIRMED"}, "failed": {"status": "CANCELLED"}}')"#;

const BOTH: [&str; 2] = ["plain", "attached"];

pub(crate) async fn measure(
    plan: &Plan,
    server: &Server,
    progress: &Progress,
    table: &mut Table,
) -> Result<()> {
    let ledger = Ledger::new(server, "attach", NOWHERE, 16).await?;
    ledger.client.batch_execute(TABLES).await?;
    progress.step(&format!(
        "attach: {} rows at once, with triggers and without",
        plan.load
    ));
    let rounds = plan.rounds * 3;
    let [plain, attached] = in_turns(rounds, async |round, name| {
        load(&ledger.client, name, round, plan.load).await
    })
    .await?;
    let times = attached.median() / plain.median();
    let detail = format!(
        "{:.0} ms to {:.0} ms, medians of {rounds} loads in turns, every row to be watched",
        plain.median(),
        attached.median()
    );
    table.add(
        &format!("bulk load of {} rows, attached to plain", plan.load),
        times,
        "times",
        &detail,
        Aim::AtMost(1.5),
    );

    progress.step("attach: what was noted is taken in");
    let (rows, seconds) = take_in(&ledger.client).await?;
    ensure!(
        rows == plan.load * i64::try_from(rounds)?,
        "{rows} rows were taken in"
    );
    let detail = format!("{rows} noted rows that are new, by one session");
    table.add(
        "taken in after bulk loads",
        rows as f64 / seconds,
        "rows/s",
        &detail,
        Aim::None,
    );

    progress.step(&format!("attach: {} rows one by one", plan.one_by_one));
    ledger.settle_down().await?;
    let [plain, attached] = in_turns(rounds, async |round, name| {
        one_by_one(&ledger.client, name, round, plan.one_by_one).await
    })
    .await?;
    for (what, speed) in [("plain", &plain), ("attached", &attached)] {
        let detail = format!("{}, each committed, one session", speed.range(0));
        table.add(
            &format!("one-row inserts, {what}"),
            speed.median(),
            "rows/s",
            &detail,
            Aim::None,
        );
    }
    Ok(())
}

/// Measures both tables in every round, each of them first in every other.
async fn in_turns(
    rounds: usize,
    mut one: impl AsyncFnMut(usize, &'static str) -> Result<f64>,
) -> Result<[Samples; 2]> {
    let mut taken = [Vec::new(), Vec::new()];
    for round in 0..rounds {
        for turn in 0..2 {
            let which = (round + turn) % 2;
            taken[which].push(one(round, BOTH[which]).await?);
        }
    }
    Ok(taken.map(|values| values.into_iter().collect()))
}

/// Milliseconds for so many rows in one statement.
async fn load(client: &Client, table: &str, round: usize, rows: i64) -> Result<f64> {
    client.batch_execute("checkpoint").await?;
    let load = format!(
        "insert into {table} (number, invoice_id, status, amount, currency)
         select 'ORD-{round}-' || lpad(upper(to_hex(n)), 8, '0'), 'INV-' || n, 'processing', 0.73, 'USD' from generate_series(1, $1::bigint) as n"
    );
    let began = Instant::now();
    client.execute(&load, &[&rows]).await?;
    Ok(milliseconds(began))
}

/// Rows and seconds, until nothing waits.
async fn take_in(client: &Client) -> Result<(i64, f64)> {
    client.batch_execute("checkpoint").await?;
    let began = Instant::now();
    // As the heartbeat does it: many short transactions.
    while client
        .query_one("select count(*) from reconcile.arrivals", &[])
        .await?
        .get::<_, i64>(0)
        > 0
    {
        client
            .execute(
                "select reconcile_internal._take_in_one(a, clock_timestamp() + interval '300 milliseconds', false) from reconcile.attachments as a",
                &[],
            )
            .await?;
    }
    let seconds = began.elapsed().as_secs_f64();
    let rows = client
        .query_one("select count(*) from reconcile.tracked_orders", &[])
        .await?
        .get(0);
    Ok((rows, seconds))
}

/// Rows a second, each in a transaction of its own.
async fn one_by_one(client: &Client, table: &str, round: usize, rows: i64) -> Result<f64> {
    let insert = format!(
        "insert into {table} (number, invoice_id, status, amount, currency) values ('ONE-{round}-' || $1::bigint, 'INV', 'processing', 0.73, 'USD')"
    );
    let insert = client.prepare(&insert).await?;
    let began = Instant::now();
    for n in 0..rows {
        client.execute(&insert, &[&n]).await?;
    }
    Ok(rows as f64 / began.elapsed().as_secs_f64())
}
