//! What an endpoint's answer means.

use anyhow::Result;
use reconcile_tests::shop::Shop;

use crate::receiver::Receiver;
use crate::{add_endpoint, all_delivered, event, holds, make_due, sidecar};

const TRIED_ONCE: &str =
    "select count(*) = 1 from reconcile.deliveries where attempts = 1 and token is null";

/// Proves that 410 ends all sending to an endpoint, and to it alone, that people are told, and that
/// nothing was lost when it is resumed.
#[tokio::test]
async fn an_endpoint_that_is_gone_is_left_alone_until_it_is_resumed() -> Result<()> {
    let shop = Shop::open("delivery_gone").await?;
    let (gone, other) = (Receiver::start().await?, Receiver::start().await?);
    gone.says(410, &[]);
    add_endpoint(&shop, "gone", &gone, "").await?;
    add_endpoint(&shop, "other", &other, "").await?;
    let sidecar = sidecar(&shop, &[&gone, &other]).await?;
    event(&shop, "A", "succeeded").await?;
    holds(
        &shop,
        "the endpoint to be disabled",
        "select health = 'disabled' from reconcile.endpoints where name = 'gone'",
    )
    .await?;
    event(&shop, "B", "failed").await?;
    other.received(2).await?;
    make_due(&shop).await?;
    event(&shop, "C", "failed").await?;
    other.received(3).await?;
    assert_eq!(gone.messages().len(), 1, "it is not asked again");
    let refused = sidecar
        .metric("reconcile_deliveries_total", "result=\"disabled\"")
        .await?;
    assert!((refused - 1.0).abs() < f64::EPSILON);
    let alert = "select format('%s %s', severity, subject) from reconcile.alerts where alert like 'endpoint%'";
    assert_eq!(shop.one::<String>(alert, &[]).await?, "critical gone");

    gone.says(200, &[]);
    make_due(&shop).await?;
    shop.run("select reconcile.resume_endpoint('gone')").await?;
    all_delivered(&shop).await?;
    assert_eq!(
        gone.messages().len(),
        4,
        "all three, of which one was refused before"
    );
    Ok(())
}

/// Proves that Retry-After is obeyed: the event waits for as long, the endpoint for five minutes at most.
#[tokio::test]
async fn an_endpoint_may_say_when_to_come_again() -> Result<()> {
    let shop = Shop::open("delivery_retry_after").await?;
    let receiver = Receiver::start().await?;
    receiver.says(429, &[("retry-after", "7200")]);
    add_endpoint(&shop, "shop", &receiver, "").await?;
    let _sidecar = sidecar(&shop, &[&receiver]).await?;
    event(&shop, "A", "succeeded").await?;
    holds(&shop, "an attempt", TRIED_ONCE).await?;
    let waits = "select format('%s %s', due_at - last_attempt_at, rests_until - last_attempt_at)
        from reconcile.deliveries cross join reconcile.event_endpoints";
    assert_eq!(shop.one::<String>(waits, &[]).await?, "02:00:00 00:05:00");
    let wait: i32 = shop
        .one("select reconcile.sidecar_next_delivery()", &[])
        .await?;
    assert!(wait > 3_600_000, "nobody looks before: {wait} ms");
    Ok(())
}

/// Proves that a redirect is a failure and is not followed.
#[tokio::test]
async fn a_redirect_is_not_followed() -> Result<()> {
    let shop = Shop::open("delivery_redirect").await?;
    let (receiver, elsewhere) = (Receiver::start().await?, Receiver::start().await?);
    receiver.says(307, &[("location", &elsewhere.url("/hooks"))]);
    add_endpoint(&shop, "shop", &receiver, "").await?;
    let _sidecar = sidecar(&shop, &[&receiver, &elsewhere]).await?;
    event(&shop, "A", "succeeded").await?;
    holds(&shop, "an attempt", TRIED_ONCE).await?;
    let problem = "select last_problem from reconcile.deliveries";
    let problem: String = shop.one(problem, &[]).await?;
    assert_eq!(problem, "HTTP 307: redirects are not followed");
    assert_eq!(elsewhere.messages().len(), 0);
    Ok(())
}

/// Proves that an endpoint which fails five times in a row is told of, gets one call at a time, and is
/// well again by one success.
#[tokio::test]
async fn an_endpoint_that_only_fails_gets_one_call_at_a_time() -> Result<()> {
    let shop = Shop::open("delivery_failing").await?;
    let receiver = Receiver::start().await?;
    receiver.says(503, &[]);
    add_endpoint(&shop, "shop", &receiver, "concurrency => 5").await?;
    for n in 0..5 {
        event(&shop, &format!("A{n}"), "succeeded").await?;
    }
    let _sidecar = sidecar(&shop, &[&receiver]).await?;
    let failing = "select health = 'failing' from reconcile.endpoints";
    holds(&shop, "the endpoint to be failing", failing).await?;
    let alert = "select subject from reconcile.alerts where alert = 'endpoint_failing'";
    assert_eq!(shop.one::<String>(alert, &[]).await?, "shop");

    receiver.hold();
    make_due(&shop).await?;
    receiver.received(6).await?;
    let in_flight = "select in_flight from reconcile.endpoints";
    assert_eq!(shop.one::<i64>(in_flight, &[]).await?, 1);
    receiver.says(200, &[]);
    receiver.let_go();
    all_delivered(&shop).await?;
    let health = "select format('%s %s', health, faults) from reconcile.endpoints";
    assert_eq!(shop.one::<String>(health, &[]).await?, "ok 0");
    Ok(())
}
