//! What is written back: values of every type, whole or not at all, and only what was asked for.

use anyhow::Result;

use crate::hand::Hand;
use crate::store::{alerts, app, attach, attached, list, row, watched, with};

const KINDS: &str = "
    create type store.status as enum ('NEW', 'processing', 'CONFIRMED', 'CANCELLED');
    create domain store.code as text check (value ~ '^[A-Z]+$');
    create table store.orders (
        number text primary key, invoice_id text, status store.status not null, short varchar(4), fixed char(4), bits bit(4), doc jsonb,
        plain json, at timestamptz, day date, ok boolean default true, fee numeric(6,2), many bigint, ratio float8, tags text[], code store.code,
        raw bytea, span interval, untouched text default 'as it was')";

/// Proves that columns of every kind are set, to a value, to NULL, or to what the provider's answer
/// said; and that columns that are not named stay as they are.
#[tokio::test]
async fn columns_of_every_kind_are_set() -> Result<()> {
    let shop = with("attach_kinds", KINDS).await?;
    shop.alter_provider(
        "vendor",
        r#"captures => '{"pin": {"path": "$.data.transactionId"}}'"#,
    )
    .await?;
    let arguments = r#"'store.orders', 'vendor', track => '{processing}', capture => '{"pin": "many", "state": "plain", "changed_at": "at"}',
        write => '{"succeeded": {"status": "CONFIRMED", "short": "four", "fixed": "four", "bits": "1010", "doc": {"a": [1, "b", null]},
            "day": "2026-02-28", "ok": null, "fee": 1.239, "ratio": 0.1, "tags": "{a,\"b c\"}", "code": "ABC", "raw": "\\x00ff",
            "span": "90 s"}, "failed": {"status": "CANCELLED", "doc": "text", "ok": false}}'"#;
    attach(&shop, arguments).await?;
    app(&shop)
        .await?
        .batch_execute("insert into store.orders (number, invoice_id, status) values ('A', 'i', 'processing'), ('B', 'i', 'processing')")
        .await?;
    let hand = Hand::new(&shop).await?;
    let claimed = hand.claim(&shop, &["A"]).await?;
    // It says TXN-1, which is no bigint.
    assert_eq!(
        hand.report(&claimed, "succeeded").await?,
        Vec::<String>::new()
    );
    let problem = "select sqlstate || ' ' || problem from reconcile.failed_effects";
    assert_eq!(
        list(&shop, problem).await?,
        ["22P02 invalid input syntax for type bigint: \"TXN-1\""]
    );
    shop.alter_provider(
        "vendor",
        r#"captures => '{"pin": {"path": "$.data.transactionId.size()"}}'"#,
    )
    .await?;
    hand.say(&shop, &["A"], "succeeded").await?;
    hand.say(&shop, &["B"], "failed").await?;
    let written = "select concat_ws('|', status, short, fixed, bits, doc, plain, at > now() - interval '1 hour', day, ok, fee, many, ratio, tags,
        code, raw, span, untouched) from store.orders order by number";
    assert_eq!(
        list(&shop, written).await?,
        [
            r#"CONFIRMED|four|four|1010|{"a": [1, "b", null]}|"succeeded"|t|2026-02-28|1.24|1|0.1|{a,"b c"}|ABC|\x00ff|00:01:30|as it was"#,
            r#"CANCELLED|"text"|"failed"|t|f|1|as it was"#,
        ]
    );
    assert_eq!(list(&shop, problem).await?, Vec::<String>::new());
    shop.is_sound().await
}

