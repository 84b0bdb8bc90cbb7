//! A hook is part of its transition: both happen, or neither does.

use anyhow::{Context, Result};
use reconcile_tests::shop::{SOON, Till};
use reconcile_tests::wait;
use serde_json::{Value, json};

const NOTES: &str = "begin insert into shop.told values (order_number, facts ->> 'state'); end";

/// Proves that a hook sees the application's row as it was written back and the order in its new state, within the transaction that
/// moves it, and that it is called once for each order of a batch.
#[tokio::test]
async fn a_hook_sees_the_row_written_back() -> Result<()> {
    let till = Till::open("hooks_written_back").await?;
    till.does(
        "create table shop.orders (order_number text primary key, status text not null default 'pending');
         select reconcile.attach_table('shop.orders', 'ledger', write => '{\"succeeded\": {\"status\": \"CONFIRMED\"}}')",
    )
    .await?;
    till.hook(
        "notes",
        "succeeded",
        "begin
            insert into shop.told
            select o.order_number, o.status || ' in ' || pg_current_xact_id() from shop.orders as o where o.order_number = notes.order_number;
        end",
    )
    .await?;
    till.pays("paid", &["A", "B"]).await?;
    till.does("insert into shop.orders (order_number) values ('A'), ('B')")
        .await?;
    assert_eq!(till.settles_all().await?, 2);
    let told = till.told().await?;
    assert_eq!(told.len(), 2, "{told:?}");
    let same = "
        select count(*) from shop.told as t
        join reconcile.tracked_orders as o using (order_number)
        join reconcile.transitions as n using (order_id)
        where t.state = 'CONFIRMED in ' || (n.written_in & ((1::bigint << 48) - 1))";
    assert_eq!(till.one::<i64>(same, &[]).await?, 2, "{told:?}");
    till.is_sound().await
}

/// Proves that of two hooks the second one that raises takes the first one's work back with the transition, the row and the event, and
/// that the order goes through when it no longer does.
#[tokio::test]
async fn the_second_hook_takes_the_firsts_work_back() -> Result<()> {
    let till = Till::open("hooks_two").await?;
    till.does(
        "create table shop.orders (order_number text primary key, status text not null default 'pending');
         create table shop.broken (why text);
         insert into shop.broken values ('the third party is away');
         select reconcile.attach_table('shop.orders', 'ledger', write => '{\"succeeded\": {\"status\": \"CONFIRMED\"}}')",
    )
    .await?;
    till.hook("first", "succeeded", NOTES).await?;
    let second = "begin if exists (select from shop.broken) then raise '%', (select why from shop.broken); end if; end";
    till.hook("second", "succeeded", second).await?;
    till.pays("paid", &["A"]).await?;
    till.does("insert into shop.orders (order_number) values ('A')")
        .await?;
    assert_eq!(till.settles_all().await?, 0);
    let status = "select status from shop.orders where order_number = 'A'";
    assert_eq!(till.order("A").await?.state, "pending");
    assert_eq!(till.one::<String>(status, &[]).await?, "pending");
    assert!(till.told().await?.is_empty());
    assert!(till.history("A").await?.is_empty());
    let events = "select count(*) from reconcile.read_events()";
    assert_eq!(till.one::<i64>(events, &[]).await?, 0);
    let check = till.checks("A").await?.pop().context("no check was kept")?;
    assert_eq!(
        (check.outcome.as_str(), check.to_state.as_str()),
        ("succeeded", "pending")
    );

    till.does("delete from shop.broken").await?;
    assert_eq!(till.settles_all().await?, 1);
    assert_eq!(till.one::<String>(status, &[]).await?, "CONFIRMED");
    assert_eq!(till.told().await?, ["A succeeded"]);
    // Readers see an event when every transaction that began before has ended, those of other tests included.
    wait::until(SOON, "the event", async || {
        till.one::<i64>(events, &[])
            .await
            .is_ok_and(|events| events == 1)
    })
    .await?;
    assert_eq!(till.failure("A").await?, None, "it succeeded in the end");
    till.is_sound().await
}

/// Proves that a hook is told everything about the transition, with money as exact as it was handed over, whatever else the order
/// number, the reference and the details hold.
#[tokio::test]
async fn the_facts_are_complete_and_money_is_exact() -> Result<()> {
    let till = Till::open("hooks_facts").await?;
    till.does(
        "create table shop.facts (order_number text, facts jsonb);
         select reconcile.alter_provider('ledger', transaction_id_path => '$.txn', captures => '{\"pin\": {\"path\": \"$.pin\", \"sensitive\": true}}');
         alter table shop.payments add txn text, add pin text",
    )
    .await?;
    let keeps = "begin insert into shop.facts values (order_number, facts); end";
    till.hook("keeps", "succeeded", keeps).await?;
    let number = "O'RD \"1\" \\ {order_number} $1 %s";
    let amount = "12345678901234567.123456789012";
    let details = json!({"customer": {"id": 7}, "note": "it's %s"});
    till.owner
        .execute(
            "insert into shop.payments (order_number, status, amount, reference, txn, pin) values ($1, 'paid', $2::text::numeric, 'R%s', 'T-1', '0042')",
            &[&number, &amount],
        )
        .await?;
    till.client
        .execute(
            "select reconcile.track_order($1, 'ledger', 'R%s', $2::text::numeric, 'usd', $3::text::jsonb, now() - interval '1 hour')",
            &[&number, &amount, &details.to_string()],
        )
        .await?;
    assert_eq!(till.settles().await?, 1);
    let row = till
        .client
        .query_one(
            "select order_number, (facts - 'changed_at' - 'transition_id' - 'amount')::text, facts ->> 'amount', (facts ->> 'amount')::numeric(40, 12)::text,
                (facts ->> 'changed_at')::timestamptz = (select changed_at from reconcile.transitions),
                (facts ->> 'transition_id')::bigint = (select transition_id from reconcile.transitions)
             from shop.facts",
            &[],
        )
        .await?;
    assert_eq!(row.get::<_, String>(0), number);
    let facts: Value = serde_json::from_str(row.get(1))?;
    assert_eq!(
        facts,
        json!({
            "order_number": number, "own_number": number, "state": "succeeded", "previous_state": "pending", "cause": "provider",
            "reason": "the provider says succeeded", "provider": "ledger", "reference": "R%s", "transaction_id": "T-1",
            "provider_status": "paid", "refunded_amount": null, "currency": "USD", "details": details,
            "captured": {"pin": "0042"}, "relation": null
        })
    );
    assert_eq!(
        (row.get::<_, &str>(2), row.get::<_, &str>(3)),
        (amount, amount)
    );
    assert_eq!((row.get(4), row.get(5)), (true, true));
    till.is_sound().await
}
