//! The application decides while a provider's answer is under way: its decision is never overwritten.

use anyhow::Result;
use reconcile_tests::shop::{SOON, Shop};
use reconcile_tests::wait;
use tokio_postgres::Client;

use crate::hand::Hand;
use crate::store::{alerts, app, attached, list, row, watched};

const INSERT: &str =
    "insert into store.orders (number, invoice_id, status) values ('A', 'i', 'processing')";

async fn pid(client: &Client) -> Result<i32> {
    Ok(client
        .query_one("select pg_backend_pid()", &[])
        .await?
        .get(0))
}

/// Waits until a session waits for a lock.
async fn waits(shop: &Shop<'_>, pid: i32) -> Result<()> {
    wait::value(SOON, "a session that waits for a lock", async || {
        let sql =
            "select count(*) from pg_stat_activity where pid = $1 and wait_event_type = 'Lock'";
        Ok((shop.one::<i64>(sql, &[&pid]).await? == 1).then_some(()))
    })
    .await
}

/// Proves that the report that comes while the application's decision is not committed yet is put off,
/// and comes too late after it.
#[tokio::test]
async fn the_application_is_first() -> Result<()> {
    let shop = attached("attach_app_first").await?;
    let (app, hand) = (app(&shop).await?, Hand::new(&shop).await?);
    app.batch_execute(INSERT).await?;
    let claimed = hand.claim(&shop, &["A"]).await?;
    app.batch_execute("begin; update store.orders set status = 'CANCELLED' where number = 'A'")
        .await?;
    assert_eq!(hand.report(&claimed, "succeeded").await?, ["busy"]);
    app.batch_execute("commit").await?;
    assert_eq!(hand.report(&claimed, "succeeded").await?, ["stale"]);
    assert_eq!(row(&shop, "A").await?, "CANCELLED");
    assert_eq!(
        shop.history("A").await?,
        ["pending -> failed by application"]
    );
    shop.is_sound().await
}

/// Proves that an application that decides on condition of the status, and comes second, finds the
/// provider's word and changes nothing.
#[tokio::test]
async fn the_report_is_first() -> Result<()> {
    let shop = attached("attach_report_first").await?;
    let (app, hand) = (app(&shop).await?, Hand::new(&shop).await?);
    app.batch_execute(INSERT).await?;
    let claimed = hand.claim(&shop, &["A"]).await?;
    hand.begin().await?;
    assert_eq!(
        hand.report(&claimed, "succeeded").await?,
        Vec::<String>::new()
    );
    let app_pid = pid(&app).await?;
    let decide = app.execute(
        "update store.orders set status = 'CANCELLED' where number = 'A' and status = 'processing'",
        &[],
    );
    let (decided, committed) = tokio::join!(decide, async {
        waits(&shop, app_pid).await?;
        hand.commit().await
    });
    committed?;
    assert_eq!(decided?, 0);
    assert_eq!(
        (row(&shop, "A").await?, shop.history("A").await?),
        (
            "CONFIRMED COMPLETED".to_owned(),
            vec!["pending -> succeeded by provider".to_owned()]
        )
    );
    shop.is_sound().await
}

/// The row moves, and nobody tells the ledger before the answer comes.
async fn moved_untold(shop: &Shop<'_>, status: &str, says: &str) -> Result<()> {
    let hand = Hand::new(shop).await?;
    app(shop).await?.batch_execute(INSERT).await?;
    let claimed = hand.claim(shop, &["A"]).await?;
    let change = match status {
        "" => "delete from store.orders".to_owned(),
        status => format!("update store.orders set status = '{status}'"),
    };
    shop.run(&format!(
        "set session_replication_role = replica; {change}; reset session_replication_role"
    ))
    .await?;
    assert_eq!(hand.report(&claimed, says).await?, Vec::<String>::new());
    assert_eq!(alerts(shop).await?, Vec::<String>::new());
    Ok(())
}

async fn last_word(shop: &Shop<'_>) -> Result<Vec<String>> {
    list(
        shop,
        "select concat_ws(' ', to_state, cause, reason) from reconcile.order_history",
    )
    .await
}

