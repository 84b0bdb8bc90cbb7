//! An endpoint that does not take an event is tried again, ever later, until it is parked.

use anyhow::Result;
use reconcile_tests::shop::Shop;

use crate::receiver::Receiver;
use crate::{add_endpoint, all_delivered, event, holds, make_due, sidecar};

const PARKED: &str = "select count(*) = 1 from reconcile.parked_deliveries";

/// Seconds from the latest attempt to the next one.
const DELAY: &str =
    "select extract(epoch from due_at - last_attempt_at)::float8 from reconcile.deliveries";

/// Proves that an event is tried again after 5 s, 5 min and 30 min, as Standard Webhooks has it, with
/// the same id and the same body whatever becomes of the order, then parked and shown; and that a
/// replay delivers it, still the same.
#[tokio::test]
async fn an_event_is_tried_ever_later_then_parked_and_replayed() -> Result<()> {
    let shop = Shop::open("delivery_retries").await?;
    let receiver = Receiver::start().await?;
    receiver.says(500, &[]);
    add_endpoint(&shop, "shop", &receiver, "max_attempts => 4").await?;
    let _sidecar = sidecar(&shop, &[&receiver]).await?;
    let event_id = event(&shop, "A", "succeeded").await?;
    for (nth, seconds) in [(1, 5.0), (2, 300.0), (3, 1800.0)] {
        let attempted =
            format!("select attempts = {nth} and token is null from reconcile.deliveries");
        holds(&shop, "an attempt", &attempted).await?;
        let delay: f64 = shop.one(DELAY, &[]).await?;
        assert!(
            (seconds..=seconds * 1.1 + 0.01).contains(&delay),
            "{delay} s after attempt {nth}"
        );
        assert_eq!(receiver.messages().len(), nth);
        shop.run(
            r#"update reconcile.tracked_orders set details = '{"changed": true}', amount = 5"#,
        )
        .await?;
        make_due(&shop).await?;
    }
    holds(&shop, "the event to be parked", PARKED).await?;
    let parked = "select format('%s %s %s %s %s %s', endpoint, event_id, event, order_number, attempts, last_problem)
        from reconcile.parked_deliveries";
    assert_eq!(
        shop.one::<String>(parked, &[]).await?,
        format!("shop {event_id} order.succeeded A 4 HTTP 500")
    );
    let alert = "select format('%s %s', severity, subject) from reconcile.alerts where alert = 'deliveries_parked'";
    assert_eq!(shop.one::<String>(alert, &[]).await?, "warning shop");

    // Not even when its time has come and another event of the endpoint is delivered.
    receiver.says(200, &[]);
    shop.run("update reconcile.deliveries set due_at = clock_timestamp()")
        .await?;
    event(&shop, "B", "failed").await?;
    let other = receiver.received(5).await?;
    assert!(other[4].json()?["data"]["order_number"] == "B");
    holds(&shop, "only the parked event to be left", PARKED).await?;

    let replayed = "select reconcile.replay_events('shop')";
    assert_eq!(shop.one::<i32>(replayed, &[]).await?, 1);
    all_delivered(&shop).await?;
    let mut messages = receiver.messages();
    messages.remove(4);
    assert_eq!(messages.len(), 5, "four attempts and the replay");
    for message in &messages {
        assert_eq!(
            (message.id(), &message.body),
            (messages[0].id(), &messages[0].body)
        );
        assert!(message.json()?["data"]["amount"] == "0.73");
    }
    Ok(())
}

/// Proves that when the operator's own mistake is mended, resuming the endpoint sends at once what waits
/// for its next attempt, which the view shows until then.
#[tokio::test]
async fn resuming_a_mended_endpoint_sends_at_once() -> Result<()> {
    let shop = Shop::open("delivery_mended").await?;
    let receiver = Receiver::start().await?;
    receiver.says(500, &[]);
    add_endpoint(&shop, "shop", &receiver, "").await?;
    let next = "select extract(epoch from next_attempt_at - clock_timestamp())::float8 from reconcile.endpoints";
    assert_eq!(shop.one::<Option<f64>>(next, &[]).await?, None);
    let _sidecar = sidecar(&shop, &[&receiver]).await?;
    event(&shop, "A", "succeeded").await?;
    for nth in 1..=3 {
        let attempted =
            format!("select attempts = {nth} and token is null from reconcile.deliveries");
        holds(&shop, "an attempt", &attempted).await?;
        if nth < 3 {
            make_due(&shop).await?;
        }
    }
    let wait = shop.one::<Option<f64>>(next, &[]).await?;
    assert!(
        wait.is_some_and(|wait| (1700.0..1990.0).contains(&wait)),
        "{wait:?}"
    );
    shop.run("select reconcile.pause_endpoint('shop', 'for a look')")
        .await?;
    assert_eq!(shop.one::<Option<f64>>(next, &[]).await?, None);
    receiver.says(200, &[]);
    shop.run("select reconcile.resume_endpoint('shop')").await?;
    receiver.received(4).await?;
    all_delivered(&shop).await
}

/// Proves that an event which was delivered can be sent again by its number, and has the same id.
#[tokio::test]
async fn a_delivered_event_can_be_sent_again() -> Result<()> {
    let shop = Shop::open("delivery_again").await?;
    let receiver = Receiver::start().await?;
    add_endpoint(&shop, "shop", &receiver, "").await?;
    let _sidecar = sidecar(&shop, &[&receiver]).await?;
    let event_id = event(&shop, "A", "succeeded").await?;
    receiver.received(1).await?;
    all_delivered(&shop).await?;
    let replay = "select reconcile.replay_events('shop', array[$1::bigint])";
    assert_eq!(shop.one::<i32>(replay, &[&event_id]).await?, 1);
    let messages = receiver.received(2).await?;
    assert_eq!(messages[0].id(), messages[1].id());
    Ok(())
}
