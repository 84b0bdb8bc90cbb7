//! What the server's log has of calls that end in the middle.

use anyhow::{Context, Result, ensure};
use reconcile_tests::cluster::Cluster;
use reconcile_tests::shop::{self, Shop};

/// The most that one call may leave in the log: its error and its own statement.
const LINES: usize = 4;

/// Calls of a sidecar and of others, each with the table that it waits for when that is locked.
fn calls(id: i64) -> [(&'static str, String); 8] {
    [
        (
            "reconcile.provider_traffic",
            format!("select * from reconcile.sidecar_claim({id}, 10)"),
        ),
        (
            "reconcile.leases",
            format!(
                "select * from reconcile.sidecar_report({id}, '{{1,2}}', '{{1,2}}', '{{NULL,NULL}}', '{{200,200}}', \
                 array['{{}}', '{{}}'], '{{NULL,NULL}}', '{{1,1}}', '{{NULL,NULL}}')"
            ),
        ),
        (
            "reconcile.leases",
            format!("select * from reconcile.sidecar_heartbeat({id}, 0)"),
        ),
        (
            "reconcile.leases",
            "select * from reconcile.housekeep()".to_owned(),
        ),
        (
            "reconcile.leases",
            "call reconcile.check_stale_orders()".to_owned(),
        ),
        (
            "reconcile.due_checks",
            "select reconcile.track_order('O-2', 'vendor', 'INV-O-2')".to_owned(),
        ),
        (
            "reconcile.due_checks",
            "select reconcile.record_webhook('vendor', 'e-1', '{}', 'O-1')".to_owned(),
        ),
        (
            "reconcile.tracked_orders",
            "select reconcile.resolve_order('O-1', 'failed', 'seen')".to_owned(),
        ),
    ]
}

/// Proves that a claim, a report and a run that are cancelled leave some lines in the server's log, and no function's body.
#[tokio::test]
async fn a_cancelled_call_leaves_no_body_in_the_log() -> Result<()> {
    // Of its own: in the others' log is what others do.
    let cluster = Cluster::start_new(shop::settings()).await?;
    let shop = Shop::open_in(&cluster, "faults_log").await?;
    let waits = shop.database.connect().await?;
    shop.track("O-1").await?;
    let sidecar = shop.database.connect_as("shop_sidecar").await?;
    let id: i64 = sidecar
        .query_one("select reconcile.sidecar_start('by hand', '0', 10)", &[])
        .await?
        .get(0);
    for (held, call) in calls(id) {
        let lock = format!("begin; lock table {held} in access exclusive mode");
        waits.batch_execute(&lock).await?;
        let before = cluster.log()?.lines().count();
        let caller = if call.contains("sidecar") {
            &sidecar
        } else {
            &shop.client
        };
        caller
            .batch_execute("set statement_timeout = '300ms'")
            .await?;
        let error = caller.batch_execute(&call).await.err();
        let error = error.with_context(|| format!("{call} was not cancelled"))?;
        waits.batch_execute("rollback").await?;
        caller.batch_execute("reset statement_timeout").await?;
        ensure!(
            error.code().is_some_and(|code| code.code() == "57014"),
            "{call}: {error:?}"
        );
        let log = cluster.log()?;
        let said: Vec<&str> = log.lines().skip(before).collect();
        ensure!(
            (1..=LINES).contains(&said.len()),
            "{call}:\n{}",
            said.join("\n")
        );
    }
    Ok(())
}
