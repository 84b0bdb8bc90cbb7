//! Completed transactions, pending orders: the local truth, the command with its options, OrderCompleted and its four consumers.

mod command;

use anyhow::Result;
use reconcile_tests::simulator::{Fate, Step};
use serde_json::Value;

use crate::recipe::Recipe;

const SECRETS: &[(&str, &str)] = &[
    (
        "NOTIFICATIONS_KEY",
        "whsec_bm90aWZpY2F0aW9ucy1rZXktMDEyMzQ1Njc4OQ==",
    ),
    (
        "THIRD_PARTY_KEY",
        "whsec_dGhpcmQtcGFydHkta2V5LTAxMjM0NTY3ODktYWJj",
    ),
];

async fn recipe(database: &'static str) -> Result<Recipe> {
    let variables = [
        ("notifications_url", "{host}/orders/notifications"),
        ("third_party_url", "{host}/orders/third_party"),
    ];
    Recipe::apply("completed_transactions", database, &variables).await
}

impl Recipe {
    /// A pending order of ten minutes ago with transactions of these statuses; gives its id.
    async fn pending(&self, transactions: &[&str]) -> Result<String> {
        let order = "insert into academy.orders (user_id, course_id, total_amount, created_at)
            values (7, 1, 49.90, now() - interval '10 minutes') returning id";
        let id = self.ask(order).await?;
        for status in transactions {
            self.transaction(&id, status, "49.90").await?;
        }
        Ok(id)
    }

    async fn transaction(&self, order: &str, status: &str, amount: &str) -> Result<()> {
        self.run(&format!(
            r#"insert into academy.transactions (order_id, status, amount, gateway_response)
            values ({order}, '{status}', {amount}, '{{"card": "hush-4711"}}')"#
        ))
        .await
    }

    async fn scheduled_run(&self) -> Result<String> {
        let run =
            "select selected, closed from reconcile_stale_orders(1000, provider => 'transactions')";
        self.ask(run).await
    }

    /// Status, whether somebody is enrolled, whether there is a subscription by this order.
    async fn stands(&self, order: &str) -> Result<String> {
        self.ask(&format!(
            "select o.status, e.order_id is not null, s.active from academy.orders as o
            left join academy.enrolments as e on e.order_id = o.id left join academy.subscriptions as s on s.order_id = o.id
            where o.id = {order}"
        ))
        .await
    }
}

/// Proves the process flow without any sidecar: one completed transaction completes its order, with the consumers inside the database;
/// pending, failed and missing ones don't; an amount that differs is for a person; and the log has no sensitive data.
#[tokio::test]
async fn completed_transactions_complete_their_orders() -> Result<()> {
    let recipe = recipe("recipe_academy_flow").await?;
    let completed = recipe.pending(&["completed"]).await?;
    let retried = recipe.pending(&[]).await?;
    recipe.transaction(&retried, "failed", "4.99").await?;
    recipe.transaction(&retried, "completed", "49.90").await?;
    recipe.transaction(&retried, "pending", "499.00").await?;
    let waiting = recipe.pending(&["pending"]).await?;
    let failed = recipe.pending(&["failed", "failed"]).await?;
    let missing = recipe.pending(&[]).await?;
    let inconsistent = recipe.pending(&[]).await?;
    recipe
        .transaction(&inconsistent, "completed", "49.00")
        .await?;
    assert_eq!(recipe.scheduled_run().await?, "6|3");

    assert_eq!(recipe.stands(&completed).await?, "completed|t|");
    // The later of the two has the user's one subscription.
    assert_eq!(recipe.stands(&retried).await?, "completed|t|t");
    for open in [&waiting, &failed, &missing] {
        assert_eq!(recipe.stands(open).await?, "pending|f|");
        let next = recipe.shop.order(open).await?.next_check_s;
        assert!(
            next.is_some_and(|s| (300.0..=330.0).contains(&s)),
            "{next:?}"
        );
    }
    assert_eq!(recipe.stands(&inconsistent).await?, "pending|f|");
    let review = "select order_number from reconcile.orders where state = 'review'";
    assert_eq!(recipe.ask(review).await?, inconsistent);
    let alerts = "select string_agg(alert, ' ') from academy.regularization_alerts";
    assert_eq!(recipe.ask(alerts).await?, "orders_in_review");
    let summary = "select looked_at, completed, transaction_inconsistencies, event_failures from academy.regularization_summary";
    assert_eq!(recipe.ask(summary).await?, "6|2|1|0");
    let secret =
        "select count(*) from reconcile.recorded_checks as c where c::text like '%hush-4711%'";
    assert_eq!(recipe.shop.one::<i64>(secret, &[]).await?, 0);

    // The late payment of an order that was waiting, and a second run that finds nothing to repeat.
    recipe
        .run(&format!(
            "update academy.transactions set status = 'completed' where order_id = {waiting}"
        ))
        .await?;
    recipe
        .run("update academy.orders set updated_at = now()")
        .await?;
    recipe
        .run("call academy.regularize_completed_orders()")
        .await?;
    assert_eq!(recipe.stands(&waiting).await?, "completed|t|t");
    assert_eq!(
        recipe.shop.history(&completed).await?,
        ["pending -> succeeded by provider"]
    );
    recipe.shop.is_sound().await
}

