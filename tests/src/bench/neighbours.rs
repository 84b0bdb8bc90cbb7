//! A provider beside one in trouble: the same steady load twice, once as it is and once while somebody holds the lock of the
//! table that the other's orders stand in. What is looked at is the healthy provider's time from being due to being claimed,
//! and from being claimed to being settled.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::time::sleep_until;

use super::ledger::Ledger;
use super::plan::Plan;
use super::progress::Progress;
use super::samples::Samples;
use super::server::Server;
use super::table::{Aim, Table};
use super::vendor::Vendor;
use crate::sidecar::Sidecar;
use crate::wait;

/// How often a few orders of each provider come due.
const EVERY: Duration = Duration::from_millis(100);

/// How many of the healthy provider's do, and of the other's.
const HEALTHY: i32 = 20;
const SICK: i32 = 5;

/// The other provider, and the table that its orders stand in.
const TABLE: &str = r#"
    create table shop_orders (
        number text primary key, invoice_id text, status text not null, amount numeric, currency text,
        created_at timestamptz not null default now() - interval '2 minutes'
    );
    create index on shop_orders (status, number);
    do $$
    declare v_url text := (select url from reconcile.providers where name = 'vendor');
    begin
        perform reconcile.add_provider('shop', v_url, status_path => '$.data.status', status_map => '{"succeeded": "succeeded"}',
            amount_path => '$.data.retailPrice', currency_path => '$.data.currency', reference_path => '$.data.invoiceId',
            schedule => 'then 1h');
    end $$;
    select from reconcile.attach_table('shop_orders', 'shop', track => '{processing}', write => '{"succeeded": {"status": "CONFIRMED"}}')"#;

/// Orders of the healthy provider that are due now, and of the other, whose rows were there before.
const DUE: &str = "
    with healthy as (
        insert into reconcile.tracked_orders (order_number, provider_id, reference, amount, currency, created_at)
        select 'H-' || $1::bigint || '-' || n, (select provider_id from reconcile.providers where name = 'vendor'),
            'INV-' || $1::bigint || n, 0.73, 'USD', now() - interval '2 minutes'
        from generate_series(1, $2::integer) as n
        returning order_id, provider_id
    ),
    queued as (
        insert into reconcile.due_checks (order_id, provider_id, due_at)
        select order_id, provider_id, clock_timestamp() from healthy
    )
    update reconcile.due_checks as d set due_at = clock_timestamp()
    from reconcile.tracked_orders as o
    where o.order_number like 'S-' || $1::bigint || '-%' and d.order_id = o.order_id";

/// What a phase came to, in milliseconds.
struct Phase {
    claimed: Samples,
    settled: Samples,
}

pub(crate) async fn measure(
    plan: &Plan,
    server: &Server,
    progress: &Progress,
    table: &mut Table,
) -> Result<()> {
    let vendor = Vendor::start(plan.latency).await?;
    let host = vendor.address().to_string();
    let ledger = Ledger::new(server, "neighbours", &host, plan.in_flight).await?;
    ledger.client.batch_execute(TABLE).await?;
    let ticks = i64::try_from(2 * plan.neighbours.as_millis() / EVERY.as_millis())?;
    let rows = "insert into shop_orders (number, invoice_id, status, amount, currency)
        select 'S-' || t || '-' || n, 'INV-' || t || n, 'processing', 0.73, 'USD'
        from generate_series(1, $1::bigint) as t, generate_series(1, $2::integer) as n";
    ledger.client.execute(rows, &[&ticks, &SICK]).await?;
    let later = "select reconcile.take_in('shop_orders', 600);
        update reconcile.due_checks set due_at = now() + interval '1 day'";
    ledger.client.batch_execute(later).await?;
    ledger.settle_down().await?;
    let sidecar = Sidecar::start_ready(&ledger.sidecar(vendor.address(), plan.slots)).await?;

    progress.step("neighbours: a provider beside a healthy one");
    let before = phase(&ledger, plan.neighbours, 1).await?;
    let holder = ledger.database.connect().await?;
    holder
        .batch_execute("begin; lock table shop_orders in access exclusive mode")
        .await?;
    let seconds = plan.neighbours.as_secs();
    progress.step(&format!(
        "neighbours: beside one whose table is locked for {seconds} s"
    ));
    let during = phase(&ledger, plan.neighbours, ticks / 2 + 1).await?;
    holder.batch_execute("commit").await?;
    rows_of(table, seconds, &before, &during);
    sidecar.stop().await
}

/// Has orders come due for so long, and waits until the healthy provider's are settled.
async fn phase(ledger: &Ledger<'_>, length: Duration, first: i64) -> Result<Phase> {
    let since = "select clock_timestamp()::text";
    let since: String = ledger.client.query_one(since, &[]).await?.get(0);
    let began = Instant::now();
    let mut tick = first;
    while began.elapsed() < length {
        ledger.client.execute(DUE, &[&tick, &HEALTHY]).await?;
        ledger.client.batch_execute("notify reconcile_due").await?;
        tick += 1;
        let ticks = u32::try_from(tick - first)?;
        sleep_until((began + EVERY * ticks).into()).await;
    }
    let open = "select count(*) from reconcile.tracked_orders where order_number like 'H-%' and state = 'pending'";
    let soon = Duration::from_secs(60);
    wait::until(
        soon,
        "the healthy provider's orders to be settled",
        async || {
            ledger
                .client
                .query_one(open, &[])
                .await
                .is_ok_and(|row| row.get::<_, i64>(0) == 0)
        },
    )
    .await?;
    let times = "
        select extract(epoch from c.claimed_at - o.tracked_at)::float8 * 1000, extract(epoch from c.answered_at - c.claimed_at)::float8 * 1000
        from reconcile.recorded_checks as c
        join reconcile.tracked_orders as o on o.order_id = c.order_id
        where o.order_number like 'H-%' and o.tracked_at >= $1::text::timestamptz";
    let times = ledger.client.query(times, &[&since]).await?;
    ensure!(!times.is_empty(), "no order was settled");
    Ok(Phase {
        claimed: times.iter().map(|row| row.get(0)).collect(),
        settled: times.iter().map(|row| row.get(1)).collect(),
    })
}

fn rows_of(table: &mut Table, seconds: u64, before: &Phase, during: &Phase) {
    for (what, before, during) in [
        ("claimed", &before.claimed, &during.claimed),
        ("settled", &before.settled, &during.settled),
    ] {
        let (was, is) = (before.quantile(0.99), during.quantile(0.99));
        let detail = format!(
            "99th percentile {was:.1} ms to {is:.1} ms, medians {:.1} and {:.1}",
            before.median(),
            during.median()
        );
        table.add(
            &format!("{what} beside a table locked for {seconds} s, to before"),
            is / was,
            "times",
            &detail,
            Aim::AtMost(2.0),
        );
    }
}
