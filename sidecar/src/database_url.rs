//! Owns the reading of DATABASE_URL. The driver knows three values of sslmode; this takes it out and
//! reads all six that libpq knows. Never prints the text: it holds a password.

use std::{str::FromStr, time::Duration};

use tokio_postgres::{
    Config,
    config::{Host, SslMode},
};

/// How the way to PostgreSQL is protected. `prefer` and `require` encrypt and trust anybody, as
/// libpq does without a root certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protection {
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

/// A DATABASE_URL that can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DatabaseUrlError {
    /// An unknown sslmode.
    #[error(
        "DATABASE_URL: sslmode is disable, prefer, require, verify-ca or verify-full, not {0:?}"
    )]
    SslMode(String),
    /// Text that is neither a URL nor key=value pairs, or has an option that isn't supported.
    #[error("DATABASE_URL: {0}")]
    Syntax(String),
    /// Nobody to connect to.
    #[error(
        "DATABASE_URL: no host; for a Unix socket give its folder, as in host=/var/run/postgresql"
    )]
    NoHost,
}

/// What DATABASE_URL says, completed with what every connection of the sidecar has.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// The driver's configuration.
    pub(crate) config: Config,
    /// How the way is protected.
    pub(crate) protection: Protection,
}

impl Target {
    /// Reads a URL or key=value pairs.
    pub(crate) fn parse(text: &str, connect_timeout: Duration) -> Result<Self, DatabaseUrlError> {
        let is_url = text.starts_with("postgres://") || text.starts_with("postgresql://");
        let (rest, mode) = if is_url {
            split_url(text)
        } else {
            split_pairs(text)
        };
        let protection = mode.map_or(Ok(Protection::Prefer), |mode| mode.parse())?;
        let mut config = Config::from_str(&rest).map_err(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            DatabaseUrlError::Syntax(cause.unwrap_or_else(|| error.to_string()))
        })?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(DatabaseUrlError::NoHost);
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(connect_timeout);
        }
        if config.get_application_name().is_none() {
            config.application_name("reconcile-sidecar");
        }
        // A network that swallows packets is noticed within half a minute.
        config
            .keepalives_idle(Duration::from_secs(15))
            .keepalives_interval(Duration::from_secs(5))
            .keepalives_retries(3)
            .tcp_user_timeout(Duration::from_secs(30));
        let only_sockets = config.get_hosts().iter().all(is_socket);
        config.ssl_mode(match protection {
            // Nobody sits between the two ends of a Unix socket, and PostgreSQL has no TLS there.
            _ if only_sockets => SslMode::Disable,
            Protection::Disable => SslMode::Disable,
            Protection::Prefer => SslMode::Prefer,
            _ => SslMode::Require,
        });
        Ok(Self { config, protection })
    }

    /// Where this leads, for the log: hosts and database, no credentials.
    pub(crate) fn describe(&self) -> String {
        let hosts = self.config.get_hosts().iter().map(|host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        });
        let hosts: Vec<String> = hosts.collect();
        format!(
            "{}/{}",
            hosts.join(","),
            self.config.get_dbname().unwrap_or_default()
        )
    }
}

fn is_socket(host: &Host) -> bool {
    matches!(host, Host::Unix(_))
}

impl FromStr for Protection {
    type Err = DatabaseUrlError;

    fn from_str(text: &str) -> Result<Self, DatabaseUrlError> {
        match text {
            "disable" => Ok(Self::Disable),
            "allow" | "prefer" => Ok(Self::Prefer),
            "require" => Ok(Self::Require),
            "verify-ca" => Ok(Self::VerifyCa),
            "verify-full" => Ok(Self::VerifyFull),
            other => Err(DatabaseUrlError::SslMode(other.to_owned())),
        }
    }
}