/// Proves that OrderCompleted reaches all four consumers, and that the one that fails, the third party, keeps neither the order nor the
/// others from being done: it gets the same event, signed, when it is back.
#[tokio::test]
async fn three_consumers_are_served_while_the_fourth_fails() -> Result<()> {
    let recipe = recipe("recipe_academy_consumers").await?;
    let outside = &recipe.shop.vendor;
    outside.set_fate("third_party", Fate::of([Step::http(503, "down")]));
    let _sidecar = recipe.sidecar(SECRETS).await?;
    // Another system's orders are none of their business.
    recipe
        .shop
        .add_provider("other", &recipe.shop.vendor, "")
        .await?;
    recipe.shop.track_at("other", "OTHER", "10 minutes").await?;
    recipe.shop.signal().await?;
    recipe.shop.becomes("OTHER", "succeeded").await?;
    let order = recipe.pending(&["completed"]).await?;
    recipe
        .run("call academy.regularize_completed_orders()")
        .await?;
    assert_eq!(recipe.stands(&order).await?, "completed|t|t");
    let endpoints = "select string_agg(concat_ws(' ', name, delivered, faults), ', ' order by name) from reconcile.endpoints";
    recipe
        .comes_to(endpoints, "notifications 1 0, third_party 0 1")
        .await?;
    let problem = "select last_problem from reconcile.endpoints where name = 'third_party'";
    assert_eq!(recipe.ask(problem).await?, "HTTP 503");

    outside.set_fate("third_party", Fate::of([Step::http(204, "")]));
    recipe
        .shop
        .run("update reconcile.deliveries set due_at = clock_timestamp(); notify reconcile_events")
        .await?;
    recipe
        .comes_to(endpoints, "notifications 1 0, third_party 1 0")
        .await?;
    let told = outside.calls("notifications");
    let again = outside.calls("third_party");
    assert_eq!((told.len(), again.len()), (1, 2));
    for call in told.iter().chain(&again) {
        let event: Value = serde_json::from_slice(&call.body)?;
        assert_eq!(event["type"], "order.succeeded");
        assert_eq!(event["data"]["order_number"], order.as_str());
        assert_eq!(call.header("webhook-id"), told[0].header("webhook-id"));
        assert!(
            call.header("webhook-signature")
                .is_some_and(|signature| signature.starts_with("v1,"))
        );
    }
    recipe.shop.is_sound().await
}