/// Proves that money taken for a row that the application has cancelled is seen by a person, and the
/// row stays as the application left it.
#[tokio::test]
async fn money_for_a_cancelled_row_goes_to_review() -> Result<()> {
    let shop = attached("attach_paid_late").await?;
    moved_untold(&shop, "CANCELLED", "succeeded").await?;
    assert_eq!(
        (watched(&shop).await?, row(&shop, "A").await?),
        (vec!["A review".to_owned()], "CANCELLED".to_owned())
    );
    assert_eq!(
        last_word(&shop).await?,
        [
            "review application the provider says succeeded, and the application moved its row to 'CANCELLED'"
        ]
    );
    // It waits there, whatever the schedule finds.
    shop.signal().await?;
    assert_eq!(watched(&shop).await?, ["A review"]);
    shop.is_sound().await
}

/// Proves the same of a row that the application has deleted.
#[tokio::test]
async fn money_for_a_deleted_row_goes_to_review() -> Result<()> {
    let shop = attached("attach_paid_deleted").await?;
    moved_untold(&shop, "", "succeeded").await?;
    assert_eq!(
        last_word(&shop).await?,
        ["review application the provider says succeeded, and the application deleted its row"]
    );
    shop.is_sound().await
}

/// Proves that where the provider and the application agree there is nothing to review, and that the
/// application's word holds where the provider says no more than that it failed.
#[tokio::test]
async fn an_application_that_was_faster_keeps_its_word() -> Result<()> {
    for (name, status, says, wanted) in [
        ("attach_agree", "CONFIRMED", "succeeded", "A succeeded"),
        ("attach_agree_failed", "CANCELLED", "failed", "A failed"),
        ("attach_confirmed", "CONFIRMED", "failed", "A succeeded"),
        ("attach_other_word", "LOST", "failed", "A cancelled"),
    ] {
        let shop = attached(name).await?;
        moved_untold(&shop, status, says).await?;
        assert_eq!(
            (watched(&shop).await?, row(&shop, "A").await?),
            (vec![wanted.to_owned()], status.to_owned()),
            "{name}"
        );
        shop.is_sound().await?;
    }
    Ok(())
}

/// Proves that of sixty orders that the application cancels while a sidecar settles them each ends by one
/// word, and that row and ledger agree about it.
#[tokio::test]
async fn sixty_races_have_one_winner_each() -> Result<()> {
    let shop = attached("attach_races").await?;
    shop.alter_provider("vendor", "concurrency => 100").await?;
    let app = app(&shop).await?;
    let gate = shop.vendor.hold_all();
    let _sidecar = shop.sidecar().await?;
    app.batch_execute(
        "insert into store.orders (number, invoice_id, status, price, currency, created_at)
         select 'ORD-' || n, 'i-' || n, 'processing', 0.73, 'USD', now() - interval '10 minutes' from generate_series(1, 60) as n",
    )
    .await?;
    shop.signal().await?;
    wait::until(SOON, "sixty calls under way", async || {
        shop.vendor.totals().in_flight == 60
    })
    .await?;
    for n in 1..=60 {
        gate.let_through(1);
        let cancel = "update store.orders set status = 'CANCELLED' where number = 'ORD-' || $1::integer::text and status = 'processing'";
        app.execute(cancel, &[&(61 - n)]).await?;
    }
    gate.open();
    wait::value(SOON, "sixty decisions", async || {
        let open = "select count(*) from reconcile.orders where state in ('pending', 'processing')";
        Ok((shop.one::<i64>(open, &[]).await? == 0).then_some(()))
    })
    .await?;
    shop.is_sound().await?;
    let disagree = "
        select concat_ws(' ', r.number, r.status, o.state, o.settled_by, count(h))
        from store.orders as r
        join reconcile.orders as o on o.order_number = r.number
        left join reconcile.order_history as h on h.order_number = r.number
        group by r.number, r.status, o.state, o.settled_by
        having count(h) <> 1
            or (r.status, o.state, o.settled_by) not in (('CANCELLED', 'failed', 'application'), ('CONFIRMED', 'succeeded', 'provider'),
                ('CANCELLED', 'review', 'application'))";
    assert_eq!(list(&shop, disagree).await?, Vec::<String>::new());
    let seen =
        "select settled_by || ' ' || count(*) from reconcile.orders group by settled_by order by 1";
    assert_eq!(list(&shop, seen).await?.len(), 2, "nobody raced");
    Ok(())
}
