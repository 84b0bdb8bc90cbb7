//! What can't be called is refused when it is registered.

use anyhow::Result;
use reconcile_tests::shop::{Till, refusal};

/// Arguments of hooks that are refused, with which SQLSTATE, and in which words.
const REFUSED: [(&str, &str, &str); 15] = [
    (
        "'h', 'succeeded', 'shop.one(text)'",
        "RC010",
        "its arguments are (text)",
    ),
    (
        "'h', 'succeeded', 'shop.json(text, json)'",
        "RC010",
        "its arguments are (text, json)",
    ),
    (
        "'h', 'succeeded', 'shop.more(text, jsonb, integer)'",
        "RC010",
        "its arguments are",
    ),
    (
        "'h', 'succeeded', 'shop.many(text, jsonb[])'",
        "RC010",
        "its arguments are",
    ),
    (
        "'h', 'succeeded', 'shop.proc(text, jsonb)'",
        "RC010",
        "it is no plain function",
    ),
    (
        "'h', 'succeeded', 'shop.agg(text, jsonb)'",
        "RC010",
        "it is no plain function",
    ),
    (
        "'h', 'succeeded', 'public.foreign_one(text, jsonb)'",
        "RC010",
        "shop_operator has not that role",
    ),
    ("'h', 'succeeded', null", "RC010", "call is NULL"),
    (
        "'h', 'succeeded', 'shop.absent(text, jsonb)'",
        "42883",
        "does not exist",
    ),
    (
        "'h', 'succeeded', '4711'",
        "RC010",
        "there is no such function",
    ),
    (
        "'h', 'paid', 'shop.good(text, jsonb)'",
        "RC010",
        "'paid' is not a state",
    ),
    (
        "'h', null, 'shop.good(text, jsonb)'",
        "RC010",
        "NULL is not a state",
    ),
    (
        "'H; drop', 'succeeded', 'shop.good(text, jsonb)'",
        "RC010",
        "is not a hook's name",
    ),
    (
        "null, 'succeeded', 'shop.good(text, jsonb)'",
        "RC010",
        "NULL is not a hook's name",
    ),
    (
        "'h', 'succeeded', 'shop.good(text, jsonb)', 'nobody'",
        "RC002",
        "nobody",
    ),
];

/// Proves that what can't be called is refused when it is registered, with an error that says why, and that nothing of it stays.
#[tokio::test]
async fn what_cant_be_called_is_refused_at_once() -> Result<()> {
    let till = Till::open("hooks_refused").await?;
    till.does(
        "create function shop.good(text, jsonb) returns integer language sql as 'select 1';
         create function shop.one(text) returns void language sql as 'select';
         create function shop.json(text, json) returns void language sql as 'select';
         create function shop.more(text, jsonb, integer default 0) returns void language sql as 'select';
         create function shop.many(text, variadic jsonb[]) returns void language sql as 'select';
         create procedure shop.proc(text, jsonb) language sql as 'select';
         create function shop.step(jsonb, text, jsonb) returns jsonb language sql as 'select $1';
         create aggregate shop.agg(text, jsonb) (sfunc = shop.step, stype = jsonb)",
    )
    .await?;
    till.run(
        "create function public.foreign_one(text, jsonb) returns void language sql as 'select'",
    )
    .await?;
    for (arguments, code, says) in REFUSED {
        let refused = refusal(
            &till.owner,
            &format!("select reconcile.add_hook({arguments})"),
        )
        .await?;
        assert_eq!(refused.code().code(), code, "{arguments}: {refused}");
        assert!(refused.message().contains(says), "{arguments}: {refused}");
    }
    till.does("select reconcile.add_hook('h', 'succeeded', 'shop.good(text, jsonb)', every_provider => true)")
        .await?;
    let twice = refusal(
        &till.owner,
        "select reconcile.add_hook('h', 'failed', 'shop.good(text, jsonb)', every_provider => true)",
    )
    .await?;
    assert_eq!(twice.code().code(), "RC010");
    let app = till.app().await?;
    let foreign = refusal(
        &app,
        "select reconcile.add_hook('x', 'succeeded', 'pg_catalog.jsonb_exists(jsonb, text)', every_provider => true)",
    )
    .await?;
    assert_eq!(foreign.code().code(), "42501");
    till.does("select reconcile.remove_hook('h')").await?;
    let gone = refusal(&till.owner, "select reconcile.remove_hook('h')").await?;
    assert_eq!(gone.code().code(), "RC010");
    let left = "select count(*) from pg_proc where pronamespace = 'reconcile_generated'::regnamespace and proname ~ '^_hook'";
    assert_eq!(till.one::<i64>(left, &[]).await?, 0);
    Ok(())
}
