//! Whose rights a hook runs with: its function's owner, whoever adds it, and nobody who takes the function's place afterwards.

use anyhow::{Context, Result};
use reconcile_tests::shop::{Till, refusal};

/// Says by whose rights it runs.
const TELLS: &str = "(order_number text, facts jsonb) returns void language plpgsql as $$
    begin insert into shop.told values (order_number, 'called'); end $$";

/// Proves that a hook that a superuser adds runs with the rights of its function's owner, that a role without the owner's can't add it, and
/// that a session's own function is none.
#[tokio::test]
async fn whoever_adds_it_lends_no_rights() -> Result<()> {
    let till = Till::open("hooks_lent").await?;
    till.does(&format!("create function shop.tells{TELLS}"))
        .await?;
    till.run(&format!("create function pg_temp.tells{TELLS}"))
        .await?;
    till.run(
        "do $$ begin
            if not exists (select from pg_roles where rolname = 'shop_other') then create role shop_other login; end if;
         end $$;
         grant reconcile_operator to shop_other; grant usage on schema shop to shop_other",
    )
    .await?;
    let other = till.database.connect_as("shop_other").await?;
    for (who, call, says) in [
        (
            &other,
            "shop.tells(text, jsonb)",
            "it belongs to shop_operator, and shop_other has not that role",
        ),
        (
            &till.client,
            "pg_temp.tells(text, jsonb)",
            "temporary schema",
        ),
    ] {
        let add = format!(
            "select reconcile.add_hook('h', 'succeeded', '{call}', every_provider => true)"
        );
        let refused = refusal(who, &add).await?;
        assert_eq!(refused.code().code(), "RC010", "{call}: {refused}");
        assert!(refused.message().contains(says), "{call}: {refused}");
    }
    till.run("select reconcile.add_hook('h', 'succeeded', 'shop.tells(text, jsonb)', every_provider => true)")
        .await?;
    till.sells("paid", &["A"]).await?;
    assert_eq!(till.settles().await?, 1);
    let by = "select by from shop.told";
    assert_eq!(till.one::<String>(by, &[]).await?, "shop_operator");
    till.is_sound().await
}

/// Proves that when a superuser's function is replaced by another of its name, or given away, after it was registered, what is there now
/// is not called, and the order's failure says why.
#[tokio::test]
async fn what_takes_the_place_of_a_superusers_function_is_not_called() -> Result<()> {
    let till = Till::open("hooks_replaced").await?;
    for name in ["dropped", "given"] {
        till.run(&format!(
            "create function shop.{name}{TELLS}; select reconcile.add_hook('{name}', 'succeeded', 'shop.{name}(text, jsonb)', every_provider => true)"
        ))
        .await?;
        till.sells("paid", &[name]).await?;
        assert_eq!(till.settles().await?, 1, "as it was registered");
        till.does("delete from shop.told").await?;

        let number = format!("{name}-2");
        if name == "dropped" {
            // The schema is his, so he may.
            till.does(&format!(
                "drop function shop.dropped; create function shop.dropped{TELLS}"
            ))
            .await?;
        } else {
            till.run("alter function shop.given(text, jsonb) owner to shop_operator")
                .await?;
        }
        till.sells("paid", &[&number]).await?;
        assert_eq!(till.settles().await?, 0, "{name}");
        let failure = till
            .failure(&number)
            .await?
            .context("nothing was recorded")?;
        assert_eq!(failure.2, "RC011", "{name}: {}", failure.3);
        let says = "it belongs to shop_operator now, and did to postgres";
        assert!(failure.3.contains(says), "{}", failure.3);
        assert!(till.told().await?.is_empty(), "{name}");
        till.run(&format!("select reconcile.remove_hook('{name}')"))
            .await?;
        assert_eq!(till.settles_all().await?, 1, "without the hook");
    }
    till.is_sound().await
}
