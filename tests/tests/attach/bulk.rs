//! Many rows at once are only noted, and taken in afterwards: by a sidecar's heartbeat or by hand.

use anyhow::Result;
use reconcile_tests::shop::{SOON, Shop};
use reconcile_tests::wait;

use crate::hand::Hand;
use crate::store::{app, attached, list, take_in, watched};

const LOAD: &str = "
    insert into store.orders (number, invoice_id, status)
    select 'ORD-' || lpad(n::text, 4, '0'), 'i-' || n, case when n % 2 = 0 then 'processing' else 'NEW' end
    from generate_series(1, 1000) as n";

async fn arrivals(shop: &Shop<'_>) -> Result<i64> {
    shop.one(
        "select arrivals_waiting::bigint from reconcile.attached_tables",
        &[],
    )
    .await
}

async fn states(shop: &Shop<'_>) -> Result<Vec<String>> {
    list(
        shop,
        "select state || ' ' || count(*) from reconcile.orders group by state order by 1",
    )
    .await
}

/// Proves that a bulk load is only noted, each row that is to be watched once, and taken in by the next
/// heartbeat of a sidecar; and so are its later moves and deletions.
#[tokio::test]
async fn a_sidecar_takes_in_what_a_bulk_load_noted() -> Result<()> {
    let shop = attached("attach_bulk").await?;
    let app = app(&shop).await?;
    app.batch_execute(LOAD).await?;
    assert_eq!(
        (arrivals(&shop).await?, watched(&shop).await?.len()),
        (500, 0)
    );
    let _sidecar = shop.sidecar().await?;
    let is = async |wanted: &[&str]| {
        wait::value(SOON, format!("{wanted:?}"), async || {
            Ok((states(&shop).await? == wanted && arrivals(&shop).await? == 0).then_some(()))
        })
        .await
    };
    is(&["pending 500"]).await?;
    app.batch_execute("update store.orders set status = 'CANCELLED' where number < 'ORD-0400' and status = 'processing'").await?;
    is(&["failed 199", "pending 301"]).await?;
    app.batch_execute("delete from store.orders where number >= 'ORD-0500'")
        .await?;
    is(&["cancelled 251", "failed 199", "pending 50"]).await?;
    shop.is_sound().await
}

/// Proves that take_in takes in the notes too and says when it is done, and that a search of rows that
/// are known already follows none of them.
#[tokio::test]
async fn take_in_takes_in_what_a_bulk_load_noted() -> Result<()> {
    let shop = attached("attach_bulk_by_hand").await?;
    app(&shop).await?.batch_execute(LOAD).await?;
    assert_eq!(take_in(&shop).await?, (500 + 500, 0));
    assert_eq!(states(&shop).await?, ["pending 500"]);
    assert_eq!(take_in(&shop).await?, (500 + 500, 0));
    let followed = "select rows_followed::text from reconcile.attached_tables";
    assert_eq!(list(&shop, followed).await?, ["0"]);
    shop.is_sound().await
}

/// Proves that the note of an order that is locked stays, is tried once at a time, and holds up no
/// other note.
#[tokio::test]
async fn a_locked_order_holds_up_only_its_own_note() -> Result<()> {
    let shop = attached("attach_busy_note").await?;
    let app = app(&shop).await?;
    app.batch_execute(LOAD).await?;
    take_in(&shop).await?;
    let locker = shop.database.connect().await?;
    locker
        .batch_execute("begin; select from reconcile.tracked_orders where order_number = 'ORD-0002' for update")
        .await?;
    app.batch_execute(
        "update store.orders set status = 'CANCELLED' where number in ('ORD-0002', 'ORD-0004')",
    )
    .await?;
    app.batch_execute("update store.orders set status = 'CANCELLED' where number between 'ORD-0010' and 'ORD-0900'").await?;
    let hand = Hand::new(&shop).await?;
    hand.beat().await?;
    assert_eq!(arrivals(&shop).await?, 1);
    assert_eq!(states(&shop).await?, ["failed 447", "pending 53"]);
    let noted = "select last_value from reconcile.arrival_ids";
    let before = shop.one::<i64>(noted, &[]).await?;
    hand.beat().await?;
    assert_eq!(
        shop.one::<i64>(noted, &[]).await?,
        before + 1,
        "noted again and again"
    );
    locker.batch_execute("rollback").await?;
    hand.beat().await?;
    assert_eq!(
        (arrivals(&shop).await?, states(&shop).await?),
        (0, vec!["failed 448".to_owned(), "pending 52".to_owned()])
    );
    shop.is_sound().await
}

/// Proves that numbers that can't be the table's, which anybody who may tell of rows can have noted,
/// are dropped, and those beside them in the same note are not.
#[tokio::test]
async fn garbage_among_the_notes_stops_nothing() -> Result<()> {
    let table =
        "create table store.orders (number bigint primary key, invoice_id text, status text)";
    let shop = crate::store::with("attach_garbage", table).await?;
    crate::store::attach(&shop, "'store.orders', 'vendor', track => '{processing}'").await?;
    shop.run(
        "alter table store.orders disable trigger user;
         insert into store.orders values (7, 'i-7', 'processing');
         alter table store.orders enable trigger user;
         insert into reconcile.arrivals (attachment_id, order_numbers)
         select attachment_id, array['x', '7', '1e99', repeat('9', 40)] from reconcile.attachments",
    )
    .await?;
    let hand = Hand::new(&shop).await?;
    hand.beat().await?;
    hand.beat().await?;
    assert_eq!(watched(&shop).await?, ["7 pending"]);
    assert_eq!(arrivals(&shop).await?, 0);
    assert_eq!(crate::store::alerts(&shop).await?, Vec::<String>::new());
    shop.is_sound().await
}
