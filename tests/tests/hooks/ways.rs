//! The ways in which an order comes to a state, and whether its hooks are called.

use anyhow::{Context, Result};
use reconcile_tests::shop::{Till, refusal};
use reconcile_tests::simulator::Fate;

const NOTES: &str = "begin insert into shop.told values (order_number, (facts ->> 'state') || ' by ' || (facts ->> 'cause')); end";

/// Adds a hook for each state that notes its calls.
async fn open(name: &'static str) -> Result<Till> {
    let till = Till::open(name).await?;
    for state in [
        "pending",
        "processing",
        "succeeded",
        "failed",
        "cancelled",
        "refunded",
        "review",
    ] {
        till.hook(&format!("on_{state}"), state, NOTES).await?;
    }
    Ok(till)
}

/// Proves that hooks are called by each outcome for the state that it leads to, and for no other.
#[tokio::test]
async fn each_state_calls_its_own_hooks() -> Result<()> {
    let till = open("hooks_states").await?;
    for (status, number) in [
        ("paid", "A"),
        ("declined", "B"),
        ("void", "C"),
        ("back", "D"),
        ("open", "E"),
    ] {
        till.sells(status, &[number]).await?;
    }
    till.sells("paid", &["F"]).await?;
    till.does("update shop.payments set amount = 1 where order_number = 'F'")
        .await?;
    till.settles().await?;
    assert_eq!(
        till.told().await?,
        [
            "A succeeded by provider",
            "B failed by provider",
            "C cancelled by provider",
            "D refunded by provider",
            "F review by provider"
        ]
    );
    till.is_sound().await
}

/// Proves that giving up calls the hooks of where the order goes, both by the last answer and when nobody could be asked; and that a
/// late success calls them again.
#[tokio::test]
async fn giving_up_and_coming_back_call_hooks() -> Result<()> {
    let till = open("hooks_giving_up").await?;
    till.does(
        "select reconcile.alter_provider('ledger', deadline => '1 hour', gives_up_as => 'cancelled', late_success => 'revive');
         insert into shop.payments values ('A', 'open')",
    )
    .await?;
    let track = "select reconcile.track_order($1, 'ledger', amount => 0.73, currency => 'USD', created_at => now() - interval '2 hours')";
    till.client.execute(track, &[&"A"]).await?;
    till.run("update reconcile.tracked_orders set tracked_at = created_at")
        .await?;
    till.settles().await?;
    assert_eq!(till.told().await?, ["A cancelled by giving_up"]);
    till.pays("paid", &["A"]).await?;
    till.settles_all().await?;
    assert_eq!(
        till.told().await?,
        ["A cancelled by giving_up", "A succeeded by provider"]
    );

    // Nobody may ask, for longer than a last check may take.
    till.client.execute(track, &[&"B"]).await?;
    till.run(
        "select reconcile.pause_provider('ledger', 'maintenance');
         update reconcile.providers set paused_at = now() - interval '3 hours';
         update reconcile.tracked_orders set created_at = now() - interval '1 day', tracked_at = now() - interval '1 day',
             state_changed_at = now() - interval '1 day' where order_number = 'B'",
    )
    .await?;
    let given_up: i32 = till
        .one("select given_up from reconcile_stale_orders()", &[])
        .await?;
    assert_eq!(given_up, 1);
    assert!(
        till.told()
            .await?
            .contains(&"B review by giving_up".to_owned())
    );
    till.is_sound().await
}

/// Proves that a hook which fails when an order is given up, or on the way to review, holds nothing up: the order is in review, and the
/// failure is recorded.
#[tokio::test]
async fn a_failing_hook_does_not_keep_an_order_from_review() -> Result<()> {
    let till = Till::open("hooks_on_review").await?;
    till.hook(
        "fails",
        "review",
        "begin assert false, 'no review, please'; end",
    )
    .await?;
    till.sells("paid", &["A", "B"]).await?;
    till.does("update shop.payments set amount = 1 where order_number = 'A'")
        .await?;
    assert_eq!(till.settles().await?, 2);
    assert_eq!(till.states().await?, ["A review", "B succeeded"]);
    let failure = till.failure("A").await?.context("nothing was recorded")?;
    assert_eq!(
        (failure.2.as_str(), failure.3.as_str()),
        ("P0004", "no review, please")
    );
    till.is_sound().await
}

