//! Draft orders and PhonePe: signed status calls, stock, webhooks beside it, cancelling what is old, metrics and alerts.

mod running;

use anyhow::Result;
use reconcile_tests::sidecar::Sidecar;
use reconcile_tests::simulator::{Fate, Step};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::recipe::{Recipe, folder};

const SALT: &str = "099eb0cd-02cf-4e2a-8aca-3e6c6aff0399";

async fn recipe(database: &'static str) -> Result<Recipe> {
    let variables = [
        ("base_url", "{host}/orders"),
        ("merchant_id", "SHITHA"),
        ("salt_index", "2"),
    ];
    let recipe = Recipe::apply("draft_orders", database, &variables).await?;
    recipe
        .run("insert into store.products values (1, 'wrap', 2), (2, 'gown', 10)")
        .await?;
    Ok(recipe)
}

/// What PhonePe answers about a transaction of 499.00 rupees.
fn phonepe(code: &str, transaction: &str) -> Step {
    let data = json!({
        "merchantId": "SHITHA", "merchantTransactionId": transaction, "transactionId": format!("T-{transaction}"),
        "amount": 49900, "state": "whatever", "responseCode": code
    });
    Step::http(
        200,
        &json!({"success": code == "PAYMENT_SUCCESS", "code": code, "data": data}).to_string(),
    )
}

/// Keeps what failed from being asked about again while it is counted.
const TOMORROW: &str = "update reconcile.due_checks set due_at = due_at + interval '1 day'";

/// Where the simulator has the answer about a transaction.
fn path(transaction: &str) -> String {
    format!("pg/v1/status/SHITHA/{transaction}")
}

impl Recipe {
    /// A draft of this age over one piece each of these products, whose payment stands so at PhonePe.
    async fn draft(&self, order: &str, age: &str, products: &[i64], code: &str) -> Result<()> {
        self.says(order, code);
        for product in products {
            self.run(&format!(
                "insert into store.orders (order_id, amount, created_at) values ('{order}', 499, now() - interval '{age}')
                on conflict do nothing;
                insert into store.order_items values ('{order}', {product}, 1)"
            ))
            .await?;
        }
        self.run(&format!("update store.orders set merchant_transaction_id = 'MT-{order}' where order_id = '{order}'"))
            .await
    }

    fn says(&self, order: &str, code: &str) {
        let transaction = format!("MT-{order}");
        self.shop
            .vendor
            .set_fate(&path(&transaction), Fate::of([phonepe(code, &transaction)]));
    }

    async fn phonepe_sidecar(&self) -> Result<Sidecar> {
        self.sidecar(&[("PHONEPE_SALT_KEY", SALT)]).await
    }

    async fn draft_is(&self, order: &str, expected: &str) -> Result<()> {
        let stands =
            format!("select status, payment_status from store.orders where order_id = '{order}'");
        self.comes_to(&stands, expected).await
    }

    async fn stock(&self) -> Result<String> {
        self.ask("select string_agg(stock::text, ' ' order by id) from store.products")
            .await
    }
}

/// Proves discovery, verification and processing: of drafts older than 5 minutes the paid one is confirmed with its stock, the failed one
/// cancelled, the pending one left; the old one that is still unpaid is cancelled after a last look; a young one is not asked about; and
/// every call is signed as PhonePe wants it.
#[tokio::test]
async fn drafts_go_where_phonepe_says() -> Result<()> {
    let recipe = recipe("recipe_store_drafts").await?;
    recipe
        .draft("PAID", "6 minutes", &[1, 2], "PAYMENT_SUCCESS")
        .await?;
    recipe
        .draft("FAILED", "6 minutes", &[2], "PAYMENT_ERROR")
        .await?;
    recipe
        .draft("PENDING", "6 minutes", &[2], "PAYMENT_PENDING")
        .await?;
    recipe
        .draft("OLD", "31 minutes", &[2], "PAYMENT_PENDING")
        .await?;
    recipe
        .draft("YOUNG", "4 minutes", &[2], "PAYMENT_SUCCESS")
        .await?;
    // They have been watched since.
    recipe
        .shop
        .run("update reconcile.tracked_orders set tracked_at = created_at")
        .await?;
    let _sidecar = recipe.phonepe_sidecar().await?;
    recipe.draft_is("PAID", "CONFIRMED|PAID").await?;
    recipe.draft_is("FAILED", "CANCELLED|FAILED").await?;
    recipe.draft_is("OLD", "CANCELLED|EXPIRED").await?;
    let next = recipe.shop.check("PENDING", 0).await?.next_check_s;
    assert!(next.is_some_and(|s| (60.0..=66.0).contains(&s)), "{next:?}");
    recipe.draft_is("PENDING", "DRAFT|PENDING").await?;
    recipe.draft_is("YOUNG", "DRAFT|PENDING").await?;
    assert_eq!(recipe.stock().await?, "1 9");
    assert_eq!(
        recipe.shop.history("OLD").await?,
        ["pending -> cancelled by giving_up"]
    );
    let transaction = "select transaction_id from store.orders where order_id = 'PAID'";
    assert_eq!(recipe.ask(transaction).await?, "T-MT-PAID");
    assert_eq!(recipe.shop.vendor.count(&path("MT-YOUNG")), 0);
    let calls = recipe.shop.vendor.all_calls();
    assert_eq!(calls.len(), 4);
    for call in calls {
        let hash = Sha256::digest(format!("/{}{SALT}", call.order_number));
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            call.header("x-verify"),
            Some(format!("{hash}###2").as_str())
        );
        assert_eq!(call.header("x-merchant-id"), Some("SHITHA"));
    }
    recipe.shop.is_sound().await
}