/// Proves that what does not fit into its column is recorded and never cut, that the row and the order
/// stay as they were, and that all is written when it fits.
#[tokio::test]
async fn what_does_not_fit_is_recorded_and_not_cut() -> Result<()> {
    let table = "create table store.orders (number text primary key, invoice_id text, status text, payment varchar(3))";
    let shop = with("attach_too_long", table).await?;
    attach(
        &shop,
        r#"'store.orders', 'vendor', track => '{processing}', write => '{"succeeded": {"status": "CONFIRMED"}}', capture => '{"transaction_id": "payment"}'"#,
    )
    .await?;
    app(&shop)
        .await?
        .batch_execute("insert into store.orders values ('A', 'i', 'processing')")
        .await?;
    let hand = Hand::new(&shop).await?;
    hand.say(&shop, &["A"], "succeeded").await?;
    assert_eq!(row(&shop, "A").await?, "processing");
    assert_eq!(watched(&shop).await?, ["A pending"]);
    let check = shop.check("A", 0).await?;
    assert_eq!(
        (check.outcome.as_str(), check.to_state.as_str()),
        ("succeeded", "pending")
    );
    assert!(check.next_check_s.is_some_and(|s| s > 4.0), "{check:?}");
    let alert = alerts(&shop).await?;
    assert!(
        alert[0].contains("22001 value too long for type character varying(3)"),
        "{alert:?}"
    );
    crate::store::as_owner(
        &shop,
        "alter table store.orders alter payment type varchar(5)",
    )
    .await?;
    hand.say(&shop, &["A"], "succeeded").await?;
    assert_eq!(row(&shop, "A").await?, "CONFIRMED TXN-1");
    assert_eq!(alerts(&shop).await?, Vec::<String>::new());
    shop.is_sound().await
}

/// Proves that without write only the ledger moves, and that a state for which nothing is written
/// leaves the row alone.
#[tokio::test]
async fn what_is_not_asked_for_is_not_written() -> Result<()> {
    let shop = attached("attach_unwritten").await?;
    app(&shop)
        .await?
        .batch_execute(
            "insert into store.orders (number, invoice_id, status) values ('A', 'i', 'processing')",
        )
        .await?;
    Hand::new(&shop)
        .await?
        .say(&shop, &["A"], "cancelled")
        .await?;
    assert_eq!(
        (watched(&shop).await?, row(&shop, "A").await?),
        (vec!["A cancelled".to_owned()], "processing".to_owned())
    );
    // And the schedule does not open it again for that.
    shop.signal().await?;
    assert_eq!(watched(&shop).await?, ["A cancelled"]);
    shop.is_sound().await
}

/// Proves that a state for which an empty object is to be written is a state for which nothing is.
#[tokio::test]
async fn nothing_to_write_is_nothing_to_wait_for() -> Result<()> {
    let shop = with("attach_empty_write", "create table store.orders (number text primary key, invoice_id text, status text, payment text)").await?;
    attach(
        &shop,
        r#"'store.orders', 'vendor', track => '{processing}', write => '{"succeeded": {}}'"#,
    )
    .await?;
    app(&shop)
        .await?
        .batch_execute("insert into store.orders values ('A', 'i', 'processing')")
        .await?;
    Hand::new(&shop)
        .await?
        .say(&shop, &["A"], "succeeded")
        .await?;
    assert_eq!(
        (watched(&shop).await?, row(&shop, "A").await?),
        (vec!["A succeeded".to_owned()], "processing".to_owned())
    );
    shop.is_sound().await
}

/// Proves that a person's decision is written back too, and that a refund after it finds the row where
/// it was left.
#[tokio::test]
async fn a_persons_decision_and_a_refund_are_written() -> Result<()> {
    let table = "create table store.orders (number text primary key, invoice_id text, status text, payment text)";
    let shop = with("attach_decision", table).await?;
    attach(
        &shop,
        r#"'store.orders', 'vendor', track => '{processing}', write => '{"succeeded": {"status": "CONFIRMED"}, "refunded": {"status": "PAID BACK"}}'"#,
    )
    .await?;
    shop.alter_provider("vendor", "refund_watch => '1h'")
        .await?;
    app(&shop)
        .await?
        .batch_execute("insert into store.orders values ('A', 'i', 'processing')")
        .await?;
    shop.run("select reconcile.resolve_order('A', 'succeeded', 'they said so')")
        .await?;
    assert_eq!(row(&shop, "A").await?, "CONFIRMED");
    shop.run("select reconcile.resolve_order('A', 'refunded', 'and so again')")
        .await?;
    assert_eq!(row(&shop, "A").await?, "PAID BACK");
    assert_eq!(watched(&shop).await?, ["A refunded"]);
    shop.is_sound().await
}
