//! Events that come before their order is known.

use anyhow::Result;
use reconcile_tests::shop::{Shop, Till};
use reconcile_tests::simulator::Fate;

use crate::{EVIDENCE, effects, record, said};

/// Proves that events of an order that is not known are kept and applied when it is tracked, in the order in which they came, and once.
#[tokio::test]
async fn early_evidence_is_applied_when_the_order_is_tracked() -> Result<()> {
    let shop = Shop::open("webhooks_early").await?;
    shop.alter_provider("vendor", EVIDENCE).await?;
    let app = shop.app().await?;
    for (event, status) in [
        ("e1", "pending"),
        ("e2", "succeeded"),
        ("e3", "pending"),
        ("e4", "failed"),
    ] {
        assert_eq!(
            record(&app, event, &said(status, "A", "0.73"), None).await?,
            "kept"
        );
        assert_eq!(
            record(&app, event, &said(status, "A", "0.73"), None).await?,
            "repeated"
        );
    }
    assert_eq!(
        record(&app, "other", &said("succeeded", "B", "0.73"), None).await?,
        "kept"
    );
    shop.track("A").await?;
    assert_eq!(
        shop.history("A").await?,
        ["pending -> succeeded by provider"]
    );
    assert_eq!(
        effects(&shop).await?,
        [
            "e1 ignored",
            "e2 applied",
            "e3 ignored",
            "e4 ignored",
            "other kept"
        ]
    );
    shop.track("A").await?;
    assert_eq!(shop.checks("A").await?.len(), 4);
    shop.is_sound().await
}

/// Proves that an early doorbell has its order asked about as soon as it is tracked, by order number and by reference, and that an event
/// which names an order number is not taken for another order that has the same reference.
#[tokio::test]
async fn an_early_doorbell_rings_when_the_order_is_tracked() -> Result<()> {
    let shop = Shop::open("webhooks_early_doorbell").await?;
    let _sidecar = shop.sidecar().await?;
    shop.vendor.set_default(Fate::status("succeeded"));
    let app = shop.app().await?;
    let by_reference = r#"{"data": {"invoiceId": "INV-B"}}"#;
    assert_eq!(record(&app, "e1", "{}", Some("A")).await?, "kept");
    assert_eq!(record(&app, "e2", by_reference, None).await?, "kept");
    assert_eq!(
        record(
            &app,
            "e3",
            r#"{"data": {"invoiceId": "INV-C"}}"#,
            Some("NOT-C")
        )
        .await?,
        "kept"
    );
    for number in ["A", "B", "C"] {
        shop.track(number).await?;
    }
    shop.becomes("A", "succeeded").await?;
    shop.becomes("B", "succeeded").await?;
    assert_eq!(effects(&shop).await?, ["e1 asked", "e2 asked", "e3 kept"]);
    assert!(
        shop.order("C")
            .await?
            .next_check_s
            .is_some_and(|next| next > 20.0)
    );
    shop.is_sound().await
}

/// Proves that an event and its order that were committed at the same moment, so that neither could see the other, find each other in
/// the next scheduled run.
#[tokio::test]
async fn what_was_committed_at_one_moment_is_matched_later() -> Result<()> {
    let shop = Shop::open("webhooks_one_moment").await?;
    shop.alter_provider("vendor", EVIDENCE).await?;
    let (tracks, app) = (shop.app().await?, shop.app().await?);
    tracks
        .batch_execute("begin; select reconcile.track_order('A', 'vendor', 'INV-A', 0.73, 'USD')")
        .await?;
    app.batch_execute("begin").await?;
    assert_eq!(
        record(&app, "e1", &said("succeeded", "A", "0.73"), None).await?,
        "kept"
    );
    tracks.batch_execute("commit").await?;
    app.batch_execute("commit").await?;
    assert_eq!(shop.order("A").await?.state, "pending");
    shop.signal().await?;
    assert_eq!(shop.order("A").await?.state, "succeeded");
    assert_eq!(effects(&shop).await?, ["e1 applied"]);
    shop.is_sound().await
}

/// Proves that an early event finds its order when a row of an attached table brings it: nothing happens to the row in the
/// application's own transaction, and at the next run it is settled and written back.
#[tokio::test]
async fn early_evidence_finds_the_row_of_an_attached_table() -> Result<()> {
    let till = Till::open("webhooks_early_attached").await?;
    till.alter_provider("vendor", EVIDENCE).await?;
    till.does(
        "create table shop.orders (order_number text primary key, invoice_id text, status text not null default 'pending');
         select reconcile.attach_table('shop.orders', 'vendor', write => '{\"succeeded\": {\"status\": \"CONFIRMED\"}}')",
    )
    .await?;
    let app = till.app().await?;
    assert_eq!(
        record(&app, "e1", &said("succeeded", "A", "0.73"), None).await?,
        "kept"
    );
    assert_eq!(
        record(&app, "e2", &said("succeeded", "LATER", "0.73"), None).await?,
        "kept"
    );
    till.does("insert into shop.orders values ('A', 'INV-A')")
        .await?;
    let status = "select status from shop.orders where order_number = 'A'";
    assert_eq!(till.one::<String>(status, &[]).await?, "pending");
    till.run("select reconcile_stale_orders()").await?;
    assert_eq!(till.one::<String>(status, &[]).await?, "CONFIRMED");
    assert_eq!(till.order("A").await?.state, "succeeded");
    assert_eq!(effects(&till).await?, ["e1 applied", "e2 kept"]);
    till.is_sound().await
}

/// Proves that early evidence whose hook fails, also by a constraint that is checked at the end, is a recorded failure and stops neither
/// the events behind it nor the run that takes it.
#[tokio::test]
async fn early_evidence_may_fail_like_any_other() -> Result<()> {
    let till = Till::open("webhooks_early_fails").await?;
    till.alter_provider("vendor", EVIDENCE).await?;
    till.does(
        "create table shop.invoices (number text primary key);
         create table shop.lines (invoice text references shop.invoices deferrable initially deferred);
         create table shop.orders (order_number text primary key, invoice_id text, status text not null default 'pending');
         select reconcile.attach_table('shop.orders', 'vendor', write => '{\"succeeded\": {\"status\": \"CONFIRMED\"}}')",
    )
    .await?;
    let books =
        "begin if order_number = 'A' then insert into shop.lines values ('none'); end if; end";
    till.hook("books", "succeeded", books).await?;
    let app = till.app().await?;
    for number in ["A", "B"] {
        let payload = said("succeeded", number, "0.73");
        assert_eq!(record(&app, number, &payload, None).await?, "kept");
    }
    till.does("insert into shop.orders values ('A', 'INV-A'), ('B', 'INV-B')")
        .await?;
    till.signal().await?;
    assert_eq!(till.states().await?, ["A pending", "B succeeded"]);
    let failure = till.failure("A").await?.map(|failure| failure.2);
    assert_eq!(failure.as_deref(), Some("23503"));
    till.is_sound().await
}
