//! A function of the application that answers, and whose rights it has.

use anyhow::{Context, Result};
use reconcile_tests::shop::{Till, refusal};

/// Adds the provider `asks`, whose function has this body; `order_number` and `reference` are its arguments.
async fn add(till: &Till, body: &str) -> Result<()> {
    till.does(&format!(
        "create or replace function shop.payment_of(order_number text, reference text) returns jsonb language plpgsql as $lookup$ {body} $lookup$;
         select reconcile.add_provider('asks', kind => 'sql', lookup => 'shop.payment_of(text, text)', schedule => 'then 1m',
            status_map => '{{\"paid\": \"succeeded\", \"open\": \"pending\"}}')"
    ))
    .await
}

async fn track(till: &Till, numbers: &[&str]) -> Result<()> {
    let track = "select reconcile.track_order(n, 'asks', 'R-' || n, created_at => now() - interval '10 minutes') from unnest($1::text[]) as n";
    till.client.execute(track, &[&numbers]).await?;
    Ok(())
}

/// Proves that a function is given order number and reference, that NULL is not found, that anything that is no answer is a provider
/// error, and that one which raises, asserts or cancels about one order costs that order a fault and the others of the run nothing.
#[tokio::test]
async fn one_order_that_raises_costs_itself_a_fault() -> Result<()> {
    let till = Till::open("lookups_raises").await?;
    add(
        &till,
        "begin
            if order_number like 'RAISE%' then
                raise exception using errcode = substr(order_number, 7), message = 'not this one';
            end if;
            assert order_number <> 'ASSERT', 'not this one';
            return case order_number when 'NONE' then null when 'TEXT' then '\"paid\"' when 'NULL' then 'null' when 'ARRAY' then '[]'
                else jsonb_build_object('status', case when reference = 'R-' || order_number then 'paid' end) end;
        end",
    )
    .await?;
    let raise = [
        "RAISE-P0001",
        "RAISE-57014",
        "RAISE-53100",
        "RAISE-40001",
        "RAISE-XX000",
        "ASSERT",
    ];
    let numbers: Vec<String> = (0..30).map(|place| format!("ORD-{place:02}")).collect();
    let mut all: Vec<&str> = numbers.iter().map(String::as_str).collect();
    for (place, number) in raise
        .iter()
        .chain(&["NONE", "TEXT", "NULL", "ARRAY"])
        .enumerate()
    {
        all.insert(place * 3, number);
    }
    track(&till, &all).await?;
    assert_eq!(till.settles().await?, 30);
    for number in &numbers {
        assert_eq!(till.order(number).await?.state, "succeeded");
    }
    for number in raise {
        let check = till.check(number, 0).await?;
        let (outcome, fault) = (check.outcome.as_str(), check.fault.as_deref());
        assert_eq!(
            (outcome, fault),
            ("provider_error", Some("lookup_failed")),
            "{number}"
        );
        assert!(
            check
                .detail
                .is_some_and(|detail| detail.ends_with(": not this one"))
        );
        let order = till.order(number).await?;
        assert_eq!(
            (order.state.as_str(), order.tries, order.faults),
            ("pending", 0, 1),
            "{number}"
        );
    }
    for (number, outcome) in [
        ("NONE", "not_found"),
        ("TEXT", "provider_error"),
        ("NULL", "provider_error"),
        ("ARRAY", "provider_error"),
    ] {
        assert_eq!(till.check(number, 0).await?.outcome, outcome, "{number}");
    }
    till.is_sound().await
}

/// Proves that a function has the rights of the role that wrote the provider, whoever asks, and no others; and that what it may not do
/// is a fault with the reason and no lost order.
#[tokio::test]
async fn a_function_is_its_owner_whoever_asks() -> Result<()> {
    let till = Till::open("lookups_rights").await?;
    till.run("create schema hidden; create table hidden.secrets (secret text); grant usage on schema hidden to public")
        .await?;
    add(
        &till,
        "begin
            case order_number
                when 'READS' then perform count(*) from hidden.secrets;
                when 'WRITES' then update reconcile.tracked_orders set state = 'succeeded';
                when 'ROLE' then set role postgres;
                else insert into shop.told values (order_number, 'asked');
            end case;
            return '{\"status\": \"paid\"}';
        end",
    )
    .await?;
    track(&till, &["A", "B", "READS", "ROLE", "WRITES"]).await?;
    let app = till.app().await?;
    let state: String = app
        .query_one("select state from reconcile_order('B')", &[])
        .await?
        .get(0);
    assert_eq!(state, "succeeded");
    till.settles().await?;
    assert_eq!(
        till.states().await?,
        [
            "A succeeded",
            "B succeeded",
            "READS pending",
            "ROLE pending",
            "WRITES pending"
        ]
    );
    for number in ["READS", "ROLE", "WRITES"] {
        let detail = till.check(number, 0).await?.detail.context("no detail")?;
        assert!(detail.starts_with("42501: "), "{number}: {detail}");
    }
    let by = "select string_agg(distinct by, ', ') from shop.told";
    assert_eq!(till.one::<String>(by, &[]).await?, "shop_operator");
    let altered = "alter function reconcile_generated._lookup_2(text[], text[]) security invoker";
    assert_eq!(refusal(&till.owner, altered).await?.code().code(), "42501");
    till.is_sound().await
}

/// Proves that a function that is dropped is a fault and no lost order, that one that is replaced answers as it is now, and that a
/// provider can be given another function or a table.
#[tokio::test]
async fn a_lookup_may_be_dropped_replaced_and_changed() -> Result<()> {
    let till = Till::open("lookups_changed").await?;
    add(&till, "begin return '{\"status\": \"open\"}'; end").await?;
    track(&till, &["A", "B", "C"]).await?;
    till.does("drop function shop.payment_of").await?;
    till.settles().await?;
    let detail = till.check("A", 0).await?.detail.context("no detail")?;
    assert!(
        detail.starts_with("RC011: shop.payment_of") && detail.contains("it is gone"),
        "{detail}"
    );
    till.does(
        "create function shop.payment_of(order_number text, reference text) returns jsonb language sql
         as $$ select case when order_number = 'A' then '{\"status\": \"paid\"}'::jsonb else '{\"status\": \"open\"}' end $$",
    )
    .await?;
    till.settles_all().await?;
    assert_eq!(
        till.states().await?,
        ["A succeeded", "B pending", "C pending"]
    );
    till.does(
        "create function shop.other(text, text) returns jsonb language sql
         as $$ select case when $1 = 'B' then '{\"status\": \"paid\"}'::jsonb else '{\"status\": \"open\"}' end $$;
         select reconcile.alter_provider('asks', lookup => 'shop.other(text, text)')",
    )
    .await?;
    till.settles_all().await?;
    assert_eq!(
        till.states().await?,
        ["A succeeded", "B succeeded", "C pending"]
    );
    till.does("select reconcile.alter_provider('asks', lookup_table => 'shop.payments')")
        .await?;
    till.pays("paid", &["C"]).await?;
    till.settles_all().await?;
    assert_eq!(
        till.states().await?,
        ["A succeeded", "B succeeded", "C succeeded"]
    );
    let left =
        "select count(*) from pg_proc where pronamespace = 'reconcile_generated'::regnamespace";
    assert_eq!(
        till.one::<i64>(left, &[]).await?,
        2,
        "one for each provider"
    );
    till.is_sound().await
}
