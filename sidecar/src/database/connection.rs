//! Owns a session that comes back: it is opened when needed, and after a loss again, with pauses
//! that grow and differ from sidecar to sidecar. Never repeats a statement: whoever said it knows
//! whether it may be said twice.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use metrics::counter;
use tokio::time::{Instant, sleep_until};
use tokio_postgres::Row;

use crate::database::{
    channels::Channels,
    failure::{Failure, Remedy},
    session::{CALL_LIMIT, Database, Parameters, Session},
};

const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Jitter comes on top and may double it.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A session that lived so long was a good one, even if nothing was said. One that ends sooner may
/// be a pooler's, which accepts everybody and has no server behind it.
const PROVEN_AFTER: Duration = Duration::from_secs(1);

/// A session that comes back.
pub(crate) struct Connection {
    database: Arc<Database>,
    /// What it is for, in logs and numbers.
    name: &'static str,
    session: Option<Session>,
    connected: Arc<AtomicBool>,
    channels: Option<Channels>,
    was_open: bool,
    opened_at: Instant,
    pauses: Option<ExponentialBackoff>,
    not_before: Option<Instant>,
}

impl Connection {
    /// A connection that is not open yet.
    pub(crate) fn new(database: Arc<Database>, name: &'static str) -> Self {
        Self {
            database,
            name,
            session: None,
            connected: Arc::default(),
            channels: None,
            was_open: false,
            opened_at: Instant::now(),
            pauses: None,
            not_before: None,
        }
    }

    /// The same connection, whose notifications wake those of `channels`.
    pub(crate) fn waking(mut self, channels: Channels) -> Self {
        self.channels = Some(channels);
        self
    }

    /// Tells whether the connection is open.
    pub(crate) fn connected(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.connected)
    }

    /// Waits until the connection is open and a pause that was due is over. May be dropped at any time.
    pub(crate) async fn ready(&mut self) {
        loop {
            if let Some(moment) = self.not_before {
                sleep_until(moment).await;
                self.not_before = None;
            }
            if self.session.is_some() {
                return;
            }
            match self.database.open(self.channels.clone()).await {
                Ok(session) => self.opened(session),
                Err(failure) => {
                    self.database.log_failure(self.name, &failure);
                    self.pause();
                }
            }
        }
    }

    /// Runs one statement on an open connection.
    pub(crate) async fn query(
        &mut self,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, Failure> {
        self.query_within(CALL_LIMIT, sql, parameters).await
    }

    /// As [`Connection::query`], for a statement that is given up after `limit`.
    pub(crate) async fn query_within(
        &mut self,
        limit: Duration,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, Failure> {
        let Some(session) = &self.session else {
            return Err(Failure::Lost("it was lost before".to_owned()));
        };
        let result = session.query(sql, parameters, limit).await;
        match &result {
            Ok(_) => self.pauses = None,
            Err(failure) => match failure.remedy() {
                Remedy::Reconnect => self.lost(),
                Remedy::Wait => self.pause(),
                Remedy::GiveUp => {}
            },
        }
        result
    }

    /// Waits until the connection ends; for ever on a connection that is not open.
    pub(crate) async fn closed(&mut self) {
        match &mut self.session {
            Some(session) => session.closed().await,
            None => std::future::pending().await,
        }
        self.lost();
    }

    /// Keeps the connection open while nothing is said: waits for its loss, or for its return. May be
    /// dropped at any time.
    pub(crate) async fn keep_open(&mut self) {
        match self.session {
            Some(_) => self.closed().await,
            None => self.ready().await,
        }
    }

    /// Makes [`Connection::ready`] wait, longer each time until a statement succeeds.
    pub(crate) fn pause(&mut self) {
        let pauses = self.pauses.get_or_insert_with(|| {
            ExponentialBuilder::new()
                .with_min_delay(FIRST_PAUSE)
                .with_max_delay(LONGEST_PAUSE)
                .without_max_times()
                .with_jitter()
                .build()
        });
        self.not_before = Some(Instant::now() + pauses.next().unwrap_or(LONGEST_PAUSE));
    }

    /// Closes it, so that the server doesn't log a client that vanished.
    pub(crate) async fn close(mut self) {
        self.connected.store(false, Ordering::Relaxed);
        if let Some(session) = self.session.take() {
            session.close().await;
        }
    }

    /// Closes it without waiting for the statement under way: the server is asked to cancel it.
    pub(crate) async fn cancel_and_close(self) {
        if let Some(session) = &self.session {
            session.cancel_statement();
        }
        self.close().await;
    }

    fn opened(&mut self, session: Session) {
        self.session = Some(session);
        self.connected.store(true, Ordering::Relaxed);
        if self.was_open {
            counter!("reconcile_database_reconnects_total", "connection" => self.name).increment(1);
        }
        tracing::info!(
            connection = self.name,
            database = self.database.describe(),
            again = self.was_open,
            "connected to PostgreSQL"
        );
        self.was_open = true;
        self.opened_at = Instant::now();
    }

    fn lost(&mut self) {
        if self.session.take().is_some() && self.opened_at.elapsed() > PROVEN_AFTER {
            self.pauses = None;
        }
        self.connected.store(false, Ordering::Relaxed);
        self.pause();
    }
}

#[cfg(test)]
mod tests;
