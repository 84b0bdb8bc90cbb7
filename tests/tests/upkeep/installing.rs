//! CREATE EXTENSION and DROP EXTENSION: who may, and what is left.

use anyhow::{Context, Result};
use reconcile_tests::cluster::{Cluster, Contents, Settings};

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

/// Proves that CREATE EXTENSION gives nothing to a role of the owner's name that somebody could use, and that it leaves the role when
/// it is dropped.
#[tokio::test]
async fn an_owner_that_somebody_could_use_is_refused() -> Result<()> {
    // A role is the whole cluster's.
    let cluster = Cluster::start_new(Settings::default()).await?;
    let database = cluster.database("owner", Contents::Nothing).await?;
    let client = database.connect().await?;
    client
        .batch_execute("create role tenant login; create role reconcile_owner login")
        .await?;
    for (usable, says, unusable) in [
        ("", "it can log in", "alter role reconcile_owner nologin"),
        (
            "grant reconcile_owner to tenant",
            "it has members",
            "revoke reconcile_owner from tenant",
        ),
        (
            "grant pg_write_all_data to reconcile_owner",
            "it is a member of other roles",
            "revoke pg_write_all_data from reconcile_owner",
        ),
        (
            "alter role reconcile_owner createrole",
            "it has attributes of its own",
            "alter role reconcile_owner nocreaterole",
        ),
    ] {
        client.batch_execute(usable).await?;
        let refused = client
            .batch_execute("create extension pg_reconcile")
            .await
            .err()
            .and_then(|error| error.as_db_error().map(ToString::to_string))
            .context(says)?;
        assert!(refused.contains(says), "{refused}");
        client.batch_execute(unusable).await?;
    }
    for _ in 0..2 {
        client
            .batch_execute("create extension pg_reconcile; drop extension pg_reconcile")
            .await?;
        let role = "select rolcanlogin from pg_roles where rolname = 'reconcile_owner'";
        assert!(!client.query_one(role, &[]).await?.get::<_, bool>(0));
    }
    Ok(())
}
