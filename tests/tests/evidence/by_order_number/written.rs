//! How a second way is written down, changed, tested and taken back.

use anyhow::Result;
use reconcile_tests::shop::{Shop, refusal};
use reconcile_tests::simulator::{Fate, Step};

use super::{found, search, searching, track};

/// Second ways that can't work, and why.
fn refused() -> [(String, &'static str); 12] {
    let url = r#""url": "https://v.example/?q={order_number}""#;
    [
        (
            r#"{"url": "https://v.example/{reference}"}"#.to_owned(),
            "its request names {reference}, which such an order does not have",
        ),
        (
            r#"{"url": "https://v.example/all"}"#.to_owned(),
            "url: neither it nor headers and body depend on the order",
        ),
        (
            format!(r#"{{{url}, "status_path": "$.x ? (@.id == $reference).s"}}"#),
            "status_path names $reference, which such an order does not have",
        ),
        (
            format!(r#"{{{url}, "rules": [{{"when": "$.id == $reference", "means": "failed"}}]}}"#),
            "rules names $reference",
        ),
        (format!(r#"{{{url}, "status_path": "$["}}"#), "syntax error"),
        (
            format!(r#"{{{url}, "amount_path": "$unknown"}}"#),
            "amount_path: ",
        ),
        (
            format!(r#"{{{url}, "status_map": {{"paid": "gone"}}}}"#),
            "status_map: ",
        ),
        (
            format!(r#"{{{url}, "deadline": "1 day"}}"#),
            "'deadline' is not one of its members",
        ),
        (
            format!(r#"{{{url}, "status_path": null}}"#),
            "'status_path' can't be null",
        ),
        (
            format!(r#"{{{url}, "body": {{"json": {{}}}}}}"#),
            "body: a GET carries none",
        ),
        (
            r#"{"status_path": "$.data.status"}"#.to_owned(),
            "its request names {reference}",
        ),
        (r#"["url"]"#.to_owned(), "it is not an object"),
    ]
}

/// Proves that a second way which can't work is refused when it is written, with the field and the member of it.
#[tokio::test]
async fn a_second_way_is_checked_when_it_is_written() -> Result<()> {
    let shop = Shop::open("by_order_number_checked").await?;
    for (way, why) in refused() {
        let refused = refusal(
            &shop.client,
            &format!("select reconcile.alter_provider('vendor', without_reference => '{way}')"),
        )
        .await?;
        assert_eq!(refused.code().code(), "RC003");
        assert_eq!(refused.column(), Some("without_reference"), "{way}");
        assert!(
            refused
                .message()
                .starts_with("provider vendor: without_reference: ")
                && refused.message().contains(why),
            "{way}: {}",
            refused.message()
        );
    }
    let sql = "select reconcile.add_provider('lookup', kind => 'sql', lookup_table => 'pg_class', status_map => '{\"a\": \"failed\"}',
        lookup_columns => '{\"order_number\": \"relname\"}', without_reference => '{\"status_path\": \"$.x\"}')";
    assert!(
        refusal(&shop.client, sql)
            .await?
            .message()
            .contains("without_reference: of kind sql")
    );
    shop.is_sound().await
}

/// Proves that a provider is sound with a second way, changed with one, and without one again, when orders without a reference are
/// refused as before.
#[tokio::test]
async fn a_second_way_comes_and_goes() -> Result<()> {
    let shop = Shop::open("by_order_number_comes_and_goes").await?;
    let fields = format!("without_reference => '{}'", search(&shop));
    shop.alter_provider("vendor", &fields).await?;
    track(&shop, "A").await?;
    let now_bad = "select reconcile.alter_provider('vendor', method => 'PUT', status_map => '{}')";
    refusal(&shop.client, now_bad).await?;
    let preview = "select outcome from reconcile.preview_response('vendor', $1::text::jsonb, amount => 0.73, currency => 'USD', order_number => 'A', by_order_number => true)";
    let answer = found(&[("A", "succeeded", "0.73", "INV-A")]);
    assert_eq!(shop.one::<String>(preview, &[&answer]).await?, "succeeded");
    shop.alter_provider("vendor", "without_reference => '{}'")
        .await?;
    let refused = refusal(
        &shop.client,
        "select reconcile.track_order('B', 'vendor', amount => 0.73)",
    )
    .await?;
    assert_eq!(refused.code().code(), "RC005");
    shop.is_sound().await
}

/// Proves that `test_provider` without a reference goes the second way, and shows the request that it sent.
#[tokio::test]
async fn a_test_without_a_reference_goes_the_second_way() -> Result<()> {
    let shop = searching("by_order_number_tested").await?;
    shop.vendor.set_fate(
        "A",
        Fate::of([Step::http(
            200,
            &found(&[("A", "pending", "0.73", "INV-9")]),
        )]),
    );
    let _sidecar = shop.sidecar().await?;
    let test = "select request, outcome, message from reconcile.test_provider('vendor', order_number => 'A')";
    let row = shop.client.query_one(test, &[]).await?;
    let (request, outcome): (String, Option<String>) = (row.get(0), row.get(1));
    assert!(
        request.starts_with("POST ") && request.contains("/orders/A?search=1"),
        "{request}"
    );
    assert_eq!(outcome.as_deref(), Some("pending"), "{row:?}");
    assert_eq!(shop.vendor.calls("A")[0].method, "POST");
    shop.is_sound().await
}
