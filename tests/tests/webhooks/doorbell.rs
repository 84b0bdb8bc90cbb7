//! The doorbell: an event makes the check due now, and the provider's own answer decides.

use anyhow::Result;
use reconcile_tests::shop::{SOON, Shop};
use reconcile_tests::simulator::{Fate, Step};

use crate::{effects, record, said};

/// Proves that an event has its order asked about at once by a sidecar, that nothing in its payload is believed, and that the same event
/// again does nothing.
#[tokio::test]
async fn an_event_has_its_order_asked_about_at_once() -> Result<()> {
    let shop = Shop::open("webhooks_doorbell").await?;
    let _sidecar = shop.sidecar().await?;
    shop.vendor.set_fate(
        "A",
        Fate::of([Step::status("pending"), Step::status("failed")]),
    );
    shop.track("A").await?;
    let app = shop.app().await?;
    let lie = said("succeeded", "A", "0.73");
    assert_eq!(record(&app, "e1", &lie, Some("A")).await?, "asked");
    assert_eq!(shop.check("A", 0).await?.outcome, "pending");
    assert_eq!(record(&app, "e1", &lie, Some("A")).await?, "repeated");
    assert_eq!(
        record(&app, "e1", "{}", Some("B")).await?,
        "repeated",
        "by its id alone"
    );
    // By the reference alone, where the provider's own path finds it.
    assert_eq!(record(&app, "e2", &lie, None).await?, "asked");
    shop.becomes("A", "failed").await?;
    assert_eq!(shop.vendor.count("A"), 2);
    assert_eq!(effects(&shop).await?, ["e1 asked", "e2 asked"]);
    shop.is_sound().await
}

/// Proves that an event which comes while its order is being asked about, so that the answer may be older than it, has it asked about
/// once more when that answer is in, and not again after.
#[tokio::test]
async fn an_event_during_a_check_has_it_asked_once_more() -> Result<()> {
    let shop = Shop::open("webhooks_rung").await?;
    let _sidecar = shop.sidecar().await?;
    shop.vendor.set_fate(
        "A",
        Fate::of([
            Step::status("pending"),
            Step::status("pending"),
            Step::status("succeeded"),
        ]),
    );
    let gate = shop.vendor.hold("A");
    shop.track_aged("A", "10 minutes").await?;
    shop.signal().await?;
    shop.vendor.arrived("A", 1, SOON).await?;
    let app = shop.app().await?;
    for event in ["e1", "e2", "e3"] {
        assert_eq!(record(&app, event, "{}", Some("A")).await?, "asked");
    }
    assert_eq!(
        shop.vendor.count("A"),
        1,
        "not beside the call that is under way"
    );
    gate.let_through(2);
    shop.check("A", 1).await?;
    let next = shop.order("A").await?.next_check_s.unwrap_or_default();
    assert!(next > 20.0, "by its schedule, in {next} s");
    assert_eq!(shop.vendor.count("A"), 2);
    gate.open();
    shop.is_sound().await
}

/// Proves that an event has an order asked about that is closed or in review, since the provider says that something has changed; that
/// what it is said there follows the same rules; and that an order that is refunded is asked no more.
#[tokio::test]
async fn closed_orders_are_asked_about_too() -> Result<()> {
    let shop = Shop::open("webhooks_closed").await?;
    let _sidecar = shop.sidecar().await?;
    let app = shop.app().await?;
    let cases = [
        ("A", ["succeeded", "failed"], "succeeded"),
        ("B", ["failed", "succeeded"], "review"),
        ("C", ["succeeded", "refunded"], "refunded"),
        ("D", ["cancelled", "cancelled"], "cancelled"),
    ];
    for (number, words, state) in cases {
        shop.vendor
            .set_fate(number, Fate::of(words.map(Step::status)));
        shop.track_aged(number, "10 minutes").await?;
        shop.signal().await?;
        shop.becomes(number, words[0]).await?;
        assert_eq!(record(&app, number, "{}", Some(number)).await?, "asked");
        shop.check(number, 1).await?;
        shop.becomes(number, state).await?;
        assert_eq!(
            shop.order(number).await?.next_check_s,
            None,
            "{number} is asked no more"
        );
    }
    record(&app, "after", "{}", Some("C")).await?;
    assert_eq!(
        shop.order("C").await?.next_check_s,
        None,
        "refunded is the end"
    );
    shop.is_sound().await
}
