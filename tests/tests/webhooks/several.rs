//! Events that could be about several orders, and one payment for several orders: who tracks an order under another's number or
//! reference gains nothing by it, and takes nothing away.

use anyhow::Result;
use reconcile_tests::shop::{SOON, Shop};
use reconcile_tests::simulator::Fate;
use tokio::time::timeout;
use tokio_postgres::Client;

use crate::{EVIDENCE, effects, said};

/// Evidence that names its order by the reference alone.
const BY_REFERENCE: &str = "webhook => '{\"evidence\": true, \"reference_path\": \"$.data.invoiceId\", \"order_number_path\": null}'";

/// Whoever else may track orders and hand over events: another application.
async fn another(shop: &Shop<'_>) -> Result<Client> {
    shop.database.connect_as("shop_operator").await
}

async fn track(client: &Client, order_number: &str, reference: &str) -> Result<()> {
    let track = "select reconcile.track_order($1, 'vendor', $2)";
    client
        .query_one(track, &[&order_number, &reference])
        .await?;
    Ok(())
}

async fn record(client: &Client, event_id: &str, payload: &str) -> Result<String> {
    let record = "select reconcile.record_webhook('vendor', $1, $2::text::jsonb)";
    Ok(client
        .query_one(record, &[&event_id, &payload])
        .await?
        .get(0))
}

/// Whether orders are due now, each as `A true`.
async fn due(shop: &Shop<'_>) -> Result<Vec<String>> {
    let due = "select array_agg(o.order_number || ' ' || (d.due_at <= clock_timestamp()) order by o.order_number)
        from reconcile.tracked_orders as o join reconcile.due_checks as d on d.order_id = o.order_id";
    shop.one(due, &[]).await
}

/// Proves that an event which names a reference that two orders have moves neither and rings both, that it is shown with both, and that
/// each is settled by its provider's own answer.
#[tokio::test]
async fn an_event_of_two_orders_moves_neither_and_rings_both() -> Result<()> {
    let shop = Shop::open("webhooks_two_orders").await?;
    shop.alter_provider("vendor", BY_REFERENCE).await?;
    shop.track("A").await?;
    let other = another(&shop).await?;
    track(&other, "MINE", "INV-A").await?;
    assert_eq!(due(&shop).await?, ["A false", "MINE false"]);
    let app = shop.app().await?;
    assert_eq!(
        record(&app, "e1", &said("succeeded", "A", "0.73")).await?,
        "asked"
    );
    assert_eq!(
        record(&app, "e1", &said("succeeded", "A", "0.73")).await?,
        "repeated"
    );
    assert!(shop.history("A").await?.is_empty() && shop.history("MINE").await?.is_empty());
    assert_eq!(due(&shop).await?, ["A true", "MINE true"]);
    let shown =
        "select array[order_number] || others from reconcile.webhooks where event_id = 'e1'";
    assert_eq!(shop.one::<Vec<String>>(shown, &[]).await?, ["A", "MINE"]);
    shop.vendor.set_fate("A", Fate::status("succeeded"));
    shop.vendor.set_fate("MINE", Fate::status("pending"));
    let _sidecar = shop.sidecar().await?;
    shop.becomes("A", "succeeded").await?;
    shop.check("MINE", 0).await?;
    assert!(shop.history("MINE").await?.is_empty());
    shop.is_sound().await
}

/// Proves that an event that could be about more orders than one statement rings has the rest of them rung by heartbeats, whether it is a
/// new one or is called by the name of another, and by a run.
#[tokio::test]
async fn no_order_of_a_crowd_is_forgotten() -> Result<()> {
    let shop = Shop::open("webhooks_crowds").await?;
    shop.alter_provider("vendor", BY_REFERENCE).await?;
    let crowd = "select count(reconcile.track_order('MINE-' || i, 'vendor', 'INV-A')) from generate_series(1, 2100) as i";
    another(&shop).await?.query_one(crowd, &[]).await?;
    shop.track("A").await?;
    let app = shop.app().await?;
    let not_yet = "select count(*) from reconcile.due_checks where due_at > clock_timestamp()";
    let sidecar = shop.database.connect_as("shop_sidecar").await?;
    let start = "select reconcile.sidecar_start('beats', 'test', 1)";
    let id: i64 = sidecar.query_one(start, &[]).await?.get(0);
    let beat = format!("select reconcile.sidecar_heartbeat({id}, 0)");
    let run = "select run_id from reconcile_stale_orders(1)".to_owned();
    let calm = "update reconcile.due_checks set due_at = clock_timestamp() + interval '1 day'";
    for (event, payload, later) in [
        ("e1", said("succeeded", "A", "0.73"), &beat),
        ("taken", said("succeeded", "A", "0.73"), &beat),
        ("e2", said("succeeded", "A", "0.73"), &run),
    ] {
        record(&app, "taken", &said("succeeded", "OTHER", "0.73")).await?;
        shop.run(calm).await?;
        assert_eq!(record(&app, event, &payload).await?, "asked");
        assert_eq!(shop.one::<i64>(not_yet, &[]).await?, 1101, "{event}");
        for _ in 0..3 {
            match *later == beat {
                true => sidecar.batch_execute(later).await?,
                false => shop.run(later).await?,
            }
        }
        assert_eq!(shop.one::<i64>(not_yet, &[]).await?, 0, "{event}");
    }
    shop.is_sound().await
}

