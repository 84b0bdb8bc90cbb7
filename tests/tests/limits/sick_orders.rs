//! An order that the provider can't make sense of is that order's trouble: the others go on being asked about.

use anyhow::Result;
use reconcile_tests::shop::{SOON, Shop};
use reconcile_tests::simulator::{Fate, Simulator, Step};
use reconcile_tests::wait;

/// `health`, `breaker` and `faults` of a provider, once nothing is in flight and all that ended is counted.
async fn standing(shop: &Shop<'_>, provider: &str) -> Result<String> {
    let sql = "
        select concat_ws(' ', h.health, h.breaker, h.faults)
        from reconcile.provider_health as h join reconcile.providers as p using (name)
        where h.name = $1 and h.in_flight = 0 and not exists (select from reconcile.ended_calls as e where e.provider_id = p.provider_id)";
    wait::value(SOON, format!("{provider} to be counted"), async || {
        // A claim counts what ended where something is due.
        shop.run("update reconcile.due_checks set due_at = least(due_at, clock_timestamp()); notify reconcile_due")
            .await?;
        let row = shop.client.query_opt(sql, &[&provider]).await?;
        Ok(row.map(|row| row.get(0)))
    })
    .await
}

/// Has orders answered by this step for ever, tracks them, and waits until each was asked about.
async fn asked(shop: &Shop<'_>, orders: &[String], step: Step) -> Result<()> {
    for number in orders {
        shop.vendor.set_fate(number, Fate::of([step.clone()]));
        shop.track_aged(number, "1 hour").await?;
    }
    shop.signal().await?;
    for number in orders {
        shop.check(number, 0).await?;
    }
    Ok(())
}

fn numbers(name: &str, count: usize) -> Vec<String> {
    (0..count)
        .map(|place| format!("{name}-{place:02}"))
        .collect()
}

