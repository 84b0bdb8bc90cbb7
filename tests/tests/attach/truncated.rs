//! A table with many open orders is emptied at one stroke.

use anyhow::Result;
use reconcile_tests::shop::Shop;

use crate::store::{app, attached, list, take_in};

/// Orders that are open, and how many notes there are.
async fn open_and_notes(shop: &Shop<'_>) -> Result<(i64, i64)> {
    let sql = "select count(*) filter (where state = 'pending'), (select count(*) from reconcile.arrivals) from reconcile.orders";
    let row = shop.client.query_one(sql, &[]).await?;
    Ok((row.get(0), row.get(1)))
}

/// Proves that the one note which a TRUNCATE leaves is taken in by slices, whose size does not depend on how many orders are open; that
/// it stays until the last of them; and that every order is let go.
#[tokio::test]
async fn a_truncate_is_taken_in_by_slices() -> Result<()> {
    let shop = attached("attach_truncated").await?;
    let app = app(&shop).await?;
    app.batch_execute(
        "insert into store.orders (number, invoice_id, status)
         select 'ORD-' || n, 'i', 'processing' from generate_series(1, 5000) as n",
    )
    .await?;
    take_in(&shop).await?;
    assert_eq!(open_and_notes(&shop).await?, (5000, 0));
    app.batch_execute("truncate store.orders").await?;
    assert_eq!(open_and_notes(&shop).await?, (5000, 1));

    // As a heartbeat whose time is over, which does no more than it has to.
    let slice =
        "select reconcile_internal._take_arrivals(a, '-infinity') from reconcile.attachments as a";
    let (mut open, mut notes, mut slices) = (5000, 1, 0);
    while notes > 0 {
        shop.run(slice).await?;
        let before = open;
        (open, notes) = open_and_notes(&shop).await?;
        assert!(
            before - open <= 2000,
            "{} orders in one slice",
            before - open
        );
        assert!(
            notes == 1 || (open, notes) == (0, 0),
            "{notes} notes while {open} orders are open"
        );
        slices += 1;
        assert!(slices < 100, "{open} orders are open still");
    }
    assert_eq!(open, 0);
    let ways =
        "select distinct concat_ws(' ', to_state, cause, reason) from reconcile.order_history";
    assert_eq!(
        list(&shop, ways).await?,
        ["cancelled application the application deleted its row"]
    );
    shop.is_sound().await
}