/// Proves that an event of one's own order isn't held up by a transaction of somebody who has an order of the same reference, and that
/// this one's order is rung all the same.
#[tokio::test]
async fn an_event_of_two_orders_waits_for_neither() -> Result<()> {
    let shop = Shop::open("webhooks_two_waits").await?;
    shop.alter_provider("vendor", BY_REFERENCE).await?;
    shop.track("A").await?;
    let other = another(&shop).await?;
    track(&other, "MINE", "INV-A").await?;
    other
        .batch_execute("begin; select reconcile.record_webhook('vendor', 'mine', '{}', 'MINE')")
        .await?;
    let app = shop.app().await?;
    let payload = said("succeeded", "A", "0.73");
    let effect = timeout(SOON, record(&app, "e1", &payload)).await??;
    assert_eq!(effect, "asked");
    assert_eq!(due(&shop).await?, ["A true", "MINE false"]);
    other.batch_execute("rollback").await?;
    // The same of a closed one, which has no place in the queue.
    shop.run("select reconcile.resolve_order('MINE', 'failed', 'closed')")
        .await?;
    other
        .batch_execute("begin; select reconcile.record_webhook('vendor', 'mine', '{}', 'MINE')")
        .await?;
    let effect = timeout(SOON, record(&app, "e2", &payload)).await??;
    assert_eq!(effect, "asked");
    other.batch_execute("rollback").await?;
    shop.is_sound().await
}

/// Proves that an early event which names its order by the reference alone settles no order that somebody else tracks with it, and that
/// the order which it is about is rung when it comes, though another was there first.
#[tokio::test]
async fn an_early_event_is_not_whoever_tracks_its_references() -> Result<()> {
    let shop = Shop::open("webhooks_claimed_early").await?;
    shop.alter_provider("vendor", BY_REFERENCE).await?;
    let app = shop.app().await?;
    assert_eq!(
        record(&app, "e1", &said("succeeded", "A", "0.73")).await?,
        "kept"
    );
    let other = another(&shop).await?;
    track(&other, "MINE", "INV-A").await?;
    assert!(
        shop.history("MINE").await?.is_empty(),
        "settled by another's event"
    );
    shop.track("A").await?;
    assert_eq!(due(&shop).await?, ["A true", "MINE true"]);
    assert_eq!(effects(&shop).await?, ["e1 asked"]);
    let shown =
        "select array[order_number] || others from reconcile.webhooks where event_id = 'e1'";
    assert_eq!(shop.one::<Vec<String>>(shown, &[]).await?, ["MINE", "A"]);
    shop.run("select reconcile_stale_orders()").await?;
    assert!(shop.history("MINE").await?.is_empty());
    // Who tracks what he has handed over himself vouches for both.
    assert_eq!(
        record(&app, "e2", &said("succeeded", "B", "0.73")).await?,
        "kept"
    );
    track(&app, "B", "INV-B").await?;
    assert_eq!(
        shop.history("B").await?,
        ["pending -> succeeded by provider"]
    );
    shop.is_sound().await
}

/// Proves that evidence which was kept for the one order that it could be about moves neither if there are two by the time that it is
/// to be taken, and that a shared transaction holds up nobody who tracks the same reference.
#[tokio::test]
async fn kept_evidence_is_about_one_order_when_it_is_taken() -> Result<()> {
    let shop = Shop::open("webhooks_kept_two").await?;
    shop.alter_provider("vendor", BY_REFERENCE).await?;
    shop.run(
        "create table public.orders (number text primary key, status text, reference text);
         select from reconcile.attach_table('public.orders', 'vendor', track => '{open}')",
    )
    .await?;
    assert_eq!(
        record(&shop.client, "e1", &said("succeeded", "A", "0.73")).await?,
        "kept"
    );
    shop.run("begin; insert into public.orders values ('A', 'open', 'INV-A')")
        .await?;
    let other = another(&shop).await?;
    timeout(SOON, track(&other, "MINE", "INV-A")).await??;
    shop.run("commit").await?;
    shop.run("select reconcile_stale_orders()").await?;
    assert_eq!(effects(&shop).await?, ["e1 asked"]);
    assert!(shop.history("A").await?.is_empty() && shop.history("MINE").await?.is_empty());
    assert_eq!(due(&shop).await?, ["A true", "MINE true"]);
    shop.is_sound().await
}

