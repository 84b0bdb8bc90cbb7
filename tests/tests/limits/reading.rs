//! How an answer is read: by HTTP status, by rules, and by the description that it was asked by.

use anyhow::Result;
use reconcile_tests::shop::{SOON, Shop};
use reconcile_tests::simulator::{Fate, Step};

/// Proves that a provider's http_outcomes go before the usual meaning of a status, the number before
/// its class, and can have the body decide; and that all others keep their meaning.
#[tokio::test]
async fn a_provider_may_mean_something_else_by_an_http_status() -> Result<()> {
    let shop = Shop::open("limits_http_outcomes").await?;
    let outcomes = r#"http_outcomes => '{"404": "pending", "400": "body", "4xx": "not_found", "500": "failed"}',
        not_found_as => 'cancelled', not_found_grace => '0'"#;
    shop.alter_provider("vendor", outcomes).await?;
    let _sidecar = shop.sidecar().await?;
    let cases = [
        (404, "pending", "pending"),
        (400, "succeeded", "succeeded"),
        (422, "not_found", "cancelled"),
        (500, "failed", "failed"),
        (503, "provider_error", "pending"),
    ];
    for (status, outcome, state) in cases {
        let number = format!("HTTP-{status}");
        let paid = format!(
            r#"{{"data": {{"status": "succeeded", "invoiceId": "INV-{number}", "retailPrice": "0.73", "currency": "USD"}}}}"#
        );
        shop.vendor
            .set_fate(&number, Fate::of([Step::http(status, &paid)]));
        shop.track(&number).await?;
        let check = shop.next_check(&number).await?;
        assert_eq!(
            (check.outcome.as_str(), check.to_state.as_str()),
            (outcome, state),
            "{number}"
        );
        assert_eq!(check.http_status, Some(i32::from(status)));
    }
    shop.is_sound().await
}

/// Proves that rules find what a provider says in the body of a 200: that it does not know the order,
/// that it wants fewer calls, that it has a fault of its own; and that what no rule holds for is looked
/// up in the map.
#[tokio::test]
async fn rules_read_a_404_in_the_body_of_a_200() -> Result<()> {
    let shop = Shop::open("limits_rules").await?;
    let rules = r#"not_found_as => 'failed', not_found_grace => '1 hour', rules => '[
        {"when": "$.code == \"404\" || $.code == 404", "means": "not_found"},
        {"when": "$.code == \"busy\"", "means": "throttled"},
        {"when": "$.code starts with \"E\"", "means": "provider_error"}
    ]'"#;
    shop.alter_provider("vendor", rules).await?;
    let _sidecar = shop.sidecar().await?;
    let cases = [
        (r#"{"code": "404"}"#, "not_found", "pending"),
        (r#"{"code": 404}"#, "not_found", "pending"),
        (r#"{"code": "busy"}"#, "throttled", "pending"),
        (
            r#"{"code": "E17", "data": {"status": "succeeded"}}"#,
            "provider_error",
            "pending",
        ),
        (
            r#"{"code": "ok", "data": {"status": "cancelled"}}"#,
            "cancelled",
            "cancelled",
        ),
        (
            r#"{"code": "ok", "data": {"status": "404"}}"#,
            "unknown_status",
            "pending",
        ),
    ];
    for (place, (body, outcome, state)) in cases.into_iter().enumerate() {
        let number = format!("ORD-{place}");
        shop.vendor
            .set_fate(&number, Fate::of([Step::http(200, body)]));
        shop.track(&number).await?;
        let check = shop.next_check(&number).await?;
        assert_eq!(
            (check.outcome.as_str(), check.to_state.as_str()),
            (outcome, state),
            "{body}"
        );
    }
    // Past its grace the rule's not_found ends an order as a 404 does.
    shop.vendor
        .set_fate("OLD", Fate::of([Step::http(200, r#"{"code": "404"}"#)]));
    shop.track_aged("OLD", "2 hours").await?;
    assert_eq!(shop.next_check("OLD").await?.to_state, "failed");
    shop.is_sound().await
}

/// Proves that an answer that is in flight while the description changes is read by the version that it
/// was asked by, and that the next question goes by the new one.
#[tokio::test]
async fn an_answer_is_read_by_the_version_it_was_asked_by() -> Result<()> {
    let shop = Shop::open("limits_versions").await?;
    let _sidecar = shop.sidecar().await?;
    let gate = shop.vendor.hold_all();
    for number in ["A", "B"] {
        shop.track_aged(number, "10 minutes").await?;
    }
    shop.signal().await?;
    for number in ["A", "B"] {
        shop.vendor.arrived(number, 1, SOON).await?;
    }
    let version = "select version from reconcile.providers where name = 'vendor'";
    let asked_by: i32 = shop.one(version, &[]).await?;
    shop.alter_provider(
        "vendor",
        r#"status_map => '{"succeeded": "failed"}', status_path => '$.data.status', clear => '{amount_path}'"#,
    )
    .await?;
    // Another one, by which the word is nowhere.
    shop.alter_provider("vendor", "status_path => '$.nowhere'")
        .await?;
    gate.open();
    for number in ["A", "B"] {
        shop.becomes(number, "succeeded").await?;
    }
    let read_by = "select provider_version from reconcile.checks where order_number = 'A'";
    assert_eq!(shop.one::<i32>(read_by, &[]).await?, asked_by);
    shop.alter_provider("vendor", "status_path => '$.data.status'")
        .await?;
    shop.track("C").await?;
    assert_eq!(shop.next_check("C").await?.to_state, "failed");
    let read_by = "select provider_version from reconcile.checks where order_number = 'C'";
    assert_eq!(shop.one::<i32>(read_by, &[]).await?, asked_by + 3);
    shop.is_sound().await
}