/// Proves that a consumer inside the database that raises costs its own order, as a whole, and no other of the same run; that the failure
/// is reported; that the order is completed once it is mended; and that a missing relationship is only a warning.
#[tokio::test]
async fn an_event_failure_stops_no_other_order() -> Result<()> {
    let recipe = recipe("recipe_academy_failure").await?;
    recipe
        .run(
            "create function academy.course_is_full() returns trigger language plpgsql as $$
            begin raise exception 'course % is full', new.course_id; end $$;
            create trigger full_course before insert on academy.enrolments for each row when (new.course_id = 13)
            execute function academy.course_is_full()",
        )
        .await?;
    let before = recipe.pending(&["completed"]).await?;
    let full = recipe.pending(&["completed"]).await?;
    let nobody = recipe.pending(&["completed"]).await?;
    recipe.run(&format!("update academy.orders set course_id = 13, user_id = 8 where id = {full}; update academy.orders set user_id = null where id = {nobody}")).await?;
    let said = recipe
        .psql(
            &[],
            "select selected from reconcile_stale_orders(1000, provider => 'transactions');",
        )
        .await?;
    assert!(
        said.contains(&format!(
            "WARNING:  order {nobody} has no user or no course"
        )),
        "{said}"
    );
    assert_eq!(recipe.stands(&before).await?, "completed|t|t");
    assert_eq!(recipe.stands(&nobody).await?, "completed|f|");
    assert_eq!(recipe.stands(&full).await?, "pending|f|");
    assert_eq!(
        recipe
            .ask("select count(*) from academy.subscriptions where user_id = 8")
            .await?,
        "0"
    );
    assert!(recipe.shop.history(&full).await?.is_empty());
    let events =
        format!("select count(*) from reconcile.read_events() where order_number = '{full}'");
    assert_eq!(recipe.ask(&events).await?, "0");
    let problem = "select problem from reconcile.checks where problem is not null";
    // With the functions that it came through, as a stack trace has them.
    assert_eq!(
        recipe.ask(problem).await?,
        "P0001: course 13 is full; in academy.course_is_full() line 2, academy.enrol(text,jsonb) line 3, \
         academy.order_completed(text,jsonb) line 4"
    );
    let alert = "select message from academy.regularization_alerts where alert = 'effects_failing'";
    assert!(recipe.ask(alert).await?.contains("course 13 is full"));

    recipe
        .run("drop trigger full_course on academy.enrolments")
        .await?;
    recipe
        .run("call academy.regularize_completed_orders()")
        .await?;
    assert_eq!(recipe.stands(&full).await?, "completed|t|t");
    assert_eq!(
        recipe
            .ask("select count(*) from reconcile.failed_effects")
            .await?,
        "0"
    );
    recipe.shop.is_sound().await
}

/// Proves that all that is shown to be done by hand can be, and that an order that was never paid stays as it is for
/// as long as that may be, raises no alert, and is completed if it is paid after all.
#[tokio::test]
async fn what_is_done_by_hand_and_what_is_abandoned() -> Result<()> {
    let recipe = recipe("recipe_academy_by_hand").await?;
    let order = recipe.pending(&["completed"]).await?;
    let printed = recipe.by_hand().await?;
    assert!(printed.contains("regularized 1 of 1 orders"), "{printed}");
    assert_eq!(recipe.stands(&order).await?, "completed|t|t");

    let abandoned = recipe.pending(&["failed"]).await?;
    let age = "update reconcile.tracked_orders set created_at = clock_timestamp() - interval '80 days' where order_number = $1";
    recipe.shop.client.execute(age, &[&abandoned]).await?;
    recipe.shop.make_due(&abandoned).await?;
    assert_eq!(recipe.stands(&abandoned).await?, "pending|f|");
    let alerts =
        "select count(*) from academy.regularization_alerts where subject = 'transactions'";
    assert_eq!(recipe.ask(alerts).await?, "0");
    recipe.transaction(&abandoned, "completed", "49.90").await?;
    recipe.shop.make_due(&abandoned).await?;
    assert_eq!(recipe.stands(&abandoned).await?, "completed|t|t");
    recipe.shop.is_sound().await
}

/// Proves that a database error on the way is recorded, with its SQLSTATE, closes no order, and is over when it is mended.
#[tokio::test]
async fn a_database_error_closes_nothing() -> Result<()> {
    let recipe = recipe("recipe_academy_error").await?;
    let order = recipe.pending(&["completed"]).await?;
    recipe
        .run("alter table academy.transactions rename column order_id to belongs_to")
        .await?;
    assert_eq!(recipe.scheduled_run().await?, "1|0");
    assert_eq!(recipe.stands(&order).await?, "pending|f|");
    let errors = "select database_errors, completed from academy.regularization_summary";
    assert_eq!(recipe.ask(errors).await?, "1|0");
    let detail = "select detail from reconcile.checks";
    let detail = recipe.ask(detail).await?;
    assert!(detail.starts_with("42703: "), "{detail}");
    recipe
        .run("alter table academy.transactions rename column belongs_to to order_id")
        .await?;
    recipe.shop.make_due(&order).await?;
    assert_eq!(recipe.stands(&order).await?, "completed|t|t");
    recipe.shop.is_sound().await
}
