//! Decision 1: only an answer from the provider closes an order.

use anyhow::Result;
use reconcile_tests::shop::Shop;
use reconcile_tests::simulator::{Fate, Reply, Simulator, Step};

const MANY: usize = 8;

/// Proves that no number of faults closes an order or uses up one of its tries, and that the first
/// answer after them settles it.
async fn never_closes(name: &'static str, step: Step, outcome: &str) -> Result<()> {
    let shop = Shop::open(name).await?;
    shop.alter_provider("vendor", "max_tries => 2, timeout => '200 milliseconds'")
        .await?;
    let _sidecar = shop.sidecar().await?;
    shop.track("A").await?;
    shop.vendor.set_fate("A", Fate::of([step]));
    for round in 1..=MANY {
        let check = shop.next_check("A").await?;
        assert_eq!(
            (check.outcome.as_str(), check.to_state.as_str()),
            (outcome, "pending"),
            "{check:?}"
        );
        let order = shop.order("A").await?;
        assert_eq!((order.tries, order.faults), (0, i32::try_from(round)?));
        assert!(order.next_check_s.is_some(), "{order:?}");
    }
    shop.vendor.set_fate("A", Fate::status("failed"));
    shop.next_check("A").await?;
    assert_eq!(shop.history("A").await?, ["pending -> failed by provider"]);
    assert_eq!(shop.order("A").await?.faults, 0);
    shop.is_sound().await
}

/// Proves it of a provider that can't be reached in time.
#[tokio::test]
async fn unreachable_never_closes() -> Result<()> {
    never_closes(
        "unreachable_never_closes",
        Reply::Hang.into(),
        "unreachable",
    )
    .await
}

/// Proves it of a provider that fails.
#[tokio::test]
async fn a_provider_error_never_closes() -> Result<()> {
    let body = r#"{"data": {"status": "failed"}}"#;
    never_closes(
        "a_provider_error_never_closes",
        Step::http(500, body),
        "provider_error",
    )
    .await
}

/// Proves it of a provider that asks for fewer calls.
#[tokio::test]
async fn throttled_never_closes() -> Result<()> {
    let body = r#"{"data": {"status": "cancelled"}}"#;
    never_closes("throttled_never_closes", Step::http(429, body), "throttled").await
}

/// Proves it of a provider that refuses the call.
#[tokio::test]
async fn refused_never_closes() -> Result<()> {
    let body = r#"{"data": {"status": "failed"}}"#;
    never_closes("refused_never_closes", Step::http(401, body), "refused").await
}

/// Proves that a body is only believed under a status of 200 to 299.
#[tokio::test]
async fn a_word_under_an_error_status_closes_nothing() -> Result<()> {
    let shop = Shop::open("a_word_under_an_error").await?;
    let _sidecar = shop.sidecar().await?;
    for (status, outcome) in [
        (301, "provider_error"),
        (302, "provider_error"),
        (307, "provider_error"),
        (400, "provider_error"),
        (401, "refused"),
        (403, "refused"),
        (404, "not_found"),
        (409, "provider_error"),
        (410, "not_found"),
        (429, "throttled"),
        (500, "provider_error"),
        (503, "provider_error"),
        (599, "provider_error"),
    ] {
        let number = status.to_string();
        let step = Step::http(status, r#"{"data": {"status": "succeeded"}}"#);
        shop.vendor.set_fate(&number, Fate::of([step]));
        shop.track(&number).await?;
        let check = shop.next_check(&number).await?;
        assert_eq!(check.outcome, outcome, "{status}");
        assert_eq!(
            (check.to_state.as_str(), check.http_status),
            ("pending", Some(i32::from(status)))
        );
    }
    for status in [200, 201, 202] {
        let number = status.to_string();
        let body = format!(
            r#"{{"data": {{"status": "succeeded", "invoiceId": "INV-{number}", "retailPrice": "0.73", "currency": "USD"}}}}"#
        );
        let step = Step::http(status, &body);
        shop.vendor.set_fate(&number, Fate::of([step]));
        shop.track(&number).await?;
        assert_eq!(
            shop.next_check(&number).await?.to_state,
            "succeeded",
            "{status}"
        );
    }
    shop.is_sound().await
}

/// Proves that a redirect is not followed, to wherever it leads.
#[tokio::test]
async fn a_redirect_is_not_followed() -> Result<()> {
    let shop = Shop::open("a_redirect").await?;
    let elsewhere = Simulator::start()?;
    let mut settings = shop.sidecar_settings();
    settings.allow_hosts.push(elsewhere.address().to_string());
    let _sidecar = reconcile_tests::sidecar::Sidecar::start_ready(&settings).await?;
    for status in [301, 302, 303, 307, 308] {
        let number = status.to_string();
        let away = Step::http(status, "").header("Location", &elsewhere.url("/orders/A"));
        let back = Step::http(status, "").header("Location", &format!("/orders/OTHER-{status}"));
        shop.vendor.set_fate(&number, Fate::of([away, back]));
        shop.track(&number).await?;
        for _ in 0..2 {
            let check = shop.next_check(&number).await?;
            assert_eq!(
                (check.outcome.as_str(), check.http_status),
                ("provider_error", Some(i32::from(status)))
            );
        }
    }
    assert_eq!(elsewhere.totals().calls, 0);
    assert_eq!(
        shop.vendor.totals().calls,
        10,
        "about nothing but the orders"
    );
    Ok(())
}

/// Proves that a provider that asks to be left alone for a while is left alone for so long, by both
/// forms of the header that it can say so with.
#[tokio::test]
async fn retry_after_is_heeded() -> Result<()> {
    let shop = Shop::open("retry_after").await?;
    let _sidecar = shop.sidecar().await?;
    let headers = [
        ("LONG", "3600", 3600.0, 3601.0),
        ("SHORT", "1", 5.0, 5.6),
        ("NONSENSE", "soon", 5.0, 5.6),
        ("PAST", "Wed, 21 Oct 2015 07:28:00 GMT", 5.0, 5.6),
        ("FOREVER", "99999999999", 24.0 * 3600.0, 24.0 * 3600.0 + 1.0),
    ];
    for (number, header, least, most) in headers {
        shop.vendor.set_fate(
            number,
            Fate::of([Step::http(429, "").header("Retry-After", header)]),
        );
        shop.track(number).await?;
        let check = shop.next_check(number).await?;
        assert_eq!(check.outcome, "throttled");
        let pause = check.next_check_s.unwrap_or_default();
        assert!((least..=most).contains(&pause), "{number}: {pause} s");
    }
    Ok(())
}