/// Proves the atomic stock commit: of three paid orders for the last two pieces two are confirmed and stock ends at zero; the third gets
/// nothing, of its other product neither, raises an alert, and is confirmed when there is stock again.
#[tokio::test]
async fn stock_is_committed_whole_or_not_at_all() -> Result<()> {
    let recipe = recipe("recipe_store_stock").await?;
    for order in ["A", "B", "C"] {
        recipe
            .draft(order, "6 minutes", &[1, 2], "PAYMENT_SUCCESS")
            .await?;
    }
    let _sidecar = recipe.phonepe_sidecar().await?;
    let confirmed =
        "select count(*) from store.orders where status = 'CONFIRMED' and stock_committed";
    recipe.comes_to(confirmed, "2").await?;
    recipe
        .comes_to("select count(*) from reconcile.failed_effects", "1")
        .await?;
    assert_eq!(recipe.stock().await?, "0 8");
    let short = recipe
        .ask("select order_id from store.orders where status = 'DRAFT' and not stock_committed")
        .await?;
    assert!(recipe.shop.history(&short).await?.is_empty());
    let alert =
        "select message from store.reconciliation_alerts where alert = 'stock_commit_failures'";
    let alert = recipe.ask(alert).await?;
    assert!(
        alert.contains("not enough stock: wrap (0 left, 1 ordered)"),
        "{alert}"
    );
    let failures = "select stock_commit_failures > 0 from store.reconciliation_metrics";
    assert_eq!(recipe.ask(failures).await?, "t");

    recipe
        .run("update store.products set stock = 1 where id = 1")
        .await?;
    recipe.shop.make_due(&short).await.or_else(|error| {
        // It may be under way already.
        if error.to_string().contains("not in the queue") {
            Ok(())
        } else {
            Err(error)
        }
    })?;
    recipe.draft_is(&short, "CONFIRMED|PAID").await?;
    assert_eq!(recipe.stock().await?, "0 7");
    let alerts =
        "select count(*) from store.reconciliation_alerts where alert = 'stock_commit_failures'";
    assert_eq!(recipe.ask(alerts).await?, "0");
    recipe.shop.is_sound().await
}

/// Proves webhooks beside the job: one about a young draft has it confirmed at once by the same commit; a repeat, and the job that asks as
/// well, take no stock twice; and one that lies changes nothing, since PhonePe is asked.
#[tokio::test]
async fn webhooks_and_the_job_commit_once() -> Result<()> {
    let recipe = recipe("recipe_store_webhooks").await?;
    let _sidecar = recipe.phonepe_sidecar().await?;
    recipe
        .draft("YOUNG", "1 minute", &[1], "PAYMENT_SUCCESS")
        .await?;
    recipe
        .draft("LIAR", "1 minute", &[1], "PAYMENT_PENDING")
        .await?;
    let app = recipe.shop.app().await?;
    let webhook = |event: &str, order: &str| {
        format!(
            "select reconcile.record_webhook('phonepe', '{event}', '{{\"code\": \"PAYMENT_SUCCESS\", \"data\": {{\"merchantTransactionId\": \"MT-{order}\"}}}}')"
        )
    };
    let tell = async |event: &str, order: &str| -> Result<String> {
        Ok(app.query_one(&webhook(event, order), &[]).await?.get(0))
    };
    assert_eq!(tell("E1", "YOUNG").await?, "asked");
    recipe.draft_is("YOUNG", "CONFIRMED|PAID").await?;
    assert_eq!(tell("E1", "YOUNG").await?, "repeated");
    assert_eq!(tell("E2", "YOUNG").await?, "asked");
    assert_eq!(tell("E3", "LIAR").await?, "asked");
    recipe.shop.check("LIAR", 0).await?;
    recipe.draft_is("LIAR", "DRAFT|PENDING").await?;
    recipe.shop.check("YOUNG", 1).await?;
    assert_eq!(recipe.stock().await?, "1 10");
    assert_eq!(
        recipe.shop.history("YOUNG").await?,
        ["pending -> succeeded by provider"]
    );
    recipe.shop.is_sound().await
}

