//! PostgreSQL goes away under load, in order and by SIGKILL, and comes back.

use anyhow::Result;
use reconcile_tests::cluster::{Cluster, Stop};
use reconcile_tests::shop::{Load, Shop, settings};
use reconcile_tests::sidecar::Sidecar;
use reconcile_tests::wait;

#[derive(Clone, Copy)]
enum End {
    Restart,
    Kill,
}

async fn survives(name: &str, ends: &[End]) -> Result<()> {
    let cluster = Cluster::start_new(settings().durable()).await?;
    let mut shop = Shop::open_in(&cluster, name).await?;
    shop.alter_provider("vendor", "concurrency => 100, timeout => '1 second'")
        .await?;
    let mut few = shop.sidecar_settings();
    few.slots = Some(8);
    let sidecars = [
        Sidecar::start_ready(&few).await?,
        Sidecar::start_ready(&few).await?,
    ];
    let load = Load::begin(&shop, 400, 40).await?;
    for (nth, end) in ends.iter().enumerate() {
        load.reaches(&shop, 60 * (nth + 1)).await?;
        match end {
            End::Restart => cluster.stop(Stop::Fast).await?,
            End::Kill => cluster.kill9().await?,
        }
        // Answers that can't be reported now are in the sidecars' hands.
        wait::until(
            reconcile_tests::shop::SOON,
            "the calls in flight to end",
            async || shop.vendor.totals().in_flight == 0,
        )
        .await?;
        cluster.start().await?;
        shop.reconnect().await?;
    }
    load.ends_well(&shop).await?;
    for sidecar in &sidecars {
        assert_eq!(sidecar.process().exit_code()?, None, "{}", sidecar.stderr());
        assert!(
            sidecar
                .metric("reconcile_database_reconnects_total", "")
                .await?
                >= 1.0
        );
    }
    Ok(())
}

/// Proves that an orderly restart of PostgreSQL under load costs no order and no transition.
#[tokio::test]
async fn a_restart_of_the_server_loses_nothing() -> Result<()> {
    survives("a_restart", &[End::Restart, End::Restart]).await
}

/// Proves the same of a server whose processes are all killed.
#[tokio::test]
async fn a_killed_server_loses_nothing() -> Result<()> {
    survives("a_killed_server", &[End::Kill, End::Kill]).await
}

/// Proves that a sidecar that is started before its server waits for it.
#[tokio::test]
async fn a_sidecar_waits_for_its_server() -> Result<()> {
    let cluster = Cluster::start_new(settings()).await?;
    let mut shop = Shop::open_in(&cluster, "started_before").await?;
    shop.track_aged("A", "10 minutes").await?;
    cluster.stop(Stop::Fast).await?;
    let sidecar = Sidecar::start(&shop.sidecar_settings())?;
    wait::until(reconcile_tests::shop::SOON, "a vain attempt", async || {
        sidecar.stderr().contains("can't connect to PostgreSQL")
    })
    .await?;
    cluster.start().await?;
    shop.reconnect().await?;
    sidecar.ready().await?;
    shop.becomes("A", "succeeded").await?;
    shop.is_sound().await
}
