//! Which faults open a breaker, and when.

use anyhow::Result;
use reconcile_tests::shop::Shop;
use reconcile_tests::sidecar::Sidecar;
use reconcile_tests::simulator::{Fate, Step};

use super::{alerts, hold_probes, is, track};
use crate::witness::Witness;

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
    // Whatever happens from here on is no probe; on a busy machine there may have been one.
    let probes = hold_probes(&shop).await?;
    let refused = 3 + usize::try_from(probes)?;
    witness
        .sees_nobody_asking(&shop, u64::try_from(refused)?)
        .await?;
    let alert = alerts(&shop).await?;
    assert!(
        alert[0].starts_with("provider_refused: refuses every call")
            && alert[0].contains("HTTP 401"),
        "{alert:?}"
    );
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
    assert!(
        words[..refused]
            .iter()
            .all(|word| *word == "Bearer old-word")
    );
    assert!(
        words[refused..]
            .iter()
            .all(|word| *word == "Bearer new-word")
    );
    is(&shop, "healthy").await?;
    assert_eq!(alerts(&shop).await?, Vec::<String>::new());
    shop.is_sound().await
}

/// Proves that a call that has ended makes no room before what came of it is counted: a claim that just
/// missed its report would let a second probe out, or overlook its Retry-After. By hand, since it is a
/// matter of a moment.
#[tokio::test]
async fn a_call_makes_room_when_its_fault_is_counted_and_not_before() -> Result<()> {
    let shop = Shop::open("limits_uncounted").await?;
    shop.alter_provider("vendor", "concurrency => 1, breaker_after => 3")
        .await?;
    let allowed = "select allowed from reconcile_internal._quotas(null)";
    let fold = "
        do $$ begin
            perform from reconcile.provider_traffic for update;
            perform reconcile_internal._fold_ended_calls(array(select provider_id from reconcile.providers));
        end $$";
    // That it was altered is counted, as by the next heartbeat.
    shop.run(fold).await?;
    for (standing, ended) in [
        (
            "faults = 3, last_fault = 'unreachable', probe_at = clock_timestamp()",
            "1, 1, false, null",
        ),
        ("faults = 0, probe_at = null", "1, 1, false, 60000"),
    ] {
        shop.run(&format!(
            "update reconcile.provider_traffic set in_flight = 1, {standing};
             insert into reconcile.ended_calls (provider_id, calls, faults, answered, retry_after_ms)
             select provider_id, {ended} from reconcile.providers"
        ))
        .await?;
        assert_eq!(
            shop.one::<i32>(allowed, &[]).await?,
            0,
            "before: {standing}"
        );
        shop.run(fold).await?;
        assert_eq!(shop.one::<i32>(allowed, &[]).await?, 0, "after: {standing}");
    }
    shop.run("update reconcile.provider_traffic set faults = 0, rests_until = null")
        .await?;
    assert_eq!(shop.one::<i32>(allowed, &[]).await?, 1);
    Ok(())
}
