//! PIN orders: from 60 seconds on with growing pauses, 20 tries, 24 hours, the PIN in the order and nowhere else. Time is turned in the
//! ledger by the superuser, which no role of the migration may.

use anyhow::{Context, Result};
use reconcile_tests::shop::SOON;
use reconcile_tests::sidecar::Sidecar;
use reconcile_tests::simulator::{Fate, Step};
use reconcile_tests::wait;
use serde_json::{Value, json};

use crate::recipe::{Recipe, answer};

const PIN: &str = "4711-0815-2342";

async fn recipe(database: &'static str) -> Result<Recipe> {
    Recipe::apply("pin_orders", database, &[("base_url", "{host}")]).await
}

/// The provider's answer, with a PIN when it is completed.
fn answered(word: &str) -> Fate {
    let pin = (word == "completed").then_some(PIN);
    let data = json!({"status": word, "referans": "REF-1", "pin": pin});
    Fate::of([Step::http(200, &json!({"data": data}).to_string())])
}

impl Recipe {
    /// An order that auto-dispatch has given its provider_referans; gives its id.
    async fn dispatched(&self) -> Result<String> {
        let order =
            "insert into watan.product_orders (provider_referans) values ('REF-1') returning id";
        self.ask(order).await
    }

    async fn pin_sidecar(&self) -> Result<Sidecar> {
        self.sidecar(&[("PIN_PROVIDER_TOKEN", "hush-4711")]).await
    }

    /// The columns of the quick test.
    async fn columns(&self, id: &str) -> Result<String> {
        self.ask(&format!(
            r#"select "externalStatus", provider_referans, "pinCode" from watan.product_orders where id = '{id}'"#
        ))
        .await
    }
}

fn is_about(seconds: Option<f64>, expected: f64) -> bool {
    seconds.is_some_and(|s| (expected - 5.0..=expected * 1.1).contains(&s))
}

/// Proves the schedule: nothing without provider_referans (step 12), the first check 60 s after the order, then after 30 s, 1 m, 2 m …;
/// after 20 tries a last check, and then the order is for a person, and watched for a PIN that comes late.
#[tokio::test]
async fn sixty_seconds_then_growing_pauses_and_twenty_tries() -> Result<()> {
    let recipe = recipe("recipe_pins_schedule").await?;
    recipe.shop.vendor.set_default(answered("pending"));
    let order = "insert into watan.product_orders default values returning id";
    let order = recipe.ask(order).await?;
    assert_eq!(
        recipe.ask("select count(*) from reconcile.orders").await?,
        "0"
    );
    recipe
        .run("update watan.product_orders set provider_referans = 'REF-1'")
        .await?;
    let first = recipe.shop.order(&order).await?.next_check_s;
    assert!(is_about(first, 60.0), "{first:?}");

    let _sidecar = recipe.pin_sidecar().await?;
    let mut pause = 30.0_f64;
    for attempt in 1..=20 {
        let check = recipe.shop.next_check(&order).await?;
        assert_eq!(
            (check.outcome.as_str(), check.to_state.as_str()),
            ("pending", "pending")
        );
        assert!(is_about(check.next_check_s, pause), "{attempt}: {check:?}");
        pause = (pause * 2.0).min(7200.0);
    }
    let monitored = "select tries, times_out_at - now() between interval '23 hours' and interval '24 hours' from watan.monitoring";
    assert_eq!(recipe.ask(monitored).await?, "20|t");
    let last = recipe.shop.next_check(&order).await?;
    assert_eq!(last.to_state, "review");
    assert_eq!(recipe.columns(&order).await?, "review|REF-1|");
    assert_eq!(recipe.shop.vendor.count(&order), 21);
    assert_eq!(
        recipe.shop.history(&order).await?,
        ["pending -> review by giving_up"]
    );
    // Looked at again an hour later: a PIN that comes late is delivered all the same.
    assert!(is_about(last.next_check_s, 3600.0), "{last:?}");
    recipe.shop.vendor.set_fate(&order, answered("completed"));
    recipe.shop.next_check(&order).await?;
    assert_eq!(
        recipe.columns(&order).await?,
        format!("completed|REF-1|{PIN}")
    );
    recipe.shop.is_sound().await
}

/// Proves the timeout: an order of 24 hours gets a last check however few its tries were, the PIN if that has one, and else a person's
/// decision, which is written back.
#[tokio::test]
async fn twenty_four_hours() -> Result<()> {
    let recipe = recipe("recipe_pins_timeout").await?;
    let (late, lost) = (recipe.dispatched().await?, recipe.dispatched().await?);
    recipe.shop.vendor.set_fate(&late, answered("completed"));
    recipe.shop.vendor.set_fate(&lost, answered("processing"));
    let turn = "update reconcile.tracked_orders set created_at = created_at - interval '23 hours 59 minutes',
        tracked_at = created_at - interval '23 hours 59 minutes'";
    recipe.shop.run(turn).await?;
    let _sidecar = recipe.pin_sidecar().await?;
    let check = recipe.shop.next_check(&lost).await?;
    assert_eq!(check.to_state, "pending");
    recipe
        .shop
        .run("update reconcile.tracked_orders set created_at = created_at - interval '1 minute', tracked_at = created_at - interval '1 minute'")
        .await?;
    let check = recipe.shop.next_check(&lost).await?;
    assert_eq!(check.to_state, "review");
    assert_eq!(recipe.columns(&lost).await?, "review|REF-1|");
    let resolve =
        "select reconcile.resolve_order($1, 'failed', 'the provider refunded it, ticket 12')";
    recipe.owner.execute(resolve, &[&lost]).await?;
    assert_eq!(recipe.columns(&lost).await?, "failed|REF-1|");
    recipe.shop.next_check(&late).await?;
    assert_eq!(
        recipe.columns(&late).await?,
        format!("completed|REF-1|{PIN}")
    );
    recipe.shop.is_sound().await
}

