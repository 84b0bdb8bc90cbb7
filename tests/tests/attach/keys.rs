//! Tables as applications have them: keys of every kind, quoted names, partitions, generated columns.

use anyhow::Result;
use reconcile_tests::shop::Shop;

use crate::hand::Hand;
use crate::store::{app, attach, list, watched, with};

/// Rows come in by trigger and by search, are written back and let go, whatever their key is.
async fn is_followed(
    shop: &Shop<'_>,
    insert: &str,
    rest: &str,
    read: &str,
    numbers: [&str; 3],
) -> Result<()> {
    let app = app(shop).await?;
    app.batch_execute(insert).await?;
    shop.run(&format!(
        "set session_replication_role = replica; {rest}; reset session_replication_role"
    ))
    .await?;
    shop.signal().await?;
    let mut pending = numbers.map(|number| format!("{number} pending"));
    pending.sort();
    assert_eq!(watched(shop).await?, pending);
    let hand = Hand::new(shop).await?;
    hand.say(shop, &numbers[..1], "succeeded").await?;
    hand.say(shop, &numbers[1..2], "failed").await?;
    assert_eq!(
        list(shop, read).await?,
        ["CONFIRMED", "CANCELLED", "processing"]
    );
    let states = [" succeeded", " failed", " pending"];
    let mut now: Vec<_> = numbers
        .iter()
        .zip(states)
        .map(|(number, state)| format!("{number}{state}"))
        .collect();
    now.sort();
    assert_eq!(watched(shop).await?, now);
    shop.is_sound().await
}

const WRITE: &str =
    r#"write => '{"succeeded": {"status": "CONFIRMED"}, "failed": {"status": "CANCELLED"}}'"#;

async fn plain(name: &'static str, number: &str, values: [&str; 3]) -> Result<()> {
    let table = format!("create table store.orders (id {number}, invoice_id text, status text)");
    let shop = with(name, &table).await?;
    attach(
        &shop,
        &format!("'store.orders', 'vendor', track => '{{processing}}', {WRITE}"),
    )
    .await?;
    let [first, second, third] = values;
    is_followed(
        &shop,
        &format!("insert into store.orders values ('{first}', 'i', 'processing'), ('{second}', 'i', 'processing')"),
        &format!("insert into store.orders values ('{third}', 'i', 'processing')"),
        "select status from store.orders order by id",
        values,
    )
    .await
}

/// Proves it of a bigint.
#[tokio::test]
async fn a_bigint() -> Result<()> {
    plain(
        "attach_bigint",
        "bigint primary key",
        ["1000000000000", "2000000000000", "3000000000000"],
    )
    .await
}

/// Proves it of a uuid.
#[tokio::test]
async fn a_uuid() -> Result<()> {
    let values = [
        "0b8e0f9a-ff86-4ff2-a87c-6e40bb3ab2c5",
        "1b8e0f9a-ff86-4ff2-a87c-6e40bb3ab2c5",
        "2b8e0f9a-ff86-4ff2-a87c-6e40bb3ab2c5",
    ];
    plain("attach_uuid", "uuid primary key", values).await
}

/// Proves it of text that is padded, and is not cut to its first letter.
#[tokio::test]
async fn a_padded_text() -> Result<()> {
    plain(
        "attach_char",
        "char(20) primary key",
        ["ORD-1", "ORD-2", "ORD-3"],
    )
    .await
}

/// Proves it of a domain over text with an order of its own.
#[tokio::test]
async fn text_in_another_order() -> Result<()> {
    plain(
        "attach_collated",
        "varchar(40) collate \"und-x-icu\" primary key",
        ["a-1", "A-2", "b-3"],
    )
    .await
}

/// Proves it of a number that the table generates, over a key of its own.
#[tokio::test]
async fn a_generated_number() -> Result<()> {
    let table = "create table store.orders (
        id bigint generated always as identity primary key, number text unique generated always as ('ORD-' || shop || '-' || serial) stored,
        shop integer, serial integer, invoice_id text, status text)";
    let shop = with("attach_generated", table).await?;
    attach(
        &shop,
        &format!("'store.orders', 'vendor', track => '{{processing}}', {WRITE}"),
    )
    .await?;
    is_followed(
        &shop,
        "insert into store.orders (shop, serial, invoice_id, status) values (1, 1, 'i', 'processing'), (1, 2, 'i', 'processing')",
        "insert into store.orders (shop, serial, invoice_id, status) values (1, 3, 'i', 'processing')",
        "select status from store.orders order by number",
        ["ORD-1-1", "ORD-1-2", "ORD-1-3"],
    )
    .await
}

