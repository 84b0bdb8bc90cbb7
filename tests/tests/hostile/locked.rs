//! A table that nobody can read for a while: one of many that are attached.

use anyhow::{Context, Result, ensure};
use reconcile_tests::shop::{SOON, Shop};
use reconcile_tests::sidecar::Sidecar;
use reconcile_tests::simulator::{Fate, Simulator};
use reconcile_tests::wait;

use crate::scene::{Scene, cluster, failure, run, text};

/// Proves that while one attached table is locked against everybody, another provider's orders go on being claimed, asked about and
/// settled by the same sidecar, one after the other, and that the sidecar's heart goes on beating.
#[tokio::test]
async fn a_locked_table_holds_up_no_other_provider() -> Result<()> {
    let shop = Shop::open_in(cluster().await?, "hostile_locked").await?;
    let other = Simulator::start()?;
    shop.add_provider("other", &other, "").await?;
    for vendor in [&shop.vendor, &other] {
        vendor.set_default(Fate::status("succeeded"));
    }
    shop.run(
        "create table public.orders (number text primary key, status text, invoice_id text, created_at timestamptz default now() - interval '1 hour');
         select from reconcile.attach_table('public.orders', 'vendor', track => '{processing}', write => '{\"succeeded\": {\"status\": \"PAID\"}}');
         insert into public.orders select 'T-' || n, 'processing', 'INV-' || n from generate_series(1, 60) as n;
         select from reconcile.take_in('public.orders')",
    )
    .await?;
    shop.run("set statement_timeout = '60s'").await?;
    let holder = shop.database.connect().await?;
    // Noted in the transaction that keeps the table: seen when the sidecar looks, and not to be read.
    holder.batch_execute("insert into public.orders select 'N-' || n, 'processing', 'INV-N-' || n from generate_series(1, 400) as n").await?;
    holder
        .batch_execute("begin; lock table public.orders in access exclusive mode")
        .await?;
    let mut settings = shop.sidecar_settings();
    settings.allow_hosts.push(other.address().to_string());
    let _sidecar = Sidecar::start(&settings)?;
    let beats = "select max(heartbeat_at)::text from reconcile.sidecars where alive";
    for round in 0..5 {
        let number = format!("ORD-{round}");
        shop.track_at("other", &number, "10 minutes").await?;
        // Not by a run, which may wait for the table: that is another test.
        shop.run("notify reconcile_due").await?;
        shop.becomes(&number, "succeeded").await?;
    }
    let mut last = None;
    for _ in 0..3 {
        let before = last.clone();
        last = wait::value(SOON, "a heartbeat", async || {
            let beat: Option<String> = shop.one(beats, &[]).await?;
            Ok((beat.is_some() && beat != before).then_some(beat))
        })
        .await?;
    }
    let alive: i64 = shop
        .one("select count(*) from reconcile.sidecars where alive", &[])
        .await?;
    assert_eq!(alive, 1, "its heart has stopped");
    holder.batch_execute("rollback").await?;
    shop.becomes("T-1", "succeeded").await?;
    shop.is_sound().await
}

/// Proves that a run, whoever makes it, doesn't wait for an attached table that is locked: it settles what has nothing to do with it.
#[tokio::test]
async fn a_run_waits_for_no_locked_table() -> Result<()> {
    let scene = Scene::open("hostile_run", "", "").await?;
    ensure!(
        scene.attach(&scene.owner, false).await.is_none(),
        "nothing is attached"
    );
    run(
        &scene.owner,
        "begin; lock table carrier.orders in access exclusive mode",
    )
    .await?;
    run(
        &scene.dba,
        "select reconcile.track_order('F', 'by_function', created_at => now() - interval '1 hour')",
    )
    .await?;
    let cron = scene.database.connect_as("reconcile_cron").await?;
    run(&cron, "set statement_timeout = '20s'").await?;
    run(&cron, "select * from reconcile_stale_orders(1000)").await?;
    run(&scene.owner, "rollback").await?;
    let state = text(
        &scene.dba,
        "select state from reconcile.orders where order_number = 'F'",
    )
    .await?;
    assert_eq!(state.as_deref(), Some("succeeded"));
    Ok(())
}

/// Proves that a question about an order that nobody knows, which is looked for in every attached table, waits for none that is locked:
/// any application may ask it.
#[tokio::test]
async fn a_question_about_an_unknown_order_waits_for_no_locked_table() -> Result<()> {
    let scene = Scene::open("hostile_unknown", "", "").await?;
    ensure!(
        scene.attach(&scene.owner, false).await.is_none(),
        "nothing is attached"
    );
    run(
        &scene.owner,
        "begin; lock table carrier.orders in access exclusive mode",
    )
    .await?;
    let app = scene.database.connect_as("shop_app").await?;
    run(&app, "set statement_timeout = '20s'").await?;
    let answer = failure(&app, "select * from public.reconcile_order('NOBODY', '0')").await;
    run(&scene.owner, "rollback").await?;
    let answer = answer.context("there is such an order")?;
    ensure!(answer.starts_with("RC001"), "{answer}");
    Ok(())
}
