//! A caller that is stopped while it waits: it stops at once, and leaves nothing behind.

use anyhow::{Context, Result};
use reconcile_tests::shop::{SOON, Shop};
use reconcile_tests::wait;

use crate::asked::{AT_ONCE, ask, waiter};

async fn nothing_is_left_behind(shop: &Shop<'_>) -> Result<()> {
    wait::until(
        SOON,
        "no worker, no lock and no transaction of a caller",
        async || {
            let left = "
            select (select count(*) from pg_stat_activity as a
                    where a.datname = current_database() and a.pid <> pg_backend_pid()
                      and (a.backend_type like 'pg_reconcile%' or a.state = 'active'))
                 + (select count(*) from pg_locks as l join pg_database as d on d.oid = l.database
                    where d.datname = current_database() and l.pid <> pg_backend_pid())";
            shop.one::<i64>(left, &[]).await.is_ok_and(|left| left == 0)
        },
    )
    .await
}

/// Proves that pg_cancel_backend ends the wait with 57014, and that the check goes on without it.
#[tokio::test]
async fn a_cancelled_caller_stops_at_once() -> Result<()> {
    let shop = Shop::open("a_cancelled_caller").await?;
    let _sidecar = shop.sidecar().await?;
    shop.track("A").await?;
    let gate = shop.vendor.hold("A");
    let (pid, call) = waiter(&shop, "A").await?;
    shop.vendor.arrived("A", 1, SOON).await?;
    assert!(
        shop.one::<bool>("select pg_cancel_backend($1)", &[&pid])
            .await?
    );
    let cancelled = tokio::time::timeout(AT_ONCE, call)
        .await
        .context("it waits on")??;
    let error = cancelled.err().context("it had an answer")?;
    assert_eq!(
        error.code().map(|code| code.code()),
        Some("57014"),
        "{error}"
    );
    nothing_is_left_behind(&shop).await?;
    gate.open();
    shop.becomes("A", "succeeded").await?;
    assert_eq!(shop.vendor.count("A"), 1);
    shop.is_sound().await
}

/// Proves that a statement_timeout ends the wait, that the connection is of use afterwards, and that
/// the check goes on.
#[tokio::test]
async fn a_statement_timeout_ends_the_wait() -> Result<()> {
    let shop = Shop::open("a_statement_timeout").await?;
    let _sidecar = shop.sidecar().await?;
    shop.track("A").await?;
    let gate = shop.vendor.hold("A");
    let app = shop.app().await?;
    app.batch_execute("set statement_timeout = '500ms'").await?;
    let asked = tokio::time::timeout(AT_ONCE, ask(&app, "A", Some("60 s"))).await;
    let error = asked
        .context("it waits on")?
        .err()
        .context("it had an answer")?;
    assert_eq!(
        error.code().map(|code| code.code()),
        Some("57014"),
        "{error}"
    );
    drop(app);
    nothing_is_left_behind(&shop).await?;
    gate.open();
    shop.becomes("A", "succeeded").await?;
    shop.is_sound().await
}

/// Proves that a caller whose session is ended leaves the check to go on, and nothing else.
#[tokio::test]
async fn a_terminated_caller_leaves_nothing_behind() -> Result<()> {
    let shop = Shop::open("a_terminated_caller").await?;
    let _sidecar = shop.sidecar().await?;
    shop.track("A").await?;
    let gate = shop.vendor.hold("A");
    let (pid, call) = waiter(&shop, "A").await?;
    shop.vendor.arrived("A", 1, SOON).await?;
    assert!(
        shop.one::<bool>("select pg_terminate_backend($1)", &[&pid])
            .await?
    );
    assert!(
        tokio::time::timeout(AT_ONCE, call)
            .await
            .context("it waits on")??
            .is_err()
    );
    nothing_is_left_behind(&shop).await?;
    gate.open();
    shop.becomes("A", "succeeded").await?;
    shop.is_sound().await
}
