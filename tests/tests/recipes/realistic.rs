//! The recipes on schemas that were there before them: as each framework makes its tables, with 200,000 orders that are settled and 300 that
//! are stuck. What is settled is what is stuck, as the truth says, and no row of the past is touched or read one by one.

use anyhow::{Context, Result};
use reconcile_tests::simulator::{Fate, Step};
use serde_json::json;

use crate::recipe::Recipe;

/// Of the stuck orders, which have the ids after those of the past, every third failed.
const STUCK: std::ops::RangeInclusive<i64> = 200_001..=200_300;

fn has_failed(id: i64) -> bool {
    id % 3 == 0
}

/// A session of another zone than UTC, in which most frameworks keep their times.
async fn open(name: &str, database: &'static str, schema: &str) -> Result<Recipe> {
    let recipe = Recipe::open(name, database).await?;
    let zone =
        format!("alter role shop_owner in database {database} set timezone = 'Asia/Kolkata'");
    recipe.shop.run(&zone).await?;
    recipe.run("set timezone = 'Asia/Kolkata'").await?;
    recipe.run(schema).await?;
    recipe.run("analyze").await?;
    Ok(recipe)
}

/// What a table says of its 200,000 rows of the past.
struct Past {
    table: &'static str,
    /// The column with the order's id.
    id: &'static str,
    before: String,
}

impl Past {
    async fn of(recipe: &Recipe, table: &'static str, id: &'static str) -> Result<Self> {
        let mut past = Self {
            table,
            id,
            before: String::new(),
        };
        past.before = past.now(recipe).await?;
        let count = past.before.split_once('|').context("no count")?.0;
        assert_eq!(count, "200000", "{table}");
        Ok(past)
    }

    /// What the application itself had in its columns: one that a recipe adds is left out.
    async fn now(&self, recipe: &Recipe) -> Result<String> {
        let (table, id) = (self.table, self.id);
        recipe
            .ask(&format!(
                "select count(*), md5(string_agg(md5((to_jsonb(t) - 'stock_committed')::text || t.xmin), '' order by t.{id}))
                from {table} as t where t.{id} <= 200000"
            ))
            .await
    }

    async fn is_untouched(&self, recipe: &Recipe) -> Result<()> {
        assert_eq!(self.now(recipe).await?, self.before, "{}", self.table);
        Ok(())
    }
}

impl Recipe {
    async fn scans(&self, tables: &str) -> Result<String> {
        self.run("select pg_stat_force_next_flush()").await?;
        self.ask(&format!(
            "select relname, seq_scan from pg_stat_user_tables where relid = any ('{tables}'::regclass[]) order by relname"
        ))
        .await
    }

    /// A complete search of a table and a run, in which none of these tables is read from end to end.
    async fn searches_by_index(&self, table: &str, tables: &str) -> Result<()> {
        // What applied the recipe, and built its indexes, has told of its scans when it is gone.
        let others = "select count(*) from pg_stat_activity
            where datname = current_database() and usename = 'shop_owner' and pid <> pg_backend_pid()";
        self.comes_to(others, "0").await?;
        let before = self.scans(tables).await?;
        self.run(&format!("select * from reconcile.take_in('{table}')"))
            .await?;
        let complete = format!(
            "select rows_seen >= 300 from reconcile.attached_tables where relation = '{table}' and problem is null"
        );
        assert_eq!(self.ask(&complete).await?, "t", "{table}");
        self.run("select * from reconcile_stale_orders(1000)")
            .await?;
        assert_eq!(self.scans(tables).await?, before);
        let since = "select count(*) from reconcile.orders where now() - created_at between '2 hours' and '125 minutes'";
        assert_eq!(self.ask(since).await?, "300", "{table}");
        let missing = "select count(*) from reconcile.alerts where alert = 'index_missing'";
        assert_eq!(self.ask(missing).await?, "0");
        Ok(())
    }
}

const RAILS: &str = include_str!("realistic/rails.sql");

