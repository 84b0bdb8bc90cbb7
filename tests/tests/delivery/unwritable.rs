//! An event whose order holds what can't be written out again.

use anyhow::Result;
use reconcile_tests::shop::Shop;

use crate::receiver::Receiver;
use crate::{add_endpoint, all_delivered, event, holds, sidecar};

/// More than a gigabyte of digits, past the calls that refuse it.
const ENDLESS: &str = "update reconcile.tracked_orders
    set details = (select jsonb_build_object('n', jsonb_agg(1e131071::numeric)) from generate_series(1, 9000))
    where order_number = 'ENDLESS'";

/// Proves that such an event is parked and told, that the events after it are delivered, and that it is sent when its order is
/// mended and somebody says so.
#[tokio::test]
async fn an_event_that_cannot_be_written_holds_up_no_other() -> Result<()> {
    let shop = Shop::open("delivery_unwritable").await?;
    let receiver = Receiver::start().await?;
    shop.track("ENDLESS").await?;
    shop.run(ENDLESS).await?;
    shop.run("select reconcile.resolve_order('ENDLESS', 'failed', 'for the test')")
        .await?;
    event(&shop, "AFTER", "succeeded").await?;
    add_endpoint(&shop, "shop", &receiver, "since_event => 0").await?;
    let _sidecar = sidecar(&shop, &[&receiver]).await?;
    let first = receiver.received(1).await?;
    assert!(first[0].json()?["data"]["order_number"] == "AFTER");
    let parked = "select count(*) = 1 and bool_and(order_number = 'ENDLESS' and last_problem like 'the message can''t be written: %')
        from reconcile.parked_deliveries";
    holds(&shop, "the event to be parked with its reason", parked).await?;
    let alert =
        "select severity || ' ' || subject from reconcile.alerts where alert = 'deliveries_parked'";
    assert_eq!(shop.one::<String>(alert, &[]).await?, "warning shop");

    let replay = "select reconcile.replay_events('shop')";
    assert_eq!(shop.one::<i32>(replay, &[]).await?, 0, "not mended yet");
    shop.run("update reconcile.tracked_orders set details = '{}' where order_number = 'ENDLESS'")
        .await?;
    assert_eq!(shop.one::<i32>(replay, &[]).await?, 1);
    all_delivered(&shop).await?;
    let messages = receiver.messages();
    assert!(messages.len() == 2 && messages[1].json()?["data"]["order_number"] == "ENDLESS");
    Ok(())
}
