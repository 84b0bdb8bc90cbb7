//! Owns one session with PostgreSQL: opening it, a time limit on every call, and closing it. Coming
//! back after a loss is the connection's work.

use std::{
    future::poll_fn,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use metrics::counter;
use tokio::time::timeout;
use tokio_postgres::{
    AsyncMessage, CancelToken, Client, Row,
    types::{ToSql, Type},
};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    database::{
        channels::Channels,
        failure::Failure,
        tls::{TlsError, client_config},
        url::{Target, TlsMode},
    },
    telemetry::log_limit::LogLimits,
};

/// A call that takes longer has lost its server, or waits behind a lock that a person has to see.
pub(crate) const CALL_LIMIT: Duration = Duration::from_secs(30);

/// For asking the server to cancel a call that took too long, and for closing.
const CANCEL_LIMIT: Duration = Duration::from_secs(2);

/// Where PostgreSQL is and how to get there.
pub(crate) struct Database {
    target: Target,
    tls: MakeRustlsConnect,
    /// Shared by all connections: a wrong password is one failure, however many want to connect.
    failures: Mutex<LogLimits>,
}

/// The parameters of a statement, each with its type: no statement is prepared by name, so that
/// poolers in transaction mode can carry it.
pub(crate) type Parameters<'a> = &'a [(&'a (dyn ToSql + Sync), Type)];

impl Database {
    /// Fails if the extra authorities can't be used.
    pub(crate) fn new(target: Target, extra_authorities: Option<&[u8]>) -> Result<Self, TlsError> {
        let tls_mode = target.tls_mode;
        let config = client_config(tls_mode, extra_authorities)?;
        if matches!(tls_mode, TlsMode::Prefer | TlsMode::Require) {
            tracing::debug!(
                "the certificate of PostgreSQL is not verified; sslmode=verify-full does that"
            );
        }
        Ok(Self {
            target,
            tls: MakeRustlsConnect::new(config),
            failures: Mutex::default(),
        })
    }

    /// Logs that `connection` could not be opened: at once what is new, the same once a minute.
    pub(crate) fn log_failure(&self, connection: &'static str, failure: &Failure) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(times) = failures.happened(&failure.to_string()) {
            tracing::warn!(connection, database = self.describe(), error = %failure,
                hint = failure.hint(), times,
                "can't connect to PostgreSQL, trying again; this failure is logged at most once a minute");
        }
    }

    /// Where this leads, for the log.
    pub(crate) fn describe(&self) -> String {
        self.target.describe()
    }

    /// Opens a session; every NOTIFY that it receives wakes those of `channels`.
    pub(crate) async fn open(&self, channels: Option<Channels>) -> Result<Session, Failure> {
        let connect = self.target.config.connect(self.tls.clone());
        let (client, mut connection) = timeout(CALL_LIMIT, connect)
            .await
            .map_err(|_| Failure::Silent(CALL_LIMIT))??;
        let driver = tokio::spawn(async move {
            while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
                match message {
                    Ok(AsyncMessage::Notification(call)) => {
                        let channel = call.channel().to_owned();
                        counter!("reconcile_notifications_total", "channel" => channel)
                            .increment(1);
                        if let Some(channels) = &channels {
                            channels.wake(call.channel());
                        }
                    }
                    Ok(AsyncMessage::Notice(notice)) => {
                        tracing::debug!(message = notice.message(), "notice from PostgreSQL");
                    }
                    Ok(_) => {}
                    Err(error) => {
                        let error = Failure::from(error);
                        tracing::debug!(%error, "a connection ended");
                        break;
                    }
                }
            }
        });
        let cancel = Cancel {
            token: client.cancel_token(),
            tls: self.tls.clone(),
        };
        Ok(Session {
            client,
            driver: AbortOnDropHandle::new(driver),
            cancel,
        })
    }
}

/// One session with PostgreSQL.
pub(crate) struct Session {
    client: Client,
    driver: AbortOnDropHandle<()>,
    cancel: Cancel,
}

impl Session {
    /// Runs one statement, which is stopped after `limit`.
    pub(crate) async fn query(
        &self,
        sql: &str,
        parameters: Parameters<'_>,
        limit: Duration,
    ) -> Result<Vec<Row>, Failure> {
        match timeout(limit, self.client.query_typed(sql, parameters)).await {
            Ok(result) => Ok(result?),
            Err(_) => {
                self.cancel_statement();
                Err(Failure::Silent(limit))
            }
        }
    }

    /// Waits until the connection ends. To be waited for again only as long as it did not.
    pub(crate) async fn closed(&mut self) {
        // A driver that panicked has ended as well.
        drop((&mut self.driver).await);
    }

    /// Asks the server to cancel what the session waits for, if it does.
    pub(crate) fn cancel_statement(&self) {
        self.cancel.clone().send();
    }

    /// Closes it, so that the server doesn't log a client that vanished.
    pub(crate) async fn close(self) {
        drop(self.client);
        drop(timeout(CANCEL_LIMIT, self.driver).await);
    }
}

#[derive(Clone)]
struct Cancel {
    token: CancelToken,
    tls: MakeRustlsConnect,
}

impl Cancel {
    /// Asks the server to cancel what the session waits for. Without this, a server that waits behind
    /// a lock would collect one abandoned session for each attempt.
    fn send(self) {
        tokio::spawn(async move {
            let cancelled = timeout(CANCEL_LIMIT, self.token.cancel_query(self.tls)).await;
            tracing::debug!(
                done = matches!(cancelled, Ok(Ok(()))),
                "cancelled a call that took too long"
            );
        });
    }
}