/// Proves that the PIN comes into the order with its status, in quoted columns, and into no view, log or audit; that a rejected order has
/// none; and that what fails on the way uses up no try.
#[tokio::test]
async fn the_pin_is_written_back_and_shown_nowhere() -> Result<()> {
    let recipe = recipe("recipe_pins_pin").await?;
    let sidecar = recipe.pin_sidecar().await?;
    let (bought, rejected) = (recipe.dispatched().await?, recipe.dispatched().await?);
    recipe
        .shop
        .vendor
        .set_fate(&bought, Fate::of([Step::http(502, "")]));
    recipe.shop.vendor.set_fate(&rejected, answered("rejected"));
    recipe.shop.next_check(&bought).await?;
    let order = recipe.shop.order(&bought).await?;
    assert_eq!((order.tries, order.faults), (0, 1));
    recipe.shop.vendor.set_fate(&bought, answered("completed"));
    recipe.shop.next_check(&bought).await?;
    recipe.shop.next_check(&rejected).await?;
    assert_eq!(
        recipe.columns(&bought).await?,
        format!("completed|REF-1|{PIN}")
    );
    assert_eq!(recipe.columns(&rejected).await?, "failed|REF-1|");
    let calls = recipe.shop.vendor.calls(&bought);
    assert_eq!(calls[0].header("authorization"), Some("Bearer hush-4711"));
    assert_eq!(calls[0].query, "invoice=REF-1");

    let captured = format!("select captured from reconcile.orders where order_number = '{bought}'");
    let captured: Value = serde_json::from_str(&recipe.ask(&captured).await?)?;
    assert_eq!(captured, json!({"pin_code": "[redacted]"}));
    for view in ["orders", "checks", "order_history", "read_events()"] {
        let shown = recipe
            .ask(&format!(
                "select string_agg(v::text, ' ') from reconcile.{view} as v"
            ))
            .await?;
        assert!(
            !shown.contains(PIN) && shown.contains(&bought),
            "{view}: {shown}"
        );
    }
    let audit = "select string_agg(c::text, ' ') from reconcile.recorded_checks as c";
    assert!(!recipe.shop.one::<String>(audit, &[]).await?.contains(PIN));
    assert!(!sidecar.stderr().contains(PIN));
    recipe.shop.is_sound().await
}

/// Proves that no role of the migration can turn the clock: due times and the ages of orders are not theirs to write, by the application's
/// own createdAt neither.
#[tokio::test]
async fn no_role_can_turn_the_clock() -> Result<()> {
    let recipe = recipe("recipe_pins_clock").await?;
    let order = recipe.dispatched().await?;
    let clock = "select d.due_at::text || o.created_at from reconcile.due_checks as d join reconcile.tracked_orders as o using (order_id)";
    let before: String = recipe.shop.one(clock, &[]).await?;
    for role in [
        "shop_owner",
        "shop_operator",
        "shop_app",
        "shop_sidecar",
        "shop_reader",
        "reconcile_cron",
    ] {
        let client = recipe.shop.database.connect_as(role).await?;
        for turn in [
            "update reconcile.due_checks set due_at = now()",
            "insert into reconcile.due_checks (order_id, provider_id, due_at) values (1, 1, now())",
            "delete from reconcile.due_checks",
            "update reconcile.tracked_orders set created_at = now() - interval '1 day'",
            "update reconcile.tracked_orders set tries = 0",
            "update reconcile.leases set expires_at = now()",
            "update reconcile.providers set schedule = '1s'",
            "select reconcile_internal._ask_anew('{1}')",
            "select reconcile_internal._ring('{1}')",
        ] {
            let error = answer(&client, turn).await.err();
            let error = error.with_context(|| format!("{role} can {turn}"))?;
            let cause = error.downcast_ref::<tokio_postgres::Error>();
            let code = cause.and_then(tokio_postgres::Error::code);
            assert_eq!(
                code.map(|code| code.code()),
                Some("42501"),
                "{role}: {turn}: {error:#}"
            );
        }
    }
    recipe
        .run(r#"update watan.product_orders set "createdAt" = "createdAt" - interval '2 days'"#)
        .await?;
    assert_eq!(recipe.shop.one::<String>(clock, &[]).await?, before);
    recipe.by_hand().await?;
    assert_eq!(recipe.columns(&order).await?, "pending|REF-1|");
    Ok(())
}

/// Proves the periodic batch: of 101 orders that are due a run takes up 100, and the net below the sidecar loses none.
#[tokio::test]
async fn a_batch_is_a_hundred() -> Result<()> {
    let recipe = recipe("recipe_pins_batch").await?;
    recipe
        .run(
            r#"insert into watan.product_orders (provider_referans, "createdAt")
            select 'REF-1', now() - interval '2 minutes' from generate_series(1, 101)"#,
        )
        .await?;
    recipe
        .run("select reconcile.take_in('watan.product_orders')")
        .await?;
    let run = "select selected from reconcile_stale_orders(100, provider => 'pins')";
    assert_eq!(recipe.ask(run).await?, "100");
    recipe.shop.vendor.set_default(answered("completed"));
    let _sidecar = recipe.pin_sidecar().await?;
    let done = format!(r#"select count(*) from watan.product_orders where "pinCode" = '{PIN}'"#);
    wait::until(SOON, "101 PINs", async || {
        recipe.ask(&done).await.is_ok_and(|done| done == "101")
    })
    .await?;
    recipe.shop.is_sound().await
}
