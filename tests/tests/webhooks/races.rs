//! A webhook and a check about one order at the same instant.

use std::sync::Arc;

use anyhow::Result;
use reconcile_tests::shop::{SOON, Shop, Till};
use reconcile_tests::simulator::{Fate, Step};
use tokio::sync::Barrier;

use crate::{EVIDENCE, said};

const ROUNDS: usize = 60;

/// Proves that when a webhook's evidence and a sidecar's report come at the same instant, each order makes exactly one transition,
/// whichever is first, and nothing is left behind: sixty times over.
#[tokio::test]
async fn a_webhook_and_a_report_make_one_transition() -> Result<()> {
    let shop = Shop::open("webhooks_race").await?;
    shop.alter_provider("vendor", &format!("{EVIDENCE}, concurrency => 100"))
        .await?;
    let _sidecar = shop.sidecar().await?;
    shop.vendor
        .set_default(Fate::of([Step::status("succeeded")]));
    let gate = shop.vendor.hold_all();
    let mut numbers = vec![];
    for place in 0..ROUNDS {
        numbers.push(format!("ORD-{place:02}"));
        shop.track_aged(&numbers[place], "10 minutes").await?;
    }
    shop.signal().await?;
    for number in &numbers {
        shop.vendor.arrived(number, 1, SOON).await?;
    }
    let app = Arc::new(shop.app().await?);
    let mut handlers = tokio::task::JoinSet::new();
    for number in &numbers {
        let (app, payload) = (Arc::clone(&app), said("succeeded", number, "0.73"));
        let number = number.clone();
        gate.let_through(1);
        handlers.spawn(async move { crate::record(&app, &number, &payload, None).await });
    }
    let mut applied = 0;
    for effect in handlers.join_all().await {
        applied += usize::from(effect? == "applied");
    }
    gate.open();
    for number in &numbers {
        shop.becomes(number, "succeeded").await?;
        assert_eq!(
            shop.history(number).await?,
            ["pending -> succeeded by provider"],
            "{number}"
        );
    }
    shop.vendor.idle(SOON).await?;
    let checks = "select count(*) from reconcile.recorded_checks where to_state <> from_state";
    assert_eq!(
        shop.one::<i64>(checks, &[]).await?,
        60,
        "{applied} by webhooks"
    );
    shop.is_sound().await
}

/// Proves that two sessions that hand over one event, and one that settles the order by the schedule at the same time, where this
/// database knows the truth, make one transition with one effect, each time that the three start together.
#[tokio::test]
async fn three_sessions_at_a_barrier_make_one_transition() -> Result<()> {
    let till = Till::open("webhooks_barrier").await?;
    till.hook(
        "notes",
        "succeeded",
        "begin insert into shop.told values (order_number, 'sold'); end",
    )
    .await?;
    let clients = [
        till.app().await?,
        till.app().await?,
        till.database.connect().await?,
    ];
    let clients = clients.map(Arc::new);
    let mut effects = vec![];
    for place in 0..ROUNDS {
        let number = format!("ORD-{place:02}");
        till.sells("paid", &[&number]).await?;
        let barrier = Arc::new(Barrier::new(3));
        let mut sessions = tokio::task::JoinSet::new();
        for (nth, client) in clients.iter().enumerate() {
            let (client, barrier) = (Arc::clone(client), Arc::clone(&barrier));
            let sql = if nth < 2 {
                format!(
                    "select reconcile.record_webhook('ledger', 'e-{number}', '{{}}', '{number}')"
                )
            } else {
                "select 'run: ' || closed from reconcile_stale_orders()".to_owned()
            };
            sessions.spawn(async move {
                barrier.wait().await;
                anyhow::Ok(client.query_one(&sql, &[]).await?.get::<_, String>(0))
            });
        }
        for effect in sessions.join_all().await {
            effects.push(effect?);
        }
        assert_eq!(
            till.history(&number).await?,
            ["pending -> succeeded by provider"]
        );
    }
    let repeated = effects
        .iter()
        .filter(|effect| *effect == "repeated")
        .count();
    let asked = effects.iter().filter(|effect| *effect == "asked").count();
    assert_eq!(
        (repeated, asked, till.told().await?.len()),
        (ROUNDS, ROUNDS, ROUNDS),
        "{effects:?}"
    );
    till.is_sound().await
}

/// Proves that handlers which hand over many different events of one order at the same time, out of order, leave it where it belongs,
/// with one transition.
#[tokio::test]
async fn many_events_of_one_order_at_once_make_one_transition() -> Result<()> {
    let shop = Shop::open("webhooks_crowd").await?;
    shop.alter_provider("vendor", EVIDENCE).await?;
    let mut clients = vec![];
    for _ in 0..8 {
        clients.push(Arc::new(shop.app().await?));
    }
    for round in 0..10 {
        let number = format!("ORD-{round}");
        shop.track(&number).await?;
        let barrier = Arc::new(Barrier::new(clients.len()));
        let mut handlers = tokio::task::JoinSet::new();
        for (nth, client) in clients.iter().enumerate() {
            let (client, barrier) = (Arc::clone(client), Arc::clone(&barrier));
            let payload = said(
                ["pending", "succeeded", "processing", "succeeded"][nth % 4],
                &number,
                "0.73",
            );
            handlers.spawn(async move {
                barrier.wait().await;
                crate::record(&client, &format!("e-{round}-{nth}"), &payload, None).await
            });
        }
        let mut applied = 0;
        for effect in handlers.join_all().await {
            applied += usize::from(effect? == "applied");
        }
        assert_eq!(
            (applied, shop.history(&number).await?.len()),
            (1, 1),
            "{number}"
        );
        assert_eq!(shop.checks(&number).await?.len(), 8, "{number}");
    }
    shop.is_sound().await
}
