//! Payloads that mean harm, and handlers that make mistakes.

use anyhow::Result;
use reconcile_tests::shop::{Shop, refusal};

use crate::{EVIDENCE, effects, record, said};

/// Proves that evidence about another order, reference, amount or currency closes nothing as succeeded: it goes to review; and that what
/// is no answer at all changes nothing.
#[tokio::test]
async fn evidence_that_disagrees_goes_to_review() -> Result<()> {
    let shop = Shop::open("webhooks_disagrees").await?;
    shop.alter_provider("vendor", EVIDENCE).await?;
    let app = shop.app().await?;
    let euros = said("succeeded", "EUROS", "0.73").replace("USD", "EUR");
    let cases = [
        ("ANOTHER", said("succeeded", "A", "0.73"), "review"),
        ("CHEAP", said("succeeded", "CHEAP", "0.01"), "review"),
        ("DEAR", said("succeeded", "DEAR", "1e3"), "review"),
        ("NAN", said("succeeded", "NAN", "NaN"), "review"),
        (
            "INFINITE",
            said("succeeded", "INFINITE", "Infinity"),
            "review",
        ),
        ("HUGE", said("succeeded", "HUGE", "1e131071"), "review"),
        ("EUROS", euros, "review"),
        ("NOTHING", "null".to_owned(), "pending"),
        ("TEXT", "\"succeeded\"".to_owned(), "pending"),
        ("LIST", "[]".to_owned(), "pending"),
        (
            "OBJECT",
            r#"{"data": {"status": {"word": "succeeded"}}}"#.to_owned(),
            "pending",
        ),
        (
            "DEEP",
            format!("{}{}", "[".repeat(128), "]".repeat(128)),
            "pending",
        ),
        (
            "LONG",
            format!(
                r#"{{"data": {{"status": "{}"}}}}"#,
                "succeeded".repeat(20_000)
            ),
            "pending",
        ),
        (
            "NUMBER",
            r#"{"data": {"status": "succeeded", "invoiceId": 0.1, "retailPrice": 0.73}}"#
                .to_owned(),
            "review",
        ),
    ];
    for (number, payload, state) in cases {
        shop.track(number).await?;
        record(&app, number, &payload, Some(number)).await?;
        assert_eq!(shop.order(number).await?.state, state, "{number}");
        assert_eq!(
            shop.order(number).await?.next_check_s.is_some(),
            state == "pending",
            "{number}"
        );
    }
    shop.is_sound().await
}

/// Proves that what a handler can't mean is refused with what is wrong, and that nothing of it is kept: no order is named, no event id,
/// an unknown provider, a payload that is too large or no JSON of PostgreSQL's.
#[tokio::test]
async fn a_handlers_mistakes_are_refused() -> Result<()> {
    let shop = Shop::open("webhooks_mistakes").await?;
    let app = shop.app().await?;
    let long = "x".repeat(501);
    let large = format!(
        "jsonb_build_object('x', repeat('{}', 30000))",
        "y".repeat(10)
    );
    let cases = [
        ("'nobody', 'e1', '{}', 'A'".to_owned(), "RC002"),
        ("null, 'e1', '{}', 'A'".to_owned(), "RC002"),
        ("'vendor', null, '{}', 'A'".to_owned(), "RC005"),
        ("'vendor', '', '{}', 'A'".to_owned(), "RC005"),
        (format!("'vendor', '{long}', '{{}}', 'A'"), "RC005"),
        ("'vendor', 'e1', '{}'".to_owned(), "RC005"),
        ("'vendor', 'e1', '{}', '', ''".to_owned(), "RC005"),
        (
            "'vendor', 'e1', '{\"data\": {\"invoiceId\": null}}'".to_owned(),
            "RC005",
        ),
        (format!("'vendor', 'e1', {large}, 'A'"), "RC005"),
        (
            "'vendor', 'e1', '{\"status\": \"\\u0000\"}', 'A'".to_owned(),
            "22P05",
        ),
        ("'vendor', 'e1', 'not json', 'A'".to_owned(), "22P02"),
        (
            "'vendor', 'e1', '{\"amount\": NaN}', 'A'".to_owned(),
            "22P02",
        ),
    ];
    for (arguments, code) in cases {
        let refused = refusal(
            &app,
            &format!("select reconcile.record_webhook({arguments})"),
        )
        .await?;
        assert_eq!(refused.code().code(), code, "{arguments}: {refused}");
        assert!(code != "RC005" || refused.hint().is_some(), "{refused}");
    }
    assert!(effects(&shop).await?.is_empty());
    let nulls = "select reconcile.record_webhook('vendor', 'e1', null, 'A')";
    let kept: String = app.query_one(nulls, &[]).await?.get(0);
    assert_eq!(
        kept, "kept",
        "without a payload it is a doorbell all the same"
    );
    Ok(())
}

