//! How it runs: the job's log and runs, errors, alerts, and what is done by hand.

use anyhow::Result;
use reconcile_tests::simulator::{Fate, Reply, Step};
use serde_json::{Value, json};

use super::{ORDER, SECRET, recipe};
use crate::recipe::Recipe;

/// Proves that a log table of the old job, which is there already, keeps its name, its rows and whoever writes to it, and is read together
/// with the checks from now on, its times as the UTC that Rails keeps there.
#[tokio::test]
async fn the_old_jobs_log_is_kept_and_read_with_the_new_one() -> Result<()> {
    let recipe = Recipe::open("vendor_orders", "recipe_vendor_log").await?;
    recipe
        .run(
            r#"set timezone = 'Asia/Kolkata';
            create schema vendor;
            create type vendor.log_status as enum ('succeeded', 'processing', 'error');
            create table vendor.vendor_transaction_logs (id bigserial primary key, order_id bigint not null, vendor_name varchar not null,
                request_body jsonb, response_body text, status vendor.log_status, executed_at timestamp(6), created_at timestamp(6) not null,
                updated_at timestamp(6) not null);
            insert into vendor.vendor_transaction_logs (order_id, vendor_name, request_body, response_body, status, executed_at, created_at, updated_at)
            values (1, 'status_check', '{"order_number": "ORD-OLD"}', 'no JSON', 'error', '2025-12-11 10:30', '2025-12-11 10:30', '2025-12-11 10:30')"#,
        )
        .await?;
    recipe.run_file(&[("base_url", "{host}")]).await?;
    recipe
        .run(
            "insert into vendor.vendor_transaction_logs (order_id, vendor_name, status, created_at, updated_at)
            values (1, 'purchase', 'succeeded', '2025-12-11 10:00', '2025-12-11 10:00')",
        )
        .await?;
    let _sidecar = recipe.sidecar(SECRET).await?;
    recipe.processing(ORDER, "1 minute").await?;
    assert!(recipe.check(ORDER).await?);
    let kept = "select string_agg(concat_ws(' ', id, vendor_name, status), ', ' order by id) from vendor.vendor_transaction_logs";
    assert_eq!(
        recipe.ask(kept).await?,
        "1 status_check error, 2 purchase succeeded"
    );
    let read = "select string_agg(concat_ws(' ', order_id, vendor_name, status, request_body::jsonb ->> 'order_number'), ', ' order by created_at)
        from vendor.transaction_logs";
    assert_eq!(
        recipe.ask(read).await?,
        format!(
            "1 purchase succeeded, 1 status_check error ORD-OLD, 1 status_check succeeded {ORDER}"
        )
    );
    let at = "select executed_at = '2025-12-11 10:30Z' from vendor.transaction_logs where response_body = 'no JSON'";
    assert_eq!(recipe.ask(at).await?, "t");
    Ok(())
}

/// Proves that the job shows when it runs next and whether it lives, and keeps its last runs.
#[tokio::test]
async fn the_jobs_next_run_and_its_last_ones() -> Result<()> {
    let recipe = recipe("recipe_vendor_job").await?;
    let job = "select schedule, alive, next_run_at from vendor.job";
    assert_eq!(recipe.ask(job).await?, "5m, then 3m|f|");
    recipe.processing(ORDER, "4 minutes").await?;
    let next = "select schedule, alive, next_run_at - now() between '1 second' and '95 seconds', due from vendor.job";
    assert_eq!(recipe.ask(next).await?, "5m, then 3m|f|t|0");
    recipe.processing("ORD-OLD", "6 minutes").await?;
    let now = "select next_run_at = now(), due from vendor.job";
    assert_eq!(recipe.ask(now).await?, "t|1");
    for _ in 0..12 {
        recipe
            .run("select vendor.check_processing_orders()")
            .await?;
    }
    recipe.shop.vendor.set_default(Fate::status("processing"));
    let _sidecar = recipe.sidecar(SECRET).await?;
    recipe.comes_to("select alive from vendor.job", "t").await?;
    let printed = recipe.by_hand().await?;
    assert!(printed.contains("5m, then 3m | 20"), "{printed}");
    assert!(printed.contains("(10 rows)"), "{printed}");
    Ok(())
}

