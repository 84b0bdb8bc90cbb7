//! test_provider: one question to a provider without an order, as a DBA asks it who sets up a vendor.

mod unmade;

use anyhow::{Context, Result};
use reconcile_tests::shop::{SOON, Shop};
use reconcile_tests::sidecar::Sidecar;
use reconcile_tests::simulator::{Fate, Reply, Step};
use serde_json::Value;
use tokio_postgres::Client;

use crate::rows::ledger;
use crate::witness::Witness;

const SECRET: &str = "hush-4711";

/// What test_provider answers.
#[derive(Debug)]
struct Tested {
    request: String,
    http_status: Option<i32>,
    response: Option<Value>,
    provider_status: Option<String>,
    rule: Option<String>,
    outcome: Option<String>,
    decision: Option<String>,
    message: String,
}

/// Calls test_provider with these arguments as an operator.
async fn test(operator: &Client, arguments: &str) -> Result<Tested> {
    let sql = format!("select * from reconcile.test_provider({arguments})");
    let asked = tokio::time::timeout(SOON, operator.query_one(&sql, &[])).await;
    let row = asked.context("test_provider waits in vain")??;
    Ok(Tested {
        request: row.get("request"),
        http_status: row.get("http_status"),
        response: row.get("response"),
        provider_status: row.get("provider_status"),
        rule: row.get("rule"),
        outcome: row.get("outcome"),
        decision: row.get("decision"),
        message: row.get("message"),
    })
}

async fn operator(shop: &Shop<'_>) -> Result<Client> {
    shop.database.connect_as("shop_operator").await
}

const BEARER: &str = r#"auth => '{"kind": "bearer", "secret": "VENDOR_TOKEN"}'"#;

/// Proves that a test shows what was sent, with the secret by its name, what came back, masked, which
/// rule held and where an order would go; that it makes one call, signed; and that it changes nothing
/// in orders, queue, leases and audit.
#[tokio::test]
async fn a_test_shows_the_call_its_answer_and_the_decision() -> Result<()> {
    let shop = Shop::open("limits_test").await?;
    let rules = r#"rules => '[
        {"when": "$.data.status == \"void\"", "means": "cancelled"},
        {"when": "$.data.status == \"succeeded\"", "means": "succeeded"}
    ]', headers => '{"X-Order": "{order_number}"}'"#;
    shop.alter_provider("vendor", &format!("{BEARER}, {rules}"))
        .await?;
    let mut settings = shop.sidecar_settings();
    settings
        .secrets
        .push(("VENDOR_TOKEN".into(), SECRET.into()));
    let sidecar = Sidecar::start_ready(&settings).await?;
    shop.track("EARLIER").await?;
    shop.next_check("EARLIER").await?;
    shop.track("ORD/1").await?;
    let answer = r#"{"data": {"status": "succeeded", "invoiceId": "33375390", "retailPrice": "0.73", "currency": "USD"},
        "token": "any-SECRETVALUE", "echo": {"Authorization": "Bearer hush-4711"}}"#;
    shop.vendor
        .set_fate("ORD/1", Fate::of([Step::http(200, answer)]));
    let before = ledger(&shop).await?;

    let operator = operator(&shop).await?;
    let asked = "'vendor', reference => '33375390', order_number => 'ORD/1', amount => 0.73, currency => 'usd'";
    let tested = test(&operator, asked).await?;
    assert_eq!(
        tested.request,
        format!(
            "GET {}\nX-Order: ORD/1\nsigned by {}",
            shop.vendor.url("/orders/ORD%2F1?invoice=33375390"),
            r#"{"kind": "bearer", "secret": "VENDOR_TOKEN"}"#
        )
    );
    let response = tested.response.as_ref().context("no response")?;
    assert_eq!(tested.http_status, Some(200));
    assert_eq!(response["data"]["status"], "succeeded");
    assert_eq!(response["token"], "[redacted]");
    assert_eq!(response["echo"]["Authorization"], "[redacted]");
    assert_eq!(tested.provider_status.as_deref(), Some("succeeded"));
    let rule: Value = serde_json::from_str(tested.rule.as_deref().context("no rule")?)?;
    assert_eq!(
        (&rule["number"], &rule["means"]),
        (&2.into(), &"succeeded".into())
    );
    assert_eq!(tested.outcome.as_deref(), Some("succeeded"));
    assert_eq!(tested.decision.as_deref(), Some("pending -> succeeded"));
    assert_eq!(tested.message, "the provider says succeeded: by rule 2");

    let calls = shop.vendor.calls("ORD/1");
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].header("authorization"), Some("Bearer hush-4711"));
    assert_eq!(calls[0].header("x-order"), Some("ORD/1"));
    assert_eq!(ledger(&shop).await?, before);
    let kept: String = shop
        .one(
            "select coalesce(string_agg(t::text, ''), '') from reconcile.provider_tests as t",
            &[],
        )
        .await?;
    for text in [format!("{tested:?}"), kept, sidecar.stderr()] {
        assert!(
            !text.contains(SECRET) && !text.contains("SECRETVALUE"),
            "{text}"
        );
    }
    shop.is_sound().await
}

