//! An application's schema with its own roles: who owns the tables, who writes to them, and the
//! operator who attaches them. Decides nothing about what a test expects.

use anyhow::{Context, Result};
use reconcile_tests::shop::{SOON, Shop};
use reconcile_tests::wait;
use tokio_postgres::Client;

/// The roles, which the databases of these tests share.
const ROLES: &str = "
    do $$
    declare
        v_role text;
    begin
        foreach v_role in array array['store_owner', 'store_app', 'store_dba', 'store_other'] loop
            if not exists (select from pg_roles where rolname = v_role) then
                execute format('create role %I login', v_role);
            end if;
        end loop;
        if not pg_has_role('store_dba', 'store_owner', 'member') then
            grant reconcile_operator, store_owner to store_dba;
            grant reconcile_operator to store_other;
        end if;
    end
    $$";

/// The schema, which each database has for itself.
const SCHEMA: &str = "
    create schema store authorization store_owner;
    grant usage on schema store to store_app, store_other;
    alter default privileges for role store_owner in schema store
        grant select, insert, update, delete, truncate on tables to store_app;
    alter default privileges for role store_owner in schema store grant usage on sequences to store_app";

/// The table that most tests attach.
pub(crate) const ORDERS: &str = "
    create table store.orders (
        number text primary key, invoice_id text, status text not null, payment text, paid_at timestamptz,
        price numeric, currency text, created_at timestamptz default now()
    )";

/// What it is attached with where something is captured.
pub(crate) const ATTACHED: &str = r#"'store.orders', 'vendor', track => '{processing}', amount => 'price',
    write => '{"succeeded": {"status": "CONFIRMED"}, "failed": {"status": "CANCELLED"}}',
    capture => '{"transaction_id": "payment"}'"#;

/// What it is attached with elsewhere.
pub(crate) const PLAIN: &str = r#"'store.orders', 'vendor', track => '{processing}', amount => 'price',
    write => '{"succeeded": {"status": "CONFIRMED", "payment": "COMPLETED"}, "failed": {"status": "CANCELLED"}}'"#;

/// A shop with the schema `store` and its roles, and no table.
pub(crate) async fn empty(name: &'static str) -> Result<Shop<'static>> {
    let shop = Shop::open(name).await?;
    furnish(&shop).await?;
    Ok(shop)
}

/// Makes the schema `store` and its roles.
pub(crate) async fn furnish(shop: &Shop<'_>) -> Result<()> {
    // Other tests of this process may be making the same roles, in their own databases.
    wait::value(SOON, "the roles of the store", async || {
        shop.run(ROLES).await?;
        Ok(Some(()))
    })
    .await?;
    shop.run(SCHEMA).await
}

/// A shop whose store has a table, made by `table` as its owner.
pub(crate) async fn with(name: &'static str, table: &str) -> Result<Shop<'static>> {
    let shop = empty(name).await?;
    as_owner(&shop, table).await?;
    Ok(shop)
}

/// A shop with `store.orders` attached.
pub(crate) async fn attached(name: &'static str) -> Result<Shop<'static>> {
    let shop = with(name, ORDERS).await?;
    attach(&shop, PLAIN).await?;
    Ok(shop)
}

/// Runs SQL as the tables' owner.
pub(crate) async fn as_owner(shop: &Shop<'_>, sql: &str) -> Result<()> {
    let owner = shop.database.connect_as("store_owner").await?;
    owner
        .batch_execute(sql)
        .await
        .with_context(|| sql.to_owned())
}

/// A connection of the application, which may read and write the store's tables and nothing else.
pub(crate) async fn app(shop: &Shop<'_>) -> Result<Client> {
    shop.database.connect_as("store_app").await
}

/// Attaches a table as an operator who has its owner's role; what it answers, a line each.
pub(crate) async fn attach(shop: &Shop<'_>, arguments: &str) -> Result<Vec<String>> {
    let dba = shop.database.connect_as("store_dba").await?;
    let sql = format!("select what || ': ' || detail from reconcile.attach_table({arguments})");
    let rows = dba.query(&sql, &[]).await.with_context(|| sql.clone())?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Why a call is refused: SQLSTATE and message.
pub(crate) async fn refusal(client: &Client, sql: &str) -> Result<String> {
    let error = client.batch_execute(sql).await.err();
    let error = error.with_context(|| format!("not refused: {sql}"))?;
    let error = error.as_db_error().context("no answer of the server")?;
    Ok(format!("{} {}", error.code().code(), error.message()))
}

/// A row of `store.orders` as text: status, payment.
pub(crate) async fn row(shop: &Shop<'_>, number: &str) -> Result<String> {
    shop.one(
        "select concat_ws(' ', status, payment) from store.orders where number = $1",
        &[&number],
    )
    .await
}

/// Orders that are watched, each as `number state`, in the order of their numbers.
pub(crate) async fn watched(shop: &Shop<'_>) -> Result<Vec<String>> {
    list(
        shop,
        "select o.order_number || ' ' || o.state from reconcile.orders as o order by 1",
    )
    .await
}

/// The first column of a query, as text.
pub(crate) async fn list(shop: &Shop<'_>, sql: &str) -> Result<Vec<String>> {
    let rows = shop
        .client
        .query(sql, &[])
        .await
        .with_context(|| sql.to_owned())?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// The alerts about the store's tables, each as `alert subject: message`.
pub(crate) async fn alerts(shop: &Shop<'_>) -> Result<Vec<String>> {
    let sql = "select format('%s %s: %s', alert, subject, message) from reconcile.alerts
        where alert ~ '^attached|^rows_|effects' order by 1";
    list(shop, sql).await
}

/// `take_in` of `store.orders` until it is finished: rows seen in the last search, arrivals that wait.
pub(crate) async fn take_in(shop: &Shop<'_>) -> Result<(i64, i64)> {
    wait::value(SOON, "a search that is finished", async || {
        let sql = "select rows_seen, arrivals_waiting, finished from reconcile.take_in('store.orders', 1)";
        let row = shop.client.query_one(sql, &[]).await?;
        Ok(row.get::<_, bool>(2).then(|| (row.get(0), row.get(1))))
    })
    .await
}
