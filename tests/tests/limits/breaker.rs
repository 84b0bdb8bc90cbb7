//! A provider that does not answer is left alone, but for a probe now and then; one that refuses every
//! call is left alone at once.

use std::time::Duration;

use anyhow::Result;
use reconcile_tests::shop::{SOON, Shop};
use reconcile_tests::sidecar::Sidecar;
use reconcile_tests::simulator::{Fate, Step};
use reconcile_tests::wait;

use crate::arrivals::arrivals;
use crate::witness::Witness;

/// `health` and `breaker` of the vendor, its faults, and in how many seconds it is asked again.
async fn health(shop: &Shop<'_>) -> Result<(String, String, i32, Option<f64>)> {
    let sql = "
        select health, breaker, faults, extract(epoch from asked_again_at - clock_timestamp())::float8
        from reconcile.provider_health where name = 'vendor' and in_flight = 0";
    let row = shop.client.query_one(sql, &[]).await?;
    Ok((row.get(0), row.get(1), row.get(2), row.get(3)))
}

/// The alerts about the vendor.
async fn alerts(shop: &Shop<'_>) -> Result<Vec<String>> {
    let sql = "select alert || ': ' || message from reconcile.alerts where subject = 'vendor' and alert like 'provider%'";
    let rows = shop.client.query(sql, &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Waits until the vendor's health is this and nothing is in flight.
async fn is(shop: &Shop<'_>, wanted: &str) -> Result<()> {
    wait::value(SOON, format!("a vendor that is {wanted}"), async || {
        Ok((health(shop).await?.0 == wanted).then_some(()))
    })
    .await
}

/// Tracks orders of the vendor that are all due.
async fn track(shop: &Shop<'_>, count: usize) -> Result<Vec<String>> {
    let numbers: Vec<_> = (0..count).map(|place| format!("ORD-{place:02}")).collect();
    for number in &numbers {
        shop.track_aged(number, "10 minutes").await?;
    }
    Ok(numbers)
}

/// Proves that after `breaker_after` checks in a row without an answer only probes go out, one at a
/// time and ever further apart, with three sidecars and a long queue; that people see it; and that the
/// first answer ends it and the queue drains.
#[tokio::test]
async fn a_breaker_opens_probes_and_closes() -> Result<()> {
    let shop = Shop::open("limits_breaker").await?;
    shop.alter_provider("vendor", "breaker_after => 5, concurrency => 2")
        .await?;
    let witness = Witness::open(&shop).await?;
    shop.vendor.set_default(Fate::of([Step::http(503, "")]));
    let numbers = track(&shop, 24).await?;
    let _sidecars = witness.three_sidecars(&shop).await?;
    is(&shop, "failing").await?;
    let opened = shop.vendor.totals().calls;
    // The call that was in flight beside the fifth fault is the last.
    assert!((5..=6).contains(&opened), "{opened} calls before it opened");
    witness.sees_nobody_asking(&shop, opened).await?;
    let (_, breaker, faults, again) = health(&shop).await?;
    assert_eq!((breaker.as_str(), u64::try_from(faults)?), ("open", opened));
    assert!(again.is_some_and(|seconds| seconds <= 6.0), "{again:?}");
    let alert = alerts(&shop).await?;
    assert!(
        alert[0].starts_with("provider_failing: ") && alert[0].contains("HTTP 503"),
        "{alert:?}"
    );

    // The first probe, in its own time.
    wait::until(SOON, "a probe", async || {
        shop.vendor.totals().calls > opened
    })
    .await?;
    let arrived = arrivals(&shop.vendor);
    let pause = arrived[arrived.len() - 1] - arrived[arrived.len() - 2];
    assert!(pause >= Duration::from_secs(5), "a probe after {pause:?}");

    // More of them, at once: each is one call, and the next is further away.
    let mut pause_s = 10.0;
    for probe in 1..=3 {
        wait::value(SOON, "a longer pause", async || {
            let (_, _, _, again) = health(&shop).await?;
            Ok(again.filter(|seconds| *seconds > pause_s * 0.8))
        })
        .await?;
        witness.sees_nobody_asking(&shop, opened + probe).await?;
        shop.run("update reconcile.provider_traffic set probe_at = clock_timestamp() where probe_at is not null; notify reconcile_due")
            .await?;
        wait::until(SOON, "the next probe", async || {
            shop.vendor.totals().calls > opened + probe
        })
        .await?;
        pause_s *= 2.0;
    }

    shop.vendor.set_default(Fate::status("succeeded"));
    shop.run(
        "update reconcile.provider_traffic set probe_at = clock_timestamp(); notify reconcile_due",
    )
    .await?;
    // The last probe above may have been reported only after that.
    wait::value(SOON, "a breaker that is closed", async || {
        shop.run("update reconcile.provider_traffic set probe_at = clock_timestamp() where probe_at > clock_timestamp(); notify reconcile_due")
            .await?;
        Ok((health(&shop).await?.0 == "healthy").then_some(()))
    })
    .await?;
    for number in &numbers {
        shop.becomes(number, "succeeded").await?;
    }
    let (health, breaker, faults, again) = health(&shop).await?;
    assert_eq!(
        (health.as_str(), breaker.as_str(), faults, again),
        ("healthy", "closed", 0, None)
    );
    assert_eq!(alerts(&shop).await?, Vec::<String>::new());
    shop.is_sound().await
}

/// Proves that a single answer in between keeps the breaker closed: faults count in a row.
#[tokio::test]
async fn faults_with_answers_in_between_open_nothing() -> Result<()> {
    let shop = Shop::open("limits_in_between").await?;
    shop.alter_provider("vendor", "breaker_after => 3, concurrency => 1")
        .await?;
    for place in 0..16 {
        let number = format!("ORD-{place:02}");
        let first = match place % 3 {
            2 => Step::status("pending"),
            _ => Step::http(503, ""),
        };
        shop.vendor
            .set_fate(&number, Fate::of([first, Step::status("succeeded")]));
        // Asked about in this order.
        shop.track_aged(&number, &format!("{} minutes", 60 - place))
            .await?;
    }
    let _sidecar = shop.sidecar().await?;
    for place in 0..16 {
        shop.check(&format!("ORD-{place:02}"), 0).await?;
        let breaker = "select breaker from reconcile.provider_health where name = 'vendor'";
        assert_eq!(shop.one::<String>(breaker, &[]).await?, "closed");
    }
    Ok(())
}

/// Proves that a provider that refuses every call is asked three times and not again, in front of a
/// long queue; that an alert says what to look at; and that a new description, with another secret,
/// has it asked again at once, without waiting for a probe.
#[tokio::test]
async fn a_refusal_stops_the_asking_until_the_description_changes() -> Result<()> {
    let shop = Shop::open("limits_refused").await?;
    let bearer = |secret: &str| format!(r#"auth => '{{"kind": "bearer", "secret": "{secret}"}}'"#);
    shop.alter_provider("vendor", &(bearer("STALE") + ", concurrency => 1"))
        .await?;
    let witness = Witness::open(&shop).await?;
    let mut settings = witness.sidecar_settings(&shop);
    settings.secrets.push(("STALE".into(), "old-word".into()));
    settings.secrets.push(("FRESH".into(), "new-word".into()));
    shop.vendor
        .set_default(Fate::of([Step::http(401, r#"{"error": "invalid token"}"#)]));
    let numbers = track(&shop, 20).await?;
    let _sidecars = [
        Sidecar::start_ready(&settings).await?,
        Sidecar::start_ready(&settings).await?,
        Sidecar::start_ready(&settings).await?,
    ];
    is(&shop, "refused").await?;
    witness.sees_nobody_asking(&shop, 3).await?;
    let alert = alerts(&shop).await?;
    assert!(
        alert[0].starts_with("provider_refused: refuses every call")
            && alert[0].contains("HTTP 401"),
        "{alert:?}"
    );
    // Whatever happens from here on is no probe.
    shop.run("update reconcile.provider_traffic set probe_at = clock_timestamp() + interval '1 hour' where probe_at is not null")
        .await?;
    shop.vendor.set_default(Fate::status("succeeded"));
    shop.alter_provider("vendor", &bearer("FRESH")).await?;
    for number in &numbers {
        shop.becomes(number, "succeeded").await?;
    }
    let calls = shop.vendor.all_calls();
    let words: Vec<_> = calls
        .iter()
        .filter_map(|call| call.header("authorization"))
        .collect();
    assert_eq!(words[..3], ["Bearer old-word"; 3]);
    assert!(words[3..].iter().all(|word| *word == "Bearer new-word"));
    is(&shop, "healthy").await?;
    assert_eq!(alerts(&shop).await?, Vec::<String>::new());
    shop.is_sound().await
}
