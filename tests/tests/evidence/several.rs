//! Where a path finds several values: refunds add up, a variable says which element is meant, two payments are a person's matter,
//! and what has to be one value and is not names its path.

use anyhow::Result;
use reconcile_tests::shop::{Check, Shop};
use reconcile_tests::simulator::{Fate, Step};

/// The check that an answer with this body leads to, about an order over 0.73 USD.
async fn answered(shop: &Shop<'_>, order_number: &str, body: &str) -> Result<Check> {
    shop.vendor
        .set_fate(order_number, Fate::of([Step::http(200, body)]));
    shop.track(order_number).await?;
    shop.next_check(order_number).await
}

/// Proves that several refunds add up, to a part or to the whole.
#[tokio::test]
async fn refunds_add_up() -> Result<()> {
    let shop = Shop::open("refunds_add_up").await?;
    shop.alter_provider("vendor", "refunded_path => '$.data.refunds[*].amount'")
        .await?;
    let _sidecar = shop.sidecar().await?;
    for (number, refunds, state, sum) in [
        (
            "PART",
            r#"[{"amount": "0.30"}, {"amount": "0.10"}]"#,
            "succeeded",
            "0.40",
        ),
        (
            "WHOLE",
            r#"[{"amount": "0.30"}, {"amount": "0.43"}]"#,
            "refunded",
            "0.73",
        ),
    ] {
        let body = format!(
            r#"{{"data": {{"status": "succeeded", "invoiceId": "INV-{number}", "retailPrice": "0.73", "currency": "USD", "refunds": {refunds}}}}}"#
        );
        let check = answered(&shop, number, &body).await?;
        assert_eq!(check.to_state, state, "{check:?}");
        let paid_back =
            "select refunded_amount::text from reconcile.tracked_orders where order_number = $1";
        assert_eq!(shop.one::<String>(paid_back, &[&number]).await?, sum);
    }
    shop.is_sound().await
}

