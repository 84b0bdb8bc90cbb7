//! What an error of an application's code is taken for, when that code writes the names that the ledger looks for into it.

use anyhow::{Result, ensure};
use reconcile_tests::shop::Till;

use crate::scene::cluster;

/// Each in a hook, for the order of that number.
const STATEMENTS: [(&str, &str); 5] = [
    (
        "NUMBER",
        "select 1/0 /* reconcile_generated._hook_99999999999999999999( */",
    ),
    ("NAME", "select shop.\"f\nx\"()"),
    (
        "OTHER",
        "do $$ begin raise exception using errcode = '57P01'; end $$",
    ),
    // What the ledger says when a row is locked, and waits for.
    (
        "OURS",
        "do $$ begin raise exception using errcode = 'RC011'; end $$",
    ),
    ("REMOTE", "select remote.cancelled from shop.remote"),
];

/// Another database that cancels what it is asked.
const REMOTE: &str = "
    create extension postgres_fdw;
    create server elsewhere foreign data wrapper postgres_fdw options (host '%HOST', port '%PORT', dbname '%NAME');
    create user mapping for shop_operator server elsewhere options (user 'postgres', password_required 'false');
    grant usage on foreign server elsewhere to shop_operator;
    create function public.cancels() returns integer language plpgsql as
        $$ begin perform pg_cancel_backend(pg_backend_pid()); perform pg_sleep(10); return 1; end $$;
    create view public.cancelled as select public.cancels() as cancelled";

/// Proves that such an error is kept as that order's failure and holds no other order up.
#[tokio::test]
async fn an_error_is_its_own_orders() -> Result<()> {
    let till = Till::open_in(cluster().await?, "hostile_blamed").await?;
    till.does("create table shop.does (number text primary key, statement text)")
        .await?;
    till.does(
        "create function shop.\"f\nx\"() returns void language plpgsql as $$ begin raise exception using errcode = '57014'; end $$",
    )
    .await?;
    let server = "select jsonb_build_object('host', split_part(current_setting('unix_socket_directories'), ',', 1), 'port', current_setting('port'))::text";
    let server: serde_json::Value = serde_json::from_str(&till.one::<String>(server, &[]).await?)?;
    let remote = REMOTE
        .replace("%HOST", server["host"].as_str().unwrap_or_default())
        .replace("%PORT", server["port"].as_str().unwrap_or_default())
        .replace("%NAME", till.database.name());
    till.run(&remote).await?;
    till.does(
        "create foreign table shop.remote (cancelled integer) server elsewhere options (schema_name 'public', table_name 'cancelled')",
    )
    .await?;
    let body = "
        declare v_statement text := (select d.statement from shop.does as d where d.number = order_number);
        begin if v_statement is not null then execute v_statement; end if; end";
    till.hook("does", "succeeded", body).await?;
    for (number, statement) in STATEMENTS {
        till.owner
            .execute(
                "insert into shop.does values ($1, $2)",
                &[&number, &statement],
            )
            .await?;
        till.sells("paid", &[number]).await?;
    }
    till.sells("paid", &["GOOD"]).await?;
    till.settles().await?;
    for (number, statement) in STATEMENTS {
        let failure = till.failure(number).await?;
        ensure!(
            failure.as_ref().is_some_and(|failure| failure.0 == 1),
            "{statement}: {failure:?}"
        );
    }
    assert_eq!(till.order("GOOD").await?.state, "succeeded");
    till.is_sound().await
}
