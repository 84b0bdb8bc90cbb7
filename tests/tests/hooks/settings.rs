//! What a hook sets with SET is gone when it has returned: for the ledger, for the next hook and for the session.

use anyhow::Result;
use reconcile_tests::shop::{Shop, Till};
use tokio_postgres::Client;

const SETS: &str = "
    begin
        set search_path = shop, pg_catalog;
        set statement_timeout = '1ms';
        set default_transaction_read_only = on;
        set lock_timeout = 0;
        set datestyle = 'German';
        set timezone = 'Asia/Kathmandu';
        set local search_path = pg_catalog, pg_temp;
    end";

/// An operator of the schema's owner who makes the ledger's own words mean something else, if it looks for them there.
const TRAP: &str = "
    create function shop.caught(bigint, bigint) returns boolean language plpgsql as $$
    begin
        insert into shop.told values ('caught', current_user);
        return true;
    end $$;
    create operator shop.= (leftarg = bigint, rightarg = bigint, procedure = shop.caught);
    grant usage on schema shop to public;
    grant insert on shop.told to public";

async fn settings(client: &Client) -> Result<String> {
    let all = "select string_agg(name || ' = ' || setting, E'\\n' order by name) from pg_settings";
    Ok(client.query_one(all, &[]).await?.get(0))
}

/// Proves that a hook's settings, its search_path above all, are taken back before the ledger goes on, so that nothing of the ledger
/// is looked up in a schema of the hook's owner, and that the caller's session has the settings that it had.
#[tokio::test]
async fn what_a_hook_sets_is_taken_back() -> Result<()> {
    let till = Till::open("hooks_settings").await?;
    till.does(TRAP).await?;
    till.hook("sets", "succeeded", SETS).await?;
    till.hook(
        "notes",
        "succeeded",
        "begin insert into shop.told values (order_number, current_setting('timezone')); end",
    )
    .await?;
    let before = settings(&till.client).await?;
    till.sells("paid", &["A", "B"]).await?;
    assert_eq!(till.settles().await?, 2);
    till.sells("open", &["C"]).await?;
    till.run("select reconcile.resolve_order('C', 'succeeded', 'seen')")
        .await?;
    assert_eq!(settings(&till.client).await?, before);
    let zone: String = till.one("show timezone", &[]).await?;
    let told: Vec<String> = ["A", "B", "C"]
        .map(|number| format!("{number} {zone}"))
        .into();
    assert_eq!(till.told().await?, told);
    till.is_sound().await
}

/// Proves that the same holds for a function that answers for a provider, and for triggers of an attached table.
#[tokio::test]
async fn what_a_lookup_or_a_trigger_sets_is_taken_back() -> Result<()> {
    let till = Till::open("hooks_settings_of_others").await?;
    till.does(TRAP).await?;
    till.does(&format!(
        "create function shop.payment_of(order_number text, reference text) returns jsonb language plpgsql as $$
         {} $$;
         select reconcile.alter_provider('ledger', lookup => 'shop.payment_of(text, text)');
         create table shop.orders (order_number text primary key, status text not null default 'pending');
         create function shop.on_write() returns trigger language plpgsql as $$ {} $$;
         create trigger on_write before update on shop.orders for each row execute function shop.on_write();
         select reconcile.attach_table('shop.orders', 'ledger', write => '{{\"succeeded\": {{\"status\": \"CONFIRMED\"}}}}');
         insert into shop.orders (order_number) values ('A'), ('B')",
        SETS.replace("    end", "        return '{\"status\": \"paid\", \"amount\": 0.73}'::jsonb; end"),
        SETS.replace("    end", "        return new; end"),
    ))
    .await?;
    let before = settings(&till.client).await?;
    assert_eq!(till.settles_all().await?, 2);
    assert_eq!(settings(&till.client).await?, before);
    assert!(till.told().await?.is_empty(), "{:?}", till.told().await?);
    till.is_sound().await
}

/// Proves that a sidecar's session is no worse for a hook that changes settings: it goes on to claim, to report and to settle.
#[tokio::test]
async fn a_sidecar_is_no_worse_for_it() -> Result<()> {
    let till = Till::open("hooks_settings_sidecar").await?;
    till.hook("sets", "succeeded", SETS).await?;
    let _sidecar = till.sidecar().await?;
    for number in ["A", "B", "C"] {
        let shop: &Shop<'_> = &till;
        shop.track_aged(number, "10 minutes").await?;
        shop.signal().await?;
        shop.becomes(number, "succeeded").await?;
    }
    till.is_sound().await
}
