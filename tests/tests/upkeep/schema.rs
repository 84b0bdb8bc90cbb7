//! CREATE EXTENSION … SCHEMA: the three calls live where the DBA says, and everything works from there.

use anyhow::Result;
use reconcile_tests::cluster::Contents;

use crate::restore::{dump, restore};
use crate::{ROLES, STRICT, cluster};

async fn works_in(database: &'static str, schema: &str) -> Result<()> {
    let cluster = cluster().await?;
    let database = cluster.database(database, Contents::Nothing).await?;
    let quoted = format!("\"{schema}\"");
    let owner = database.connect().await?;
    owner
        .batch_execute(&format!(
            "create schema {quoted}; create extension pg_reconcile schema {quoted}"
        ))
        .await?;
    database.psql(STRICT, ROLES).await?.ok()?;
    owner
        .batch_execute(
            include_str!("life.sql")
                .replace("select reconcile_stale_orders(5)", "select 1")
                .as_str(),
        )
        .await?;

    let stale = format!("select selected from {quoted}.reconcile_stale_orders()");
    assert_eq!(owner.query_one(&stale, &[]).await?.get::<_, i32>(0), 1);
    let elsewhere = owner
        .query_one(
            "select count(*) from pg_proc where pronamespace = 'public'::regnamespace",
            &[],
        )
        .await?;
    assert_eq!(elsewhere.get::<_, i64>(0), 0);

    // Unqualified for whoever has the schema in the path, by the rights of the roles alone.
    owner
        .batch_execute(&format!(
            "set role reconcile_app; set search_path = {quoted}"
        ))
        .await?;
    let asked = owner
        .query_one(
            "select state, message from reconcile_order('ORD-1', '0')",
            &[],
        )
        .await?;
    assert_eq!(asked.get::<_, &str>(0), "pending");
    let details = owner
        .query_one(
            "select order_details('ORD-1', '0') #>> '{order,state}'",
            &[],
        )
        .await?;
    assert_eq!(details.get::<_, &str>(0), "pending");
    owner
        .batch_execute("set role reconcile_operator; select reconcile_stale_orders()")
        .await?;

    // A dump takes it along.
    let name = database.name();
    let copy = format!("{name}_copy");
    let copy = cluster.database(&copy, Contents::Nothing).await?;
    let mut pg_restore = cluster.command("pg_restore");
    let compressed = dump(cluster, "pg_dump", &["-Fc", name]).await?;
    restore(
        pg_restore.args(["--exit-on-error", "-d", copy.name()]),
        &compressed,
    )
    .await?;
    let client = copy.connect().await?;
    let details = format!("select {quoted}.order_details('ORD-12', '0') #>> '{{order,state}}'");
    assert_eq!(
        client.query_one(&details, &[]).await?.get::<_, &str>(0),
        "succeeded"
    );
    Ok(())
}

#[tokio::test]
async fn the_calls_live_in_a_schema_of_their_own() -> Result<()> {
    works_in("own_schema", "tools").await
}

#[tokio::test]
async fn the_calls_live_in_a_schema_with_an_odd_name() -> Result<()> {
    works_in("odd_schema", "Odd Tools").await
}