/// Proves it of a partitioned table with a key of two columns, rows that move between partitions, and
/// rows that are put into a partition directly.
#[tokio::test]
async fn a_partitioned_table_with_a_composite_key() -> Result<()> {
    let table = "
        create table store.orders (number text, day date, invoice_id text, status text, primary key (number, day)) partition by range (day);
        create table store.first partition of store.orders for values from ('2026-01-01') to ('2026-02-01');
        create table store.second partition of store.orders for values from ('2026-02-01') to ('2026-03-01')";
    let shop = with("attach_partitioned", table).await?;
    attach(
        &shop,
        &format!("'store.orders', 'vendor', track => '{{processing}}', {WRITE}"),
    )
    .await?;
    is_followed(
        &shop,
        "insert into store.orders values ('A', '2026-01-15', 'i', 'processing'), ('B', '2026-02-15', 'i', 'NEW');
         update store.orders set day = '2026-02-16' where number = 'A';
         update store.orders set day = '2026-01-16', status = 'processing' where number = 'B'",
        "insert into store.second values ('C', '2026-02-20', 'i', 'processing')",
        "select status from store.orders order by number",
        ["A", "B", "C"],
    )
    .await
}

/// Proves it of a status that is an enum with implicit casts from and to text, as object mappers advise to make.
#[tokio::test]
async fn an_enum_with_implicit_casts() -> Result<()> {
    let table = "
        create type store.status as enum ('NEW', 'processing', 'CONFIRMED', 'CANCELLED');
        create table store.orders (id text primary key, invoice_id text, status store.status)";
    let shop = with("attach_enum_casts", table).await?;
    shop.run(
        "create cast (varchar as store.status) with inout as implicit; create cast (text as store.status) with inout as implicit;
         create cast (store.status as varchar) with inout as implicit; create cast (store.status as text) with inout as implicit;
         create index on store.orders (status, id)",
    )
    .await?;
    attach(
        &shop,
        &format!("'store.orders', 'vendor', track => '{{processing}}', {WRITE}"),
    )
    .await?;
    is_followed(
        &shop,
        "insert into store.orders values ('A', 'i', 'NEW'), ('B', 'i', 'processing'); update store.orders set status = 'processing' where id = 'A'",
        "insert into store.orders values ('C', 'i', 'processing')",
        "select status::text from store.orders order by id",
        ["A", "B", "C"],
    )
    .await
}

/// Proves it of names that have to be quoted, in every place where a name can stand.
#[tokio::test]
async fn quoted_names() -> Result<()> {
    let table = r#"
        create table store."Order's ""Table""" ("the ""No""" text primary key, "Ref'" text, "%s Status" text, "Täg$$" text, "$1" numeric)"#;
    let shop = with("attach_quoted", table).await?;
    let arguments = r#"'store."Order''s ""Table"""', 'vendor', order_number => 'the "No"', reference => 'Ref''', status => '%s Status',
        amount => '$1', track => array['it''s "processing"', '{a,b}\'],
        write => '{"succeeded": {"%s Status": "CONFIRMED", "Täg$$": "it''s $$done$$ %I \\ \"so\""}, "failed": {"%s Status": "CANCELLED"}}'"#;
    attach(&shop, arguments).await?;
    let app = app(&shop).await?;
    app.batch_execute(
        r#"insert into store."Order's ""Table""" values ('O''1', 'r', 'it''s "processing"', null, 5), ('O"2', 'r', '{a,b}\', null, 5), ('O3', 'r', 'NEW', null, 5)"#,
    )
    .await?;
    assert_eq!(watched(&shop).await?, ["O\"2 pending", "O'1 pending"]);
    let hand = Hand::new(&shop).await?;
    hand.say(&shop, &["O'1", "O\"2"], "succeeded").await?;
    let read = r#"select concat_ws(' ', "%s Status", "Täg$$") from store."Order's ""Table""" order by "the ""No""""#;
    let done = r#"CONFIRMED it's $$done$$ %I \ "so""#;
    assert_eq!(list(&shop, read).await?, [done, done, "NEW"]);
    shop.is_sound().await?;
    let dba = shop.database.connect_as("store_dba").await?;
    dba.batch_execute(r#"select from reconcile.detach_table('store."Order''s ""Table"""')"#)
        .await?;
    Ok(())
}
