//! Evidence: what a signed payload says is read like an answer, by the same rules.

use anyhow::{Context, Result};
use reconcile_tests::shop::{SOON, Shop};
use reconcile_tests::simulator::{Fate, Step};

use crate::{EVIDENCE, effects, record, said};

async fn open(name: &'static str) -> Result<Shop<'static>> {
    let shop = Shop::open(name).await?;
    shop.alter_provider("vendor", EVIDENCE).await?;
    Ok(shop)
}

/// Proves that an event's payload settles its order without any call, with the event as evidence in the audit, and that late, repeated
/// and out-of-order ones move nothing back.
#[tokio::test]
async fn a_payload_settles_its_order_once_and_never_back() -> Result<()> {
    let shop = open("webhooks_evidence").await?;
    let app = shop.app().await?;
    shop.track("A").await?;
    let events = [
        ("e1", "pending", "ignored", "pending"),
        ("e2", "succeeded", "applied", "succeeded"),
        ("e3", "succeeded", "ignored", "succeeded"),
        ("e4", "pending", "ignored", "succeeded"),
        ("e5", "processing", "ignored", "succeeded"),
        ("e6", "failed", "ignored", "succeeded"),
        ("e7", "cancelled", "ignored", "succeeded"),
        ("e8", "refunded", "applied", "refunded"),
        ("e9", "succeeded", "ignored", "refunded"),
    ];
    for (event, status, effect, state) in events {
        assert_eq!(
            record(&app, event, &said(status, "A", "0.73"), None).await?,
            effect,
            "{event}"
        );
        assert_eq!(shop.order("A").await?.state, state, "{event}");
    }
    assert_eq!(
        shop.history("A").await?,
        [
            "pending -> succeeded by provider",
            "succeeded -> refunded by provider"
        ]
    );
    let checks = shop.checks("A").await?;
    assert_eq!(checks.len(), 9);
    let kept = checks[1].response.as_ref().context("nothing was kept")?;
    assert_eq!(kept["data"]["status"], "succeeded");
    assert_eq!(
        shop.order("A").await?.transaction_id.as_deref(),
        Some("TXN-A")
    );
    assert_eq!(shop.vendor.totals().calls, 0);
    shop.is_sound().await
}

/// Proves that an open order's next check stays where it was when evidence does not close it, and goes when it does.
#[tokio::test]
async fn the_schedule_goes_on_beside_evidence() -> Result<()> {
    let shop = open("webhooks_schedule").await?;
    let app = shop.app().await?;
    shop.track("A").await?;
    let before = shop
        .order("A")
        .await?
        .next_check_s
        .context("not in the queue")?;
    record(&app, "e1", &said("pending", "A", "0.73"), None).await?;
    record(&app, "e2", &said("processing", "A", "0.73"), None).await?;
    let after = shop
        .order("A")
        .await?
        .next_check_s
        .context("not in the queue")?;
    assert!(
        after <= before && after > 20.0,
        "{before} s, and then {after} s"
    );
    record(&app, "e3", &said("failed", "A", "0.73"), None).await?;
    assert_eq!(shop.order("A").await?.next_check_s, None);
    shop.is_sound().await
}

/// Proves that succeeded after failed follows late_success, both ways.
#[tokio::test]
async fn a_late_success_follows_the_policy() -> Result<()> {
    let shop = open("webhooks_late_success").await?;
    let app = shop.app().await?;
    for (number, policy, state) in [("A", "review", "review"), ("B", "revive", "succeeded")] {
        shop.alter_provider("vendor", &format!("late_success => '{policy}'"))
            .await?;
        shop.track(number).await?;
        record(
            &app,
            &format!("{number}1"),
            &said("failed", number, "0.73"),
            None,
        )
        .await?;
        assert_eq!(shop.order(number).await?.state, "failed");
        let effect = record(
            &app,
            &format!("{number}2"),
            &said("succeeded", number, "0.73"),
            None,
        )
        .await?;
        assert_eq!(
            (effect.as_str(), shop.order(number).await?.state.as_str()),
            ("applied", state)
        );
    }
    shop.is_sound().await
}

/// Proves that evidence which comes while the order is being asked about settles it, that the answer of that call is stale and moves
/// nothing, and that the call still counts as in flight until it would have ended.
#[tokio::test]
async fn evidence_overtakes_a_call_under_way() -> Result<()> {
    let shop = open("webhooks_overtakes").await?;
    let sidecar = shop.sidecar().await?;
    shop.vendor
        .set_fate("A", Fate::of([Step::status("failed")]));
    let gate = shop.vendor.hold("A");
    shop.track_aged("A", "10 minutes").await?;
    shop.signal().await?;
    shop.vendor.arrived("A", 1, SOON).await?;
    let app = shop.app().await?;
    assert_eq!(
        record(&app, "e1", &said("succeeded", "A", "0.73"), None).await?,
        "applied"
    );
    gate.open();
    reconcile_tests::wait::value(SOON, "a stale report", async || {
        let stale = sidecar.metric("reconcile_stale_reports_total", "").await?;
        Ok((stale >= 1.0).then_some(()))
    })
    .await?;
    assert_eq!(
        shop.history("A").await?,
        ["pending -> succeeded by provider"]
    );
    assert_eq!(shop.checks("A").await?.len(), 1);
    assert_eq!(effects(&shop).await?, ["e1 applied"]);
    shop.is_sound().await
}

/// Proves that an event can be read by paths of its own, where its payload is shaped otherwise than the provider's answers.
#[tokio::test]
async fn an_event_has_paths_of_its_own() -> Result<()> {
    let shop = Shop::open("webhooks_own_paths").await?;
    shop.alter_provider(
        "vendor",
        "webhook => '{\"evidence\": true, \"order_number_path\": \"$.object.metadata.order\", \"status_path\": \"$.type\",
            \"status_map\": {\"charge.paid\": \"succeeded\", \"charge.failed\": \"failed\"}, \"amount_path\": \"$.object.amount\",
            \"amount_unit\": \"minor\", \"currency_path\": \"$.object.currency\", \"reference_path\": \"$.object.id\"}'",
    )
    .await?;
    let app = shop.app().await?;
    let event = |kind: &str, number: &str, amount: u32| {
        format!(
            r#"{{"type": "{kind}", "object": {{"id": "INV-{number}", "amount": {amount}, "currency": "USD", "metadata": {{"order": "{number}"}}}}}}"#
        )
    };
    for number in ["A", "B"] {
        shop.track(number).await?;
    }
    assert_eq!(
        record(&app, "e1", &event("charge.paid", "A", 73), None).await?,
        "applied"
    );
    assert_eq!(
        record(&app, "e2", &event("charge.paid", "B", 74), None).await?,
        "applied"
    );
    assert_eq!(shop.order("A").await?.state, "succeeded");
    assert_eq!(shop.order("B").await?.state, "review", "another amount");
    shop.is_sound().await
}

/// Proves that a payload which says succeeded and nothing else closes nothing, that one which may be silent by the row's own word for
/// webhooks does, and that paths may name the order there, too.
#[tokio::test]
async fn a_silent_payload_is_no_agreement() -> Result<()> {
    let shop = open("webhooks_silence").await?;
    let app = shop.app().await?;
    for number in ["A", "B"] {
        shop.track(number).await?;
    }
    let silent =
        |number: &str| format!(r#"{{"data": {{"status": "succeeded", "reference": "{number}"}}}}"#);
    assert_eq!(record(&app, "e1", &silent("A"), None).await?, "applied");
    let check = shop.check("A", 0).await?;
    assert_eq!(
        (check.outcome.as_str(), check.to_state.as_str()),
        ("mismatch", "review")
    );
    let detail = check.detail.unwrap_or_default();
    assert!(
        detail.contains("nothing at reference_path and amount_path and currency_path"),
        "{detail}"
    );
    let own = r#"webhook => '{"evidence": true, "order_number_path": "$.about", "may_be_silent_on": ["amount", "currency", "reference"],
        "status_path": "$.orders[*] ? (@.number == $order_number).status"}'"#;
    shop.alter_provider("vendor", own).await?;
    let payload = r#"{"about": "B", "orders": [{"number": "A", "status": "failed"}, {"number": "B", "status": "succeeded"}]}"#;
    assert_eq!(record(&app, "e2", payload, None).await?, "applied");
    assert_eq!(shop.order("B").await?.state, "succeeded");
    shop.is_sound().await
}

/// Proves that an event which is not understood rings the bell and writes nothing on the order: neither its id nor its word.
#[tokio::test]
async fn an_event_that_is_not_understood_rings_and_writes_nothing() -> Result<()> {
    let shop = open("webhooks_not_understood").await?;
    let app = shop.app().await?;
    shop.track("A").await?;
    record(&app, "e1", &said("failed", "A", "0.73"), None).await?;
    let event = said("payment_intent.succeeded", "A", "0.73").replace("TXN-A", "evt_1");
    assert_eq!(record(&app, "e2", &event, None).await?, "asked");
    let order = shop.order("A").await?;
    assert_eq!(order.transaction_id.as_deref(), Some("TXN-A"));
    assert_eq!(order.provider_status.as_deref(), Some("failed"));
    shop.vendor.set_fate("A", Fate::status("succeeded"));
    let _sidecar = shop.sidecar().await?;
    shop.becomes("A", "review").await?;
    shop.is_sound().await
}

/// Proves that an event which says nothing new overwrites nothing.
#[tokio::test]
async fn an_ignored_event_writes_nothing() -> Result<()> {
    let shop = open("webhooks_ignored").await?;
    let app = shop.app().await?;
    shop.track("A").await?;
    record(&app, "e1", &said("succeeded", "A", "0.73"), None).await?;
    let again = said("succeeded", "A", "0.73").replace("TXN-A", "evt_2");
    assert_eq!(record(&app, "e2", &again, None).await?, "ignored");
    assert_eq!(
        shop.order("A").await?.transaction_id.as_deref(),
        Some("TXN-A")
    );
    shop.is_sound().await
}

/// Proves that an event of money paid back in part is kept, that a late one takes nothing of it back, and that it changes no id.
#[tokio::test]
async fn a_refund_in_part_is_kept() -> Result<()> {
    let shop = open("webhooks_part").await?;
    shop.alter_provider("vendor", "refunded_path => '$.data.refunded'")
        .await?;
    let app = shop.app().await?;
    shop.track("A").await?;
    record(&app, "e1", &said("succeeded", "A", "0.73"), None).await?;
    let part = |amount: &str| {
        said("refunded", "A", "0.73")
            .replace("TXN-A", "re_1")
            .replace(r#""status""#, &format!(r#""refunded": {amount}, "status""#))
    };
    let kept = "select coalesce(refunded_amount::text, 'none') from reconcile.tracked_orders";
    for (event, amount, effect, wanted) in [
        ("e2", "0.30", "applied", "0.30"),
        ("e3", "0.10", "ignored", "0.30"),
        ("e4", "0.30", "ignored", "0.30"),
        ("e5", "0.73", "applied", "0.73"),
    ] {
        let answered = record(&app, event, &part(amount), None).await?;
        assert_eq!(answered, effect, "{event}");
        assert_eq!(shop.one::<String>(kept, &[]).await?, wanted, "{event}");
    }
    assert_eq!(shop.order("A").await?.state, "refunded");
    shop.is_sound().await
}
