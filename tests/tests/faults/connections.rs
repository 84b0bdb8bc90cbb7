//! The sidecar's sessions are ended one by one, and all together.

use anyhow::{Result, ensure};
use reconcile_tests::shop::{Load, SOON, Shop};
use reconcile_tests::sidecar::Sidecar;
use reconcile_tests::wait;

const SESSIONS: &str =
    "from pg_stat_activity where datname = current_database() and usename = 'shop_sidecar'";

/// Proves that a sidecar whose sessions are all ended again and again, under load, loses nothing.
#[tokio::test]
async fn ended_sessions_under_load_lose_nothing() -> Result<()> {
    let shop = Shop::open("ended_sessions").await?;
    shop.alter_provider("vendor", "concurrency => 100, timeout => '1 second'")
        .await?;
    let mut settings = shop.sidecar_settings();
    settings.slots = Some(8);
    let sidecar = Sidecar::start_ready(&settings).await?;
    let load = Load::begin(&shop, 300, 20).await?;
    for round in 1..=6 {
        load.reaches(&shop, 30 * round).await?;
        let ended: i64 = shop
            .one(
                &format!("select count(pg_terminate_backend(pid)) {SESSIONS}"),
                &[],
            )
            .await?;
        ensure!(ended > 0, "there was no session to end");
    }
    load.ends_well(&shop).await?;
    assert_eq!(sidecar.process().exit_code()?, None);
    let reconnects = sidecar
        .metric("reconcile_database_reconnects_total", "")
        .await?;
    assert!(reconnects >= 6.0, "{reconnects}");
    Ok(())
}

/// Proves that a listening session that is lost while nothing happens is opened again and hears, and
/// that what came due meanwhile is found.
#[tokio::test]
async fn a_lost_listener_listens_again() -> Result<()> {
    let shop = Shop::open("a_lost_listener").await?;
    let sidecar = shop.sidecar().await?;
    let hears = async || -> Result<()> {
        wait::until(SOON, "a sidecar that listens", async || {
            sidecar
                .health()
                .await
                .is_ok_and(|(_, health)| health["listening"] == true)
        })
        .await?;
        let before = sidecar.metric("reconcile_notifications_total", "").await?;
        shop.signal().await?;
        wait::until(SOON, "a notification to be heard", async || {
            let heard = sidecar.metric("reconcile_notifications_total", "").await;
            heard.is_ok_and(|heard| heard > before)
        })
        .await
    };
    hears().await?;
    let listener = format!("select min(pid) {SESSIONS} and query ilike 'listen%'");
    let pid: i32 = shop.one(&listener, &[]).await?;
    shop.track_aged("A", "10 minutes").await?;
    assert!(
        shop.one::<bool>("select pg_terminate_backend($1)", &[&pid])
            .await?
    );
    shop.becomes("A", "succeeded").await?;
    wait::until(SOON, "another listener", async || {
        shop.one::<Option<i32>>(&listener, &[])
            .await
            .is_ok_and(|other| other.is_some_and(|other| other != pid))
    })
    .await?;
    hears().await
}

/// Proves that orders come due and are found without any notification at all.
#[tokio::test]
async fn without_notifications_due_orders_are_found() -> Result<()> {
    let shop = Shop::open("without_notifications").await?;
    let sidecar = shop.sidecar().await?;
    shop.track_aged("A", "10 minutes").await?;
    shop.becomes("A", "succeeded").await?;
    let due = "channel=\"reconcile_due\"";
    assert!(sidecar.metric("reconcile_notifications_total", due).await? < 0.5);
    Ok(())
}

/// Proves that a sidecar that the database has forgotten introduces itself anew and works on.
#[tokio::test]
async fn a_forgotten_sidecar_introduces_itself_again() -> Result<()> {
    let shop = Shop::open("a_forgotten_sidecar").await?;
    let _sidecar = shop.sidecar().await?;
    let first: i64 = shop
        .one("select max(sidecar_id) from reconcile.sidecars", &[])
        .await?;
    shop.run("delete from reconcile.registered_sidecars")
        .await?;
    wait::until(SOON, "a sidecar that is known again", async || {
        let known = "select count(*) from reconcile.sidecars where alive and sidecar_id > $1";
        shop.one::<i64>(known, &[&first])
            .await
            .is_ok_and(|known| known == 1)
    })
    .await?;
    shop.track_aged("A", "10 minutes").await?;
    shop.becomes("A", "succeeded").await?;
    shop.is_sound().await
}
