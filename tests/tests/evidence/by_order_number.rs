//! Orders without the reference that their provider asks by: a second way asks by the order number, reads an answer of another shape,
//! and keeps the reference that it finds, by which the order is asked about from then on.

mod written;

use anyhow::Result;
use reconcile_tests::shop::{Shop, refusal};
use reconcile_tests::simulator::{Fate, Step};
use tokio_postgres::Client;

/// How the vendor is asked by the order number: a search that answers a list.
fn search(shop: &Shop<'_>) -> String {
    let own = r"$.found[*] ? (@.number == $order_number)";
    let url = shop.vendor.url("/orders/{order_number}?search=1");
    format!(
        r#"{{"method": "POST", "url": "{url}", "headers": {{"X-Search": "{{order_number}}"}}, "body": {{"json": {{"number": "{{order_number}}"}}}},
            "status_path": "{own}.status", "amount_path": "{own}.amount", "currency_path": "{own}.currency", "reference_path": "{own}.invoice",
            "transaction_id_path": null, "rules": [{{"when": "!exists({own})", "means": "not_found"}}]}}"#
    )
}

/// A shop whose vendor has a second way.
async fn searching(name: &'static str) -> Result<Shop<'static>> {
    let shop = Shop::open(name).await?;
    let fields = format!("without_reference => '{}'", search(&shop));
    shop.alter_provider("vendor", &fields).await?;
    Ok(shop)
}

/// What the search finds: payments, each as number, status, amount and invoice.
fn found(payments: &[(&str, &str, &str, &str)]) -> String {
    let payments: Vec<String> = payments
        .iter()
        .map(|(number, status, amount, invoice)| {
            format!(r#"{{"number": "{number}", "status": "{status}", "amount": "{amount}", "currency": "USD", "invoice": "{invoice}"}}"#)
        })
        .collect();
    format!(r#"{{"found": [{}]}}"#, payments.join(", "))
}

/// Tracks an order over 0.73 USD without a reference, due at once.
async fn track(shop: &Shop<'_>, order_number: &str) -> Result<bool> {
    let track = "select reconcile.track_order($1, 'vendor', amount => 0.73, currency => 'USD', created_at => now() - interval '2 minutes')";
    shop.one(track, &[&order_number]).await
}

async fn reference(shop: &Shop<'_>, order_number: &str) -> Result<Option<String>> {
    let reference = "select reference from reconcile.tracked_orders where order_number = $1";
    shop.one(reference, &[&order_number]).await
}

/// Proves that an order without a reference is asked about by its number, with the method, headers and body of that way, that its answer is
/// read by that way, that the reference which it finds is kept, and that the order is asked about by it from then on; and that the audit
/// and the order's story say which way was gone.
#[tokio::test]
async fn an_order_without_a_reference_is_asked_about_by_its_number() -> Result<()> {
    let shop = searching("by_order_number").await?;
    let searched = found(&[
        ("OTHER", "succeeded", "9.99", "INV-OTHER"),
        ("A", "pending", "0.73", "INV-9"),
    ]);
    let paid = Step::status("succeeded").paid("0.73", "USD");
    shop.vendor
        .set_fate("A", Fate::of([Step::http(200, &searched), paid]));
    let _sidecar = shop.sidecar().await?;
    assert!(track(&shop, "A").await?);
    let first = shop.next_check("A").await?;
    assert_eq!(
        (first.outcome.as_str(), first.to_state.as_str()),
        ("pending", "pending"),
        "{first:?}"
    );
    assert_eq!(reference(&shop, "A").await?.as_deref(), Some("INV-9"));
    shop.make_due("A").await?;
    shop.becomes("A", "succeeded").await?;
    let calls = shop.vendor.calls("A");
    assert_eq!(calls.len(), 2);
    assert_eq!(
        (calls[0].method.as_str(), calls[0].query.as_str()),
        ("POST", "search=1")
    );
    assert_eq!(calls[0].header("x-search"), Some("A"));
    assert_eq!(&calls[0].body[..], br#"{"number":"A"}"#);
    assert_eq!(
        (calls[1].method.as_str(), calls[1].query.as_str()),
        ("GET", "invoice=INV-9")
    );
    assert_eq!(calls[1].header("x-search"), None);
    let ways = "select string_agg(by_order_number::text, ' ' order by check_id) from reconcile.checks where order_number = 'A'";
    assert_eq!(shop.one::<String>(ways, &[]).await?, "true false");
    let story: String = shop.one("select reconcile.explain_order('A')", &[]).await?;
    for says in [
        "asks vendor by reference INV-9, which was found by its order number, and",
        "  asked vendor by its order number: HTTP 200",
        "  asked vendor: HTTP 200",
    ] {
        assert!(story.contains(says), "{says}\n{story}");
    }
    assert!(!track(&shop, "A").await?, "the same call is no other order");
    shop.is_sound().await
}

/// What is found for orders P-0, P-1, …, with the outcome and the reference that follow.
fn agreeing() -> [(String, &'static str, Option<&'static str>); 10] {
    [
        (
            found(&[("P-0", "succeeded", "0.73", "INV-0")]),
            "succeeded",
            Some("INV-0"),
        ),
        (
            found(&[("P-1", "succeeded", "7.30", "INV-1")]),
            "mismatch",
            None,
        ),
        (
            r#"{"found": [{"number": "P-2", "status": "succeeded", "amount": "0.73", "invoice": "INV-2"}]}"#.to_owned(),
            "mismatch",
            None,
        ),
        (
            found(&[
                ("P-3", "succeeded", "0.73", "INV-a"),
                ("P-3", "succeeded", "0.73", "INV-b"),
            ]),
            "mismatch",
            None,
        ),
        (
            found(&[
                ("P-4", "pending", "0.73", "INV-a"),
                ("P-4", "processing", "0.73", "INV-b"),
            ]),
            "pending",
            None,
        ),
        (
            found(&[("OTHER", "succeeded", "0.73", "INV-0")]),
            "not_found",
            None,
        ),
        (
            found(&[("P-6", "pending", "999", "INV-OTHER")]),
            "pending",
            None,
        ),
        (
            found(&[("P-7", "processing", "0.73", "INV-7")]).replace("USD", "EUR"),
            "pending",
            None,
        ),
        (
            found(&[("P-8", "failed", "999", "INV-OTHER")]),
            "failed",
            None,
        ),
        (
            r#"{"found": [{"number": "P-9", "status": "pending", "invoice": "INV-9"}]}"#.to_owned(),
            "pending",
            Some("INV-9"),
        ),
    ]
}

/// Proves that a success found by the order number needs the order's amount and currency, that what does not agree leaves the order
/// without a reference, whatever it means, and that an order which is closed so has the reference.
#[tokio::test]
async fn a_success_by_the_order_number_has_to_agree() -> Result<()> {
    let shop = searching("by_order_number_agrees").await?;
    let _sidecar = shop.sidecar().await?;
    for (place, (body, outcome, wanted)) in agreeing().into_iter().enumerate() {
        let number = format!("P-{place}");
        shop.vendor
            .set_fate(&number, Fate::of([Step::http(200, &body)]));
        track(&shop, &number).await?;
        let check = shop.next_check(&number).await?;
        assert_eq!(check.outcome, outcome, "{number}: {check:?}");
        assert_eq!(
            reference(&shop, &number).await?.as_deref(),
            wanted,
            "{number}"
        );
    }
    let twice = "select order_number from reconcile.second_payments";
    assert_eq!(
        shop.one::<String>(twice, &[]).await?,
        "P-3",
        "two that were paid"
    );
    let story: String = shop
        .one("select reconcile.explain_order('P-5')", &[])
        .await?;
    assert!(
        story.contains("asks vendor by its order number, having no reference, and"),
        "{story}"
    );
    shop.is_sound().await
}

/// Proves that the application gives a reference to an order that has none, or one that was found, by the same call, and that its word
/// wins; and that no other reference takes the place of what the application has said.
#[tokio::test]
async fn what_the_application_says_wins_over_what_was_found() -> Result<()> {
    let shop = searching("by_order_number_given").await?;
    let pending = |invoice: &str| found(&[("A", "pending", "0.73", invoice)]);
    let steps = Fate::of([
        Step::http(200, &pending("INV-FOUND")),
        Step::status("succeeded").paid("0.73", "USD"),
    ]);
    shop.vendor.set_fate("A", steps);
    let sidecar = shop.sidecar().await?;
    track(&shop, "A").await?;
    shop.next_check("A").await?;
    assert_eq!(reference(&shop, "A").await?.as_deref(), Some("INV-FOUND"));
    let app: Client = shop.app().await?;
    let give = |reference: &str| {
        format!("select reconcile.track_order('A', 'vendor', '{reference}', 0.73, 'USD')")
    };
    app.batch_execute(&give("INV-MINE")).await?;
    shop.becomes("A", "succeeded").await?;
    assert_eq!(shop.vendor.calls("A")[1].query, "invoice=INV-MINE");
    assert_eq!(
        refusal(&app, &give("INV-THIRD")).await?.code().code(),
        "RC004"
    );
    drop(sidecar);
    track(&shop, "B").await?;
    let give_b = "select reconcile.track_order('B', 'vendor', 'INV-B', 0.73, 'USD')";
    app.batch_execute(give_b).await?;
    assert_eq!(reference(&shop, "B").await?.as_deref(), Some("INV-B"));
    let other = "select reconcile.track_order('B', 'vendor', 'INV-C', 0.73, 'USD')";
    assert_eq!(refusal(&app, other).await?.code().code(), "RC004");
    shop.is_sound().await
}
