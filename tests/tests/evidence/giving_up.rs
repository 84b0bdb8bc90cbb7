//! Decision 5: giving up is an outcome that people see, after a last check, and is watched.

use anyhow::Result;
use reconcile_tests::shop::{SOON, Shop};
use reconcile_tests::simulator::{Fate, Reply, Step};
use reconcile_tests::wait;

/// Whether a delay is this long, with up to a tenth of jitter on top.
fn about(delay_s: Option<f64>, expected_s: f64) -> bool {
    delay_s.is_some_and(|delay| (expected_s..=expected_s * 1.1 + 1.0).contains(&delay))
}

/// Proves that past its deadline an order gets one last check, and goes where the policy says only if
/// that has no final word; that people see it; and that it is watched an hour, a day and three days
/// after, and then no more.
#[tokio::test]
async fn past_the_deadline_the_last_check_gives_up() -> Result<()> {
    let shop = Shop::open("past_the_deadline").await?;
    let _sidecar = shop.sidecar().await?;
    for policy in ["cancelled", "failed", "review"] {
        shop.alter_provider(
            "vendor",
            &format!("gives_up_as => '{policy}', deadline => '1 hour'"),
        )
        .await?;
        shop.vendor.set_fate(policy, Fate::status("processing"));
        shop.track_known(policy, "2 hours").await?;
        let check = shop.next_check(policy).await?;
        assert_eq!(
            (check.outcome.as_str(), check.to_state.as_str()),
            ("pending", policy)
        );
        assert!(
            check.reason.contains("its deadline or its tries are over"),
            "{check:?}"
        );
        assert!(about(check.next_check_s, 3600.0), "{check:?}");
        assert_eq!(
            shop.history(policy).await?,
            [format!("pending -> {policy} by giving_up")]
        );
        assert_eq!(
            shop.order(policy).await?.settled_by.as_deref(),
            Some("giving_up")
        );
        let story: String = shop
            .one("select reconcile.explain_order($1)", &[&policy])
            .await?;
        assert!(
            story.contains("because nobody could say more by its deadline"),
            "{story}"
        );

        for wait_s in [23.0 * 3600.0, 48.0 * 3600.0] {
            let check = shop.next_check(policy).await?;
            assert_eq!(check.to_state, policy);
            assert!(about(check.next_check_s, wait_s), "{check:?}");
        }
        assert_eq!(
            shop.next_check(policy).await?.next_check_s,
            None,
            "the watch is over"
        );
        assert_eq!(shop.history(policy).await?.len(), 1);
    }
    let stuck = "select order_number || ': ' || why from reconcile.stuck_orders";
    let stuck: String = shop.one(stuck, &[]).await?;
    assert!(
        stuck.starts_with("review: a person has to decide"),
        "{stuck}"
    );
    let alert = "select message from reconcile.alerts where alert = 'orders_in_review'";
    let alert: String = shop.one(alert, &[]).await?;
    assert!(alert.starts_with("1 order waits for a decision"), "{alert}");
    shop.is_sound().await
}

/// Proves that a final word at the last check settles the order like any other.
#[tokio::test]
async fn a_final_word_at_the_last_check_counts() -> Result<()> {
    let shop = Shop::open("a_final_last_word").await?;
    shop.alter_provider("vendor", "gives_up_as => 'cancelled', deadline => '1 hour'")
        .await?;
    let _sidecar = shop.sidecar().await?;
    for word in ["succeeded", "failed", "refunded"] {
        shop.vendor.set_fate(word, Fate::status(word));
        shop.track_known(word, "30 days").await?;
        assert_eq!(shop.next_check(word).await?.to_state, word);
        assert_eq!(
            shop.history(word).await?,
            [format!("pending -> {word} by provider")]
        );
    }
    shop.is_sound().await
}