/// Proves that an event by a row's own number, which is somebody's number in the ledger as well, moves neither and rings both.
#[tokio::test]
async fn an_own_number_that_is_anothers_number_is_of_both() -> Result<()> {
    let shop = Shop::open("webhooks_own_and_exact").await?;
    shop.alter_provider("vendor", EVIDENCE).await?;
    shop.run(
        "create table public.orders (number text primary key, status text, reference text);
         select from reconcile.attach_table('public.orders', 'vendor', track => '{open}', order_number_prefix => 'A-')",
    )
    .await?;
    let app = shop.app().await?;
    let early = said("succeeded", "18", "0.73").replace("INV-18", "");
    assert_eq!(record(&app, "early", &early).await?, "kept");
    let other = another(&shop).await?;
    for number in ["17", "18"] {
        track(&other, number, &format!("INV-{number}")).await?;
    }
    shop.run("insert into public.orders values ('17', 'open', 'INV-17'), ('18', 'open', 'INV-18')")
        .await?;
    assert_eq!(
        record(&app, "e1", &said("succeeded", "17", "0.73")).await?,
        "asked"
    );
    assert_eq!(
        due(&shop).await?,
        ["17 true", "18 true", "A-17 true", "A-18 true"]
    );
    for number in ["17", "18", "A-17", "A-18"] {
        assert!(shop.history(number).await?.is_empty(), "{number}");
    }
    shop.is_sound().await
}

/// Orders that a payment seems to have settled together, each as `B with A`.
async fn shared(shop: &Shop<'_>) -> Result<Vec<String>> {
    let shared = "select coalesce(array_agg(order_number || ' with ' || shared_with order by order_number), '{}')
        from reconcile.second_payments where shared_with is not null and decided_at is null";
    shop.one(shared, &[]).await
}

/// Proves that one transaction, or one reference where the transaction isn't known, that has settled two orders of a provider is told as
/// critical until a person has done with it, that another provider's is another, and that a row whose paths name the order permits it.
#[tokio::test]
async fn one_payment_that_has_settled_two_orders_is_told() -> Result<()> {
    let shop = Shop::open("webhooks_shared").await?;
    shop.alter_provider("vendor", EVIDENCE).await?;
    shop.add_provider("other", &shop.vendor, EVIDENCE).await?;
    let paid = |number: &str, reference: &str, transaction: &str| {
        format!(
            r#"{{"data": {{"status": "succeeded", "invoiceId": "{reference}", "retailPrice": "0.73", "currency": "USD",
                {transaction} "reference": "{number}"}}}}"#
        )
    };
    let settle =
        async |provider: &str, number: &str, reference: &str, transaction: &str| -> Result<()> {
            let track = "select reconcile.track_order($1, $2, $3, 0.73, 'USD')";
            shop.client
                .query_one(track, &[&number, &provider, &reference])
                .await?;
            let payload = paid(number, reference, transaction);
            let record = "select reconcile.record_webhook($1, $2, $3::text::jsonb)";
            let effect: String = shop
                .client
                .query_one(record, &[&provider, &format!("e-{number}"), &payload])
                .await?
                .get(0);
            assert_eq!(effect, "applied", "{number}");
            Ok(())
        };
    let one = r#""transactionId": "TXN-1","#;
    settle("vendor", "A", "i-1", one).await?;
    settle("vendor", "B", "i-2", r#""transactionId": "TXN-2","#).await?;
    settle(
        "vendor",
        "SAME-REFERENCE",
        "i-2",
        r#""transactionId": "TXN-3","#,
    )
    .await?;
    settle("other", "OTHERS", "i-1", one).await?;
    assert!(shared(&shop).await?.is_empty());
    settle("vendor", "C", "i-3", one).await?;
    settle("vendor", "D", "i-4", "").await?;
    settle("vendor", "E", "i-4", "").await?;
    assert_eq!(shared(&shop).await?, ["C with A", "E with D"]);
    let told =
        "select severity || ' ' || message from reconcile.alerts where alert = 'paid_for_two'";
    let told: String = shop.one(told, &[]).await?;
    assert!(
        told.starts_with("critical 2 orders") && told.contains("'E'") && told.contains("'D'"),
        "{told}"
    );
    shop.run("select reconcile.resolve_order('C', 'succeeded', 'one basket, ticket 8')")
        .await?;
    shop.run("select reconcile.resolve_order('D', 'failed', 'was never paid')")
        .await?;
    let alerts = "select count(*) from reconcile.alerts where alert = 'paid_for_two'";
    assert_eq!(shop.one::<i64>(alerts, &[]).await?, 0);
    let named = "amount_path => '$.data ? (@.reference == $order_number).retailPrice'";
    shop.alter_provider("vendor", named).await?;
    settle("vendor", "F", "i-5", one).await?;
    assert!(!shared(&shop).await?.contains(&"F with A".to_owned()));
    shop.is_sound().await
}
