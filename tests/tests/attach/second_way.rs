//! Rows without a reference whose provider can be asked by the order number as well: they are watched, the reference that is found is
//! kept and written where the application wants it, and the row's own word wins.

use anyhow::Result;
use reconcile_tests::shop::Shop;
use reconcile_tests::simulator::{Fate, Step};

use crate::store::{ORDERS, PLAIN, app, attach, attached, list, watched, with};

/// Gives the vendor a search by order number, whose first answer is found under `$.found`.
async fn gets_a_search(shop: &Shop<'_>) -> Result<()> {
    let url = shop.vendor.url("/orders/{order_number}?search=1");
    let way = format!(
        r#"{{"url": "{url}", "status_path": "$.found.status", "amount_path": "$.found.amount", "currency_path": "$.found.currency",
            "reference_path": "$.found.invoice"}}"#
    );
    shop.alter_provider("vendor", &format!("without_reference => '{way}'"))
        .await
}

fn found(status: &str, invoice: &str) -> String {
    format!(
        r#"{{"found": {{"status": "{status}", "amount": "0.73", "currency": "USD", "invoice": "{invoice}"}}}}"#
    )
}

async fn column(shop: &Shop<'_>, number: &str) -> Result<String> {
    let row = "select concat_ws(' ', status, invoice_id) from store.orders where number = $1";
    shop.one(row, &[&number]).await
}

/// Proves that rows that waited for a reference are watched once their provider can be asked without, by the next search, that new ones
/// are watched at once, and that none of them waits any more.
#[tokio::test]
async fn rows_that_waited_are_watched_once_there_is_a_second_way() -> Result<()> {
    let shop = attached("attach_second_way").await?;
    let app = app(&shop).await?;
    app.batch_execute("insert into store.orders (number, invoice_id, status) values ('A', null, 'processing'), ('B', '', 'processing')")
        .await?;
    assert_eq!(watched(&shop).await?, [""; 0]);
    gets_a_search(&shop).await?;
    app.batch_execute("insert into store.orders (number, status) values ('C', 'processing')")
        .await?;
    assert_eq!(watched(&shop).await?, ["C pending"]);
    shop.signal().await?;
    assert_eq!(
        watched(&shop).await?,
        ["A pending", "B pending", "C pending"]
    );
    assert_eq!(
        list(&shop, "select order_number from reconcile.unwatched_rows").await?,
        [""; 0]
    );
    let dry = attach(
        &with("attach_second_way_dry", ORDERS).await?,
        &format!("{PLAIN}, dry_run => true"),
    )
    .await?;
    assert!(
        dry.iter()
            .all(|line| !line.contains("wait for a reference"))
    );
    shop.is_sound().await
}

/// Proves that a row which gets its reference after another one was found is asked about by its own, and that one which has none is asked
/// by what was found, search after search.
#[tokio::test]
async fn the_rows_own_reference_wins_over_what_was_found() -> Result<()> {
    let shop = attached("attach_second_way_wins").await?;
    gets_a_search(&shop).await?;
    for number in ["A", "B"] {
        let steps = Fate::of([
            Step::http(200, &found("pending", "INV-FOUND")),
            Step::status("succeeded").paid("0.73", "USD"),
        ]);
        shop.vendor.set_fate(number, steps);
    }
    let _sidecar = shop.sidecar().await?;
    let app = app(&shop).await?;
    app.batch_execute(
        "insert into store.orders (number, status, price, currency) values ('A', 'processing', 0.73, 'USD'), ('B', 'processing', 0.73, 'USD')",
    )
    .await?;
    for number in ["A", "B"] {
        shop.next_check(number).await?;
    }
    let known = "select order_number || ' ' || reference || ' ' || reference_found from reconcile.tracked_orders order by 1";
    assert_eq!(
        list(&shop, known).await?,
        ["A INV-FOUND true", "B INV-FOUND true"]
    );
    shop.signal().await?;
    assert_eq!(
        list(&shop, known).await?[1],
        "B INV-FOUND true",
        "an empty column takes nothing away"
    );
    app.batch_execute("update store.orders set invoice_id = 'INV-ROW' where number = 'A'")
        .await?;
    shop.becomes("A", "succeeded").await?;
    shop.make_due("B").await.ok();
    shop.becomes("B", "succeeded").await?;
    let last = |number: &str| shop.vendor.calls(number).pop().map(|call| call.query);
    assert_eq!(last("A").as_deref(), Some("invoice=INV-ROW"));
    assert_eq!(last("B").as_deref(), Some("invoice=INV-FOUND"));
    shop.is_sound().await
}

/// Proves that the reference which was found is written to the row where the application captures it, and never over one that the row has
/// by then.
#[tokio::test]
async fn a_found_reference_is_written_where_there_is_none() -> Result<()> {
    let shop = with("attach_second_way_written", ORDERS).await?;
    gets_a_search(&shop).await?;
    attach(
        &shop,
        &format!("{PLAIN}, capture => '{{\"reference\": \"invoice_id\"}}'"),
    )
    .await?;
    let _sidecar = shop.sidecar().await?;
    let app = app(&shop).await?;
    app.batch_execute(
        "insert into store.orders (number, invoice_id, status, price, currency)
         values ('A', null, 'processing', 0.73, 'USD'), ('B', '', 'processing', 0.73, 'USD'), ('C', null, 'processing', 0.73, 'USD')",
    )
    .await?;
    for number in ["A", "B", "C"] {
        let answer = found("succeeded", &format!("INV-{number}"));
        shop.vendor
            .set_fate(number, Fate::of([Step::http(200, &answer)]));
    }
    for number in ["A", "B"] {
        shop.next_check(number).await?;
        assert_eq!(
            column(&shop, number).await?,
            format!("CONFIRMED INV-{number}")
        );
    }
    // The row gets one that nobody has followed yet when its answer comes.
    let gate = shop.vendor.hold("C");
    shop.make_due("C").await.ok();
    shop.vendor
        .arrived("C", 1, reconcile_tests::shop::SOON)
        .await?;
    shop.run(
        "set session_replication_role = replica; update store.orders set invoice_id = 'INV-ROW' where number = 'C'; reset session_replication_role",
    )
    .await?;
    gate.open();
    shop.becomes("C", "succeeded").await?;
    assert_eq!(column(&shop, "C").await?, "CONFIRMED INV-ROW");
    shop.is_sound().await
}
