//! What the application's code may be and do: hooks that are dropped, replaced, that wait for locks, violate deferred
//! constraints, or call back.

use anyhow::{Context, Result};
use reconcile_tests::shop::Till;

const NOTES: &str = "begin insert into shop.told values (order_number, facts ->> 'state'); end";

/// Proves that a hook's function that is dropped is waited for and no lost order, that one that is replaced is called as it is
/// now, and that a hook without its function can be removed.
#[tokio::test]
async fn a_hook_may_be_dropped_and_replaced() -> Result<()> {
    let till = Till::open("hooks_dropped").await?;
    till.hook("notes", "succeeded", NOTES).await?;
    till.does("drop function shop.notes").await?;
    till.sells("paid", &["A"]).await?;
    assert_eq!(till.settles().await?, 0);
    let failure = till.failure("A").await?.context("nothing was recorded")?;
    assert_eq!((failure.0, failure.2.as_str()), (0, "RC011"));
    assert!(failure.3.contains("shop.notes"), "{}", failure.3);
    till.does(&format!(
        "create function shop.notes(order_number text, facts jsonb) returns text language plpgsql as $$
         #variable_conflict use_variable
         {} $$",
        NOTES.replace("; end", "; return 'ignored'; end")
    ))
    .await?;
    assert_eq!(till.settles_all().await?, 1);
    assert_eq!(till.told().await?, ["A succeeded"]);
    till.does("drop function shop.notes; select reconcile.remove_hook('notes')")
        .await?;
    till.sells("paid", &["B"]).await?;
    assert_eq!(till.settles().await?, 1);
    till.is_sound().await
}

/// Proves that a foreign key that is deferred is checked at each statement of a hook, and costs only the order whose hook has
/// violated it, in a batch too.
#[tokio::test]
async fn a_deferred_constraint_costs_its_own_order_only() -> Result<()> {
    let till = Till::open("hooks_deferred").await?;
    till.does(
        "create table shop.invoices (number text primary key);
         create table shop.lines (order_number text, invoice text references shop.invoices deferrable initially deferred)",
    )
    .await?;
    till.hook(
        "books",
        "succeeded",
        "begin
            if order_number <> 'BAD' then insert into shop.invoices values ('I-' || order_number); end if;
            insert into shop.lines values (order_number, 'I-' || order_number);
        end",
    )
    .await?;
    till.sells("paid", &["A", "BAD", "C"]).await?;
    assert_eq!(till.settles().await?, 2);
    assert_eq!(
        till.states().await?,
        ["A succeeded", "BAD pending", "C succeeded"]
    );
    let failure = till.failure("BAD").await?.context("nothing was recorded")?;
    assert_eq!(failure.2, "23503");
    // And so with a sidecar, in a batch of its own.
    for number in ["D", "E"] {
        till.track_aged(number, "10 minutes").await?;
    }
    let _sidecar = till.sidecar().await?;
    till.signal().await?;
    till.becomes("D", "succeeded").await?;
    till.becomes("E", "succeeded").await?;
    let lines = "select count(*) from shop.lines";
    assert_eq!(till.one::<i64>(lines, &[]).await?, 4);
    till.is_sound().await
}

/// Proves that a hook that needs a row which a session of the application holds gives up waiting before PostgreSQL looks for
/// deadlocks, so that no session of the application is ever sacrificed, and is called again when the row is free.
#[tokio::test]
async fn a_hook_that_waits_for_a_row_is_called_again() -> Result<()> {
    let till = Till::open("hooks_waits").await?;
    till.does("create table shop.stock (sku text primary key, pieces integer); insert into shop.stock values ('A', 10)")
        .await?;
    till.hook(
        "takes",
        "succeeded",
        "begin update shop.stock set pieces = pieces - 1; end",
    )
    .await?;
    till.does("begin; update shop.stock set pieces = 9").await?;
    till.client
        .execute("insert into shop.payments values ('A', 'paid')", &[])
        .await?;
    till.track_at_ledger("A").await?;
    assert_eq!(till.settles().await?, 0);
    let failure = till.failure("A").await?.context("nothing was recorded")?;
    assert_eq!((failure.0, failure.1, failure.2.as_str()), (0, 1, "55P03"));
    till.does("commit").await?;
    assert_eq!(till.settles_all().await?, 1);
    assert_eq!(
        till.one::<i32>("select pieces from shop.stock", &[])
            .await?,
        8
    );
    till.is_sound().await
}

/// Proves that a hook which calls back about its own order, to ask, to track or to decide, gets an answer or an error and neither hangs
/// nor moves the order twice.
#[tokio::test]
async fn a_hook_may_call_back() -> Result<()> {
    let till = Till::open("hooks_calls_back").await?;
    till.hook(
        "calls_back",
        "succeeded",
        "begin
            if order_number = 'ASKS' then
                insert into shop.told select order_number, r.state from public.reconcile_order(order_number, '0') as r;
            elsif order_number = 'TRACKS' then
                insert into shop.told values (order_number, reconcile.track_order(order_number, 'ledger', amount => 0.73, currency => 'USD')::text);
            elsif order_number = 'TRACKS-ANOTHER' then
                insert into shop.told values (order_number, reconcile.track_order('CHILD', 'ledger')::text);
            elsif order_number = 'AGAIN' then
                perform reconcile.resolve_order(order_number, 'succeeded', 'me too');
            elsif order_number = 'DECIDES' then
                perform reconcile.resolve_order(order_number, 'cancelled', 'not with me');
            elsif order_number = 'RUNS' then
                perform public.reconcile_stale_orders();
            end if;
        end",
    )
    .await?;
    till.sells(
        "paid",
        &[
            "ASKS",
            "TRACKS",
            "TRACKS-ANOTHER",
            "AGAIN",
            "DECIDES",
            "RUNS",
        ],
    )
    .await?;
    assert_eq!(till.settles().await?, 5, "{:?}", till.states().await?);
    assert_eq!(
        till.told().await?,
        ["ASKS succeeded", "TRACKS-ANOTHER true", "TRACKS false"]
    );
    let again = till
        .failure("AGAIN")
        .await?
        .context("nothing was recorded")?;
    assert_eq!(again.2, "RC006");
    assert_eq!(till.order("AGAIN").await?.state, "pending");
    assert_eq!(
        till.history("DECIDES").await?,
        [
            "pending -> succeeded by provider",
            "succeeded -> cancelled by operator"
        ]
    );
    assert_eq!(till.order("DECIDES").await?.state, "cancelled");
    assert_eq!(till.order("CHILD").await?.state, "pending");
    till.is_sound().await
}
