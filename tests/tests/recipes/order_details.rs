//! Order details: reading an order checks it, order and payment change together, and no gateway ever fails the read.

use std::time::{Duration, Instant};

use anyhow::Result;
use reconcile_tests::shop::SOON;
use reconcile_tests::sidecar::Sidecar;
use reconcile_tests::simulator::{Fate, Reply, Step};
use serde_json::{Value, json};

use crate::recipe::{Recipe, answer};

async fn recipe(database: &'static str) -> Result<Recipe> {
    Recipe::apply("order_details", database, &[("base_url", "{host}")]).await
}

/// The gateway's answer, word for word.
fn gateway(body: &Value) -> Fate {
    Fate::of([Step::http(200, &body.to_string())])
}

impl Recipe {
    async fn ordered(&self, id: i64) -> Result<()> {
        self.run(&format!(
            r#"insert into shop.orders (id) values ({id});
            insert into shop.payments (order_id, additional_info) values ({id}, '{{"redirect_url": "https://pay.example/{id}"}}')"#
        ))
        .await
    }

    async fn details(&self, id: i64, wait: &str) -> Result<Value> {
        let details = format!("select shop.get_order_details({id}, '{wait}')");
        Ok(serde_json::from_str(&self.ask(&details).await?)?)
    }

    async fn gateway_sidecar(&self) -> Result<Sidecar> {
        self.sidecar(&[("GATEWAY_TOKEN", "hush-4711")]).await
    }
}

/// Takes last_checked out, after looking whether it is a time as the seed writes them.
fn without_last_checked(mut details: Value) -> Value {
    let info = details["payment"]["additional_info"].as_object_mut();
    let checked = info.and_then(|info| info.remove("last_checked"));
    let checked = checked.as_ref().and_then(Value::as_str).unwrap_or_default();
    let shape: String = checked
        .chars()
        .map(|c| if c.is_ascii_digit() { '9' } else { c })
        .collect();
    assert_eq!(shape, "9999-99-99T99:99:99Z", "{details}");
    details
}

/// Proves scenario 1, payment completed: both tables are updated, with the transaction id, the last check and the gateway's response, and
/// what stood in additional_info stays.
#[tokio::test]
async fn scenario_1_payment_completed() -> Result<()> {
    let recipe = recipe("recipe_details_completed").await?;
    let _sidecar = recipe.gateway_sidecar().await?;
    recipe.ordered(123).await?;
    let response = json!({"state": "COMPLETED", "transaction_id": "TXN789456123"});
    recipe.shop.vendor.set_fate("123", gateway(&response));
    let details = recipe.details(123, "30 s").await?;
    assert_eq!(
        without_last_checked(details.clone()),
        json!({
            "order": {"id": 123, "payment_status": "COMPLETED", "order_status": "CONFIRMED"},
            "payment": {
                "payment_status": "COMPLETED",
                "transaction_id": "TXN789456123",
                "additional_info": {
                    "gateway_response": "PaymentData(state=COMPLETED, transaction_id=TXN789456123)",
                    "redirect_url": "https://pay.example/123"
                }
            },
            "status_updated": true
        })
    );
    let calls = recipe.shop.vendor.calls("123");
    assert_eq!(calls[0].header("authorization"), Some("Bearer hush-4711"));
    let stored = "select o.payment_status, o.order_status, p.payment_status, p.transaction_id
        from shop.orders as o join shop.payments as p on p.order_id = o.id";
    assert_eq!(
        recipe.ask(stored).await?,
        "COMPLETED|CONFIRMED|COMPLETED|TXN789456123"
    );
    // Whoever reads the table itself finds the same.
    let info = "select additional_info from shop.payments";
    let info: Value = serde_json::from_str(&recipe.ask(info).await?)?;
    assert_eq!(info, details["payment"]["additional_info"]);
    recipe.shop.is_sound().await
}

/// Proves scenario 2, payment failed.
#[tokio::test]
async fn scenario_2_payment_failed() -> Result<()> {
    let recipe = recipe("recipe_details_failed").await?;
    let _sidecar = recipe.gateway_sidecar().await?;
    recipe.ordered(124).await?;
    recipe
        .shop
        .vendor
        .set_fate("124", gateway(&json!({"state": "FAILED"})));
    let details = recipe.details(124, "30 s").await?;
    assert_eq!(
        without_last_checked(details),
        json!({
            "order": {"id": 124, "payment_status": "FAILED", "order_status": "CANCELLED"},
            "payment": {
                "payment_status": "FAILED",
                "transaction_id": null,
                "additional_info": {
                    "gateway_response": "PaymentData(state=FAILED, transaction_id=None)",
                    "redirect_url": "https://pay.example/124"
                }
            },
            "status_updated": true
        })
    );
    recipe.shop.is_sound().await
}

