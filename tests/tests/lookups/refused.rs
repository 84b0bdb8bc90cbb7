//! Lookups that can't work are refused when the provider is written.

use anyhow::Result;
use reconcile_tests::shop::{Till, refusal};

/// Fields of providers of kind sql that are refused, and in which words.
const REFUSED: [(&str, &str); 17] = [
    ("lookup => 'shop.one(text)'", "its arguments are (text)"),
    ("lookup => 'shop.json(text, text)'", "it returns json"),
    (
        "lookup => 'shop.rows(text, text)'",
        "it is no plain function",
    ),
    (
        "lookup => 'shop.proc(text, text)'",
        "it is no plain function",
    ),
    (
        "lookup => 'public.foreign_one(text, text)'",
        "shop_operator has not that role",
    ),
    ("lookup => '4711'", "there is no such function"),
    (
        "lookup_table => 'public.foreign_one'",
        "shop_operator has not that role",
    ),
    (
        "lookup_table => 'shop.bare'",
        "no index begins with its column order_number",
    ),
    (
        "lookup_table => 'shop.unusual'",
        "by which columns its rows are found",
    ),
    (
        "lookup_table => 'shop.unusual', lookup_columns => '{\"order_number\": \"number\"}'",
        "there is no column number",
    ),
    (
        "lookup_table => 'shop.unusual', lookup_columns => '{\"number\": \"nr\"}'",
        "by which columns its rows are found",
    ),
    (
        "lookup_table => 'shop.unusual', lookup_columns => '{}'",
        "by which columns its rows are found",
    ),
    (
        "lookup_table => 'shop.unusual', lookup_columns => '[]'",
        "is not an object",
    ),
    (
        "lookup_table => 'shop.unusual', lookup_columns => '{\"order_number\": null}'",
        "there is no column",
    ),
    (
        "lookup_table => 'shop.payments', lookup => 'shop.good(text, text)'",
        "a function or a table",
    ),
    ("status_path => '$.status'", "a function or a table"),
    (
        "lookup_table => 'shop.payments', url => 'https://a.example/'",
        "a provider of kind sql has none",
    ),
];

/// Proves that a lookup that could not answer is refused at once, with the field's name and what is wrong, and leaves nothing behind.
#[tokio::test]
async fn what_cant_answer_is_refused_at_once() -> Result<()> {
    let till = Till::open("lookups_refused").await?;
    till.does(
        "create function shop.good(text, text) returns jsonb language sql as 'select null::jsonb';
         create function shop.one(text) returns jsonb language sql as 'select null::jsonb';
         create function shop.json(text, text) returns json language sql as 'select null::json';
         create function shop.rows(text, text) returns setof jsonb language sql as 'select null::jsonb';
         create procedure shop.proc(text, text) language sql as 'select';
         create table shop.bare (order_number text, status text);
         create table shop.unusual (nr text primary key, status text)",
    )
    .await?;
    till.run(
        "create table public.foreign_one (order_number text primary key);
         create function public.foreign_one(text, text) returns jsonb language sql as 'select null::jsonb';
         revoke all on function public.foreign_one from public",
    )
    .await?;
    for (fields, says) in REFUSED {
        let add = format!(
            "select reconcile.add_provider('bad', kind => 'sql', status_map => '{{\"paid\": \"succeeded\"}}', {fields})"
        );
        let refused = refusal(&till.owner, &add).await?;
        assert_eq!(refused.code().code(), "RC003", "{fields}: {refused}");
        assert!(refused.message().contains(says), "{fields}: {refused}");
    }
    let http = "select reconcile.add_provider('bad', 'https://a.example/{order_number}', '{\"paid\": \"succeeded\"}', lookup_table => 'shop.payments')";
    assert_eq!(refusal(&till.owner, http).await?.code().code(), "RC003");
    let other_kind = "select reconcile.alter_provider('vendor', lookup_table => 'shop.payments')";
    assert_eq!(
        refusal(&till.owner, other_kind).await?.code().code(),
        "RC003"
    );
    let left = "select (select count(*) from reconcile.lookups) * 100
        + (select count(*) from pg_proc where pronamespace = 'reconcile_generated'::regnamespace)";
    assert_eq!(
        till.one::<i64>(left, &[]).await?,
        101,
        "that of ledger alone"
    );
    Ok(())
}
