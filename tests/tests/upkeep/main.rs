//! What a DBA does around the ledger: migrations, schedules, retention, dumps and restores, another schema, removal.

mod installing;
mod migrations;
mod restore;
mod retention;
mod schedules;
mod schema;
mod violations;

use anyhow::Result;
use reconcile_tests::cluster::{Cluster, Settings};
use tokio::sync::OnceCell;

/// What a DBA applies with psql, as it stands.
const ROLES: &str = include_str!("../../../sql/migrations/001_roles.sql");
const SCHEDULES: &str = include_str!("../../../sql/migrations/002_schedules.sql");

/// The arguments of a psql that stops at the first error, as the migrations' heads say.
const STRICT: &[&str] = &["-q", "-v", "ON_ERROR_STOP=1"];

/// The cluster of this suite, with pg_cron in the database `postgres`.
async fn cluster() -> Result<&'static Cluster> {
    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
    CLUSTER
        .get_or_try_init(|| {
            Cluster::start_new(Settings::default().cron("postgres").after_extension(ROLES))
        })
        .await
}
