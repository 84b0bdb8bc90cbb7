//! Many early events of one order, and effects that take long: what they cost whoever tracks the order, and everybody else.

use anyhow::Result;
use reconcile_tests::shop::{Shop, Till, refusal};

use crate::{EVIDENCE, effects, record, said};

/// How many events have this effect.
async fn count(shop: &Shop<'_>, effect: &str) -> Result<usize> {
    let effects = effects(shop).await?;
    Ok(effects.iter().filter(|each| each.ends_with(effect)).count())
}

/// Proves that whoever tracks an order works off a few of its early events at most, and the next run the others, in the order in which
/// they came.
#[tokio::test]
async fn who_tracks_an_order_works_off_few_of_its_events() -> Result<()> {
    let shop = Shop::open("webhooks_many_early").await?;
    shop.alter_provider("vendor", EVIDENCE).await?;
    let app = shop.app().await?;
    for nth in 0..40 {
        let status = if nth < 39 { "pending" } else { "succeeded" };
        assert_eq!(
            record(
                &app,
                &format!("e{nth:02}"),
                &said(status, "A", "0.73"),
                None
            )
            .await?,
            "kept"
        );
    }
    shop.track("A").await?;
    assert_eq!(shop.order("A").await?.state, "pending");
    let taken = 40 - count(&shop, "kept").await?;
    assert!(
        (1..=10).contains(&taken),
        "{taken} were taken in the application's transaction"
    );
    shop.signal().await?;
    assert_eq!(
        shop.history("A").await?,
        ["pending -> succeeded by provider"]
    );
    assert_eq!(shop.checks("A").await?.len(), 40);
    shop.is_sound().await
}

/// Proves that a hundred events of an order that is not known are kept of each role, by number and by reference, that one more is refused
/// with what would do, and that this keeps no other role's events out, nor those of other orders.
#[tokio::test]
async fn a_hundred_events_of_an_unknown_order_are_kept() -> Result<()> {
    let shop = Shop::open("webhooks_hundred").await?;
    let (app, other) = (
        shop.app().await?,
        shop.database.connect_as("shop_operator").await?,
    );
    for (about, name) in [("order_number => 'A'", "n"), ("reference => 'INV-A'", "r")] {
        app.batch_execute(&format!(
            "select reconcile.record_webhook('vendor', '{name}' || nr, '{{}}', {about}) from generate_series(1, 100) as nr"
        ))
        .await?;
        let more =
            format!("select reconcile.record_webhook('vendor', '{name}-more', '{{}}', {about})");
        let refused = refusal(&app, &more).await?;
        assert_eq!(refused.code().code(), "RC001", "{refused}");
        assert!(
            refused.message().contains("100 events") && refused.hint().is_some(),
            "{refused}"
        );
        app.batch_execute(&format!(
            "select reconcile.record_webhook('vendor', '{name}1', '{{}}', {about})"
        ))
        .await?;
        other.batch_execute(&more).await?;
    }
    app.batch_execute("select reconcile.record_webhook('vendor', 'b', '{}', 'B')")
        .await?;
    assert_eq!(count(&shop, "kept").await?, 203);
    shop.track("A").await?;
    assert_eq!(count(&shop, "asked").await?, 202);
    shop.is_sound().await
}

/// A shop with these orders, each of which has early evidence, and a hook of this body.
async fn with_slow_hook(name: &'static str, orders: usize, body: &str) -> Result<Till> {
    let till = Till::open(name).await?;
    till.alter_provider("vendor", EVIDENCE).await?;
    till.does(
        "create table shop.orders (order_number text primary key, invoice_id text, status text not null default 'pending');
         select reconcile.attach_table('shop.orders', 'vendor', write => '{\"succeeded\": {\"status\": \"CONFIRMED\"}}')",
    )
    .await?;
    till.hook("books", "succeeded", body).await?;
    let app = till.app().await?;
    for nth in 0..orders {
        let number = format!("O-{nth:02}");
        assert_eq!(
            record(&app, &number, &said("succeeded", &number, "0.73"), None).await?,
            "kept"
        );
        till.does(&format!(
            "insert into shop.orders values ('{number}', 'INV-{number}')"
        ))
        .await?;
    }
    Ok(till)
}

/// A sidecar's call for the vendor, with a limit; whether it got through.
async fn settle(till: &Till, limit: &str) -> Result<bool> {
    let sidecar = till.database.connect_as("shop_sidecar").await?;
    sidecar
        .batch_execute(&format!("set statement_timeout = '{limit}'"))
        .await?;
    let settle = "select reconcile.sidecar_settle_webhooks(1, provider_id) from reconcile.sidecar_backlog(1) where provider_id is not null";
    Ok(sidecar.batch_execute(settle).await.is_ok())
}

/// Proves that kept evidence whose effects take long is worked off for a few seconds a call, and that what was done is kept.
#[tokio::test]
async fn kept_evidence_is_worked_off_for_a_while_at_a_time() -> Result<()> {
    let till = with_slow_hook(
        "webhooks_slow_effects",
        12,
        "begin perform pg_sleep(0.4); end",
    )
    .await?;
    assert!(settle(&till, "60s").await?);
    let left = count(&till, "kept").await?;
    assert!((1..12).contains(&left), "{left} of 12 were left");
    while count(&till, "kept").await? > 0 {
        assert!(settle(&till, "60s").await?);
    }
    assert_eq!(count(&till, "applied").await?, 12);
    till.is_sound().await
}

/// Proves that an event whose effect takes longer than any call may keeps no other from being settled, whichever comes first.
#[tokio::test]
async fn an_effect_that_takes_too_long_keeps_no_other_from_being_settled() -> Result<()> {
    let body = "begin if order_number = 'O-02' then perform pg_sleep(600); end if; end";
    let till = with_slow_hook("webhooks_endless_effect", 6, body).await?;
    let mut calls = 0;
    while count(&till, "applied").await? < 5 {
        settle(&till, "1s").await?;
        calls += 1;
        assert!(calls < 60, "{:?}", effects(&till).await?);
    }
    Ok(())
}
