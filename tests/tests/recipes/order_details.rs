//! Order details: reading an order checks it, order and payment change together, and no gateway ever fails the read.

mod trouble;

use anyhow::Result;
use reconcile_tests::sidecar::Sidecar;
use reconcile_tests::simulator::{Fate, Step};
use serde_json::{Value, json};

use crate::recipe::Recipe;

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