/// Proves that a person who decides gets the hook's error, with its message, and that nothing of the decision stays then; and that
/// otherwise the hook's work is part of the person's transaction.
#[tokio::test]
async fn a_person_gets_the_hooks_error() -> Result<()> {
    let till = Till::open("hooks_person").await?;
    till.hook(
        "fails",
        "succeeded",
        "begin raise exception 'out of stock' using errcode = 'SH001'; end",
    )
    .await?;
    till.hook("notes", "cancelled", NOTES).await?;
    till.sells("open", &["A"]).await?;
    let refused = refusal(
        &till.owner,
        "select reconcile.resolve_order('A', 'succeeded', 'seen')",
    )
    .await?;
    assert_eq!(
        (refused.code().code(), refused.message()),
        ("SH001", "out of stock")
    );
    assert!(till.history("A").await?.is_empty());
    assert_eq!(till.order("A").await?.state, "pending");
    till.does("begin; select reconcile.resolve_order('A', 'cancelled', 'seen'); rollback")
        .await?;
    assert!(till.told().await?.is_empty());
    till.does("select reconcile.resolve_order('A', 'cancelled', 'seen')")
        .await?;
    assert_eq!(till.told().await?, ["A cancelled by operator"]);
    till.is_sound().await
}

/// Proves that a provider of kind sql that is asked within a transaction of the caller has its hooks called there, and that they go
/// with it when it is rolled back; that what the caller has pending is checked before they are called, as the caller's own error;
/// and that constraints are deferred again afterwards.
#[tokio::test]
async fn hooks_are_part_of_the_callers_transaction() -> Result<()> {
    let till = open("hooks_callers").await?;
    till.does(
        "create table shop.parents (id integer primary key);
         create table shop.children (parent integer references shop.parents deferrable initially deferred)",
    )
    .await?;
    till.sells("paid", &["A"]).await?;
    let ask = "select state from reconcile_order('A')";
    let child = "insert into shop.children values";
    till.does(&format!("begin; {ask}; rollback")).await?;
    till.does(&format!("begin; {child} (1)")).await?;
    let refused = refusal(&till.owner, ask).await?;
    assert_eq!(refused.code().code(), "23503", "{refused}");
    till.does("rollback").await?;
    assert!(till.told().await?.is_empty());
    assert!(till.checks("A").await?.is_empty());
    assert_eq!(till.order("A").await?.state, "pending");
    till.does(&format!(
        "begin; {child} (1); insert into shop.parents values (1); {ask}; {child} (2); insert into shop.parents values (2); commit"
    ))
    .await?;
    assert_eq!(till.told().await?, ["A succeeded by provider"]);
    till.is_sound().await
}

/// Proves that hooks are not called for what the application has decided itself, and that a hook of one provider is not called for
/// orders of another.
#[tokio::test]
async fn own_decisions_and_other_providers_call_nobody() -> Result<()> {
    let till = open("hooks_not_called").await?;
    till.does("create table shop.orders (order_number text primary key, status text not null default 'pending');
         select reconcile.attach_table('shop.orders', 'ledger', write => '{\"cancelled\": {\"status\": \"CANCELLED\"}}');
         insert into shop.orders (order_number) values ('A'), ('B'), ('C');
         update shop.orders set status = 'CANCELLED' where order_number = 'A';
         update shop.orders set status = 'pending' where order_number = 'A';
         delete from shop.orders where order_number = 'B'")
    .await?;
    assert_eq!(
        till.states().await?,
        ["A pending", "B cancelled", "C pending"]
    );
    assert!(till.told().await?.is_empty(), "{:?}", till.told().await?);

    let only =
        "begin insert into shop.told values (order_number, 'only ' || (facts ->> 'provider')); end";
    till.hook("only", "failed", only).await?;
    till.does("select reconcile.remove_hook('only'); select reconcile.add_hook('only', 'failed', 'shop.only(text, jsonb)', 'vendor')")
        .await?;
    till.vendor.set_default(Fate::status("failed"));
    till.track_aged("V", "10 minutes").await?;
    till.pays("declined", &["A"]).await?;
    till.settles_all().await?;
    let _sidecar = till.sidecar().await?;
    till.signal().await?;
    till.becomes("V", "failed").await?;
    assert_eq!(
        till.told().await?,
        [
            "A failed by provider",
            "V failed by provider",
            "V only vendor"
        ]
    );
    till.is_sound().await
}
