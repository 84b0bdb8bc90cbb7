//! Owns the reading of DATABASE_URL. The driver knows three values of sslmode; this takes it out and
//! reads all six that libpq knows. Never prints the text, or a part of it that may belong to a
//! password: where a character is missing or too many, that is any part. So its errors are made of
//! words that stand in this program.
//!
//! - [`split`]: what is taken out before the driver reads the rest

mod split;

use std::{error::Error, fmt, str::FromStr, time::Duration};

use tokio_postgres::{
    Config,
    config::{Host, SslMode},
};

/// How the way to PostgreSQL is protected. `prefer` and `require` encrypt and trust anybody, as
/// libpq does without a root certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TlsMode {
    /// No TLS.
    Disable,
    /// TLS if the server has it.
    Prefer,
    /// TLS, with whomever.
    Require,
    /// TLS, with a certificate from a trusted authority.
    VerifyCa,
    /// TLS, with a certificate from a trusted authority for this very host name.
    VerifyFull,
}

/// Options that may be named in an error: those of the driver, and those of libpq that it lacks.
const OPTIONS: [&str; 37] = [
    "application_name",
    "channel_binding",
    "client_encoding",
    "connect_timeout",
    "dbname",
    "fallback_application_name",
    "gssdelegation",
    "gssencmode",
    "gsslib",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "krbsrvname",
    "load_balance_hosts",
    "options",
    "passfile",
    "password",
    "port",
    "replication",
    "require_auth",
    "requirepeer",
    "service",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslcert",
    "sslcrl",
    "sslkey",
    "sslmode",
    "sslnegotiation",
    "sslrootcert",
    "target_session_attrs",
    "tcp_user_timeout",
    "user",
];

/// A DATABASE_URL that can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DatabaseUrlError {
    /// Nothing at all.
    #[error(
        "DATABASE_URL is empty: give a URL, as in postgresql://sidecar@db.internal/shop, or key=value pairs"
    )]
    Empty,
    /// An unknown sslmode.
    #[error("DATABASE_URL: sslmode is disable, prefer, require, verify-ca or verify-full")]
    SslMode,
    /// An @ where it can't be told what it ends.
    #[error(
        "DATABASE_URL: an @ stands before the host and nowhere else; inside a user's name, a password or an option it is written %40, and a / before it %2F"
    )]
    At,
    /// What may be the end of a password that isn't quoted.
    #[error(
        "DATABASE_URL: {0} is given twice; in a URL the & of a password is written %26, and in key=value pairs a password with blanks stands in quotes"
    )]
    Twice(&'static str),
    /// One of libpq's that the driver lacks.
    #[error("DATABASE_URL: the option {0} isn't supported")]
    Unsupported(&'static str),
    /// Nobody's. Its name isn't told: it may be a piece of a password.
    #[error(
        "DATABASE_URL: it has an option that nobody knows; if that is a piece of the password, write its & as %26 in a URL, or quote it in key=value pairs"
    )]
    Unknown,
    /// A number that is none, or a word that isn't among those that are known.
    #[error("DATABASE_URL: the value of {0} can't be used")]
    Value(&'static str),
    /// A host with a character that no host's name has.
    #[error(
        "DATABASE_URL: a host's name holds a character that can't be in one; in a URL the :, /, ?, # and @ of a password are written %3A, %2F, %3F, %23 and %40"
    )]
    Host,
    /// Text that is neither a URL nor key=value pairs.
    #[error("DATABASE_URL: it is neither a URL that begins with postgresql:// nor key=value pairs")]
    Syntax,
    /// Nobody to connect to.
    #[error(
        "DATABASE_URL: no host; for a Unix socket give its folder, as in host=/var/run/postgresql"
    )]
    NoHost,
}

/// What DATABASE_URL says, completed with what every connection of the sidecar has.
#[derive(Clone)]
pub(crate) struct Target {
    /// The driver's configuration.
    pub(crate) config: Config,
    /// How the way is protected.
    pub(crate) tls_mode: TlsMode,
}

