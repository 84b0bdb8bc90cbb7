//! A hook has the rights of the role that registered it, and no way to more.

use anyhow::Result;
use reconcile_tests::shop::{Till, refusal};

/// What a hook reaches for, and the SQLSTATE that it gets.
const REACHES: [(&str, &str); 12] = [
    ("perform count(*) from hidden.secrets", "42501"),
    ("perform count(*) from reconcile.tracked_orders", "42501"),
    (
        "update reconcile.tracked_orders set state = 'succeeded'",
        "42501",
    ),
    (
        "insert into reconcile.transitions (order_id, from_state, to_state, cause) values (1, 'pending', 'succeeded', 'operator')",
        "42501",
    ),
    (
        "update reconcile.settings set checks_kept = '1 day'",
        "42501",
    ),
    ("set role postgres", "42501"),
    ("set session authorization postgres", "42501"),
    (
        "create function reconcile.mine() returns void language sql as 'select'",
        "42501",
    ),
    ("create role intruder", "42501"),
    ("copy shop.told to program 'true'", "42501"),
    (
        "alter function reconcile_generated._hook_1(text, jsonb) security invoker",
        "42501",
    ),
    (
        "execute 'select reconcile_generated._hook_1($1, $2, false)' using order_number, facts",
        "42501",
    ),
];

/// Proves that a hook that reaches for what its owner may not fails, is recorded with the reason, and changes nothing, although
/// whatever settles the order has the extension's rights.
#[tokio::test]
async fn a_hook_that_reaches_too_far_fails_and_is_recorded() -> Result<()> {
    let till = Till::open("hooks_reaches").await?;
    till.run("create schema hidden; create table hidden.secrets (secret text); grant usage on schema hidden to public")
        .await?;
    let arms: String = (0..REACHES.len())
        .map(|place| format!("when 'A{place:02}' then {};\n", REACHES[place].0))
        .collect();
    till.hook(
        "reaches",
        "succeeded",
        &format!("begin case order_number {arms} end case; end"),
    )
    .await?;
    for (place, (reach, code)) in REACHES.iter().enumerate() {
        let number = format!("A{place:02}");
        till.sells("paid", &[&number]).await?;
        assert_eq!(till.settles().await?, 0, "{reach}");
        let failure = till.failure(&number).await?;
        assert_eq!(
            failure.map(|failure| failure.2).as_deref(),
            Some(*code),
            "{reach}"
        );
        assert_eq!(till.order(&number).await?.state, "pending", "{reach}");
    }
    till.is_sound().await
}

/// Proves that a hook runs as its owner in every way in which a transition happens, a superuser's own call included, and that what it
/// leaves to the end of the transaction, a trigger of a deferred constraint, runs as its owner too.
#[tokio::test]
async fn a_hook_is_its_owner_whoever_settles() -> Result<()> {
    let till = Till::open("hooks_owner").await?;
    till.does(
        "create table shop.later (order_number text);
         create function shop.at_the_end() returns trigger language plpgsql as $$
         begin
             insert into shop.told values (new.order_number, 'deferred');
             return null;
         end $$;
         create constraint trigger later after insert on shop.later deferrable initially deferred
             for each row execute function shop.at_the_end()",
    )
    .await?;
    till.hook(
        "notes",
        "succeeded",
        "begin
            insert into shop.told values (order_number, facts ->> 'cause');
            if facts ->> 'cause' = 'provider' then insert into shop.later values (order_number); end if;
        end",
    )
    .await?;
    till.sells("paid", &["BY-SCHEDULE"]).await?;
    till.settles().await?;
    till.track_aged("BY-SIDECAR", "10 minutes").await?;
    let _sidecar = till.sidecar().await?;
    till.signal().await?;
    till.becomes("BY-SIDECAR", "succeeded").await?;
    till.sells("open", &["BY-PERSON"]).await?;
    till.run("select reconcile.resolve_order('BY-PERSON', 'succeeded', 'seen')")
        .await?;
    assert_eq!(
        till.told().await?,
        [
            "BY-PERSON operator",
            "BY-SCHEDULE deferred",
            "BY-SCHEDULE provider",
            "BY-SIDECAR deferred",
            "BY-SIDECAR provider"
        ]
    );
    let by = "select string_agg(distinct by, ', ') from shop.told";
    assert_eq!(till.one::<String>(by, &[]).await?, "shop_operator");
    till.is_sound().await
}

/// Proves that nobody can alter the functions that are made for hooks, so that they would run with the extension's rights: not even
/// the role that owns them can name them.
#[tokio::test]
async fn a_hooks_function_can_be_altered_by_nobody() -> Result<()> {
    let till = Till::open("hooks_altered").await?;
    till.hook("h", "succeeded", "begin end").await?;
    let made =
        "select p.oid::regprocedure::text || ' ' || p.proowner::regrole || ' ' || p.prosecdef
        from pg_proc as p where p.pronamespace = 'reconcile_generated'::regnamespace and p.proname ~ '^_hook'";
    let made: String = till.one(made, &[]).await?;
    assert_eq!(
        made,
        "reconcile_generated._hook_1(text,jsonb) shop_operator true"
    );
    for change in [
        "security invoker",
        "reset all",
        "set search_path = shop",
        "rename to mine",
        "owner to shop_app",
        "set schema shop",
    ] {
        let altered = refusal(
            &till.owner,
            &format!("alter function reconcile_generated._hook_1(text, jsonb) {change}"),
        )
        .await?;
        assert_eq!(altered.code().code(), "42501", "{change}");
    }
    let replaced = "create or replace function reconcile_generated._hook_1(a text, b jsonb) returns void language sql as 'select'";
    assert_eq!(refusal(&till.owner, replaced).await?.code().code(), "42501");
    Ok(())
}

/// Proves that functions and operators of the same names, in schema public, in the hook's own schema or among temporary objects of the
/// session that settles, are not taken for those that the ledger or the hook means.
#[tokio::test]
async fn names_in_other_schemas_catch_nobody() -> Result<()> {
    let till = Till::open("hooks_shadowed").await?;
    till.does("create function shop.helper() returns text language sql as $$ select 'shop''s' $$")
        .await?;
    till.hook(
        "notes",
        "succeeded",
        "begin insert into told values (order_number, helper() || ' ' || upper('a') || ' ' || current_schema()); end",
    )
    .await?;
    till.does(
        "create function shop.upper(text) returns text language sql as $$ select 'caught' $$",
    )
    .await?;
    till.run(
        "create function public.helper() returns text language sql as $$ select 'caught' $$;
         create function public.notes(text, jsonb) returns void language sql as $$ select 1 / 0 $$;
         create temp table told (order_number text, state text, by text);
         create function pg_temp.helper() returns text language sql as $$ select 'caught' $$;
         set search_path = pg_temp, public",
    )
    .await?;
    till.client
        .execute("insert into shop.payments values ('A', 'paid')", &[])
        .await?;
    till.track_at_ledger("A").await?;
    assert_eq!(
        till.one::<i32>("select closed from public.reconcile_stale_orders()", &[])
            .await?,
        1
    );
    // As in every function of PostgreSQL, what is built in comes first.
    assert_eq!(till.told().await?, ["A shop's A pg_catalog"]);
    till.is_sound().await
}
