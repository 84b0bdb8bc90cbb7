//! preview_response: what an answer at hand would mean, without asking anybody. No sidecar runs here.

use anyhow::{Context, Result};
use reconcile_tests::shop::Shop;
use serde_json::Value;
use tokio_postgres::Client;

use crate::rows::{ledger, traffic};

const RULES: &str = r#"rules => '[
    {"when": "$.data.captures[*].status == \"COMPLETED\"", "means": "succeeded"},
    {"when": "exists($.error)", "means": "provider_error"},
    {"when": "$.data.captures[*].status == \"DECLINED\"", "means": "failed"}
]'"#;

/// What a preview says: outcome, decision, message and rule.
async fn preview(operator: &Client, arguments: &str) -> Result<[String; 4]> {
    let sql = format!(
        "select outcome, decision, message, coalesce((rule::jsonb ->> 'number'), '') from reconcile.preview_response({arguments})"
    );
    let row = operator
        .query_one(&sql, &[])
        .await
        .with_context(|| arguments.to_owned())?;
    Ok([row.get(0), row.get(1), row.get(2), row.get(3)])
}

/// Proves that a preview answers as the report would, by rules, map, HTTP status and evidence, and that
/// nothing is left of it anywhere.
#[tokio::test]
async fn a_preview_says_what_an_answer_would_mean_and_leaves_nothing() -> Result<()> {
    let shop = Shop::open("limits_preview").await?;
    shop.alter_provider("vendor", RULES).await?;
    shop.track("EARLIER").await?;
    let before = ledger(&shop).await? + &traffic(&shop).await?;
    let operator = shop.database.connect_as("shop_operator").await?;
    let paid = r#"{"data": {"status": "succeeded", "retailPrice": "0.73", "currency": "USD", "invoiceId": "INV"}}"#;
    let cases: [(String, &str, &str, &str, &str); 13] = [
        (format!("'vendor', '{paid}'"), "succeeded", "pending -> succeeded", "the provider says succeeded", ""),
        (r#"'vendor', '{"data": {"captures": [{"status": "DECLINED"}, {"status": "COMPLETED"}]}}'"#.into(),
            "succeeded", "pending -> succeeded", "by rule 1", "1"),
        (r#"'vendor', '{"error": 7, "data": {"captures": [{"status": "DECLINED"}]}}'"#.into(),
            "provider_error", "pending -> pending", "by rule 2", "2"),
        (r#"'vendor', '{"data": {"captures": [{"status": "DECLINED"}]}}'"#.into(),
            "failed", "pending -> failed", "by rule 3", "3"),
        (format!("'vendor', '{paid}', 200, reference => 'INV', amount => 0.73, currency => 'USD'"),
            "succeeded", "pending -> succeeded", "the provider says succeeded", ""),
        (format!("'vendor', '{paid}', 200, amount => 0.74"), "mismatch", "pending -> review", "0.74", ""),
        (format!("'vendor', '{paid}', 200, amount => 0.73, currency => 'EUR'"), "mismatch", "pending -> review", "EUR", ""),
        (format!("'vendor', '{paid}', 200, reference => 'OTHER'"), "mismatch", "pending -> review", "OTHER", ""),
        (format!("'vendor', '{paid}', 404"), "not_found", "pending -> pending", "HTTP 404", ""),
        (format!("'vendor', '{paid}', 500"), "provider_error", "pending -> pending", "HTTP 500", ""),
        (format!("'vendor', '{paid}', http_status => 403"), "refused", "pending -> pending", "HTTP 403", ""),
        (r#"'vendor', '{"data": {"status": "on hold"}}'"#.into(),
            "unknown_status", "pending -> pending", "does not have 'on hold'", ""),
        ("'vendor', '[]'".into(), "provider_error", "pending -> pending", "has nothing at", ""),
    ];
    for (arguments, outcome, decision, message, rule) in cases {
        let said = preview(&operator, &arguments).await?;
        assert_eq!(said[..2], [outcome, decision], "{arguments}: {said:?}");
        assert!(said[2].contains(message), "{arguments}: {said:?}");
        assert_eq!(said[3], rule, "{arguments}: {said:?}");
    }
    assert_eq!(ledger(&shop).await? + &traffic(&shop).await?, before);
    assert_eq!(shop.vendor.totals().calls, 0);
    let unknown = preview(&operator, "'nobody', '{}'").await.err();
    let unknown = unknown.context("there is no such provider")?;
    assert!(
        format!("{unknown:#}").contains("there is no provider 'nobody'"),
        "{unknown:#}"
    );
    Ok(())
}

/// Proves that a preview shows the answer as it would be kept: with what is sensitive masked.
#[tokio::test]
async fn a_preview_masks_what_would_not_be_kept() -> Result<()> {
    let shop = Shop::open("limits_preview_masks").await?;
    shop.alter_provider("vendor", "sensitive => '{licence_key}'")
        .await?;
    let sql = r#"select response from reconcile.preview_response('vendor',
        '{"data": {"status": "succeeded"}, "licence key": "L-1", "cvv": 987, "card": "4111 1111 1111 1111"}')"#;
    let response: Value = shop.one(sql, &[]).await?;
    assert_eq!(response["data"]["status"], "succeeded");
    for member in ["licence key", "cvv", "card"] {
        assert_eq!(response[member], "[redacted]", "{response}");
    }
    Ok(())
}