impl Target {
    /// Reads a URL or key=value pairs.
    pub(crate) fn parse(text: &str, connect_timeout: Duration) -> Result<Self, DatabaseUrlError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(DatabaseUrlError::Empty);
        }
        let (rest, mode) = split::split(text)?;
        let tls_mode = mode.map_or(Ok(TlsMode::Prefer), |mode| mode.parse())?;
        let mut config = Config::from_str(&rest).map_err(|error| syntax(&error))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(DatabaseUrlError::NoHost);
        }
        if !config.get_hosts().iter().all(is_plausible) {
            return Err(DatabaseUrlError::Host);
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(connect_timeout);
        }
        let name = config.get_application_name().unwrap_or("reconcile-sidecar");
        let own = own_name(name);
        config.application_name(own);
        // A network that swallows packets is noticed within half a minute.
        config
            .keepalives_idle(Duration::from_secs(15))
            .keepalives_interval(Duration::from_secs(5))
            .keepalives_retries(3)
            .tcp_user_timeout(Duration::from_secs(30));
        let only_sockets = config.get_hosts().iter().all(is_socket);
        config.ssl_mode(match tls_mode {
            // Nobody sits between the two ends of a Unix socket, and PostgreSQL has no TLS there.
            _ if only_sockets => SslMode::Disable,
            TlsMode::Disable => SslMode::Disable,
            TlsMode::Prefer => SslMode::Prefer,
            _ => SslMode::Require,
        });
        Ok(Self { config, tls_mode })
    }

    /// Where this leads, for the log: hosts and database, no credentials.
    pub(crate) fn describe(&self) -> String {
        let hosts = self.config.get_hosts().iter().map(|host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        });
        let hosts: Vec<String> = hosts.collect();
        // libpq would take a URL as the name of a database, and others may hope for it here.
        let plain = |name: &&str| {
            name.chars()
                .all(|c| c.is_alphanumeric() || "_-. ".contains(c))
        };
        let database = self.config.get_dbname().unwrap_or_default();
        let database = Some(database).filter(plain).unwrap_or("(its database)");
        format!("{}/{database}", hosts.join(","))
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Target({})", self.describe())
    }
}

/// What is wrong, in words of our own: the driver's may repeat a piece of the text.
fn syntax(error: &tokio_postgres::Error) -> DatabaseUrlError {
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    let quoted = cause.split('`').nth(1).unwrap_or_default();
    let option = OPTIONS.into_iter().find(|option| *option == quoted);
    let unknown = cause.starts_with("unknown option");
    let value = cause.starts_with("invalid value for option");
    match option {
        Some(option) if unknown => DatabaseUrlError::Unsupported(option),
        None if unknown => DatabaseUrlError::Unknown,
        Some(option) if value => DatabaseUrlError::Value(option),
        _ => DatabaseUrlError::Syntax,
    }
}

/// Whether this can be where a server is, and isn't a piece of something else.
fn is_plausible(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => name
            .chars()
            .all(|c| c.is_alphanumeric() || "-._:%".contains(c)),
        Host::Unix(_) => true,
    }
}

fn is_socket(host: &Host) -> bool {
    matches!(host, Host::Unix(_))
}

impl FromStr for TlsMode {
    type Err = DatabaseUrlError;

    fn from_str(text: &str) -> Result<Self, DatabaseUrlError> {
        match text {
            "disable" => Ok(Self::Disable),
            "allow" | "prefer" => Ok(Self::Prefer),
            "require" => Ok(Self::Require),
            "verify-ca" => Ok(Self::VerifyCa),
            "verify-full" => Ok(Self::VerifyFull),
            _ => Err(DatabaseUrlError::SslMode),
        }
    }
}

/// A name that no other process has for its connections, by which the database knows that they are gone, and we with them. PostgreSQL
/// keeps 63 bytes of it.
fn own_name(name: &str) -> String {
    let shown: String = name.chars().filter(char::is_ascii).take(46).collect();
    format!("{shown} {:016x}", rand::random::<u64>())
}

#[cfg(test)]
mod tests;