/// Proves the vendor recipe on Rails' tables: a native enum, UTC without a zone, foreign keys, and a trigger that keeps versions.
#[tokio::test]
async fn vendor_orders_of_rails() -> Result<()> {
    let recipe = open("vendor_orders", "realistic_rails", RAILS).await?;
    let past = Past::of(&recipe, "vendor.orders", "id").await?;
    recipe.run_file(&[("base_url", "{host}")]).await?;
    recipe
        .run("select reconcile.alter_provider('vendor', clear => '{gap,rate_limit}')")
        .await?;
    for id in STUCK.filter(|id| has_failed(*id)) {
        let number = format!("ORD-{id}");
        recipe.shop.vendor.set_fate(&number, Fate::status("failed"));
    }
    let logs = "select count(*) from vendor.transaction_logs";
    assert_eq!(recipe.ask(logs).await?, "300");
    recipe
        .searches_by_index("vendor.orders", "{vendor.orders}")
        .await?;
    let _sidecar = recipe.sidecar(&[("VENDOR_TOKEN", "hush-4711")]).await?;
    let settled = "select count(*) filter (where status = 'succeeded' and id % 3 <> 0), count(*) filter (where status = 'failed' and id % 3 = 0)
        from vendor.orders where id > 200000";
    recipe.comes_to(settled, "200|100").await?;
    assert_eq!(recipe.ask(logs).await?, "600");
    // Once each, whose updated_at is UTC still.
    let versions = "select count(*), count(distinct item_id) from vendor.versions";
    assert_eq!(recipe.ask(versions).await?, "300|300");
    let touched = "select count(*) from vendor.orders where id > 200000 and lock_version = 1
        and updated_at > now() at time zone 'UTC' - interval '5 minutes' and updated_at < now() at time zone 'UTC' + interval '1 minute'";
    assert_eq!(recipe.ask(touched).await?, "300");
    past.is_untouched(&recipe).await?;
    recipe.shop.is_sound().await
}

const LARAVEL: &str = include_str!("realistic/laravel.sql");

/// Proves the recipe of completed transactions on Laravel's tables: `timestamp(0)` in UTC, checks as enums, foreign keys, transactions that
/// failed before one was completed; orders whose transactions all failed stay as they are.
#[tokio::test]
async fn completed_transactions_of_laravel() -> Result<()> {
    let recipe = open("completed_transactions", "realistic_laravel", LARAVEL).await?;
    let orders = Past::of(&recipe, "academy.orders", "id").await?;
    let transactions = Past::of(&recipe, "academy.transactions", "order_id").await?;
    recipe.run_file(&[]).await?;
    recipe
        .searches_by_index("academy.orders", "{academy.orders,academy.transactions}")
        .await?;
    let settled = "select count(*) filter (where status = 'completed' and id % 3 <> 0), count(*) filter (where status = 'pending' and id % 3 = 0)
        from academy.orders where id > 200000";
    assert_eq!(recipe.ask(settled).await?, "200|100");
    // The failed ones are paid at last, within the hours that the command is told.
    recipe
        .run(
            "insert into academy.transactions (transaction_id, order_id, status, amount)
            select gen_random_uuid(), id, 'completed', 49.90 from academy.orders where status = 'pending'",
        )
        .await?;
    let command = "call academy.regularize_completed_orders(max_orders => 300, hours => 3);";
    let said = recipe.psql(&[], command).await?;
    assert!(said.contains("regularized 100 of 100 orders"), "{said}");
    assert_eq!(recipe.ask(settled).await?, "200|0");
    let enrolled = "select count(*), count(distinct order_id) from academy.enrolments";
    assert_eq!(recipe.ask(enrolled).await?, "300|300");
    let touched = "select count(*) from academy.orders where id > 200000 and status = 'completed'
        and updated_at > now() at time zone 'UTC' - interval '5 minutes' and updated_at < now() at time zone 'UTC' + interval '1 minute'";
    assert_eq!(recipe.ask(touched).await?, "300");
    orders.is_untouched(&recipe).await?;
    transactions.is_untouched(&recipe).await?;
    recipe.shop.is_sound().await
}

const NODE: &str = include_str!("realistic/node.sql");

/// Proves the recipe of drafts on a Node shop's tables: two native enums, numbers beside ids, foreign keys, a trigger that touches, no
/// column for the committed stock; which is right to the piece.
#[tokio::test]
async fn draft_orders_of_node() -> Result<()> {
    let recipe = open("draft_orders", "realistic_node", NODE).await?;
    let past = Past::of(&recipe, "store.orders", "id").await?;
    let variables = [
        ("base_url", "{host}/orders"),
        ("merchant_id", "SHITHA"),
        ("salt_index", "2"),
    ];
    recipe.run_file(&variables).await?;
    recipe
        .run("select reconcile.alter_provider('phonepe', clear => '{rate_limit}')")
        .await?;
    for id in STUCK {
        let code = if has_failed(id) {
            "PAYMENT_ERROR"
        } else {
            "PAYMENT_SUCCESS"
        };
        let data = json!({"merchantTransactionId": format!("MT-{id}"), "transactionId": format!("T-{id}"), "amount": 49900});
        let answer = json!({"success": !has_failed(id), "code": code, "data": data}).to_string();
        let path = format!("pg/v1/status/SHITHA/MT-{id}");
        let fate = Fate::of([Step::http(200, &answer)]);
        recipe.shop.vendor.set_fate(&path, fate);
    }
    recipe
        .searches_by_index("store.orders", "{store.orders,store.order_items}")
        .await?;
    let _sidecar = recipe
        .sidecar(&[("PHONEPE_SALT_KEY", "099eb0cd-02cf-4e2a-8aca-3e6c6aff0399")])
        .await?;
    let settled = "select count(*) filter (where status = 'CONFIRMED' and payment_status = 'PAID' and transaction_id = 'T-' || id and id % 3 <> 0),
        count(*) filter (where status = 'CANCELLED' and payment_status = 'FAILED' and id % 3 = 0) from store.orders where id > 200000";
    recipe.comes_to(settled, "200|100").await?;
    let stock = "select sum(stock), min(stock) >= 0 from store.products";
    assert_eq!(recipe.ask(stock).await?, "19600|t");
    let committed = "select count(*) from store.orders where stock_committed";
    assert_eq!(recipe.ask(committed).await?, "200");
    past.is_untouched(&recipe).await?;
    recipe.shop.is_sound().await
}