/// Proves that an order whose tries are used up gets one last check and gives up; faults in between
/// use up none.
#[tokio::test]
async fn when_its_tries_are_over_the_last_check_gives_up() -> Result<()> {
    let shop = Shop::open("tries_are_over").await?;
    shop.alter_provider(
        "vendor",
        "gives_up_as => 'failed', max_tries => 3, late_watch => 'none'",
    )
    .await?;
    let _sidecar = shop.sidecar().await?;
    let pending = || Step::status("pending");
    let fault = || Step::http(500, "");
    shop.vendor.set_fate(
        "A",
        Fate::of([
            pending(),
            fault(),
            pending(),
            fault(),
            fault(),
            pending(),
            fault(),
            pending(),
        ]),
    );
    shop.track("A").await?;
    for (outcome, state, tries) in [
        ("pending", "pending", 1),
        ("provider_error", "pending", 1),
        ("pending", "pending", 2),
        ("provider_error", "pending", 2),
        ("provider_error", "pending", 2),
        ("pending", "pending", 3),
        ("provider_error", "pending", 3),
        ("pending", "failed", 4),
    ] {
        let check = shop.next_check("A").await?;
        assert_eq!(
            (check.outcome.as_str(), check.to_state.as_str()),
            (outcome, state)
        );
        assert_eq!(shop.order("A").await?.tries, tries);
    }
    assert_eq!(shop.history("A").await?, ["pending -> failed by giving_up"]);
    assert_eq!(
        shop.order("A").await?.next_check_s,
        None,
        "late_watch is none"
    );
    shop.is_sound().await
}

/// Proves that an order past its deadline that the provider can't be asked about goes to review, and
/// not where the policy sends the others; and that it is settled when the provider is back.
#[tokio::test]
async fn a_provider_that_cannot_be_asked_cancels_nothing() -> Result<()> {
    let shop = Shop::open("cannot_be_asked").await?;
    shop.alter_provider(
        "vendor",
        "gives_up_as => 'cancelled', deadline => '1 hour', timeout => '200 milliseconds'",
    )
    .await?;
    let _sidecar = shop.sidecar().await?;
    for (number, step) in [
        ("HANGS", Step::from(Reply::Hang)),
        ("FAILS", Step::http(503, "")),
        ("THROTTLES", Step::http(429, "")),
        ("REFUSES", Step::http(403, "")),
    ] {
        shop.vendor.set_fate(number, Fate::of([step]));
        shop.track_known(number, "2 hours").await?;
        let mut states = Vec::new();
        while states.last().is_none_or(|state| state == "pending") && states.len() < 20 {
            states.push(shop.next_check(number).await?.to_state);
        }
        assert!(states.len() > 1, "{number} was given up by a single fault");
        assert_eq!(
            states.last().map(String::as_str),
            Some("review"),
            "{number}: {states:?}"
        );
        assert_eq!(
            shop.history(number).await?,
            ["pending -> review by giving_up"]
        );
        shop.vendor.set_fate(number, Fate::status("succeeded"));
        assert_eq!(
            shop.next_check(number).await?.to_state,
            "succeeded",
            "the watch asks on"
        );
    }
    shop.is_sound().await
}

