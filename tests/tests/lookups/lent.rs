//! Whose rights a lookup runs with: the owner's of what answers, whoever registers it, and nobody's who takes its place afterwards.

use anyhow::{Context, Result};
use reconcile_tests::shop::{Till, refusal};

/// Answers, and notes by whose rights.
const ANSWERS: &str = "(order_number text, reference text) returns jsonb language plpgsql as $$
    begin
        insert into shop.told values (order_number, 'asked');
        return '{\"status\": \"paid\"}';
    end $$";

fn add(name: &str, lookup: &str) -> String {
    format!(
        "select reconcile.add_provider('{name}', kind => 'sql', {lookup}, status_map => '{{\"paid\": \"succeeded\"}}')"
    )
}

/// Proves that a lookup that a superuser registers runs with the rights of its function's owner, that a role without the owner's can't
/// register it, and that a session's own is none.
#[tokio::test]
async fn whoever_registers_it_lends_no_rights() -> Result<()> {
    let till = Till::open("lookups_lent").await?;
    till.does(&format!("create function shop.answers{ANSWERS}"))
        .await?;
    till.run(&format!(
        "create function pg_temp.answers{ANSWERS}; create temp table receipts (order_number text primary key, status text)"
    ))
    .await?;
    till.run(
        "do $$ begin
            if not exists (select from pg_roles where rolname = 'shop_other') then create role shop_other login; end if;
         end $$;
         grant reconcile_operator to shop_other; grant usage on schema shop to shop_other; grant select on shop.payments to shop_other",
    )
    .await?;
    let other = till.database.connect_as("shop_other").await?;
    for (who, lookup, says) in [
        (
            &other,
            "lookup => 'shop.answers(text, text)'",
            "belongs to shop_operator",
        ),
        (
            &other,
            "lookup_table => 'shop.payments'",
            "belongs to shop_operator",
        ),
        (
            &till.client,
            "lookup => 'pg_temp.answers(text, text)'",
            "temporary schema",
        ),
        (
            &till.client,
            "lookup_table => 'pg_temp.receipts'",
            "temporary table",
        ),
    ] {
        let refused = refusal(who, &add("asks", lookup)).await?;
        assert_eq!(refused.code().code(), "RC003", "{lookup}: {refused}");
        assert!(refused.message().contains(says), "{lookup}: {refused}");
    }
    till.run(&add("asks", "lookup => 'shop.answers(text, text)'"))
        .await?;
    let track =
        "select reconcile.track_order('A', 'asks', created_at => now() - interval '10 minutes')";
    till.client.execute(track, &[]).await?;
    assert_eq!(till.settles().await?, 1);
    let by = "select by from shop.told";
    assert_eq!(till.one::<String>(by, &[]).await?, "shop_operator");
    Ok(())
}

/// Proves that what takes the place of a superuser's function or table after it was registered is not called, and that this is a fault
/// which says why.
#[tokio::test]
async fn what_takes_the_place_of_a_superusers_lookup_is_not_called() -> Result<()> {
    let till = Till::open("lookups_replaced").await?;
    let cases = [
        (
            "FUNCTION",
            "lookup => 'shop.answers(text, text)'",
            format!("create function shop.answers{ANSWERS}"),
            format!("drop function shop.answers; create function shop.answers{ANSWERS}"),
        ),
        (
            "VIEW",
            "lookup_table => 'shop.receipts'",
            "create table shop.receipts (order_number text primary key, status text)".to_owned(),
            format!(
                "drop table shop.receipts;
                 create or replace function shop.answers{ANSWERS};
                 create view shop.receipts as
                 select p.order_number, shop.answers(p.order_number, '') ->> 'status' as status from shop.payments as p"
            ),
        ),
    ];
    for (number, lookup, before, after) in cases {
        let provider = number.to_lowercase();
        till.run(&format!("{before}; {}", add(&provider, lookup)))
            .await?;
        till.does(&after).await?;
        till.pays("paid", &[number]).await?;
        let track =
            "select reconcile.track_order($1, $2, created_at => now() - interval '10 minutes')";
        till.client.execute(track, &[&number, &provider]).await?;
        assert_eq!(till.settles().await?, 0, "{number}");
        let check = till.check(number, 0).await?;
        assert_eq!(check.fault.as_deref(), Some("lookup_failed"), "{number}");
        let detail = check.detail.context("it does not say why")?;
        assert!(detail.starts_with("RC011: "), "{number}: {detail}");
        assert!(till.told().await?.is_empty(), "{number}");
    }
    till.is_sound().await
}
