//! What the numbers were measured on: machine, versions, settings. Measures nothing itself.

use anyhow::Result;
use procfs::{CpuInfo, Current, Meminfo};

use super::plan::Plan;
use super::server::Server;

/// Settings that the numbers hang on.
const SETTINGS: [&str; 9] = [
    "shared_buffers",
    "max_wal_size",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_compression",
    "autovacuum",
    "max_connections",
    "max_worker_processes",
];

/// Some lines of text.
///
/// # Errors
/// When the server or `/proc` does not answer.
pub(crate) async fn describe(server: &Server, plan: &Plan) -> Result<String> {
    let processors = CpuInfo::current()?;
    let model = processors.model_name(0).unwrap_or("unknown processor");
    let memory_gb = Meminfo::current()?.mem_total as f64 / 1e9;
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let database = server.database("machine").await?;
    let client = database.connect().await?;
    let versions = client
        .query_one(
            "select current_setting('server_version'), extversion \
             from pg_extension where extname = 'pg_reconcile'",
            &[],
        )
        .await?;
    let mut settings = Vec::new();
    for name in SETTINGS {
        let row = client
            .query_one("select current_setting($1)", &[&name])
            .await?;
        settings.push(format!("{name} {}", row.get::<_, &str>(0)));
    }
    let build = if cfg!(debug_assertions) {
        "debug build: its numbers mean nothing"
    } else {
        "release build"
    };
    let sizes = if plan.is_quick {
        "\nQuick run: too small to mean anything."
    } else {
        ""
    };
    Ok(format!(
        "Machine:  {cores} x {model}, {memory_gb:.0} GB, Linux {kernel}\n\
         Versions: PostgreSQL {postgres}, pg_reconcile {extension}, {build}\n\
         Settings: {settings}\n\
         The provider takes {latency} ms; it, the sidecar and PostgreSQL share the machine.{sizes}\n",
        cores = processors.num_cores(),
        kernel = kernel.trim(),
        postgres = versions.get::<_, &str>(0),
        extension = versions.get::<_, &str>(1),
        settings = settings.join(", "),
        latency = plan.latency.as_millis(),
    ))
}
