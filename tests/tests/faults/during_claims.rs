//! Somebody acts on an order in the very moment in which a claim takes it: the queue row is gone and
//! the lease not there yet, for everybody but the claim.

use anyhow::Result;
use reconcile_tests::shop::{SOON, Shop};
use reconcile_tests::wait;
use tokio_postgres::Client;

/// A claim that has taken the order and has not ended; its session and the lease's token.
async fn claim(shop: &Shop<'_>, order_number: &str) -> Result<(Client, i64)> {
    let claimer = shop.database.connect().await?;
    let sidecar: i64 = claimer
        .query_one("select reconcile.sidecar_start('by hand', '1', 10)", &[])
        .await?
        .get(0);
    claimer.batch_execute("begin").await?;
    let taken = "
        select token from reconcile.sidecar_claim($1, 10) as c
        join reconcile.tracked_orders as o using (order_id) where o.order_number = $2";
    let row = claimer.query_one(taken, &[&sidecar, &order_number]).await?;
    Ok((claimer, row.get(0)))
}

/// Orders, and what is done to each.
const ACTS: [(&str, &str); 7] = [
    (
        "ring",
        "select reconcile.record_webhook('vendor', 'e1', '{}', 'ring')",
    ),
    (
        "evidence",
        "select reconcile.record_webhook('vendor', 'e2', '{\"data\": {\"status\": \"pending\"}}', 'evidence')",
    ),
    (
        "reference",
        "update public.orders set reference = 'another' where number = 'reference'",
    ),
    (
        "let_go",
        "update public.orders set status = 'off' where number = 'let_go'",
    ),
    (
        "deleted",
        "delete from public.orders where number = 'deleted'",
    ),
    (
        "decided",
        "select reconcile.resolve_order('decided', 'failed', 'a person said so')",
    ),
    (
        "by_hand",
        "select reconcile_stale_orders(10, older_than => '0')",
    ),
];

/// Proves for each way to act on an order that, done while a claim of it is being committed, it waits
/// for the claim or does without; that the order is then in one place, the queue or a lease; and
/// that claims and heartbeats go on.
#[tokio::test]
async fn what_is_done_to_an_order_while_it_is_claimed_leaves_it_in_one_place() -> Result<()> {
    let shop = Shop::open("during_claims").await?;
    shop.run(
        "create table public.orders (number text primary key, status text, reference text);
         select from reconcile.attach_table('public.orders', 'vendor', track => '{open}',
             write => '{\"failed\": {\"status\": \"off\"}}')",
    )
    .await?;
    for (number, act) in ACTS {
        let evidence = number == "evidence";
        shop.alter_provider(
            "vendor",
            &format!("webhook => '{{\"evidence\": {evidence}}}'"),
        )
        .await?;
        shop.client
            .execute(
                "insert into public.orders values ($1, 'open', 'INV')",
                &[&number],
            )
            .await?;
        shop.make_due(number).await?;
        let (claimer, _) = claim(&shop, number).await?;

        let actor = shop.database.connect().await?;
        let pid: i32 = actor
            .query_one("select pg_backend_pid()", &[])
            .await?
            .get(0);
        let acting = tokio::spawn(async move { actor.batch_execute(act).await });
        // Either it waits for the claim, or it is done already.
        wait::until(SOON, format!("{number} to wait or to be done"), async || {
            acting.is_finished()
                || shop
                    .one::<bool>(
                        "select exists (select from pg_stat_activity where pid = $1 and wait_event_type = 'Lock')",
                        &[&pid],
                    )
                    .await
                    .unwrap_or(false)
        })
        .await?;
        claimer.batch_execute("commit").await?;
        acting.await??;

        let places = "
            select (select count(*) from reconcile.due_checks as d where d.order_id = o.order_id)
                 + (select count(*) from reconcile.leases as l where l.order_id = o.order_id)
            from reconcile.tracked_orders as o where o.order_number = $1";
        let in_places: i64 = shop.one(places, &[&number]).await?;
        let is_open: bool = shop
            .one(
                "select state in ('pending', 'processing') from reconcile.orders where order_number = $1",
                &[&number],
            )
            .await?;
        assert!(
            in_places <= 1 && (in_places == 1 || !is_open),
            "{number} is in {in_places} places"
        );
        shop.run("select from reconcile.sidecar_heartbeat((select max(sidecar_id) from reconcile.sidecars), 0)")
            .await?;
        // What the session that claimed would have reported is not there: the lease runs out.
        shop.run("update reconcile.leases set expires_at = clock_timestamp() - interval '1 s'; select reconcile_stale_orders()")
            .await?;
        shop.run("delete from public.orders").await?;
    }
    shop.is_sound().await
}