/// Proves that twelve orders that answer HTTP 400, which is two more than open a breaker, keep nobody
/// from asking about ten others; that each is asked again by its own delays, with its faults counted on
/// it; and that people see that the provider takes no order for one.
#[tokio::test]
async fn orders_that_answer_400_keep_no_other_from_being_asked() -> Result<()> {
    let shop = Shop::open("limits_sick").await?;
    let _sidecar = shop.sidecar().await?;
    let (sick, good) = (numbers("SICK", 12), numbers("GOOD", 10));
    asked(&shop, &sick, Step::http(400, r#"{"error": "malformed"}"#)).await?;
    let health = "select concat_ws(' ', health, breaker, faults) from reconcile.provider_health where name = 'vendor'";
    assert_eq!(shop.one::<String>(health, &[]).await?, "rejecting closed 0");
    for number in &good {
        shop.track_aged(number, "10 minutes").await?;
    }
    shop.signal().await?;
    for number in &good {
        shop.becomes(number, "succeeded").await?;
    }
    for number in &sick {
        let order = shop.order(number).await?;
        assert!(order.faults >= 1 && order.state == "pending", "{order:?}");
        let check = shop.check(number, 0).await?;
        assert!(
            check.next_check_s.is_some_and(|s| (5.0..7.0).contains(&s)),
            "{check:?}"
        );
        assert_eq!(check.reason, "the provider gave no answer about the order");
    }
    shop.is_sound().await
}

/// Proves which answers count against the provider, however many orders have them: 408, 429, 5xx,
/// redirects, 401 and 403, and a rule's `refused`; that every other 4xx does not, though a rule or
/// http_outcomes say `provider_error` of it; and that a rule which says whose trouble it is knows better
/// than any HTTP status.
#[tokio::test]
async fn what_counts_is_what_says_something_of_the_provider() -> Result<()> {
    let shop = Shop::open("limits_counts").await?;
    let reads = r#"http_outcomes => '{"400": "body", "422": "provider_error", "500": "body"}', rules => '[
        {"when": "$.code == \"BAD\"", "means": "provider_error"}, {"when": "$.code == \"NO\"", "means": "refused"},
        {"when": "$.code == \"MINE\"", "means": "provider_error", "about": "order"},
        {"when": "$.code == \"THEIRS\"", "means": "provider_error", "about": "provider"}]'"#;
    let mut settings = shop.sidecar_settings();
    let mut providers = Vec::new();
    for (name, status, body, opens) in [
        ("gone_wrong", 400, "oops", false),
        ("by_rule", 400, r#"{"code": "BAD"}"#, false),
        ("by_rule_with_200", 200, r#"{"code": "BAD"}"#, true),
        ("order_with_200", 200, r#"{"code": "MINE"}"#, false),
        ("order_with_500", 500, r#"{"code": "MINE"}"#, false),
        ("provider_with_200", 200, r#"{"code": "THEIRS"}"#, true),
        ("provider_with_400", 400, r#"{"code": "THEIRS"}"#, true),
        ("conflict", 409, "", false),
        ("by_outcome", 422, "", false),
        ("forbidden", 400, r#"{"code": "NO"}"#, true),
        ("unauthorized", 401, "", true),
        ("redirected", 302, "", true),
        ("slow", 408, "", true),
        ("throttled", 429, "", true),
        ("down", 503, "", true),
    ] {
        let provider = Simulator::start()?;
        provider.set_default(Fate::of([Step::http(status, body)]));
        shop.add_provider(
            name,
            &provider,
            &format!("breaker_after => 3, concurrency => 1, {reads}"),
        )
        .await?;
        for place in 0..4 {
            shop.track_at(name, &format!("{name}-{place}"), "1 hour")
                .await?;
        }
        settings.allow_hosts.push(provider.address().to_string());
        providers.push((name, provider, opens));
    }
    let _sidecar = reconcile_tests::sidecar::Sidecar::start_ready(&settings).await?;
    for (name, provider, opens) in &providers {
        let breaker = "select breaker from reconcile.provider_health where name = $1";
        if *opens {
            wait::value(SOON, format!("the breaker of {name}"), async || {
                Ok((shop.one::<String>(breaker, &[name]).await? == "open").then_some(()))
            })
            .await?;
        } else {
            wait::until(SOON, format!("all orders of {name}"), async || {
                provider.totals().calls >= 4
            })
            .await?;
            let standing = standing(&shop, name).await?;
            assert!(standing.contains("closed 0"), "{name}: {standing}");
        }
    }
    Ok(())
}

/// Proves that PhonePe's BAD_REQUEST with HTTP 200, of more orders than open a breaker, keeps no other order from being asked about, and
/// that its INTERNAL_SERVER_ERROR is the provider's, with whatever HTTP status it comes.
#[tokio::test]
async fn a_code_of_phonepe_about_one_order_stops_no_other() -> Result<()> {
    let shop = Shop::open("limits_phonepe").await?;
    let mut settings = shop.sidecar_settings();
    settings
        .secrets
        .push(("PHONEPE_SALT".to_owned(), "salt".to_owned()));
    let body = |code: &str| format!(r#"{{"success": false, "code": "{code}"}}"#);
    let mut providers = Vec::new();
    for (name, status, code) in [
        ("of_orders", 200, "BAD_REQUEST"),
        ("of_ids", 200, "INVALID_TRANSACTION_ID"),
        ("of_phonepe", 400, "INTERNAL_SERVER_ERROR"),
    ] {
        let provider = Simulator::start()?;
        provider.set_default(Fate::of([Step::http(status, &body(code))]));
        let host = provider.url("/orders");
        shop.run(&format!(
            "select reconcile.add_phonepe_v1('{name}', secret => 'PHONEPE_SALT', merchant_id => 'M', host => '{host}', settings => '{{\"concurrency\": 1}}')"
        ))
        .await?;
        for place in 0..12 {
            shop.track_at(name, &format!("{name}-{place}"), "1 minute")
                .await?;
        }
        settings.allow_hosts.push(provider.address().to_string());
        providers.push(provider);
    }
    let _sidecar = reconcile_tests::sidecar::Sidecar::start_ready(&settings).await?;
    let breaker = "select breaker || ' ' || health from reconcile.provider_health where name = $1";
    for (name, wanted) in [
        ("of_orders", "closed rejecting"),
        ("of_ids", "closed rejecting"),
        ("of_phonepe", "open failing"),
    ] {
        wait::value(SOON, format!("{name} to be {wanted}"), async || {
            Ok((shop.one::<String>(breaker, &[&name]).await? == wanted).then_some(()))
        })
        .await?;
    }
    Ok(())
}

/// Proves that the probes of an open breaker go to orders that have never failed, before those that
/// have, though these were due first and a person waits for one of them: the provider is found to be
/// well at the first probe, and everybody is asked about.
#[tokio::test]
async fn a_probe_goes_to_an_order_that_has_never_failed() -> Result<()> {
    let shop = Shop::open("limits_probes").await?;
    shop.alter_provider("vendor", "breaker_after => 3, concurrency => 1")
        .await?;
    let _sidecar = shop.sidecar().await?;
    let sick = numbers("SICK", 3);
    asked(&shop, &sick, Step::http(503, "")).await?;
    let hold = "
        update reconcile.provider_traffic set probe_at = clock_timestamp() + interval '1 hour'
        where faults >= 3 and in_flight = 0 and not exists (select from reconcile.ended_calls)";
    wait::value(SOON, "an open breaker", async || {
        shop.run("update reconcile.due_checks set due_at = clock_timestamp() where false; notify reconcile_due")
            .await?;
        Ok((shop.client.execute(hold, &[]).await? > 0).then_some(()))
    })
    .await?;
    let before = shop.vendor.totals().calls;
    shop.run("update reconcile.due_checks set due_at = clock_timestamp() - interval '1 hour', urgent = true")
        .await?;
    for number in &numbers("GOOD", 10) {
        shop.track_aged(number, "10 minutes").await?;
    }
    shop.run("update reconcile.provider_traffic set probe_at = clock_timestamp() where faults > 0; notify reconcile_due")
        .await?;
    for number in &numbers("GOOD", 10) {
        shop.becomes(number, "succeeded").await?;
    }
    let calls = shop.vendor.all_calls();
    let probe = &calls[usize::try_from(before)?].order_number;
    assert!(probe.starts_with("GOOD"), "the probe went to {probe}");
    // Those that fail were not forgotten over it.
    for number in &sick {
        assert!(shop.check(number, 1).await?.outcome == "provider_error");
    }
    shop.is_sound().await
}

/// Proves that a probe that is answered by a 4xx says nothing either way: the next one goes out at once,
/// to another order.
#[tokio::test]
async fn a_probe_that_meets_a_sick_order_is_followed_by_another() -> Result<()> {
    let shop = Shop::open("limits_sick_probe").await?;
    shop.alter_provider("vendor", "breaker_after => 1, concurrency => 1")
        .await?;
    shop.vendor
        .set_fate("SICK", Fate::of([Step::http(400, "")]));
    shop.track_aged("SICK", "2 hours").await?;
    shop.track_aged("GOOD", "1 hour").await?;
    // As five probes that failed have left it: the next pause is of some minutes.
    shop.run(
        "update reconcile.provider_traffic
         set faults = 9, probes = 5, last_fault = 'unreachable', last_fault_at = clock_timestamp(), probe_at = clock_timestamp()",
    )
    .await?;
    let _sidecar = shop.sidecar().await?;
    shop.becomes("GOOD", "succeeded").await?;
    assert_eq!(shop.vendor.all_calls()[0].order_number, "SICK");
    shop.is_sound().await
}

/// Proves that the Retry-After of an answer about one order holds back that order and no other.
#[tokio::test]
async fn a_rest_that_one_order_is_given_is_no_others() -> Result<()> {
    let shop = Shop::open("limits_sick_rest").await?;
    let _sidecar = shop.sidecar().await?;
    let step = Step::http(409, "").header("Retry-After", "300");
    asked(&shop, &numbers("SICK", 1), step).await?;
    let check = shop.check("SICK-00", 0).await?;
    assert!(check.next_check_s.is_some_and(|s| s >= 299.0), "{check:?}");
    shop.track_aged("GOOD", "10 minutes").await?;
    shop.becomes("GOOD", "succeeded").await?;
    shop.is_sound().await
}

/// Proves that orders whose request can't be built, which are not asked about at all, keep nobody from
/// asking about the others.
#[tokio::test]
async fn an_order_that_can_not_be_asked_about_stops_nobody() -> Result<()> {
    let shop = Shop::open("limits_unbuilt").await?;
    shop.alter_provider(
        "vendor",
        &format!(
            "url => '{}', concurrency => 1",
            shop.vendor.url("/orders/{order_number}")
        ),
    )
    .await?;
    let track = "select reconcile.track_order('UNBUILT-' || place, 'vendor', amount => 0.73, currency => 'USD',
        created_at => clock_timestamp() - interval '1 hour') from generate_series(1, 5) as place";
    shop.run(track).await?;
    shop.alter_provider(
        "vendor",
        &format!(
            "url => '{}'",
            shop.vendor
                .url("/orders/{order_number}?invoice={reference}")
        ),
    )
    .await?;
    let _sidecar = shop.sidecar().await?;
    for place in 1..=5 {
        let check = shop.check(&format!("UNBUILT-{place}"), 0).await?;
        assert_eq!(check.fault.as_deref(), Some("bad_request"));
    }
    shop.track_aged("GOOD", "10 minutes").await?;
    shop.becomes("GOOD", "succeeded").await?;
    assert_eq!(shop.vendor.totals().calls, 1);
    shop.is_sound().await
}