/// Proves the error handling list: API failures, an invalid response, an unknown status and a network timeout leave the order in
/// processing, are logged, answer false, and the order is settled when the vendor is back.
#[tokio::test]
async fn errors_leave_the_order_in_processing() -> Result<()> {
    let recipe = recipe("recipe_vendor_errors").await?;
    recipe
        .run("select reconcile.alter_provider('vendor', timeout => '1 second')")
        .await?;
    let _sidecar = recipe.sidecar(SECRET).await?;
    recipe.processing(ORDER, "1 minute").await?;
    for (step, outcome, detail) in [
        (Step::http(503, "down"), "provider_error", "HTTP 503"),
        (Reply::NotJson.into(), "provider_error", "not JSON"),
        (Step::status("on hold"), "unknown_status", "'on hold'"),
        (Reply::Hang.into(), "unreachable", "no answer in time"),
    ] {
        recipe.shop.vendor.set_fate(ORDER, Fate::of([step]));
        assert!(!recipe.check(ORDER).await?, "{outcome}");
        assert_eq!(recipe.status(ORDER).await?, "processing");
        let logged = "select status || ': ' || error from vendor.transaction_logs order by created_at desc limit 1";
        let logged = recipe.ask(logged).await?;
        assert!(
            logged.starts_with("error: ") && logged.contains(detail),
            "{logged}"
        );
        let order = recipe.shop.order(ORDER).await?;
        assert_eq!(order.last_outcome.as_deref(), Some(outcome));
        assert!(order.next_check_s.is_some(), "{order:?}");
        // The next answer is for the next check by hand, however long the test takes to ask for it.
        let later =
            "update reconcile.due_checks set due_at = clock_timestamp() + interval '1 hour'";
        recipe.shop.run(later).await?;
    }
    let alerts = recipe.ask("select alert from vendor.alerts").await?;
    assert_eq!(alerts, "unknown_status");
    recipe
        .shop
        .vendor
        .set_fate(ORDER, Fate::status("succeeded"));
    assert!(recipe.check(ORDER).await?);
    assert_eq!(recipe.status(ORDER).await?, "succeeded");
    recipe.shop.is_sound().await
}

