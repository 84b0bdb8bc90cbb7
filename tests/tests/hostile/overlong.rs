//! Code of an application that catches its own cancellation, and so outlasts every time limit.

use anyhow::{Result, ensure};
use reconcile_tests::shop::{SOON, Till};
use reconcile_tests::sidecar::Sidecar;
use reconcile_tests::simulator::{Fate, Simulator};
use reconcile_tests::wait;

use crate::scene::{cluster, failure, run};

/// A hook that goes on for ever, for the order EVIL alone.
const FOR_EVER: &str = "
    begin
        while order_number = 'EVIL' loop
            begin
                perform pg_sleep(3600);
            exception
                when query_canceled then null;
            end;
        end loop;
    end";

/// Sessions of a role that such a hook keeps.
const KEPT: &str = "select count(*) from pg_stat_activity where usename = $1 and wait_event = 'PgSleep' and datname = current_database()";

/// Proves that a run which no time limit ends is shown as an alert, is ended by another session of its role and by no other role's, and
/// that the next run settles what it can.
#[tokio::test]
async fn a_run_without_end_is_ended() -> Result<()> {
    let till = Till::open_in(cluster().await?, "hostile_overlong_run").await?;
    till.run("update reconcile.settings set longest_run = '1 second'")
        .await?;
    till.hook("forever", "succeeded", FOR_EVER).await?;
    till.sells("paid", &["EVIL"]).await?;
    let (runs, ends) = (
        till.database.connect_as("reconcile_cron").await?,
        till.database.connect_as("reconcile_cron").await?,
    );
    let stuck =
        tokio::spawn(async move { failure(&runs, "call reconcile.check_stale_orders()").await });
    wait::value(SOON, "the hook", async || {
        Ok((till.one::<i64>(KEPT, &[&"reconcile_cron"]).await? == 1).then_some(()))
    })
    .await?;
    let cancel = "select pg_cancel_backend(pid) from pg_stat_activity where usename = 'reconcile_cron' and wait_event = 'PgSleep'
        and datname = current_database()";
    till.run(cancel).await?;
    let alert = "select count(*) from reconcile.alerts where alert = 'session_overlong'";
    wait::value(SOON, "an alert", async || {
        Ok((till.one::<i64>(alert, &[]).await? == 1).then_some(()))
    })
    .await?;
    let end = "select reconcile.end_overlong_sessions()";
    let others: i32 = till.owner.query_one(end, &[]).await?.get(0);
    let own: i32 = ends.query_one(end, &[]).await?.get(0);
    assert_eq!((others, own), (0, 1));
    let ended = stuck.await?.unwrap_or_default();
    ensure!(ended.starts_with("57P01"), "it ended by {ended:?}");
    wait::value(SOON, "its end", async || {
        Ok((till.one::<i64>(KEPT, &[&"reconcile_cron"]).await? == 0).then_some(()))
    })
    .await?;
    till.run("select reconcile.resolve_order('EVIL', 'failed', 'for the rest')")
        .await?;
    till.sells("paid", &["GOOD"]).await?;
    run(&ends, "call reconcile.check_stale_orders()").await?;
    assert_eq!(till.order("GOOD").await?.state, "succeeded");
    till.is_sound().await
}

/// Proves that a sidecar whose report never ends ends it itself, and that another provider's orders are settled meanwhile.
#[tokio::test]
async fn a_report_without_end_is_ended() -> Result<()> {
    let till = Till::open_in(cluster().await?, "hostile_overlong_report").await?;
    till.run("update reconcile.settings set longest_run = '1 second'")
        .await?;
    till.hook("forever", "succeeded", FOR_EVER).await?;
    let other = Simulator::start()?;
    till.add_provider("other", &other, "").await?;
    for vendor in [&till.vendor, &other] {
        vendor.set_default(Fate::status("succeeded"));
    }
    let mut settings = till.sidecar_settings();
    settings.allow_hosts.push(other.address().to_string());
    let sidecar = Sidecar::start_ready(&settings).await?;
    till.track("EVIL").await?;
    till.make_due("EVIL").await?;
    wait::value(SOON, "the report", async || {
        Ok((till.one::<i64>(KEPT, &[&"shop_sidecar"]).await? > 0).then_some(()))
    })
    .await?;
    till.track_at("other", "GOOD", "10 minutes").await?;
    till.signal().await?;
    till.becomes("GOOD", "succeeded").await?;
    wait::until(SOON, "its end", async || {
        sidecar.log().iter().any(|line| {
            line["message"]
                .as_str()
                .is_some_and(|said| said.starts_with("ended sessions"))
        })
    })
    .await?;
    till.does("create or replace function shop.forever(order_number text, facts jsonb) returns void language plpgsql as 'begin end'")
        .await?;
    till.becomes("EVIL", "succeeded").await?;
    till.is_sound().await
}