/// Proves that old drafts that never got a transaction id are cancelled, oldest first and so many a run; and that those are spared that are
/// young, have got one since, or are no drafts any more.
#[tokio::test]
async fn drafts_without_a_transaction_id() -> Result<()> {
    let recipe = recipe("recipe_store_abandoned").await?;
    recipe
        .run(
            "set timezone = 'Asia/Kolkata';
            insert into store.orders (order_id, amount, created_at)
            select 'D-' || minutes, 499, now() - minutes * interval '1 minute' from unnest(array[29, 31, 32, 33, 34, 35]) as minutes;
            insert into store.orders (order_id, amount, created_at, merchant_transaction_id) values ('EMPTY', 499, now() - interval '1 hour', '');
            update store.orders set merchant_transaction_id = 'MT-33' where order_id = 'D-33';
            update store.orders set status = 'CONFIRMED' where order_id = 'D-34'",
        )
        .await?;
    let cancelled = "select string_agg(order_id, ' ' order by order_id) from store.orders
        where status = 'CANCELLED' and payment_status = 'EXPIRED' and updated_at >= now() - interval '1 minute'";
    let cancel = "select store.cancel_abandoned_drafts(max_orders => 2)";
    assert_eq!(recipe.ask(cancel).await?, "2");
    assert_eq!(recipe.ask(cancelled).await?, "D-35 EMPTY");
    assert_eq!(recipe.ask(cancel).await?, "2");
    assert_eq!(recipe.ask(cancelled).await?, "D-31 D-32 D-35 EMPTY");
    assert_eq!(recipe.ask(cancel).await?, "0");
    let left = "select string_agg(order_id || ' ' || status, ', ' order by order_id) from store.orders where status <> 'CANCELLED'";
    assert_eq!(
        recipe.ask(left).await?,
        "D-29 DRAFT, D-33 DRAFT, D-34 CONFIRMED"
    );
    assert_eq!(recipe.shop.vendor.totals().calls, 0);
    recipe.shop.is_sound().await
}

/// Proves that the test script creates a draft, has PhonePe asked, shows what came of it and leaves no order behind, also when nobody asks.
#[tokio::test]
async fn the_test_script_cleans_up() -> Result<()> {
    let recipe = recipe("recipe_store_script").await?;
    let script = folder().join("scripts/test_reconciliation.sql");
    let script = [
        "-v",
        "transaction=MT-1",
        "-v",
        "amount=499",
        "-f",
        &script.display().to_string(),
    ]
    .map(str::to_owned);
    let none = "select count(*) from store.orders";
    let said = recipe.psql(&script, "").await?;
    assert!(said.contains("no sidecar"), "{said}");
    assert!(said.contains("DRAFT  | PENDING"), "{said}");
    assert_eq!(recipe.ask(none).await?, "0");
    let _sidecar = recipe.phonepe_sidecar().await?;
    for (code, status) in [
        ("PAYMENT_SUCCESS", "CONFIRMED | PAID"),
        ("PAYMENT_ERROR", "CANCELLED | FAILED"),
        ("PAYMENT_PENDING", "DRAFT  | PENDING"),
    ] {
        let answer = Fate::of([phonepe(code, "MT-1")]);
        recipe.shop.vendor.set_fate(&path("MT-1"), answer);
        let said = recipe.psql(&script, "").await?;
        assert!(said.contains(status), "{code}: {said}");
        assert_eq!(recipe.ask(none).await?, "0");
    }
    assert_eq!(recipe.stock().await?, "2 10");
    let open =
        "select count(*) from reconcile.orders where state in ('pending', 'processing', 'review')";
    assert_eq!(recipe.ask(open).await?, "0");
    recipe.shop.is_sound().await
}