/// Proves scenario 3, still pending: the time of the check is new, in the payment itself, and nothing else; the order is not touched.
#[tokio::test]
async fn scenario_3_still_pending() -> Result<()> {
    let recipe = recipe("recipe_details_pending").await?;
    let _sidecar = recipe.gateway_sidecar().await?;
    recipe.ordered(125).await?;
    let written = "select xmin from shop.orders";
    let before = recipe.ask(written).await?;
    recipe
        .shop
        .vendor
        .set_fate("125", gateway(&json!({"state": "PENDING"})));
    for read in 1..=2 {
        let details = recipe.details(125, "30 s").await?;
        let info = "select additional_info from shop.payments";
        let info: Value = serde_json::from_str(&recipe.ask(info).await?)?;
        assert_eq!(info, details["payment"]["additional_info"]);
        assert_eq!(
            without_last_checked(details),
            json!({
                "order": {"id": 125, "payment_status": "PENDING", "order_status": "PENDING"},
                "payment": {
                    "payment_status": "PENDING", "transaction_id": null,
                    "additional_info": {"redirect_url": "https://pay.example/125"}
                },
                "status_updated": false
            })
        );
        assert_eq!(
            recipe.shop.vendor.count("125"),
            read,
            "every time it is requested"
        );
    }
    assert_eq!(recipe.ask(written).await?, before);
    recipe.shop.is_sound().await
}

/// Proves that the times of checks that no reader asked for come into the payments, too: with a change of status by themselves, without
/// one by note_checks; and that a payment that somebody has locked keeps no read waiting.
#[tokio::test]
async fn checks_without_a_reader_are_noted() -> Result<()> {
    let recipe = recipe("recipe_details_noted").await?;
    recipe.ordered(1).await?;
    recipe.ordered(2).await?;
    for (order, state) in [("1", "PENDING"), ("2", "FAILED")] {
        let response = json!({"state": state});
        recipe.shop.vendor.set_fate(order, gateway(&response));
    }
    let _sidecar = recipe.gateway_sidecar().await?;
    for order in ["1", "2"] {
        recipe.shop.next_check(order).await?;
    }
    let noted = "select string_agg(concat_ws(' ', order_id, (additional_info ->> 'last_checked')::timestamptz > now() - interval '5 minutes',
        additional_info ->> 'gateway_response'), ', ' order by order_id) from shop.payments";
    let failed = "2 t PaymentData(state=FAILED, transaction_id=None)";
    assert_eq!(recipe.ask(noted).await?, format!("1, {failed}"));
    assert_eq!(recipe.ask("select shop.note_checks()").await?, "1");
    assert_eq!(recipe.ask(noted).await?, format!("1 t, {failed}"));
    let written = "select xmin from shop.payments where order_id = 1";
    let before = recipe.ask(written).await?;
    recipe.run("select shop.note_checks()").await?;
    assert_eq!(recipe.ask(written).await?, before, "written twice");

    let other = recipe.shop.database.connect_as("shop_owner").await?;
    other
        .batch_execute("begin; select from shop.payments for update")
        .await?;
    recipe.run("set statement_timeout = '30 s'").await?;
    let details = recipe.details(1, "5 s").await?;
    assert_eq!(details["order"]["payment_status"], "PENDING");
    other.batch_execute("rollback").await?;
    recipe.shop.is_sound().await
}

/// Proves scenario 4, already completed: no gateway check is performed, whether the order was watched before or never.
#[tokio::test]
async fn scenario_4_already_completed() -> Result<()> {
    let recipe = recipe("recipe_details_known").await?;
    let _sidecar = recipe.gateway_sidecar().await?;
    recipe
        .run(
            "insert into shop.orders values (126, 'COMPLETED', 'CONFIRMED');
            insert into shop.payments values (126, 'COMPLETED', 'TXN-OLD')",
        )
        .await?;
    let expected = json!({
        "order": {"id": 126, "payment_status": "COMPLETED", "order_status": "CONFIRMED"},
        "payment": {"payment_status": "COMPLETED", "transaction_id": "TXN-OLD", "additional_info": {}},
        "status_updated": false
    });
    assert_eq!(recipe.details(126, "30 s").await?, expected);
    assert_eq!(recipe.shop.vendor.totals().calls, 0);

    recipe.ordered(127).await?;
    let response = json!({"state": "COMPLETED", "transaction_id": "TXN1"});
    recipe.shop.vendor.set_fate("127", gateway(&response));
    let first = recipe.details(127, "30 s").await?;
    assert_eq!(first["status_updated"], true);
    let mut again = recipe.details(127, "30 s").await?;
    assert_eq!(again["status_updated"].take(), false);
    assert_eq!(
        (&again["order"], &again["payment"]),
        (&first["order"], &first["payment"])
    );
    assert_eq!(recipe.shop.vendor.count("127"), 1);
    recipe.shop.is_sound().await
}

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