/// Proves that paths and rules can choose the order's own element of a list, by number or by reference, and that another order's element
/// closes nothing.
#[tokio::test]
async fn a_list_is_read_by_the_orders_own_element() -> Result<()> {
    let shop = Shop::open("own_element").await?;
    let own = "$.items[*] ? (@.number == $order_number)";
    shop.alter_provider(
        "vendor",
        &format!(
            "status_path => '{own}.status', amount_path => '{own}.amount', currency_path => '{own}.currency',
             reference_path => '{own}.invoice', transaction_id_path => '{own}.id',
             rules => '[{{\"when\": \"exists($.items[*] ? (@.invoice == $reference && @.lost == true))\", \"means\": \"failed\"}}]'"
        ),
    )
    .await?;
    let _sidecar = shop.sidecar().await?;
    let item = |number: &str, status: &str, lost: bool| {
        format!(
            r#"{{"number": "{number}", "invoice": "INV-{number}", "status": "{status}", "amount": "0.73", "currency": "USD", "id": "T-{number}", "lost": {lost}}}"#
        )
    };
    let list = |items: &[String]| format!(r#"{{"items": [{}]}}"#, items.join(", "));
    let other = item("OTHER", "failed", true);
    let preview = "select decision from reconcile.preview_response('vendor', $1::text::jsonb, 200, 'INV-A', 0.73, 'USD', order_number => 'A')";
    let both = list(&[other.clone(), item("A", "succeeded", false)]);
    assert_eq!(
        shop.one::<String>(preview, &[&both]).await?,
        "pending -> succeeded"
    );
    let check = answered(
        &shop,
        "A",
        &list(&[other.clone(), item("A", "succeeded", false)]),
    )
    .await?;
    assert_eq!(check.to_state, "succeeded", "{check:?}");
    assert_eq!(
        shop.order("A").await?.transaction_id.as_deref(),
        Some("T-A")
    );
    let check = answered(
        &shop,
        "B",
        &list(&[other.clone(), item("B", "succeeded", true)]),
    )
    .await?;
    assert_eq!(check.to_state, "failed", "{check:?}");
    let check = answered(&shop, "C", &list(&[other])).await?;
    assert_eq!(
        (check.outcome.as_str(), check.to_state.as_str()),
        ("provider_error", "pending"),
        "{check:?}"
    );
    shop.is_sound().await
}

/// Proves that a path which must find one value and finds several different ones is a mismatch that names it, and that the same value
/// twice is one.
#[tokio::test]
async fn a_path_that_finds_several_different_values_is_named() -> Result<()> {
    let shop = Shop::open("several_values").await?;
    let _sidecar = shop.sidecar().await?;
    let item = |status: &str, invoice: &str, currency: &str| {
        format!(r#"{{"status": "{status}", "invoiceId": "{invoice}", "currency": "{currency}"}}"#)
    };
    let cases = [
        (
            ["failed INV-% USD", "succeeded INV-% USD"],
            "status_path finds several different values",
        ),
        (
            ["failed INV-% USD", "failed INV-OTHER USD"],
            "reference_path finds several different values",
        ),
        (
            ["succeeded INV-% USD", "pending INV-% USD"],
            "status_path finds several different values",
        ),
        (
            ["succeeded INV-% USD", "succeeded INV-% USD"],
            "paid twice: status_path finds",
        ),
    ];
    for (place, (items, wanted)) in cases.into_iter().enumerate() {
        let number = format!("ORD-{place}");
        let items = items.map(|each| {
            let parts: Vec<String> = each
                .replace('%', &number)
                .split(' ')
                .map(str::to_owned)
                .collect();
            item(&parts[0], &parts[1], &parts[2])
        });
        let body = format!(r#"{{"data": [{}, {}]}}"#, items[0], items[1]);
        let check = answered(&shop, &number, &body).await?;
        assert_eq!(
            (check.outcome.as_str(), check.to_state.as_str()),
            ("mismatch", "review"),
            "{body}"
        );
        let detail = check.detail.unwrap_or_default();
        assert!(detail.starts_with(wanted), "{body}: {detail}");
    }
    let body = format!(
        r#"{{"data": [{}, {}]}}"#,
        item("failed", "INV-SAME", "USD"),
        item("failed", "INV-SAME", "USD")
    );
    assert_eq!(answered(&shop, "SAME", &body).await?.to_state, "failed");
    let body = format!(
        r#"{{"data": [{}, {}]}}"#,
        item("pending", "INV-P", "USD"),
        item("processing", "INV-P", "USD")
    );
    assert_eq!(answered(&shop, "P", &body).await?.outcome, "pending");
    shop.is_sound().await
}

/// Proves that a path which can't be evaluated on every answer is refused when it is written, by the field's name, however deep the
/// trouble stands, and that a row whose question is the same for every order has to say whose answer it reads.
#[tokio::test]
async fn what_cant_be_evaluated_is_refused_when_it_is_written() -> Result<()> {
    let shop = Shop::open("refused_paths").await?;
    let unknown = "$.items[*] ? (@.id == $unknown).status";
    let rule = |when: &str, means: &str| {
        format!("rules => '[{{\"when\": \"{when}\", \"means\": \"{means}\"}}]'")
    };
    let refused = [
        ("status_path", format!("status_path => '{unknown}'"), "$unknown"),
        ("amount_path", format!("amount_path => '{unknown}'"), "$unknown"),
        ("refunded_path", format!("refunded_path => '{unknown}'"), "$unknown"),
        ("transaction_id_path", format!("transaction_id_path => '{unknown}'"), "$unknown"),
        ("captures", format!("captures => '{{\"a\": \"{unknown}\"}}'"), "$unknown"),
        ("rules", rule("exists($.items[*] ? (@.id == $unknown))", "failed"), "$unknown"),
        ("status_path", "status_path => '$.items[*] ? (@.at.datetime() < $reference.datetime()).status'".to_owned(), "time"),
        ("webhook", "webhook => '{\"evidence\": true, \"reference_path\": \"$.items[*] ? (@.id == $reference).id\"}'".to_owned(), "$reference"),
        ("refunded_path", "refunded_path => '$.**.refunded'".to_owned(), "twice"),
        ("may_be_silent_on", "may_be_silent_on => '{price}'".to_owned(), "price"),
        ("url", "url => 'https://api.vendor.example/orders'".to_owned(), "every order would be closed"),
        (
            "url",
            format!("url => 'https://api.vendor.example/orders', status_path => '$.items[*] ? (@.id == $reference).status', {}", rule("$.x == 1", "succeeded")),
            "every order would be closed",
        ),
    ];
    for (field, fields, part) in refused {
        let error = shop
            .alter_provider("vendor", &fields)
            .await
            .expect_err(&fields);
        let error = error
            .downcast_ref::<tokio_postgres::Error>()
            .and_then(|error| error.as_db_error());
        let error = error.unwrap_or_else(|| panic!("{fields}: no error of the database"));
        assert_eq!(
            (error.code().code(), error.column()),
            ("RC003", Some(field)),
            "{fields}: {error}"
        );
        assert!(error.message().contains(part), "{fields}: {error}");
    }
    for fields in [
        "status_path => '$.items[*] ? (@.id == $reference && @.\"$unknown\" == \"$unknown\").status'".to_owned(),
        format!("url => 'https://api.vendor.example/orders', status_path => '$.items[*] ? (@.id == $reference).status', {}", rule("$.busy == true", "throttled")),
    ] {
        shop.alter_provider("vendor", &fields).await?;
    }
    Ok(())
}
