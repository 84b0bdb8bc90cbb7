//! Owns what can go wrong between the sidecar and PostgreSQL, sorted once into what to do about it.

use std::{error::Error, time::Duration};

use tokio_postgres::error::{DbError, Severity, SqlState};

/// What to do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Open another connection, then say the same again.
    Reconnect,
    /// Say the same again later: the server or its set-up is at fault, not what was said.
    Wait,
    /// Say something else: the server refuses these very values.
    GiveUp,
}

/// A protocol call that failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// There is no connection, or there is none any more.
    #[error("no connection to PostgreSQL: {0}")]
    Lost(String),
    /// The connection is there, but silent.
    #[error("PostgreSQL gave no answer within {} s", .0.as_secs())]
    Silent(Duration),
    /// PostgreSQL answered with an error.
    #[error("PostgreSQL says {message} (SQLSTATE {sqlstate})")]
    Refused {
        /// PostgreSQL's code.
        sqlstate: String,
        /// PostgreSQL's message. Its detail is left out: it may quote rows.
        message: String,
        /// What to do about it.
        remedy: Remedy,
    },
    /// An answer that isn't what the protocol says.
    #[error("the answer can't be read, so extension and sidecar don't fit: {0}")]
    Unreadable(String),
}

impl Failure {
    /// What to do about it.
    pub(crate) fn remedy(&self) -> Remedy {
        match self {
            Self::Lost(_) | Self::Silent(_) => Remedy::Reconnect,
            Self::Refused { remedy, .. } => *remedy,
            Self::Unreadable(_) => Remedy::Wait,
        }
    }

    /// Whether a person or a time limit has ended this one statement.
    pub(crate) fn is_cancellation(&self) -> bool {
        matches!(self, Self::Refused { sqlstate, .. } if sqlstate == SqlState::QUERY_CANCELED.code())
    }

    /// What a person can do about it.
    pub(crate) fn hint(&self) -> &'static str {
        let Self::Refused { sqlstate, .. } = self else {
            return "";
        };
        match sqlstate.as_str() {
            "3F000" | "42883" | "42P01" => {
                "pg_reconcile is missing in this database or older than this sidecar: install it with CREATE EXTENSION pg_reconcile, or bring it up to date with ALTER EXTENSION"
            }
            "42501" => {
                "this login lacks the rights of the sidecar's role: apply sql/migrations/001_roles.sql, and GRANT reconcile_sidecar TO it"
            }
            "28000" | "28P01" => "check the user, the password and pg_hba.conf",
            "3D000" => "check the database's name in DATABASE_URL",
            "25006" => "this server is a standby: DATABASE_URL has to lead to the primary",
            _ => "",
        }
    }

    /// Logs the failure of `what`.
    pub(crate) fn log(&self, what: &'static str) {
        tracing::warn!(what, error = %self, hint = self.hint(), "a call to the database failed");
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        if let Some(refusal) = error.as_db_error() {
            return refusal.into();
        }
        let text = chain(&error);
        // Values that can't be converted are the only errors that leave the connection usable.
        let about_a_value =
            text.contains("serializing column") || text.contains("serializing parameter");
        if error.is_closed() || !about_a_value {
            Self::Lost(text)
        } else {
            Self::Unreadable(text)
        }
    }
}

impl From<&DbError> for Failure {
    fn from(error: &DbError) -> Self {
        Self::Refused {
            sqlstate: error.code().code().to_owned(),
            message: error.message().to_owned(),
            remedy: remedy(error.code(), error.parsed_severity()),
        }
    }
}

fn remedy(code: &SqlState, severity: Option<Severity>) -> Remedy {
    let fatal = matches!(severity, Some(Severity::Fatal | Severity::Panic));
    // A server that became a standby: another address of DATABASE_URL may lead to the primary.
    if fatal || *code == SqlState::READ_ONLY_SQL_TRANSACTION {
        return Remedy::Reconnect;
    }
    match code.code().get(..2) {
        // Connection, operator intervention except for one cancelled statement.
        Some("08") => Remedy::Reconnect,
        Some("57") if *code != SqlState::QUERY_CANCELED => Remedy::Reconnect,
        // Deadlocks and serialization, resources, a missing schema or function, missing rights,
        // locks that were not to be had, broken installations.
        Some("40" | "53" | "3F" | "42" | "55" | "58" | "F0" | "28") => Remedy::Wait,
        _ => Remedy::GiveUp,
    }
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_remedy() {
        let error = Some(Severity::Error);
        for (code, expected) in [
            (SqlState::ADMIN_SHUTDOWN, Remedy::Reconnect),
            (SqlState::CONNECTION_FAILURE, Remedy::Reconnect),
            (SqlState::READ_ONLY_SQL_TRANSACTION, Remedy::Reconnect),
            (SqlState::T_R_DEADLOCK_DETECTED, Remedy::Wait),
            (SqlState::UNDEFINED_FUNCTION, Remedy::Wait),
            (SqlState::INVALID_SCHEMA_NAME, Remedy::Wait),
            (SqlState::INSUFFICIENT_PRIVILEGE, Remedy::Wait),
            (SqlState::DISK_FULL, Remedy::Wait),
            (SqlState::LOCK_NOT_AVAILABLE, Remedy::Wait),
            (SqlState::QUERY_CANCELED, Remedy::GiveUp),
            (SqlState::CHECK_VIOLATION, Remedy::GiveUp),
            (SqlState::UNTRANSLATABLE_CHARACTER, Remedy::GiveUp),
            (SqlState::RAISE_EXCEPTION, Remedy::GiveUp),
        ] {
            assert_eq!(remedy(&code, error), expected, "{}", code.code());
        }
        assert_eq!(
            remedy(&SqlState::INTERNAL_ERROR, Some(Severity::Fatal)),
            Remedy::Reconnect
        );
    }
}
