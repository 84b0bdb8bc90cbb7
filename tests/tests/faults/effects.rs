//! Everything dies while orders of an attached table are settled: the rows, the hook's own books and the
//! ledger agree at the end, for each order.

use std::time::Duration;

use anyhow::Result;
use reconcile_tests::cluster::Cluster;
use reconcile_tests::shop::{LEASE_OVER, Shop, settings};
use reconcile_tests::sidecar::Sidecar;
use reconcile_tests::simulator::{Fate, Step};
use reconcile_tests::wait;

const ORDERS: usize = 300;

/// A table of orders, and books that a hook keeps: one row in common, and one for each order.
const SHOP: &str = r#"
    create table public.orders (number text primary key, status text not null, reference text);
    create index on public.orders (status);
    create table public.books (order_number text, booked_at timestamptz default now());
    create table public.total (booked integer);
    insert into public.total values (0);
    create function public.book(order_number text, facts jsonb) returns void language plpgsql as $$
    begin
        insert into public.books values ($1);
        update public.total set booked = booked + 1;
    end $$;
    select reconcile.add_hook('book', on_state => 'succeeded', call => 'public.book(text, jsonb)', every_provider => true);
    select from reconcile.attach_table('public.orders', 'vendor', track => '{open}',
        write => '{"succeeded": {"status": "sold"}, "failed": {"status": "off"}, "cancelled": {"status": "off"}}')
"#;

async fn settled(shop: &Shop<'_>, count: usize) -> Result<()> {
    let within = LEASE_OVER + Duration::from_secs(90);
    wait::value(within, format!("{count} rows to be written"), async || {
        let rows: i64 = shop
            .one(
                "select count(*) from public.orders where status <> 'open'",
                &[],
            )
            .await?;
        Ok((usize::try_from(rows)? >= count).then_some(()))
    })
    .await
}

/// Proves that sidecars and the server may be killed at any moment while rows are taken in, written back and
/// booked by a hook: in the end each row stands where the provider says, and each success is booked once.
#[tokio::test]
async fn killed_with_rows_and_hooks_in_hand() -> Result<()> {
    let cluster = Cluster::start_new(settings().durable()).await?;
    let mut shop = Shop::open_in(&cluster, "killed_with_effects").await?;
    shop.alter_provider("vendor", "concurrency => 100, timeout => '1 second'")
        .await?;
    shop.run(SHOP).await?;
    for place in 0..ORDERS {
        let said = ["succeeded", "succeeded", "failed", "cancelled", "succeeded"][place % 5];
        let mut steps = vec![Step::status(said).after_ms(30)];
        if place % 5 == 4 {
            steps.insert(0, Step::http(503, "{"));
        }
        shop.vendor.set_fate(&format!("N-{place}"), Fate::of(steps));
    }
    let mut few = shop.sidecar_settings();
    few.slots = Some(8);
    let mut sidecars = [
        Sidecar::start_ready(&few).await?,
        Sidecar::start_ready(&few).await?,
    ];
    let load = format!(
        "insert into public.orders select 'N-' || n, 'open', 'INV-N-' || n from generate_series(0, {}) as n",
        ORDERS - 1
    );
    shop.run(&load).await?;
    for round in 0..4 {
        // Those that are taken in, whenever that is, are due: the table has no time of creation.
        wait::value(LEASE_OVER, "orders to be taken in", async || {
            shop.run("update reconcile.due_checks set due_at = least(due_at, clock_timestamp()); notify reconcile_due")
                .await?;
            let known: i64 = shop.one("select count(*) from reconcile.orders", &[]).await?;
            Ok((usize::try_from(known)? == ORDERS).then_some(()))
        })
        .await?;
        settled(&shop, 40 * (round + 1)).await?;
        if round == 2 {
            cluster.kill9().await?;
            cluster.start().await?;
            shop.reconnect().await?;
        } else {
            sidecars[round % 2].kill9().await?;
            sidecars[round % 2] = Sidecar::start_ready(&few).await?;
        }
    }
    shop.run("update reconcile.due_checks set due_at = least(due_at, clock_timestamp()); notify reconcile_due")
        .await?;
    settled(&shop, ORDERS).await?;
    shop.is_sound().await?;

    let odd = "
        select o.number, o.status, r.state, r.moves, b.bookings
        from public.orders as o
        cross join lateral (
            select t.state, (select count(*) from reconcile.order_history as h where h.order_number = o.number) as moves
            from reconcile.orders as t where t.order_number = o.number
        ) as r
        cross join lateral (select count(*) as bookings from public.books as b where b.order_number = o.number) as b
        where (o.status, r.moves, b.bookings) is distinct from
            (case r.state when 'succeeded' then 'sold' else 'off' end, 1, (r.state = 'succeeded')::integer)";
    let odd = shop.client.query(odd, &[]).await?;
    assert!(odd.is_empty(), "{odd:?}");
    let sums = "select format('%s %s %s', (select booked from public.total), (select count(*) from public.books),
        (select count(*) from reconcile.orders where state = 'succeeded'))";
    let sold = ORDERS / 5 * 3;
    assert_eq!(
        shop.one::<String>(sums, &[]).await?,
        format!("{sold} {sold} {sold}")
    );
    Ok(())
}
