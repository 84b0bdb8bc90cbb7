//! What a cluster is started with. Owns the lines of its configuration and nothing that runs.

use std::fmt::Write as _;
use std::path::Path;

/// The settings of a cluster; the default suits tests that neither crash it nor need pg_cron.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    durable: bool,
    cron_database: Option<String>,
    after_extension: Option<String>,
    parameters: Vec<(String, String)>,
    stepping_clock: bool,
}

impl Settings {
    /// Writes that survive a crash of the machine (fsync on), for crash tests and honest numbers.
    #[must_use]
    pub fn durable(mut self) -> Self {
        self.durable = true;
        self
    }

    /// Preloads pg_cron, which keeps its tables in `database`. That database may be made later: the
    /// scheduler tries again until it is there.
    #[must_use]
    pub fn cron(mut self, database: &str) -> Self {
        self.cron_database = Some(database.to_owned());
        self
    }

    /// SQL to run after `create extension pg_reconcile` in the template of all databases.
    #[must_use]
    pub fn after_extension(mut self, sql: &str) -> Self {
        self.after_extension = Some(sql.to_owned());
        self
    }

    /// Any other server parameter; the last word on one wins, over the defaults too.
    #[must_use]
    pub fn parameter(mut self, name: &str, value: &str) -> Self {
        self.parameters.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A server whose wall clock a test can step, by [`super::Cluster::step_clock`]. No other clock is touched.
    #[must_use]
    pub fn stepping_clock(mut self) -> Self {
        self.stepping_clock = true;
        self
    }

    /// Whether its wall clock can be stepped.
    pub(crate) fn has_stepping_clock(&self) -> bool {
        self.stepping_clock
    }

    /// The SQL of [`Self::after_extension`].
    pub(crate) fn template_sql(&self) -> Option<&str> {
        self.after_extension.as_deref()
    }

    /// The text for `postgresql.conf`.
    pub(crate) fn configuration(&self, port: u16, sockets: &Path) -> String {
        let durability = if self.durable { "on" } else { "off" };
        let mut lines = vec![
            ("listen_addresses", "127.0.0.1".to_owned()),
            ("port", port.to_string()),
            ("unix_socket_directories", sockets.display().to_string()),
            ("max_connections", "200".to_owned()),
            ("max_worker_processes", "32".to_owned()),
            ("fsync", durability.to_owned()),
            ("full_page_writes", durability.to_owned()),
            ("synchronous_commit", durability.to_owned()),
            ("log_min_messages", "warning".to_owned()),
            ("log_line_prefix", "%m [%p] %a ".to_owned()),
            ("lc_messages", "C".to_owned()),
            ("timezone", "UTC".to_owned()),
            ("log_timezone", "UTC".to_owned()),
            // In the data folder, where it goes away with it after a SIGKILL.
            ("dynamic_shared_memory_type", "mmap".to_owned()),
        ];
        if let Some(database) = &self.cron_database {
            lines.push(("shared_preload_libraries", "pg_cron".to_owned()));
            lines.push(("cron.database_name", database.clone()));
            lines.push(("cron.use_background_workers", "on".to_owned()));
        }
        let own = self.parameters.iter().map(|(n, v)| (n.as_str(), v.clone()));
        let mut text = String::from("\n");
        for (name, value) in lines.into_iter().chain(own) {
            // Writing to a String can't fail.
            writeln!(text, "{name} = '{}'", value.replace('\'', "''")).ok();
        }
        text
    }
}
