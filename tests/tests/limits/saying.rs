//! What people read while something is wrong says what is wrong, and what is waited for.

use anyhow::Result;
use reconcile_tests::shop::{SOON, Shop};
use reconcile_tests::simulator::{Fate, Step};
use reconcile_tests::wait;

async fn story(shop: &Shop<'_>, number: &str) -> Result<String> {
    shop.one("select reconcile.explain_order($1)", &[&number])
        .await
}

/// Waits until an order's story ends with this.
async fn ends_with(shop: &Shop<'_>, number: &str, wanted: &str) -> Result<()> {
    let told = wait::until(
        SOON,
        format!("a story of {number} that ends: {wanted}"),
        async || {
            let told = story(shop, number).await;
            told.is_ok_and(|told| {
                told.lines()
                    .last()
                    .is_some_and(|last| last.contains(wanted))
            })
        },
    );
    if let Err(error) = told.await {
        return Err(error.context(story(shop, number).await?));
    }
    Ok(())
}

/// Proves that a provider whose latest checks had no answer is not called healthy, nor not asked yet,
/// before its breaker opens; that the reason says what came and not that it can't be read; and that a
/// status is said once.
#[tokio::test]
async fn faults_are_seen_before_the_breaker_opens() -> Result<()> {
    let shop = Shop::open("saying_faltering").await?;
    let health = "select concat_ws(' ', health, breaker, faults) from reconcile.provider_health where name = 'vendor'";
    assert_eq!(
        shop.one::<String>(health, &[]).await?,
        "not asked yet closed 0"
    );
    shop.vendor.set_default(Fate::of([Step::http(503, "")]));
    let _sidecar = shop.sidecar().await?;
    for place in 0..5 {
        let number = format!("ORD-{place}");
        shop.track_aged(&number, "10 minutes").await?;
        let check = shop.check(&number, 0).await?;
        assert_eq!(check.reason, "the provider gave no answer about the order");
        // On a slow machine the first would be asked again before the last.
        shop.run("update reconcile.due_checks set due_at = due_at + interval '1 day'")
            .await?;
    }
    assert_eq!(shop.one::<String>(health, &[]).await?, "faltering closed 5");
    let told = story(&shop, "ORD-0").await?;
    assert!(
        told.contains("asked vendor: HTTP 503 -> provider_error")
            && !told.contains("can't be read"),
        "{told}"
    );
    Ok(())
}

/// Proves that an order's story says what it waits for: the next probe of an open breaker, the end of a
/// rest, the limits, a sidecar; and, in review, by which call a person decides.
#[tokio::test]
async fn a_story_says_what_is_waited_for() -> Result<()> {
    let shop = Shop::open("saying_waits").await?;
    shop.alter_provider("vendor", "breaker_after => 1").await?;
    shop.vendor
        .set_fate("DOWN", Fate::of([Step::http(503, "")]));
    shop.vendor.set_fate(
        "BUSY",
        Fate::of([Step::http(429, "").header("Retry-After", "300")]),
    );
    let sidecar = shop.sidecar().await?;
    shop.track_aged("DOWN", "10 minutes").await?;
    shop.check("DOWN", 0).await?;
    // No probe goes out before the test says so.
    let hold = "update reconcile.provider_traffic set probe_at = clock_timestamp() + interval '1 hour' where faults > 0";
    wait::until(SOON, "an open breaker", async || {
        (shop.client.execute(hold, &[]).await).is_ok_and(|held| held == 1)
    })
    .await?;
    shop.track_aged("WAITS", "5 minutes").await?;
    ends_with(
        &shop,
        "WAITS",
        "when vendor answers again: 1 check in a row had no answer (HTTP 503), so one order at a time is tried, the next at 2",
    )
    .await?;

    shop.alter_provider("vendor", "breaker_after => 100")
        .await?;
    shop.becomes("WAITS", "succeeded").await?;
    shop.track_aged("BUSY", "10 minutes").await?;
    shop.check("BUSY", 0).await?;
    shop.track_aged("RESTS", "5 minutes").await?;
    ends_with(
        &shop,
        "RESTS",
        "it asked to be left alone until then (HTTP 429)",
    )
    .await?;

    shop.alter_provider("vendor", "rate_limit => 1, rate_interval => '1 hour'")
        .await?;
    shop.becomes("RESTS", "succeeded").await?;
    shop.track_aged("LIMITED", "5 minutes").await?;
    ends_with(&shop, "LIMITED", "when the limits of vendor allow it, at 2").await?;

    drop(sidecar);
    shop.run("update reconcile.registered_sidecars set stopped_at = clock_timestamp()")
        .await?;
    ends_with(&shop, "LIMITED", "when a sidecar runs: none does now").await?;
    shop.run("select reconcile.resolve_order('LIMITED', 'review', 'for a look')")
        .await?;
    ends_with(
        &shop,
        "LIMITED",
        "A person has to decide: select reconcile.resolve_order('LIMITED', 'succeeded', 'why')",
    )
    .await?;
    let alert = "select message from reconcile.alerts where alert = 'orders_in_review'";
    let alert: String = shop.one(alert, &[]).await?;
    assert!(alert.starts_with("1 order waits for a decision"), "{alert}");
    Ok(())
}

/// Proves that of an answer that is no JSON people see its type and its beginning, masked, whatever its
/// status; that none of it is shown where what is sensitive could not be told apart; and that a redirect
/// is said not to be followed.
#[tokio::test]
async fn an_answer_that_is_no_json_is_seen_by_its_beginning() -> Result<()> {
    let shop = Shop::open("saying_excerpt").await?;
    let _sidecar = shop.sidecar().await?;
    let page = format!(
        "<html>\n<h1>Back at noon</h1> token=s3cr3t-of-ours <p>{}</p></html>",
        "x".repeat(300)
    );
    let html =
        |status| Step::http(status, &page).header("Content-Type", "text/html; charset=utf-8");
    let begins =
        "364 characters of text/html): <html> <h1>Back at noon</h1> token=[redacted] <p>xxx";
    for (number, step, detail) in [
        (
            "PAGE",
            html(200),
            format!("the answer is not JSON that can be kept ({begins}"),
        ),
        ("DOWN", html(503), format!("HTTP 503 ({begins}")),
        (
            "MOVED",
            Step::http(302, ""),
            "HTTP 302: redirects are not followed".to_owned(),
        ),
        (
            "HALF",
            Step::http(500, r#"{"voucher": ["1234-5678"#)
                .header("Content-Type", "application/json"),
            "HTTP 500 (23 characters)".to_owned(),
        ),
    ] {
        shop.vendor.set_fate(number, Fate::of([step]));
        shop.track_aged(number, "10 minutes").await?;
        let check = shop.check(number, 0).await?;
        let said = check.detail.unwrap_or_default();
        assert!(said.starts_with(&detail), "{number}: {said}");
        assert!(
            said.chars().count() < 300 && check.response.is_none(),
            "{number}: {said}"
        );
    }
    shop.alter_provider(
        "vendor",
        r#"captures => '{"pin_code": {"path": "$.data.pin", "sensitive": true}}'"#,
    )
    .await?;
    shop.vendor.set_fate("PIN", Fate::of([html(200)]));
    shop.track_aged("PIN", "10 minutes").await?;
    assert_eq!(
        shop.check("PIN", 0).await?.detail.as_deref(),
        Some("the answer is not JSON that can be kept (364 characters of text/html)")
    );
    Ok(())
}
