//! How it runs: limits, metrics, alerts, and what is done by hand.

use anyhow::{Context, Result};
use reconcile_tests::simulator::{Fate, Step};

use super::{SALT, TOMORROW, path, phonepe, recipe};

/// Proves that no paid order is lost: one that was cancelled as old and paid after all is confirmed with its stock, and one that PhonePe
/// can't be asked about is not cancelled, however old.
#[tokio::test]
async fn no_paid_order_is_lost() -> Result<()> {
    let recipe = recipe("recipe_store_late").await?;
    recipe
        .draft("LATE", "31 minutes", &[1], "PAYMENT_PENDING")
        .await?;
    recipe
        .draft("UNKNOWN", "31 minutes", &[1], "PAYMENT_PENDING")
        .await?;
    recipe.says("UNKNOWN", "INTERNAL_SERVER_ERROR");
    // They have been watched since.
    recipe
        .shop
        .run("update reconcile.tracked_orders set tracked_at = created_at")
        .await?;
    let _sidecar = recipe.phonepe_sidecar().await?;
    recipe.draft_is("LATE", "CANCELLED|EXPIRED").await?;
    let check = recipe.shop.check("UNKNOWN", 0).await?;
    assert_eq!(check.outcome, "provider_error");
    recipe.draft_is("UNKNOWN", "DRAFT|PENDING").await?;
    // Ever later, however long it goes on.
    let again = recipe.shop.next_check("UNKNOWN").await?;
    assert_eq!(again, check);
    let again = recipe.shop.next_check("UNKNOWN").await?;
    assert!(again.next_check_s > check.next_check_s, "{again:?}");
    recipe.says("LATE", "PAYMENT_SUCCESS");
    recipe.shop.make_due("LATE").await?;
    recipe.draft_is("LATE", "CONFIRMED|PAID").await?;
    assert_eq!(recipe.stock().await?, "1 10");
    recipe.says("UNKNOWN", "PAYMENT_SUCCESS");
    recipe.shop.next_check("UNKNOWN").await?;
    recipe.draft_is("UNKNOWN", "CONFIRMED|PAID").await?;
    assert_eq!(recipe.stock().await?, "0 10");
    Ok(())
}

/// Proves the limits: a run by hand takes up 20; and of 35 drafts that are due PhonePe is asked about 30, and then left alone for a minute.
#[tokio::test]
async fn thirty_calls_a_minute() -> Result<()> {
    let recipe = recipe("recipe_store_thirty").await?;
    recipe.run("update store.products set stock = 100").await?;
    for order in 0..35 {
        recipe
            .draft(&format!("D-{order}"), "6 minutes", &[1], "PAYMENT_SUCCESS")
            .await?;
    }
    let run = "select selected from reconcile_stale_orders(20, older_than => '5 minutes', provider => 'phonepe')";
    assert_eq!(recipe.ask(run).await?, "20");
    let _sidecar = recipe.phonepe_sidecar().await?;
    recipe
        .comes_to(
            "select count(*) from store.orders where status = 'CONFIRMED'",
            "30",
        )
        .await?;
    recipe.is_left_alone("phonepe", 30).await?;
    assert_eq!(recipe.stock().await?, "70 100");
    Ok(())
}

/// Proves the metrics, and each alert condition: an error rate above 10 %, a rate limit exceeded, the job not running.
#[tokio::test]
async fn metrics_and_alerts() -> Result<()> {
    let recipe = recipe("recipe_store_alerts").await?;
    let alerts = "select string_agg(alert, ' ' order by alert) from store.reconciliation_alerts";
    assert_eq!(recipe.ask(alerts).await?, "job_not_running");
    for order in 0..9 {
        recipe
            .draft(&format!("D-{order}"), "6 minutes", &[2], "PAYMENT_SUCCESS")
            .await?;
    }
    recipe
        .draft("FAILED", "6 minutes", &[2], "PAYMENT_ERROR")
        .await?;
    let sidecar = recipe.phonepe_sidecar().await?;
    recipe
        .comes_to(
            "select count(*) from store.orders where status <> 'DRAFT'",
            "10",
        )
        .await?;
    let metrics = "select processed_per_minute, success_rate, api_errors, error_rate from store.reconciliation_metrics";
    assert_eq!(recipe.ask(metrics).await?, "0.17|90.0|0|0.0");
    assert_eq!(recipe.ask(alerts).await?, "");
    recipe
        .draft("E1", "6 minutes", &[2], "INTERNAL_SERVER_ERROR")
        .await?;
    recipe.shop.check("E1", 0).await?;
    recipe.shop.run(TOMORROW).await?;
    assert_eq!(
        recipe
            .ask("select error_rate from store.reconciliation_metrics")
            .await?,
        "9.1"
    );
    assert_eq!(recipe.ask(alerts).await?, "");
    recipe
        .draft("E2", "6 minutes", &[2], "PAYMENT_SUCCESS")
        .await?;
    recipe
        .shop
        .vendor
        .set_fate(&path("MT-E2"), Fate::of([Step::http(429, "")]));
    recipe.shop.check("E2", 0).await?;
    assert_eq!(
        recipe
            .ask("select error_rate from store.reconciliation_metrics")
            .await?,
        "16.7"
    );
    assert_eq!(
        recipe.ask(alerts).await?,
        "api_rate_limit_exceeded high_error_rate"
    );
    sidecar.stop().await?;
    assert_eq!(
        recipe.ask(alerts).await?,
        "api_rate_limit_exceeded high_error_rate job_not_running"
    );
    Ok(())
}

/// Proves that all that is shown to be done by hand can be, and that the salt key is in no table and no log.
#[tokio::test]
async fn what_is_done_by_hand() -> Result<()> {
    let recipe = recipe("recipe_store_by_hand").await?;
    let sidecar = recipe.phonepe_sidecar().await?;
    recipe.shop.vendor.set_fate(
        &path("MT-1"),
        Fate::of([phonepe("PAYMENT_SUCCESS", "MT-1")]),
    );
    recipe
        .run("insert into store.orders (order_id, merchant_transaction_id, amount) values ('DRAFT-1', 'MT-1', 499)")
        .await?;
    let printed = recipe.by_hand().await?;
    for part in ["succeeded | t", " asked", "Order DRAFT-1 is succeeded"] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
    recipe.draft_is("DRAFT-1", "CONFIRMED|PAID").await?;
    let dump = "select string_agg(t::text, ' ') from (select p::text from reconcile.providers as p union all
        select c::text from reconcile.recorded_checks as c) as t";
    let dump: String = recipe.shop.one(dump, &[]).await.context("dump")?;
    assert!(!dump.contains(SALT) && !sidecar.stderr().contains(SALT));
    Ok(())
}