const DJANGO: &str = include_str!("realistic/django.sql");

/// Proves the recipe of PIN orders on Django's tables: quoted names, bigint ids, deferred foreign keys; each order has its own PIN.
#[tokio::test]
async fn pin_orders_of_django() -> Result<()> {
    let recipe = open("pin_orders", "realistic_django", DJANGO).await?;
    let past = Past::of(&recipe, "watan.product_orders", "id").await?;
    recipe.run_file(&[("base_url", "{host}")]).await?;
    for id in STUCK {
        let data = if has_failed(id) {
            json!({"status": "rejected", "referans": format!("REF-{id}")})
        } else {
            json!({"status": "completed", "referans": format!("REF-{id}"), "pin": format!("PIN-{id}")})
        };
        let fate = Fate::of([Step::http(200, &json!({"data": data}).to_string())]);
        recipe.shop.vendor.set_fate(&id.to_string(), fate);
    }
    recipe
        .searches_by_index("watan.product_orders", "{watan.product_orders}")
        .await?;
    let _sidecar = recipe
        .sidecar(&[("PIN_PROVIDER_TOKEN", "hush-4711")])
        .await?;
    let settled = r#"select count(*) filter (where "externalStatus" = 'completed' and "pinCode" = 'PIN-' || id and id % 3 <> 0),
        count(*) filter (where "externalStatus" = 'failed' and "pinCode" is null and id % 3 = 0) from watan.product_orders where id > 200000"#;
    recipe.comes_to(settled, "200|100").await?;
    past.is_untouched(&recipe).await?;
    recipe.shop.is_sound().await
}

const FASTAPI: &str = include_str!("realistic/fastapi.sql");

/// Proves the recipe of order details on SQLAlchemy's tables: native enums in both, `json` that may be NULL, UTC without a zone.
#[tokio::test]
async fn order_details_of_fastapi() -> Result<()> {
    let recipe = open("order_details", "realistic_fastapi", FASTAPI).await?;
    let orders = Past::of(&recipe, "shop.orders", "id").await?;
    let payments = Past::of(&recipe, "shop.payments", "order_id").await?;
    recipe.run_file(&[("base_url", "{host}")]).await?;
    for id in STUCK {
        let answer = if has_failed(id) {
            json!({"state": "FAILED"})
        } else {
            json!({"state": "COMPLETED", "transaction_id": format!("TXN-{id}")})
        };
        let fate = Fate::of([Step::http(200, &answer.to_string())]);
        recipe.shop.vendor.set_fate(&id.to_string(), fate);
    }
    recipe
        .searches_by_index("shop.orders", "{shop.orders,shop.payments}")
        .await?;
    let _sidecar = recipe.sidecar(&[("GATEWAY_TOKEN", "hush-4711")]).await?;
    let read = "select shop.get_order_details(200001, '30 s') -> 'order' ->> 'order_status'";
    assert_eq!(recipe.ask(read).await?, "CANCELLED");
    let settled = "select count(*) filter (where o.payment_status = 'COMPLETED' and o.order_status = 'CONFIRMED' and p.transaction_id = 'TXN-' || o.id and o.id % 3 <> 0),
        count(*) filter (where o.payment_status = 'FAILED' and o.order_status = 'CANCELLED' and p.transaction_id is null and o.id % 3 = 0),
        count(*) filter (where o.payment_status = p.payment_status and p.additional_info ->> 'last_checked' is not null
            and p.additional_info ->> 'gateway_response' is not null and (p.additional_info ->> 'redirect_url' is not null) = (o.id % 2 = 0))
        from shop.orders as o join shop.payments as p on p.order_id = o.id where o.id > 200000";
    recipe.comes_to(settled, "200|100|300").await?;
    orders.is_untouched(&recipe).await?;
    payments.is_untouched(&recipe).await?;
    recipe.shop.is_sound().await
}
