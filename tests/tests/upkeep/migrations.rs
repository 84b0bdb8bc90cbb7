//! The roles: applied twice they are what they were after the first time.

use std::time::Duration;

use anyhow::Result;
use reconcile_tests::cluster::{Cluster, Contents, Settings};
use reconcile_tests::wait;

use crate::{ROLES, STRICT, cluster};

/// Every right on anything of the ledger, sorted.
pub(crate) const RIGHTS: &str = "
    select coalesce(string_agg(line, E'\\n' order by line), '') from (
        select format('%s %s', oid::regclass, relacl) as line from pg_class where relnamespace = 'reconcile'::regnamespace
        union all select format('%s.%s %s', attrelid::regclass, attname, attacl) from pg_attribute where attacl is not null
        union all select format('%s %s', oid::regprocedure, proacl) from pg_proc
            where pronamespace = 'reconcile'::regnamespace or proname in ('reconcile_order', 'reconcile_stale_orders', 'order_details')
        union all select format('%s %s', oid::regtype, typacl) from pg_type where typnamespace = 'reconcile'::regnamespace and typrelid = 0
        union all select format('%s %s', nspname, nspacl) from pg_namespace where nspname in ('reconcile', 'tools')
    ) as rights";

#[tokio::test]
async fn the_roles_can_be_applied_twice() -> Result<()> {
    let database = cluster()
        .await?
        .database("roles_twice", Contents::Extension)
        .await?;
    let client = database.connect().await?;
    let once: String = client.query_one(RIGHTS, &[]).await?.get(0);
    assert!(once.contains("reconcile_app=X"), "{once}");
    database.psql(STRICT, ROLES).await?.ok()?;
    let twice: String = client.query_one(RIGHTS, &[]).await?.get(0);
    assert_eq!(twice, once);
    Ok(())
}

#[tokio::test]
async fn the_roles_without_the_extension_are_refused_and_leave_nothing() -> Result<()> {
    let database = cluster()
        .await?
        .database("roles_alone", Contents::Nothing)
        .await?;
    let refused = database.psql(STRICT, ROLES).await?;
    assert_eq!(refused.code, 3);
    assert!(
        refused
            .stderr
            .contains("schema \"reconcile\" does not exist"),
        "{}",
        refused.stderr
    );
    Ok(())
}

#[tokio::test]
async fn the_roles_can_be_applied_to_two_databases_at_the_same_time() -> Result<()> {
    let cluster = Cluster::start_new(Settings::default()).await?;
    let database = cluster
        .database("roles_at_once", Contents::Extension)
        .await?;
    // Somebody else is making the first of them, and has not committed yet.
    let mut other = cluster.existing("postgres").connect().await?;
    let transaction = other.transaction().await?;
    transaction
        .batch_execute("create role reconcile_app nologin")
        .await?;
    let watch = database.connect().await?;
    let committed = async {
        wait::until(
            Duration::from_secs(10),
            "psql to wait for the other",
            async || {
                let waiting =
                    "select count(*) from pg_stat_activity where wait_event_type = 'Lock'";
                watch
                    .query_one(waiting, &[])
                    .await
                    .is_ok_and(|row| row.get::<_, i64>(0) == 1)
            },
        )
        .await?;
        Ok(transaction.commit().await?)
    };
    let (applied, ()) = tokio::try_join!(database.psql(STRICT, ROLES), committed)?;
    applied.ok()?;
    let rights: String = watch.query_one(RIGHTS, &[]).await?.get(0);
    assert!(rights.contains("reconcile_app=X"), "{rights}");
    Ok(())
}