/// Proves that an order that nobody may ask about, since its provider is paused, goes to review by
/// itself when it is long past its deadline, and never where the policy sends what was asked about;
/// and that it is settled after the pause.
#[tokio::test]
async fn an_order_of_a_paused_provider_goes_to_review() -> Result<()> {
    let shop = Shop::open("of_a_paused_provider").await?;
    let _sidecar = shop.sidecar().await?;
    shop.alter_provider("vendor", "gives_up_as => 'cancelled', deadline => '1 hour'")
        .await?;
    shop.run("select reconcile.pause_provider('vendor', 'they are closed')")
        .await?;
    shop.track_known("A", "2 hours").await?;
    shop.track_aged("YOUNG", "10 minutes").await?;
    shop.signal().await?;
    let state = shop.order("A").await?.state;
    assert_eq!(state, "pending", "it has an hour for its last check");
    shop.run("update reconcile.settings set last_check_within = '1 second'")
        .await?;
    wait::until(SOON, "a run that gives up", async || {
        shop.one::<i32>("select given_up from reconcile_stale_orders()", &[])
            .await
            .is_ok_and(|given_up| given_up == 1)
    })
    .await?;
    assert_eq!(shop.history("A").await?, ["pending -> review by giving_up"]);
    assert_eq!(shop.order("YOUNG").await?.state, "pending");
    let watched = shop.order("A").await?.next_check_s;
    assert!(about(watched.map(|s| s + 1.0), 3600.0), "{watched:?}");

    shop.run("select reconcile.resume_provider('vendor')")
        .await?;
    assert_eq!(shop.next_check("A").await?.to_state, "succeeded");
    shop.is_sound().await
}

/// Proves that an order that is asked about for the first time long after its deadline, since no
/// sidecar ran, has its last check before anybody gives it up.
#[tokio::test]
async fn an_outage_of_the_sidecars_gives_up_nothing() -> Result<()> {
    let shop = Shop::open("an_outage_of_the_sidecars").await?;
    shop.alter_provider("vendor", "gives_up_as => 'cancelled', deadline => '1 hour'")
        .await?;
    for number in ["PAID", "OPEN"] {
        shop.track_known(number, "3 days").await?;
    }
    shop.vendor.set_fate("OPEN", Fate::status("pending"));
    shop.signal().await?;
    let _sidecar = shop.sidecar().await?;
    shop.becomes("PAID", "succeeded").await?;
    shop.becomes("OPEN", "cancelled").await?;
    for number in ["PAID", "OPEN"] {
        assert_eq!(shop.history(number).await?.len(), 1);
        assert_eq!(shop.vendor.count(number), 1);
    }
    shop.is_sound().await
}

/// Proves that the clock of a deadline does not begin before an order is known: one that was twenty days
/// old when it was first seen is asked about at once, goes on being asked by the schedule, and is given up
/// when it has been known for as long as the deadline says; a run of the safety net does not do so sooner.
#[tokio::test]
async fn an_old_order_has_its_whole_deadline() -> Result<()> {
    let shop = Shop::open("an_old_order").await?;
    let _sidecar = shop.sidecar().await?;
    shop.run("update reconcile.settings set last_check_within = '1 second'")
        .await?;
    for (number, step) in [
        ("OPEN", Step::status("pending")),
        ("DOWN", Step::http(503, "")),
    ] {
        shop.vendor.set_fate(number, Fate::of([step]));
        shop.track_aged(number, "20 days").await?;
        for _ in 0..6 {
            let check = shop.next_check(number).await?;
            assert_eq!(check.to_state, "pending", "{check:?}");
        }
    }
    // From its first check on as any other: 1m, 30s, 1m, 2m, 4m, then 5m.
    let delays: Vec<_> = (shop.checks("OPEN").await?.iter())
        .map(|check| check.next_check_s)
        .collect();
    for (delay, expected) in delays.iter().zip([30.0, 60.0, 120.0, 240.0, 300.0, 300.0]) {
        assert!(about(*delay, expected), "{delays:?}");
    }
    shop.run("update reconcile.tracked_orders set tracked_at = clock_timestamp() - interval '1 minute', state_changed_at = clock_timestamp() - interval '1 minute'")
        .await?;
    shop.signal().await?;
    assert_eq!(shop.order("DOWN").await?.state, "pending");

    shop.run(
        "update reconcile.tracked_orders set tracked_at = clock_timestamp() - interval '25 hours'",
    )
    .await?;
    let last = shop.next_check("OPEN").await?;
    assert!(
        last.reason.contains("its deadline or its tries are over"),
        "{last:?}"
    );
    assert_eq!(shop.next_check("DOWN").await?.to_state, "review");
    shop.is_sound().await
}
