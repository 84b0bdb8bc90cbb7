//! What one would write without pg_reconcile, and the fastest there is: the same calls, as many at a
//! time, and the same three writes in batches, into plain tables. No queue, no lease, no decision:
//! it knows its orders beforehand, loses them when it dies, and takes any answer for a success.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_postgres::Client;

use super::ledger::ORDER_NUMBER;
use super::plan::Plan;
use super::vendor::Vendor;

/// The columns of the ledger's tables, with the keys that nobody does without.
const TABLES: &str = "
    create schema bare;
    create table bare.orders (like reconcile.tracked_orders including defaults);
    alter table bare.orders add primary key (order_id), add unique (order_number);
    create table bare.checks (like reconcile.recorded_checks including defaults);
    alter table bare.checks add primary key (order_id, check_id);
    create table bare.transitions (like reconcile.transitions including defaults);
    alter table bare.transitions add primary key (transition_id)";

const WRITE: &str = "
    with answer as materialized (
        select given.*, nextval('reconcile.check_ids') as check_id
        from unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::int[])
            as given (order_id, status, transaction_id, body, duration_ms)
    ),
    moved as (
        update bare.orders as o
        set state = a.status, settled_by = 'provider', transaction_id = a.transaction_id, provider_status = a.status,
            last_outcome = a.status, last_checked_at = clock_timestamp(), attempt = 1, tries = 0,
            state_changed_at = clock_timestamp()
        from answer as a
        where o.order_id = a.order_id
    ),
    kept as (
        insert into bare.checks (
            order_id, check_id, claimed_at, duration_ms, provider_id, provider_version, sidecar_id, token, http_status,
            response, provider_status, outcome, from_state, from_attempt, from_tries, from_faults, to_state, reason
        )
        select a.order_id, a.check_id, clock_timestamp(), a.duration_ms, 1, 1, 1, a.check_id, 200,
            a.body::jsonb, a.status, a.status, 'pending', 0, 0, 0, a.status, 'the provider says ' || a.status
        from answer as a
    )
    insert into bare.transitions (order_id, from_state, to_state, cause, check_id, reason)
    select a.order_id, 'pending', a.status, 'provider', a.check_id, 'the provider says ' || a.status
    from answer as a";

/// The most answers in one write, as the sidecar's.
const BATCH: usize = 500;

#[derive(Debug)]
struct Answered {
    order_id: i64,
    status: String,
    transaction_id: String,
    body: String,
    duration_ms: i32,
}

struct Order {
    order_id: i64,
    url: String,
}

/// Makes the plain tables with so many orders.
///
/// # Errors
/// When the database refuses.
pub(crate) async fn prepare(client: &Client, orders: i64) -> Result<()> {
    let fill = format!(
        "{TABLES};
         insert into bare.orders (order_id, order_number, provider_id, reference, amount, currency, details, created_at)
         select n, {ORDER_NUMBER}, 1, 'INV-' || n, 0.73, 'USD', '{{\"product\": \"Honor of Kings\"}}', now()
         from generate_series(1::bigint, {orders}) as n"
    );
    client.batch_execute(&fill).await?;
    client.batch_execute("vacuum analyze bare.orders").await?;
    Ok(client.batch_execute("checkpoint").await?)
}

/// Asks about all orders and writes the answers down; gives the time it took.
///
/// # Errors
/// When a call or a write fails.
pub(crate) async fn run(client: &Client, vendor: &Vendor, plan: &Plan) -> Result<Duration> {
    let write = client.prepare(WRITE).await?;
    let http = reqwest::Client::builder()
        .no_proxy()
        .tcp_nodelay(true)
        .pool_max_idle_per_host(plan.in_flight)
        .build()?;
    let began = Instant::now();
    let orders = Arc::new(orders(client, vendor).await?);
    let next = Arc::new(AtomicUsize::new(0));
    let (answers, mut answered) = mpsc::channel(plan.in_flight);
    let callers: Vec<_> = (0..plan.in_flight)
        .map(|_| {
            let (orders, next) = (Arc::clone(&orders), Arc::clone(&next));
            let (http, answers) = (http.clone(), answers.clone());
            tokio::spawn(async move {
                while let Some(order) = orders.get(next.fetch_add(1, Ordering::Relaxed)) {
                    answers.send(ask(&http, order).await?).await?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    drop(answers);
    let mut batch = Vec::with_capacity(BATCH);
    let mut written = 0;
    while answered.recv_many(&mut batch, BATCH).await > 0 {
        written += batch.len();
        save(client, &write, &batch).await?;
        batch.clear();
    }
    let took = began.elapsed();
    for caller in callers {
        caller.await??;
    }
    ensure!(
        written == orders.len(),
        "{written} of {} were written",
        orders.len()
    );
    Ok(took)
}

async fn orders(client: &Client, vendor: &Vendor) -> Result<Vec<Order>> {
    let rows = client
        .query(
            "select order_id, order_number, reference from bare.orders",
            &[],
        )
        .await?;
    let address = vendor.address();
    Ok(rows
        .iter()
        .map(|row| {
            let (order_number, reference): (&str, &str) = (row.get(1), row.get(2));
            Order {
                order_id: row.get(0),
                url: format!("http://{address}/orders/{order_number}?invoice={reference}"),
            }
        })
        .collect())
}

async fn ask(http: &reqwest::Client, order: &Order) -> Result<Answered> {
    let began = Instant::now();
    let response = http.get(&order.url).send().await?.error_for_status()?;
    let body = response.text().await?;
    let said: Value = serde_json::from_str(&body)?;
    let word = |path: &str| said.pointer(path)?.as_str().map(str::to_owned);
    Ok(Answered {
        order_id: order.order_id,
        status: word("/data/status").context("no status")?,
        transaction_id: word("/data/transactionId").context("no transaction")?,
        body,
        duration_ms: i32::try_from(began.elapsed().as_millis())?,
    })
}

async fn save(
    client: &Client,
    write: &tokio_postgres::Statement,
    batch: &[Answered],
) -> Result<()> {
    let order_ids: Vec<i64> = batch.iter().map(|answer| answer.order_id).collect();
    let statuses: Vec<&str> = batch.iter().map(|answer| answer.status.as_str()).collect();
    let transactions: Vec<&str> = batch
        .iter()
        .map(|answer| answer.transaction_id.as_str())
        .collect();
    let bodies: Vec<&str> = batch.iter().map(|answer| answer.body.as_str()).collect();
    let durations: Vec<i32> = batch.iter().map(|answer| answer.duration_ms).collect();
    client
        .execute(
            write,
            &[&order_ids, &statuses, &transactions, &bodies, &durations],
        )
        .await?;
    Ok(())
}
