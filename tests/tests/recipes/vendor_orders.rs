//! Vendor orders: the map, the guard of five minutes, the boolean check, the log, the errors, the alerts.

mod running;

use anyhow::Result;
use reconcile_tests::simulator::Fate;

use crate::recipe::Recipe;

const ORDER: &str = "ORD-1765360649-0E184E02";

const SECRET: &[(&str, &str)] = &[("VENDOR_TOKEN", "hush-4711")];

async fn recipe(database: &'static str) -> Result<Recipe> {
    Recipe::apply("vendor_orders", database, &[("base_url", "{host}")]).await
}

impl Recipe {
    /// An order that the vendor has taken, last updated this long ago.
    async fn processing(&self, number: &str, ago: &str) -> Result<()> {
        self.run(&format!(
            "insert into vendor.orders (order_number, status, invoice_id, retail_price, created_at, updated_at)
            values ('{number}', 'processing', '33375390', 0.73, now() - interval '1 day', now() - interval '{ago}')"
        ))
        .await
    }

    async fn check(&self, number: &str) -> Result<bool> {
        let check = format!("select vendor.check_vendor_status('{number}')");
        Ok(self.ask(&check).await? == "t")
    }

    async fn status(&self, number: &str) -> Result<String> {
        self.ask(&format!(
            "select status from vendor.orders where order_number = '{number}'"
        ))
        .await
    }
}

/// Proves each row of the status mapping: what the vendor says, what becomes of the order, whether the manual check answers true or
/// false; that a repetition changes nothing and asks nobody; and that updated_at moves with the status alone.
#[tokio::test]
async fn the_map_and_the_boolean_check() -> Result<()> {
    let recipe = recipe("recipe_vendor_map").await?;
    let _sidecar = recipe.sidecar(SECRET).await?;
    for (word, updated, status) in [
        ("succeeded", true, "succeeded"),
        ("failed", true, "failed"),
        ("cancelled", true, "failed"),
        ("processing", false, "processing"),
        ("pending", false, "processing"),
    ] {
        let number = format!("ORD-{word}");
        recipe.shop.vendor.set_fate(&number, Fate::status(word));
        recipe.processing(&number, "1 minute").await?;
        assert_eq!(recipe.check(&number).await?, updated, "{word}");
        assert_eq!(recipe.status(&number).await?, status, "{word}");
        let moved = format!(
            "select updated_at > now() - interval '50 seconds' from vendor.orders where order_number = '{number}'"
        );
        assert_eq!(recipe.ask(&moved).await? == "t", updated, "{word}");
        let calls = recipe.shop.vendor.calls(&number);
        assert_eq!(calls[0].header("authorization"), Some("Bearer hush-4711"));
        assert_eq!(calls[0].query, "invoice=33375390");
        assert!(!recipe.check(&number).await?, "{word} is not news twice");
        assert_eq!(recipe.status(&number).await?, status);
        let closed = status != "processing";
        let calls = recipe.shop.vendor.count(&number);
        assert_eq!(calls, if closed { 1 } else { 2 }, "{word}");
    }
    assert!(!recipe.check("ORD-NOBODY-KNOWS").await?);
    recipe.shop.is_sound().await
}

/// Proves the job's condition: in processing, with an invoice_id, not updated within 5 minutes; then every 3 minutes; and that an order
/// that the application settles by itself is asked about no more.
#[tokio::test]
async fn which_orders_are_asked_about_and_when() -> Result<()> {
    let recipe = recipe("recipe_vendor_when").await?;
    recipe
        .run("insert into vendor.orders (order_number) values ('PAID-NOT-YET')")
        .await?;
    recipe
        .run("insert into vendor.orders (order_number, status) values ('WITHOUT-INVOICE', 'processing')")
        .await?;
    recipe.processing("FRESH", "4 minutes").await?;
    recipe.processing("OLD", "6 minutes").await?;
    let watched =
        "select string_agg(order_number, ' ' order by order_number) from reconcile.orders";
    assert_eq!(recipe.ask(watched).await?, "FRESH OLD");
    let needs = "select string_agg(order_number, ' ') from vendor.needs_status_check";
    assert_eq!(recipe.ask(needs).await?, "OLD");
    assert_eq!(
        recipe
            .ask("select vendor.check_processing_orders()")
            .await?,
        "1"
    );
    recipe
        .run("update vendor.orders set invoice_id = '1', retail_price = 0.73 where order_number = 'WITHOUT-INVOICE'")
        .await?;
    assert_eq!(recipe.ask(watched).await?, "FRESH OLD WITHOUT-INVOICE");
    let counted = "select count(*) from vendor.processing_with_invoice";
    assert_eq!(recipe.ask(counted).await?, "3");
    let due = recipe.shop.order("FRESH").await?.next_check_s;
    assert!(due.is_some_and(|s| (55.0..=91.0).contains(&s)), "{due:?}");

    recipe
        .run("update vendor.orders set status = 'failed' where order_number = 'WITHOUT-INVOICE'")
        .await?;
    assert_eq!(
        recipe.shop.history("WITHOUT-INVOICE").await?,
        ["pending -> failed by application"]
    );
    // There is no sidecar yet, so the vendor can't be asked.
    assert!(!recipe.check("FRESH").await?);
    recipe.shop.vendor.set_default(Fate::status("processing"));
    let _sidecar = recipe.sidecar(SECRET).await?;
    let check = recipe.shop.check("OLD", 0).await?;
    let next = check.next_check_s;
    assert!(
        next.is_some_and(|s| (180.0..=198.0).contains(&s)),
        "{next:?}"
    );
    assert_eq!(recipe.shop.vendor.count("WITHOUT-INVOICE"), 0);
    Ok(())
}

/// Proves that a table that is there already, with its orders, is left as it is, and that its orders are taken in, checked and settled; and
/// that a second run of the file changes nothing.
#[tokio::test]
async fn a_shop_that_is_open_already() -> Result<()> {
    let recipe = Recipe::open("vendor_orders", "recipe_vendor_open").await?;
    recipe
        .run(
            "create schema vendor;
            create table vendor.orders (id bigserial primary key, order_number varchar(40) not null unique, status varchar(20) not null,
                invoice_id varchar(40), retail_price numeric(12, 2), player_id text, created_at timestamptz, updated_at timestamptz);
            create index by_status on vendor.orders (status, updated_at);
            insert into vendor.orders (order_number, status, invoice_id, retail_price, created_at, updated_at)
            select 'ORD-' || n, case when n > 40 then 'succeeded' else 'processing' end, '33375390', 0.73, now() - interval '1 day',
                now() - interval '10 minutes'
            from generate_series(1, 400) as n",
        )
        .await?;
    recipe.run_file(&[("base_url", "{host}")]).await?;
    recipe
        .run("select reconcile.alter_provider('vendor', clear => '{gap}')")
        .await?;
    let watched = "select count(*) from vendor.needs_status_check";
    assert_eq!(recipe.ask(watched).await?, "40");
    let _sidecar = recipe.sidecar(SECRET).await?;
    let open = "select count(*) from vendor.orders where status <> 'succeeded'";
    recipe.comes_to(open, "0").await?;
    assert_eq!(recipe.shop.vendor.totals().orders, 40);
    let again = recipe.run_file(&[("base_url", "{host}")]).await;
    let again = again.err().map(|error| error.to_string());
    assert!(
        again
            .as_ref()
            .is_some_and(|error| error.contains("vendor exists already")),
        "{again:?}"
    );
    recipe.shop.is_sound().await
}
