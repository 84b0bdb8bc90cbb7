//! Gateways that fail, changes that belong together, and what is done by hand.

use std::time::{Duration, Instant};

use anyhow::Result;
use reconcile_tests::shop::SOON;
use reconcile_tests::simulator::{Fate, Reply, Step};
use serde_json::json;

use super::{gateway, recipe};
use crate::recipe::answer;

/// Proves that a gateway that fails, hangs, answers nonsense or an unknown word, that refuses, or that nobody can ask, does not fail the
/// read, which answers what the database says; and that the error is kept.
#[tokio::test]
async fn a_gateway_failure_never_fails_the_read() -> Result<()> {
    let recipe = recipe("recipe_details_gateway").await?;
    let pending = json!({"id": 128, "payment_status": "PENDING", "order_status": "PENDING"});
    recipe.ordered(128).await?;
    let details = recipe.details(128, "30 s").await?;
    assert_eq!(
        (&details["order"], &details["status_updated"]),
        (&pending, &false.into())
    );

    recipe
        .run("select reconcile.alter_provider('gateway', breaker_after => 1000)")
        .await?;
    let _sidecar = recipe.gateway_sidecar().await?;
    let failures: [(Step, &str); 6] = [
        (Step::http(500, "oops"), "provider_error"),
        (Reply::NotJson.into(), "provider_error"),
        (Reply::WithoutPath.into(), "provider_error"),
        (Reply::ResetBefore.into(), "unreachable"),
        (Step::http(200, r#"{"state": "ON_HOLD"}"#), "unknown_status"),
        (Step::http(401, ""), "refused"),
    ];
    for (step, outcome) in failures {
        recipe.shop.vendor.set_fate("128", Fate::of([step]));
        let details = recipe.details(128, "30 s").await?;
        assert_eq!(details["order"], pending, "{outcome}");
        assert_eq!(details["status_updated"], false, "{outcome}");
        let kept = "select outcome from reconcile.checks order by check_id desc limit 1";
        assert_eq!(recipe.ask(kept).await?, outcome);
    }
    recipe
        .run("select reconcile.alter_provider('gateway', timeout => '60 seconds')")
        .await?;
    let hanging = Fate::of([Reply::Hang.into()]);
    recipe.shop.vendor.set_fate("128", hanging);
    let details = recipe.details(128, "200 ms").await?;
    assert_eq!(details["order"], pending);
    // The read is back, and the gateway has not answered yet.
    recipe.shop.vendor.arrived("128", 7, SOON).await?;
    assert_eq!(recipe.shop.vendor.totals().in_flight, 1);
    Ok(())
}

/// Proves that order and payment change together: no other session ever sees one without the other, and when the payment can't be
/// updated the order isn't either, until it can.
#[tokio::test]
async fn order_and_payment_change_together() -> Result<()> {
    let recipe = recipe("recipe_details_together").await?;
    recipe
        .run("insert into shop.orders (id) select n from generate_series(1, 200) as n; insert into shop.payments (order_id) select id from shop.orders;
            alter table shop.payments add check (order_id <> 7 or payment_status = 'PENDING')")
        .await?;
    recipe
        .run("select reconcile.take_in('shop.orders')")
        .await?;
    let response = json!({"state": "COMPLETED", "transaction_id": "TXN"});
    recipe.shop.vendor.set_default(gateway(&response));
    recipe
        .shop
        .run("update reconcile.due_checks set due_at = clock_timestamp()")
        .await?;
    let _sidecar = recipe.gateway_sidecar().await?;
    let watcher = recipe.shop.database.connect_as("shop_owner").await?;
    let apart = "select count(*) filter (where o.payment_status <> p.payment_status or (o.payment_status = 'COMPLETED') <> (o.order_status = 'CONFIRMED')),
        count(*) filter (where o.payment_status = 'COMPLETED') from shop.orders as o join shop.payments as p on p.order_id = o.id";
    let until = Instant::now() + SOON;
    loop {
        let seen = answer(&watcher, apart).await?;
        assert!(seen.starts_with("0|"), "{seen} apart, and completed");
        if seen == "0|199" {
            break;
        }
        assert!(Instant::now() < until, "{seen}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let problem = "select problem from reconcile.checks where order_number = '7' and problem is not null order by check_id limit 1";
    recipe
        .comes_to(&format!("select exists ({problem})"), "t")
        .await?;
    assert!(recipe.ask(problem).await?.starts_with("23514: "));
    let details = recipe.details(7, "1 s").await?;
    assert_eq!(
        details["order"],
        json!({"id": 7, "payment_status": "PENDING", "order_status": "PENDING"})
    );
    recipe
        .run("alter table shop.payments drop constraint payments_check")
        .await?;
    // By itself: it is asked about again with growing delays, or by whoever reads it.
    recipe.comes_to(apart, "0|200").await?;
    recipe.shop.is_sound().await
}

/// Proves that all that is shown to be done by hand can be.
#[tokio::test]
async fn what_is_done_by_hand() -> Result<()> {
    let recipe = recipe("recipe_details_by_hand").await?;
    let _sidecar = recipe.gateway_sidecar().await?;
    recipe.ordered(123).await?;
    let response = json!({"state": "COMPLETED", "transaction_id": "TXN789456123"});
    recipe.shop.vendor.set_fate("123", gateway(&response));
    let printed = recipe.by_hand().await?;
    for part in [
        r#""status_updated": true"#,
        r#""order_status": "CONFIRMED""#,
        "TXN789456123",
    ] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
    Ok(())
}