/// Proves that a run is 50 orders: of 60 that are due the vendor is asked about 50 and then left alone, for 3 minutes; and that it is
/// asked about one at a time, half a second apart.
#[tokio::test]
async fn fifty_orders_a_run() -> Result<()> {
    let recipe = recipe("recipe_vendor_fifty").await?;
    let limits = "select concat_ws(' ', rate_limit, rate_interval, gap) from reconcile.providers";
    let limits: String = recipe.shop.one(limits, &[]).await?;
    assert_eq!(limits, "50 00:03:00 00:00:00.5");
    recipe
        .run("select reconcile.alter_provider('vendor', clear => '{gap}')")
        .await?;
    recipe
        .run("insert into vendor.orders (order_number, status, invoice_id, retail_price, updated_at)
            select 'ORD-' || n, 'processing', '33375390', 0.73, now() - interval '6 minutes' from generate_series(1, 60) as n")
        .await?;
    let needs = "select count(*) from vendor.needs_status_check";
    assert_eq!(recipe.ask(needs).await?, "60");
    let _sidecar = recipe.sidecar(SECRET).await?;
    let done = "select count(*) from vendor.orders where status = 'succeeded'";
    recipe.comes_to(done, "50").await?;
    recipe.is_left_alone("vendor", 50).await
}

/// Proves both alerts at their thresholds: more than 10 orders stuck for an hour, and more than 20 errors within an hour.
#[tokio::test]
async fn stuck_orders_and_high_error_rates_raise_alerts() -> Result<()> {
    let recipe = recipe("recipe_vendor_alerts").await?;
    recipe
        .run("select reconcile.alter_provider('vendor', clear => '{gap}')")
        .await?;
    let alerts = "select string_agg(alert, ' ' order by alert) from vendor.alerts
        where alert in ('orders_stuck_in_processing', 'high_error_rate', 'no_sidecar')";
    for stuck in 0..10 {
        recipe
            .processing(&format!("STUCK-{stuck}"), "61 minutes")
            .await?;
    }
    assert_eq!(recipe.ask(alerts).await?, "no_sidecar");
    recipe.processing("STUCK-10", "61 minutes").await?;
    assert_eq!(
        recipe.ask(alerts).await?,
        "no_sidecar orders_stuck_in_processing"
    );
    let why = "select distinct why from vendor.stuck_orders";
    assert_eq!(
        recipe.ask(why).await?,
        "it was never asked about: is a sidecar running?"
    );

    recipe.shop.vendor.set_default(Fate::status("on hold"));
    let sidecar = recipe.sidecar(SECRET).await?;
    let errors = "select count(*) from vendor.transaction_logs where status = 'error'";
    recipe.comes_to(errors, "11").await?;
    for more in 0..9 {
        recipe
            .processing(&format!("MORE-{more}"), "6 minutes")
            .await?;
    }
    recipe.shop.signal().await?;
    recipe.comes_to(errors, "20").await?;
    assert_eq!(recipe.ask(alerts).await?, "orders_stuck_in_processing");
    recipe.processing("MORE-9", "6 minutes").await?;
    recipe.shop.signal().await?;
    recipe.comes_to(errors, "21").await?;
    assert_eq!(
        recipe.ask(alerts).await?,
        "high_error_rate orders_stuck_in_processing"
    );
    sidecar.stop().await?;
    Ok(())
}

/// Proves that the log has what vendor_transaction_logs had, and that all that is shown to be done by hand can be.
#[tokio::test]
async fn the_log_and_what_is_done_by_hand() -> Result<()> {
    let recipe = recipe("recipe_vendor_by_hand").await?;
    let _sidecar = recipe.sidecar(SECRET).await?;
    recipe.processing(ORDER, "1 minute").await?;
    recipe.processing("ORD-XXX", "1 minute").await?;
    recipe
        .shop
        .vendor
        .set_fate("ORD-XXX", Fate::status("processing"));
    let printed = recipe.by_hand().await?;
    for part in [
        " succeeded",
        "pending -> succeeded",
        &format!("Order {ORDER} is succeeded"),
        "status_check",
    ] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
    assert_eq!(recipe.status(ORDER).await?, "succeeded");
    assert_eq!(recipe.status("ORD-XXX").await?, "succeeded");
    let log = format!(
        "select to_jsonb(l) - '{{executed_at,created_at}}'::text[]
            || jsonb_build_object('request_body', request_body::jsonb, 'response_body', response_body::jsonb) from vendor.transaction_logs as l
        where request_body::jsonb ->> 'order_number' = '{ORDER}' and executed_at = created_at"
    );
    let log: Value = serde_json::from_str(&recipe.ask(&log).await?)?;
    let id = format!("select id from vendor.orders where order_number = '{ORDER}'");
    let id: i64 = recipe.ask(&id).await?.parse()?;
    assert_eq!(
        log,
        json!({
            "order_id": id, "vendor_name": "status_check", "status": "succeeded", "error": null,
            "request_body": {"order_number": ORDER, "invoice_id": "33375390"},
            "response_body": {"message": "Success", "data": {
                "invoiceId": "33375390", "reference": ORDER, "retailPrice": "0.73", "currency": "USD", "status": "succeeded",
                "transactionId": format!("TXN-{ORDER}"), "productName": "Honor of Kings", "trxDate": "2025-12-10T10:33:32.774Z"
            }}
        })
    );
    let denied = recipe
        .run("update reconcile.recorded_checks set outcome = 'failed'")
        .await;
    assert!(denied.is_err(), "the log can be changed");
    recipe.shop.is_sound().await
}
