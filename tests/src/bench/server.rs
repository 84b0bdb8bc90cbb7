//! The benchmark's PostgreSQL: durable as it is by default, larger where the defaults are meant for
//! a small machine, and counting statements.

use anyhow::Result;

use crate::cluster::{Cluster, Contents, Database, Settings};

/// The role that sidecars log in as.
pub(crate) const SIDECAR_ROLE: &str = "bench_sidecar";

/// What every database has beside the extension.
const AFTER_EXTENSION: &str = concat!(
    include_str!("../../../sql/migrations/001_roles.sql"),
    "create extension pg_stat_statements;",
    "create role bench_sidecar login in role reconcile_sidecar;",
);

/// See the module.
pub(crate) struct Server {
    cluster: Cluster,
}

impl Server {
    /// Starts one that goes away with this process.
    ///
    /// # Errors
    /// When PostgreSQL is not installed, or not with its contrib modules.
    pub(crate) async fn start() -> Result<Self> {
        let settings = Settings::default()
            .durable()
            .parameter("shared_buffers", "512MB")
            .parameter("max_wal_size", "8GB")
            .parameter("shared_preload_libraries", "pg_stat_statements")
            .after_extension(AFTER_EXTENSION);
        let cluster = Cluster::start_new(settings).await?;
        Ok(Self { cluster })
    }

    /// A new database with the extension.
    ///
    /// # Errors
    /// When there is one of this name.
    pub(crate) async fn database<'a>(&'a self, name: &'a str) -> Result<Database<'a>> {
        self.cluster.database(name, Contents::Extension).await
    }

    /// The cluster, for its processes.
    pub(crate) fn cluster(&self) -> &Cluster {
        &self.cluster
    }
}
