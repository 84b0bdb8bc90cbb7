//! The migrations, applied by a superuser in a database where others may create, and are in the search_path before everything.

use std::collections::BTreeSet;

use anyhow::Result;
use reconcile_tests::cluster::{Cluster, Contents};
use reconcile_tests::shop;

use crate::probe::{FUNCTIONS, Run, mark, runs_since};
use crate::scene::{ROLES, run};
use crate::shadows;

const MIGRATIONS: [&str; 2] = [
    include_str!("../../../sql/migrations/001_roles.sql"),
    include_str!("../../../sql/migrations/002_schedules.sql"),
];

/// Proves that both migrations find no function and no operator of others, in the search_path of the database and in `public`, and that
/// what they schedule is not changed by one.
#[tokio::test]
async fn the_migrations_find_nothing_of_others() -> Result<()> {
    let settings = shop::settings()
        .cron("orders")
        .parameter("log_error_verbosity", "terse")
        .parameter("log_min_error_statement", "panic");
    let cluster = Cluster::start_new(settings).await?;
    let database = cluster.database("orders", Contents::Extension).await?;
    let dba = database.connect().await?;
    run(&dba, ROLES).await?;
    run(&dba, "create extension if not exists pg_cron; grant create on database orders to carrier_owner; grant create on schema public to carrier_owner").await?;
    let owner = database.connect_as("carrier_owner").await?;
    run(
        &owner,
        "create schema carrier; grant usage on schema carrier to public",
    )
    .await?;
    for sql in [
        FUNCTIONS.to_owned(),
        shadows::in_schema("carrier"),
        shadows::in_schema("public"),
    ] {
        run(&owner, &sql).await?;
    }
    run(
        &dba,
        "alter database orders set search_path = carrier, public",
    )
    .await?;
    let mark = mark(&cluster)?;
    let mut outputs = Vec::new();
    for migration in MIGRATIONS {
        outputs.push(
            database
                .psql(&["-q", "-v", "ON_ERROR_STOP=1"], migration)
                .await?,
        );
    }
    let runs = runs_since(&cluster, mark, "orders")?;
    let found: BTreeSet<String> = runs.iter().map(Run::says).collect();
    assert!(found.is_empty(), "{found:#?}");
    for output in outputs {
        output.ok()?;
    }
    let fresh = database.connect().await?;
    let jobs = "select count(*) from cron.job where username operator(pg_catalog.<>) 'reconcile_cron' or command is null";
    assert_eq!(fresh.query_one(jobs, &[]).await?.get::<_, i64>(0), 0);
    Ok(())
}
