//! Owns every setting of the sidecar: its flag, its environment variable, its limits and its help
//! text. Never holds a provider's secret: those are looked up by name when a call needs one.

use std::{convert::Infallible, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use clap::Parser;
use secrecy::SecretString;

use crate::call::guard::AllowList;

/// Asks payment providers about orders on behalf of the pg_reconcile extension.
///
/// Every flag can be given as an environment variable. A provider's secret NAME is read from the
/// file NAME in the secrets folder, or from the variable RECONCILE_SECRET_<NAME>.
#[derive(Debug, Parser)]
#[command(version, about)]
pub(crate) struct Settings {
    /// Where PostgreSQL is: a URL or key=value pairs. Its sslmode may be disable, prefer, require,
    /// verify-ca or verify-full. Give it by the environment: flags are visible to every local user
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_parser = secret)]
    pub(crate) database_url: SecretString,

    /// The most calls in flight at one time
    #[arg(long, env = "RECONCILE_SLOTS", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub(crate) slots: u32,

    /// The most events on their way to endpoints at one time; 0 leaves deliveries to other sidecars
    #[arg(long, env = "RECONCILE_DELIVERY_SLOTS", default_value_t = 32, value_parser = clap::value_parser!(u32).range(0..=5_000))]
    pub(crate) delivery_slots: u32,

    /// Hosts that may be asked over plain http and at private addresses: host or host:port,
    /// separated by commas. All others need https and a public address
    #[arg(long, env = "RECONCILE_ALLOW_HOSTS", default_value = "")]
    pub(crate) allow_hosts: AllowList,

    /// Folder with one file for each secret, named like the secret; read again at every use
    #[arg(long, env = "RECONCILE_SECRETS_DIR")]
    pub(crate) secrets_dir: Option<PathBuf>,

    /// Where /health and /metrics are served: address:port (port 0 takes a free one), or none
    #[arg(long, env = "RECONCILE_HTTP_ADDRESS", default_value = "127.0.0.1:9090")]
    pub(crate) http_address: HttpAddress,

    /// How this sidecar is called in reconcile.sidecars [default: host name and process id]
    #[arg(long, env = "RECONCILE_NAME")]
    pub(crate) name: Option<String>,

    /// Seconds that calls in flight get to finish after SIGTERM or SIGINT
    #[arg(long, env = "RECONCILE_STOP_TIMEOUT", default_value = "10", value_parser = seconds)]
    pub(crate) stop_timeout: Duration,

    /// PEM file with certificate authorities to trust besides the built-in ones, for providers and
    /// for PostgreSQL
    #[arg(long, env = "RECONCILE_CA_FILE")]
    pub(crate) ca_file: Option<PathBuf>,

    /// The longest answer that is read, in bytes after decompression
    #[arg(long, env = "RECONCILE_MAX_BODY_BYTES", default_value_t = 262_144, value_parser = clap::value_parser!(u32).range(1..=16_777_216))]
    pub(crate) max_body_bytes: u32,

    /// Seconds to wait for a connection, to a provider or to PostgreSQL
    #[arg(long, env = "RECONCILE_CONNECT_TIMEOUT", default_value = "5", value_parser = seconds)]
    pub(crate) connect_timeout: Duration,

    /// What is logged, such as info, debug, or reconcile_sidecar::orders::reporter=debug,warn
    #[arg(long, env = "LOG_LEVEL", default_value = "info")]
    pub(crate) log_level: String,
}

impl Settings {
    /// The name under which this process is known to the database.
    pub(crate) fn sidecar_name(&self) -> String {
        self.name.clone().unwrap_or_else(|| {
            let host = gethostname::gethostname();
            format!("{}-{}", host.to_string_lossy(), std::process::id())
        })
    }
}

/// Where the health endpoint listens, if it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HttpAddress {
    /// Nothing is served.
    Off,
    /// Served at this address; port 0 takes a free port.
    At(SocketAddr),
}

impl FromStr for HttpAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("none") {
            return Ok(Self::Off);
        }
        text.parse()
            .map(Self::At)
            .map_err(|_| "expected address:port, such as 127.0.0.1:9090, or none".to_owned())
    }
}

fn secret(text: &str) -> Result<SecretString, Infallible> {
    Ok(text.into())
}

/// Whole or broken seconds from a millisecond to an hour.
fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|time| (Duration::from_millis(1)..=Duration::from_secs(3600)).contains(time))
        .ok_or_else(|| "expected seconds, from 0.001 to 3600".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(flags: &[&str]) -> Result<Settings, clap::Error> {
        let first = [
            "reconcile-sidecar",
            "--database-url",
            "postgresql://u:hush@h/db",
        ];
        Settings::try_parse_from(first.iter().chain(flags))
    }

    #[test]
    fn every_flag_has_an_environment_variable_and_help() {
        let command = Settings::command();
        command.clone().debug_assert();
        for argument in command.get_arguments() {
            if ["help", "version"].contains(&argument.get_id().as_str()) {
                continue;
            }
            assert!(argument.get_env().is_some(), "{argument}");
            assert!(argument.get_help().is_some(), "{argument}");
        }
    }

    #[test]
    fn the_password_is_in_no_debug_output() {
        assert!(!format!("{:?}", parse(&[]).unwrap()).contains("hush"));
    }

    #[test]
    fn limits_are_enforced() {
        assert!(parse(&["--slots", "0"]).is_err());
        assert_eq!(parse(&["--delivery-slots", "0"]).unwrap().delivery_slots, 0);
        assert!(parse(&["--delivery-slots", "5001"]).is_err());
        assert!(parse(&["--stop-timeout", "-1"]).is_err());
        assert!(parse(&["--stop-timeout", "nan"]).is_err());
        assert!(parse(&["--http-address", "9090"]).is_err());
        assert_eq!(
            parse(&["--http-address", "none"]).unwrap().http_address,
            HttpAddress::Off
        );
    }
}
