//! What always holds of a ledger, looked at when a test has done with its database. Every suite goes through here, whatever it is about,
//! and no test has to think of it. Owns the look; what holds is `reconcile.violations`.

use std::io::Write;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Cluster;

/// Nothing where the extension is not installed.
const LOOK: &str = "
    select pg_catalog.to_regclass('reconcile.violations') is not null as installed \\gset
    \\if :installed
        select pg_catalog.concat_ws(' ', v.invariant, v.order_number, v.provider, v.detail) from reconcile.violations as v;
    \\endif
";

/// psql's exit code where there is no server, or no such database any more.
const NOT_THERE: i32 = 2;

/// Looks when it is dropped.
#[derive(Debug)]
pub(crate) struct Upheld<'cluster> {
    cluster: &'cluster Cluster,
    name: &'cluster str,
    excused: AtomicBool,
}

impl<'cluster> Upheld<'cluster> {
    pub(crate) fn new(cluster: &'cluster Cluster, name: &'cluster str) -> Self {
        Self {
            cluster,
            name,
            excused: AtomicBool::new(false),
        }
    }

    /// The test leaves something broken on purpose.
    pub(crate) fn excuse(&self) {
        self.excused.store(true, Ordering::Relaxed);
    }

    /// What does not hold, a line each; nothing where nobody can be asked.
    fn broken(&self) -> std::io::Result<String> {
        let mut psql = self.cluster.command("psql").into_std();
        let mut psql = psql
            .env("PGOPTIONS", "-c statement_timeout=60s -c lock_timeout=10s")
            .args([
                "--no-psqlrc",
                "--quiet",
                "-At",
                "--set=ON_ERROR_STOP=1",
                "--dbname",
                self.name,
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut stdin) = psql.stdin.take() {
            stdin.write_all(LOOK.as_bytes()).ok();
        }
        let said = psql.wait_with_output()?;
        if said.status.code() == Some(NOT_THERE) {
            return Ok(String::new());
        }
        Ok(format!(
            "{}{}",
            String::from_utf8_lossy(&said.stdout),
            if said.status.success() {
                "".into()
            } else {
                String::from_utf8_lossy(&said.stderr)
            }
        ))
    }
}

impl Drop for Upheld<'_> {
    fn drop(&mut self) {
        if self.excused.load(Ordering::Relaxed) || std::thread::panicking() {
            return;
        }
        let broken = self.broken().unwrap_or_else(|error| error.to_string());
        assert!(
            broken.trim().is_empty(),
            "what always holds does not, in database {}:\n{broken}",
            self.name
        );
    }
}
