//! What one provider does or suffers is no matter of another's.

use anyhow::Result;
use reconcile_tests::shop::{SOON, Shop};
use reconcile_tests::sidecar::Sidecar;
use reconcile_tests::simulator::{Fate, Reply, Simulator};
use reconcile_tests::wait;

/// Proves that a provider that hangs, before the answer or in the middle of it, holds up its own
/// orders alone: three sidecars settle the other's meanwhile.
#[tokio::test]
async fn a_provider_that_hangs_does_not_hold_up_another() -> Result<()> {
    let shop = Shop::open("limits_hanging").await?;
    let stuck = Simulator::start()?;
    shop.add_provider("stuck", &stuck, "timeout => '5 minutes'")
        .await?;
    let mut settings = shop.sidecar_settings();
    settings.allow_hosts.push(stuck.address().to_string());
    for place in 0..40 {
        let number = format!("STUCK-{place:02}");
        let hang = if place % 2 == 0 {
            Reply::Hang
        } else {
            Reply::HangInBody
        };
        stuck.set_fate(&number, Fate::of([hang.into()]));
        shop.track_at("stuck", &number, "2 hours").await?;
    }
    let _sidecars = [
        Sidecar::start_ready(&settings).await?,
        Sidecar::start_ready(&settings).await?,
        Sidecar::start_ready(&settings).await?,
    ];
    wait::until(SOON, "as many calls to it as it may have", async || {
        stuck.totals().in_flight == 16
    })
    .await?;
    for place in 0..60 {
        shop.track_aged(&format!("ORD-{place:02}"), "10 minutes")
            .await?;
    }
    shop.signal().await?;
    for place in 0..60 {
        shop.becomes(&format!("ORD-{place:02}"), "succeeded")
            .await?;
    }
    assert_eq!(
        (stuck.totals().calls, stuck.totals().in_flight),
        (16, 16),
        "they hung all the time"
    );
    Ok(())
}

/// Proves that a person's question about an order of a paused provider is queued and says so, that the
/// pause shows in provider_health, and that the question is the first to be asked afterwards.
#[tokio::test]
async fn a_question_during_a_pause_waits_for_its_end() -> Result<()> {
    let shop = Shop::open("limits_pause").await?;
    shop.alter_provider("vendor", "concurrency => 1").await?;
    shop.run("select reconcile.pause_provider('vendor', 'ticket 1234')")
        .await?;
    let _sidecars = [
        shop.sidecar().await?,
        shop.sidecar().await?,
        shop.sidecar().await?,
    ];
    for place in 0..5 {
        shop.track_aged(&format!("ORD-{place}"), "10 minutes")
            .await?;
    }
    shop.track("ASKED").await?;
    let app = shop.app().await?;
    let ask = "select message from reconcile_order('ASKED', '10 s')";
    let message: String = app.query_one(ask, &[]).await?.get(0);
    assert!(
        message.contains("paused since") && message.contains("ticket 1234"),
        "{message}"
    );
    wait::value(SOON, "the question in the queue", async || {
        Ok(shop.order("ASKED").await?.urgent.then_some(()))
    })
    .await?;
    let health = "select concat_ws(' ', health, paused_by, paused_reason, in_flight) from reconcile.provider_health where name = 'vendor'";
    let health: String = shop.one(health, &[]).await?;
    assert_eq!(health, "paused postgres ticket 1234 0");
    assert_eq!(shop.vendor.totals().calls, 0);
    shop.run("select reconcile.resume_provider('vendor'); select reconcile_stale_orders()")
        .await?;
    for number in ["ASKED", "ORD-0", "ORD-1", "ORD-2", "ORD-3", "ORD-4"] {
        shop.becomes(number, "succeeded").await?;
    }
    assert_eq!(shop.vendor.all_calls()[0].order_number, "ASKED");
    shop.is_sound().await
}