/// Proves that a test says what would come of every kind of answer, faults included, and that none of
/// them counts against the provider: its breaker stays closed and its alerts silent.
#[tokio::test]
async fn a_test_says_what_is_wrong_and_holds_it_against_nobody() -> Result<()> {
    let shop = Shop::open("limits_test_faults").await?;
    let limits = "breaker_after => 1, timeout => '1 second'";
    shop.alter_provider("vendor", limits).await?;
    let _sidecar = shop.sidecar().await?;
    let operator = operator(&shop).await?;
    let cases: [(Step, &str, &str); 9] = [
        (Step::http(404, "{}"), "not_found", "HTTP 404"),
        (Step::http(500, "oops"), "provider_error", "HTTP 500"),
        (Step::http(401, ""), "refused", "HTTP 401"),
        (
            Step::http(429, "").header("Retry-After", "3600"),
            "throttled",
            "HTTP 429",
        ),
        (
            Reply::NotJson.into(),
            "provider_error",
            "is not JSON that can be kept (41 characters)",
        ),
        (
            Reply::WithoutPath.into(),
            "provider_error",
            r#"nothing at $."data"."status""#,
        ),
        (
            Step::status("on hold"),
            "unknown_status",
            "does not have 'on hold'",
        ),
        (Reply::Hang.into(), "unreachable", "no answer in time"),
        (Step::status("pending"), "pending", "no final word"),
    ];
    for (step, outcome, message) in cases {
        shop.vendor.set_default(Fate::of([step]));
        let tested = test(&operator, "'vendor', 'INV'").await?;
        assert_eq!(tested.outcome.as_deref(), Some(outcome), "{tested:?}");
        assert_eq!(tested.decision.as_deref(), Some("pending -> pending"));
        assert!(tested.message.contains(message), "{tested:?}");
    }
    shop.vendor.set_default(Fate::status("succeeded"));
    let mismatch = test(
        &operator,
        "'vendor', 'INV', amount => 0.74, currency => 'USD'",
    )
    .await?;
    assert_eq!(mismatch.decision.as_deref(), Some("pending -> review"));
    assert!(mismatch.message.contains("0.74"), "{mismatch:?}");
    let health = "select health || ' ' || faults from reconcile.provider_health where name = 'vendor' and asked_again_at is null";
    let health: String = shop.one(health, &[]).await?;
    assert_eq!(health, "not asked yet 0");
    // And an order is asked about at once.
    shop.track_aged("A", "10 minutes").await?;
    shop.signal().await?;
    shop.becomes("A", "succeeded").await
}

/// Proves that a test counts as a call where calls are counted, so that orders wait for it, and is
/// itself never held back, since a person waits.
#[tokio::test]
async fn a_test_counts_as_a_call_and_waits_for_none() -> Result<()> {
    let shop = Shop::open("limits_test_counts").await?;
    shop.alter_provider("vendor", "rate_limit => 2, rate_interval => '1 day'")
        .await?;
    let witness = Witness::open(&shop).await?;
    let _sidecars = witness.three_sidecars(&shop).await?;
    let operator = operator(&shop).await?;
    for _ in 0..3 {
        let tested = test(&operator, "'vendor', 'INV'").await?;
        assert_eq!(tested.outcome.as_deref(), Some("succeeded"), "{tested:?}");
    }
    shop.track_aged("A", "10 minutes").await?;
    witness.sees_nobody_asking(&shop, 3).await?;
    shop.alter_provider("vendor", "clear => '{rate_limit}'")
        .await?;
    shop.becomes("A", "succeeded").await?;
    shop.is_sound().await
}

/// Proves that a provider can be tested while it is paused, which is when it is set up.
#[tokio::test]
async fn a_test_works_during_a_pause() -> Result<()> {
    let shop = Shop::open("limits_test_pause").await?;
    let witness = Witness::open(&shop).await?;
    let _sidecars = witness.three_sidecars(&shop).await?;
    shop.run("select reconcile.pause_provider('vendor', 'not ready yet')")
        .await?;
    shop.track_aged("A", "10 minutes").await?;
    let tested = test(&operator(&shop).await?, "'vendor', 'INV'").await?;
    assert_eq!(tested.decision.as_deref(), Some("pending -> succeeded"));
    witness.sees_nobody_asking(&shop, 1).await
}