/// Proves that secrets, card numbers and what the provider's row calls sensitive are masked in what is kept of an event and of the check
/// it made, that a sensitive capture has its value on the order all the same, and that an early event, whose secret is not kept, has
/// its provider asked instead.
#[tokio::test]
async fn an_events_secrets_are_not_kept() -> Result<()> {
    let shop = Shop::open("webhooks_secrets").await?;
    let captures = "captures => '{\"pin\": {\"path\": \"$.data.pin\", \"sensitive\": true}}', sensitive => '{licence_key}'";
    shop.alter_provider("vendor", &format!("{EVIDENCE}, {captures}"))
        .await?;
    let app = shop.app().await?;
    shop.track("A").await?;
    let with_secrets = |number: &str| {
        said("succeeded", number, "0.73").replacen(
            '{',
            r#"{"accessToken": "any-SECRETVALUE-1", "licence_key": "any-SECRETVALUE-2", "note": "4111 1111 1111 1111", "#,
            1,
        )
        .replace("\"currency\"", "\"pin\": \"SECRETVALUE-3\", \"currency\"")
    };
    assert_eq!(
        record(&app, "e1", &with_secrets("A"), None).await?,
        "applied"
    );
    assert_eq!(record(&app, "e2", &with_secrets("B"), None).await?, "kept");
    shop.track("B").await?;
    assert_eq!(effects(&shop).await?, ["e1 applied", "e2 asked"]);
    let pin = "select captured ->> 'pin' from reconcile.tracked_orders where order_number = 'A'";
    assert_eq!(shop.one::<String>(pin, &[]).await?, "SECRETVALUE-3");
    let kept = "
        select (select string_agg(w::text, '') from reconcile.received_webhooks as w) || (select string_agg(c::text, '') from reconcile.recorded_checks as c)
            || (select string_agg(o::text, '') from reconcile.orders as o) || reconcile.explain_order('A')";
    let kept: String = shop.one(kept, &[]).await?;
    assert!(
        !kept.contains("SECRETVALUE") && !kept.contains("4111 1111"),
        "{kept}"
    );
    shop.is_sound().await
}

/// Proves that two providers may have events of the same id, and that an event of one is not about an order of the other.
#[tokio::test]
async fn an_event_is_its_providers_own() -> Result<()> {
    let shop = Shop::open("webhooks_own").await?;
    shop.add_provider("other", &shop.vendor, EVIDENCE).await?;
    shop.track("A").await?;
    let app = shop.app().await?;
    let foreign = "select reconcile.record_webhook('other', 'e1', $1::text::jsonb)";
    let effect: String = app
        .query_one(foreign, &[&said("failed", "A", "0.73")])
        .await?
        .get(0);
    assert_eq!(effect, "kept");
    assert_eq!(record(&app, "e1", "{}", Some("A")).await?, "asked");
    assert_eq!(shop.order("A").await?.state, "pending");
    shop.is_sound().await
}
