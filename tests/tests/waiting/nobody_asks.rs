//! Nobody who could ask the provider: the caller is told at once, and the check waits in the queue.

use anyhow::Result;
use reconcile_tests::shop::Shop;

use crate::asked::{ask, ask_at_once};

/// Proves that without any sidecar the call says so at once, and that the first sidecar that comes
/// asks about the order before its time.
#[tokio::test]
async fn without_a_sidecar_the_check_stays_queued() -> Result<()> {
    let shop = Shop::open("without_a_sidecar").await?;
    shop.track("A").await?;
    let app = shop.app().await?;
    app.batch_execute("begin").await?;
    ask_at_once(&app, "A")
        .await?
        .unchanged_because("no sidecar is running")?;
    assert!(
        shop.order("A").await?.urgent,
        "queued before the caller's transaction ends"
    );
    app.batch_execute("rollback").await?;
    let _sidecar = shop.sidecar().await?;
    shop.becomes("A", "succeeded").await?;
    shop.is_sound().await
}

/// Proves that a sidecar that has said goodbye counts as gone from that moment on.
#[tokio::test]
async fn a_sidecar_that_was_stopped_is_not_waited_for() -> Result<()> {
    let shop = Shop::open("a_stopped_sidecar").await?;
    let sidecar = shop.sidecar().await?;
    shop.track("A").await?;
    shop.track("B").await?;
    let app = shop.app().await?;
    assert_eq!(ask(&app, "A", Some("30 s")).await?.state, "succeeded");
    sidecar.stop().await?;
    ask_at_once(&app, "B")
        .await?
        .unchanged_because("no sidecar is running")?;
    assert!(shop.order("B").await?.urgent);
    Ok(())
}

/// Proves that a sidecar that was killed is waited for only as long as the caller says, and counts as
/// gone once it has been silent for long enough.
#[tokio::test]
async fn a_sidecar_that_was_killed_is_soon_not_waited_for() -> Result<()> {
    let shop = Shop::open("a_killed_sidecar").await?;
    let sidecar = shop.sidecar().await?;
    sidecar.kill9().await?;
    shop.track("A").await?;
    let app = shop.app().await?;
    ask(&app, "A", Some("200 ms"))
        .await?
        .unchanged_because("no answer within 00:00:00.2")?;
    shop.run("update reconcile.registered_sidecars set heartbeat_at = heartbeat_at - interval '21 seconds'")
        .await?;
    ask_at_once(&app, "A")
        .await?
        .unchanged_because("no sidecar is running")
}

/// Proves that a paused provider is not asked, that the caller is told since when and why, and that
/// its order goes first after the pause.
#[tokio::test]
async fn a_paused_provider_is_not_asked() -> Result<()> {
    let shop = Shop::open("a_paused_provider").await?;
    let _sidecar = shop.sidecar().await?;
    shop.track("A").await?;
    shop.run("select reconcile.pause_provider('vendor', 'their database is being moved')")
        .await?;
    let app = shop.app().await?;
    let asked = ask_at_once(&app, "A").await?;
    asked.unchanged_because("the provider vendor is paused since")?;
    asked.unchanged_because("(their database is being moved); the check is queued")?;
    assert!(shop.order("A").await?.urgent);
    assert_eq!(shop.vendor.count("A"), 0);
    shop.run("select reconcile.resume_provider('vendor')")
        .await?;
    shop.becomes("A", "succeeded").await?;
    assert_eq!(shop.vendor.count("A"), 1);
    shop.is_sound().await
}