/// The URL without sslmode, and sslmode.
fn split_url(url: &str) -> (String, Option<String>) {
    // A password may hold a question mark; the driver ends it at the first @.
    let past_password = url.find('@').unwrap_or(0);
    let Some(question_mark) = url[past_password..].find('?') else {
        return (url.to_owned(), None);
    };
    let (base, query) = url.split_at(past_password + question_mark);
    let mut mode = None;
    let mut others = Vec::new();
    for parameter in query[1..]
        .split('&')
        .filter(|parameter| !parameter.is_empty())
    {
        match parameter.strip_prefix("sslmode=") {
            Some(value) => mode = Some(value.to_owned()),
            None => others.push(parameter),
        }
    }
    let question_mark = if others.is_empty() { "" } else { "?" };
    (format!("{base}{question_mark}{}", others.join("&")), mode)
}

/// The key=value pairs without sslmode, and sslmode.
fn split_pairs(text: &str) -> (String, Option<String>) {
    let mut mode = None;
    let mut others = String::new();
    let mut rest = text.trim_start();
    while let Some((key, value)) = rest.split_once('=') {
        let value = value.trim_start();
        let (value, after) = value.split_at(value_length(value));
        if key.trim_end() == "sslmode" {
            mode = Some(value.trim_matches('\'').to_owned());
        } else {
            others.push_str(&format!("{}={value} ", key.trim_end()));
        }
        rest = after.trim_start();
    }
    others.push_str(rest);
    (others, mode)
}

/// Bytes of the value at the start of `text`: up to white space, or in quotes; a backslash escapes.
fn value_length(text: &str) -> usize {
    let quoted = text.starts_with('\'');
    let mut escaped = false;
    for (at, char) in text.char_indices().skip(usize::from(quoted)) {
        match char {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\'' if quoted => return at + 1,
            _ if char.is_whitespace() && !quoted => return at,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Target, DatabaseUrlError> {
        Target::parse(text, Duration::from_secs(5))
    }

    #[test]
    fn urls() {
        let target = parse("postgresql://me:p%40ss@db:5433/shop?sslmode=verify-full&target_session_attrs=read-write").unwrap();
        assert_eq!(target.protection, Protection::VerifyFull);
        assert_eq!(target.config.get_ssl_mode(), SslMode::Require);
        assert_eq!(target.config.get_password(), Some(&b"p@ss"[..]));
        assert_eq!(
            target.config.get_application_name(),
            Some("reconcile-sidecar")
        );
        assert_eq!(target.describe(), "db/shop");
        let plain = parse("postgres://db/shop").unwrap();
        assert_eq!(
            (plain.protection, plain.config.get_ssl_mode()),
            (Protection::Prefer, SslMode::Prefer)
        );
        let odd = parse("postgresql://me:what?sslmode=x@db/shop?sslmode=disable").unwrap();
        assert_eq!(odd.config.get_ssl_mode(), SslMode::Disable);
        assert_eq!(odd.config.get_password(), Some(&b"what?sslmode=x"[..]));
    }

    #[test]
    fn sockets() {
        for text in [
            "postgresql:///shop?host=/var/run/postgresql&user=me",
            "postgresql://me@%2Fvar%2Frun%2Fpostgresql/shop?sslmode=require",
            "host=/var/run/postgresql dbname=shop user=me",
        ] {
            let target = parse(text).unwrap();
            assert_eq!(target.config.get_ssl_mode(), SslMode::Disable, "{text}");
            assert_eq!(target.describe(), "/var/run/postgresql/shop");
        }
    }

    #[test]
    fn pairs() {
        let target =
            parse(r"host=db  password = 'a \' sslmode=b'  sslmode = 'verify-ca' dbname=shop")
                .unwrap();
        assert_eq!(target.protection, Protection::VerifyCa);
        assert_eq!(target.config.get_password(), Some(&b"a ' sslmode=b"[..]));
        assert_eq!(target.config.get_dbname(), Some("shop"));
    }

    #[test]
    fn errors_name_the_fault_and_not_the_password() {
        for text in [
            "postgresql://me:hush@db/shop?sslmode=sometimes",
            "postgresql://me:hush@db/shop?colour=red",
            "postgresql://me:hush@db:port/shop",
            "dbname=shop password=hush",
            "hush",
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(
                error.starts_with("DATABASE_URL: ") && !error.contains("hush"),
                "{error}"
            );
        }
        let debug = format!("{:?}", parse("postgresql://me:hush@db/shop").unwrap());
        assert!(!debug.contains("hush"));
    }
}
