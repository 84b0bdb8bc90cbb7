//! Several endpoints, several sidecars, and ones that die.

use std::collections::HashSet;

use anyhow::Result;
use reconcile_tests::shop::Shop;
use reconcile_tests::sidecar::Sidecar;

use crate::receiver::Receiver;
use crate::{add_endpoint, all_delivered, event, holds, settings, sidecar};

/// Proves that an endpoint which never answers holds up neither another endpoint nor the questions to
/// a provider, though all its calls stay open meanwhile.
#[tokio::test]
async fn an_endpoint_that_hangs_holds_up_nobody() -> Result<()> {
    let shop = Shop::open("delivery_hanging").await?;
    let (hanging, well) = (Receiver::start().await?, Receiver::start().await?);
    hanging.hold();
    add_endpoint(
        &shop,
        "hanging",
        &hanging,
        "timeout => '1 minute', concurrency => 4",
    )
    .await?;
    add_endpoint(&shop, "well", &well, "concurrency => 2").await?;
    let mut settings = settings(&shop, &[&hanging, &well]);
    let few = ("RECONCILE_DELIVERY_SLOTS".to_owned(), "6".to_owned());
    settings.environment.push(few);
    let _sidecar = Sidecar::start_ready(&settings).await?;
    for n in 0..20 {
        event(&shop, &format!("A{n}"), "succeeded").await?;
    }
    well.received(20).await?;
    shop.track_aged("ASKED", "10 minutes").await?;
    shop.signal().await?;
    shop.becomes("ASKED", "succeeded").await?;
    well.received(21).await?;
    assert_eq!(
        hanging.under_way(),
        (4, 4),
        "its concurrency, all of it open still"
    );
    assert_eq!(well.messages().len(), 21);
    Ok(())
}

/// Proves that two sidecars share the deliveries: each event arrives once.
#[tokio::test]
async fn two_sidecars_share_the_deliveries() -> Result<()> {
    let shop = Shop::open("delivery_two_sidecars").await?;
    let receiver = Receiver::start().await?;
    add_endpoint(&shop, "shop", &receiver, "since_event => 0").await?;
    for n in 0..60 {
        event(&shop, &format!("A{n}"), "succeeded").await?;
    }
    let first = sidecar(&shop, &[&receiver]).await?;
    let second = sidecar(&shop, &[&receiver]).await?;
    for n in 60..120 {
        event(&shop, &format!("A{n}"), "failed").await?;
    }
    receiver.received(120).await?;
    all_delivered(&shop).await?;
    let messages = receiver.messages();
    let ids: HashSet<&str> = messages.iter().map(|message| message.id()).collect();
    assert_eq!((ids.len(), messages.len()), (120, 120));
    drop((first, second));
    Ok(())
}

/// Proves that an event whose sidecar is killed before it can report is delivered again by another
/// one, when the lease has run out, with the same id.
#[tokio::test]
async fn a_sidecar_killed_while_it_delivers_costs_a_second_delivery() -> Result<()> {
    let shop = Shop::open("delivery_killed").await?;
    let receiver = Receiver::start().await?;
    receiver.hold();
    add_endpoint(&shop, "shop", &receiver, "").await?;
    let first = sidecar(&shop, &[&receiver]).await?;
    event(&shop, "A", "succeeded").await?;
    receiver.received(1).await?;
    first.kill9().await?;
    receiver.let_go();
    let leased = "select in_flight from reconcile.endpoints";
    assert_eq!(shop.one::<i64>(leased, &[]).await?, 1);
    // Before there is another sidecar, whose own lease would be expired as well.
    shop.run("update reconcile.deliveries set lease_expires_at = clock_timestamp()")
        .await?;
    let _second = sidecar(&shop, &[&receiver]).await?;
    all_delivered(&shop).await?;
    let messages = receiver.messages();
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[0].id(), messages[1].id());
    Ok(())
}

/// Proves that a sidecar which is told to stop reports what was delivered within its time, and puts
/// back what was not, so that another one delivers it at once.
#[tokio::test]
async fn a_sidecar_that_stops_puts_back_what_it_could_not_deliver() -> Result<()> {
    let shop = Shop::open("delivery_stopped").await?;
    let receiver = Receiver::start().await?;
    receiver.hold();
    add_endpoint(&shop, "shop", &receiver, "timeout => '1 minute'").await?;
    let mut settings = settings(&shop, &[&receiver]);
    let short = ("RECONCILE_STOP_TIMEOUT".to_owned(), "0.2".to_owned());
    settings.environment.push(short);
    let first = Sidecar::start_ready(&settings).await?;
    event(&shop, "A", "succeeded").await?;
    receiver.received(1).await?;
    first.stop().await?;
    let back =
        "select token is null and attempts = 0 and due_at <= now() from reconcile.deliveries";
    assert!(shop.one::<bool>(back, &[]).await?);
    receiver.let_go();

    let second = sidecar(&shop, &[&receiver]).await?;
    receiver.received(2).await?;
    all_delivered(&shop).await?;
    // One that is under way when the stop begins, and is answered in time, counts.
    receiver.hold();
    event(&shop, "B", "succeeded").await?;
    receiver.received(3).await?;
    let stopping = second.stop();
    let answering = async {
        let stopped = "the sidecar to have said that it stops";
        let said = reconcile_tests::wait::until(reconcile_tests::shop::SOON, stopped, async || {
            second.stderr().contains("stopping")
        });
        said.await?;
        receiver.let_go();
        anyhow::Ok(())
    };
    let (stopped, answered) = tokio::join!(stopping, answering);
    stopped.and(answered)?;
    holds(
        &shop,
        "nothing to be left",
        "select count(*) = 0 from reconcile.deliveries",
    )
    .await?;
    assert_eq!(receiver.messages().len(), 3);
    Ok(())
}

/// Proves that a sidecar without slots for deliveries leaves them to others, and asks providers all the same.
#[tokio::test]
async fn a_sidecar_without_delivery_slots_delivers_nothing() -> Result<()> {
    let shop = Shop::open("delivery_no_slots").await?;
    let receiver = Receiver::start().await?;
    add_endpoint(&shop, "shop", &receiver, "").await?;
    let mut settings = settings(&shop, &[&receiver]);
    let none = ("RECONCILE_DELIVERY_SLOTS".to_owned(), "0".to_owned());
    settings.environment.push(none);
    let first = Sidecar::start_ready(&settings).await?;
    shop.track_aged("A", "10 minutes").await?;
    shop.signal().await?;
    shop.becomes("A", "succeeded").await?;
    first.stop().await?;
    assert_eq!(receiver.messages().len(), 0);
    let _second = sidecar(&shop, &[&receiver]).await?;
    receiver.received(1).await?;
    Ok(())
}
