//! What the extension brings, and who may do what with it: golden lists, the catalogs' word for the house rules, and
//! roles that try to get further than they may.

mod catalog;
mod hostile_sessions;
mod hostile_texts;
mod lists;
mod order;
mod seam;
mod shadowed;
mod words;

use anyhow::Result;
use reconcile_tests::cluster::{Cluster, Settings};
use tokio::sync::OnceCell;

/// The roles of `sql/migrations`, and logins in them: `shop` the application, `hand` a sidecar, `dba` an operator,
/// `eye` a reader, and `stranger`, who has what PUBLIC has.
const ROLES: &str = concat!(
    include_str!("../../../sql/migrations/001_roles.sql"),
    "create role shop login in role reconcile_app;
     create role hand login in role reconcile_sidecar;
     create role dba login in role reconcile_operator;
     create role eye login in role reconcile_reader;
     create role stranger login;"
);

/// The cluster of this suite: every database with the extension has the roles' rights.
async fn cluster() -> Result<&'static Cluster> {
    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
    CLUSTER
        .get_or_try_init(|| Cluster::start_new(Settings::default().after_extension(ROLES)))
        .await
}
