//! CREATE EXTENSION and DROP EXTENSION: who may, and what is left.

use anyhow::{Context, Result};
use reconcile_tests::cluster::Contents;

use crate::cluster;

/// Everything outside of the system's schemas that somebody could stumble over.
const LEFT: &str = "
    select format('schema %s', nspname) from pg_namespace where nspname in ('reconcile', 'tools')
    union all
    select format('relation %s', oid::regclass) from pg_class
    where relnamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace, 'pg_toast'::regnamespace)
    union all
    select format('function %s', oid::regprocedure) from pg_proc
    where pronamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
    union all
    select format('type %s', oid::regtype) from pg_type
    where typnamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace, 'pg_toast'::regnamespace)
    union all
    select distinct format('right of %s', refobjid::regrole) from pg_shdepend
    where dbid = (select oid from pg_database where datname = current_database())";

#[tokio::test]
async fn dropping_the_extension_leaves_nothing_behind_and_it_can_come_back() -> Result<()> {
    let database = cluster()
        .await?
        .database("dropped", Contents::Extension)
        .await?;
    let client = database.connect().await?;
    for drop in [
        "drop extension pg_reconcile",
        "drop extension pg_reconcile cascade",
    ] {
        client.batch_execute(include_str!("life.sql")).await?;
        client
            .batch_execute("create view mine as select order_number from reconcile.orders")
            .await?;
        if drop.ends_with("cascade") {
            client.batch_execute(drop).await?;
        } else {
            let refused = client
                .batch_execute(drop)
                .await
                .err()
                .context("a view depends on it")?;
            assert_eq!(refused.code().map(|code| code.code()), Some("2BP01"));
            client.batch_execute("drop view mine").await?;
            client.batch_execute(drop).await?;
        }
        let left = client.query(LEFT, &[]).await?;
        let left: Vec<String> = left.iter().map(|row| row.get(0)).collect();
        // The roles' right to use the schema public comes from the migration and stays with it.
        let rights = ["right of reconcile_app", "right of reconcile_operator"];
        assert_eq!(left, rights, "after {drop}");
        client
            .batch_execute("create extension pg_reconcile")
            .await?;
        let orders = client
            .query_one("select count(*) from reconcile.orders", &[])
            .await?;
        assert_eq!(orders.get::<_, i64>(0), 0);
    }
    Ok(())
}

#[tokio::test]
async fn only_a_superuser_creates_the_extension() -> Result<()> {
    let cluster = cluster().await?;
    let database = cluster.database("created", Contents::Nothing).await?;
    let owner = database.connect().await?;
    owner
        .batch_execute("create role tenant login; alter database created owner to tenant; grant all on schema public to tenant")
        .await?;
    let tenant = database.connect_as("tenant").await?;
    let refused = tenant
        .batch_execute("create extension pg_reconcile")
        .await
        .err()
        .context("a tenant may")?;
    assert_eq!(refused.code().map(|code| code.code()), Some("42501"));
    owner.batch_execute("create extension pg_reconcile").await?;
    // The owner of the database has no part in it either.
    let refused = tenant
        .batch_execute("table reconcile.orders")
        .await
        .err()
        .context("a tenant reads")?;
    assert_eq!(refused.code().map(|code| code.code()), Some("42501"));
    Ok(())
}
