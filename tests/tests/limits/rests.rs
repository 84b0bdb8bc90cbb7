//! Retry-After: a provider that asks to be left alone is.

use std::time::{Duration, Instant};

use anyhow::Result;
use reconcile_tests::shop::Shop;
use reconcile_tests::simulator::{Fate, Step};

use crate::arrivals::arrivals;
use crate::witness::Witness;

/// A shop whose first call will be told this Retry-After, and then three sidecars before ten orders.
/// Gives the moments at which the calls arrived when all are settled.
async fn arrivals_after(shop: &Shop<'_>, retry_after: &str) -> Result<Vec<Instant>> {
    let witness = Witness::open(shop).await?;
    shop.alter_provider("vendor", "concurrency => 1").await?;
    let throttled = Step::http(429, "").header("Retry-After", retry_after);
    shop.vendor
        .set_fate("FIRST", Fate::of([throttled, Step::status("succeeded")]));
    shop.track_aged("FIRST", "20 minutes").await?;
    for place in 0..9 {
        shop.track_aged(&format!("ORD-{place}"), "10 minutes")
            .await?;
    }
    let _sidecars = witness.three_sidecars(shop).await?;
    assert_eq!(shop.check("FIRST", 0).await?.outcome, "throttled");
    witness.sees_nobody_asking(shop, 1).await?;
    for place in 0..9 {
        shop.becomes(&format!("ORD-{place}"), "succeeded").await?;
    }
    shop.becomes("FIRST", "succeeded").await?;
    shop.is_sound().await?;
    Ok(arrivals(&shop.vendor))
}

/// Proves that no order of a provider is asked about for the seconds that its Retry-After names, by
/// three sidecars with orders that are due; and that all of them are afterwards.
#[tokio::test]
async fn nobody_asks_for_the_seconds_of_a_retry_after() -> Result<()> {
    let shop = Shop::open("limits_rest_seconds").await?;
    let arrived = arrivals_after(&shop, "4").await?;
    assert_eq!(arrived.len(), 11);
    let rest = arrived[1] - arrived[0];
    assert!(rest >= Duration::from_secs(4), "asked after {rest:?}");
    Ok(())
}

/// Proves the same of a Retry-After that names a date.
#[tokio::test]
async fn nobody_asks_before_the_date_of_a_retry_after() -> Result<()> {
    let shop = Shop::open("limits_rest_date").await?;
    let began = Instant::now();
    let sql = "
        select to_char(until at time zone 'UTC', 'Dy, DD Mon YYYY HH24:MI:SS \"GMT\"'),
            extract(epoch from until - clock_timestamp())::float8
        from (select date_trunc('second', clock_timestamp() + interval '8 s')) as rest (until)";
    let row = shop.client.query_one(sql, &[]).await?;
    let until = began + Duration::from_secs_f64(row.get(1));
    let arrived = arrivals_after(&shop, row.get(0)).await?;
    assert_eq!(arrived.len(), 11);
    assert!(arrived[0] < until, "the first call came after the date");
    assert!(arrived[1] >= until, "{:?} too early", until - arrived[1]);
    Ok(())
}

/// Proves that a person who knows better ends a rest, and an open breaker, by resuming the provider; and
/// that its health says meanwhile that it is throttled, and until when.
#[tokio::test]
async fn resuming_a_provider_has_it_asked_at_once() -> Result<()> {
    let shop = Shop::open("limits_resumed").await?;
    shop.alter_provider("vendor", "breaker_after => 1").await?;
    let throttled = Step::http(429, "").header("Retry-After", "300");
    shop.vendor
        .set_fate("FIRST", Fate::of([throttled, Step::status("succeeded")]));
    shop.track_aged("FIRST", "20 minutes").await?;
    let _sidecar = shop.sidecar().await?;
    assert_eq!(shop.check("FIRST", 0).await?.outcome, "throttled");
    let health = "
        select concat_ws(' ', health, breaker, last_fault_detail, asked_again_at > clock_timestamp() + interval '4 minutes')
        from reconcile.provider_health where name = 'vendor'";
    assert_eq!(
        shop.one::<String>(health, &[]).await?,
        "throttled open HTTP 429 t"
    );
    shop.run("select reconcile.resume_provider('vendor')")
        .await?;
    shop.track_aged("OTHER", "10 minutes").await?;
    shop.becomes("OTHER", "succeeded").await?;
    shop.is_sound().await
}
