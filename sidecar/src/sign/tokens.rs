//! Owns the tokens that were bought: shared by all calls of this process, renewed before they
//! expire, bought by one call while the others wait, and not asked for again right after their
//! endpoint failed. Never logs or shows a token.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use moka::future::Cache;
use secrecy::{ExposeSecret, SecretString};
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    time::Instant,
};

use super::token_endpoint::{Application, Granted};
use crate::call::{
    fault::{CallError, Fault},
    transport::Transport,
};

const MAX_APPLICATIONS: u64 = 1024;

/// A token is renewed when this part of its life is left, but no earlier than [`EARLIEST`] before
/// its end. Calls go on with the old one in the meantime.
const LAST_PART: u32 = 5;
const EARLIEST: Duration = Duration::from_secs(300);

/// A provider that refuses a token just after another one was bought because of a refusal doesn't
/// mean the token.
const RENEW_EVERY: Duration = Duration::from_secs(10);

const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Tokens by application.
pub(crate) struct Tokens {
    transport: Transport,
    shelves: Cache<[u8; 32], Arc<Shelf>>,
}

/// A token for one call.
#[derive(Clone)]
pub(crate) struct Lent(Arc<Token>);

struct Token {
    text: SecretString,
    renew_at: Instant,
    expires_at: Instant,
}

/// One application's token, and who buys the next one.
#[derive(Default)]
struct Shelf {
    token: RwLock<Option<Arc<Token>>>,
    /// Held by whoever buys.
    counter: Arc<Mutex<Counter>>,
}

/// What there is to know before asking a token endpoint again.
#[derive(Default)]
struct Counter {
    failures: u32,
    failed: Option<(CallError, Instant)>,
    renewed_at: Option<Instant>,
}

impl Tokens {
    /// No tokens yet; they will be bought through `transport`.
    pub(crate) fn new(transport: Transport) -> Self {
        let shelves = Cache::builder().max_capacity(MAX_APPLICATIONS).build();
        Self { transport, shelves }
    }

    /// The application's token, bought if there is none.
    pub(super) async fn get(&self, application: Application) -> Result<Lent, CallError> {
        let shelf = self.shelf(&application).await;
        if let Some(token) = shelf.good() {
            if token.renew_at <= Instant::now() {
                shelf.renew_ahead(application, &self.transport);
            }
            return Ok(Lent(token));
        }
        let counter = Arc::clone(&shelf.counter).lock_owned().await;
        match shelf.good() {
            Some(token) => Ok(Lent(token)),
            None => shelf.buy(counter, application, &self.transport).await,
        }
    }

    /// Another token than the one that was refused, unless that would be the second one in a short
    /// time.
    pub(super) async fn renew(
        &self,
        application: Application,
        refused: &Lent,
    ) -> Result<Option<Lent>, CallError> {
        let shelf = self.shelf(&application).await;
        let mut counter = Arc::clone(&shelf.counter).lock_owned().await;
        if let Some(token) = shelf.good()
            && !Arc::ptr_eq(&token, &refused.0)
        {
            return Ok(Some(Lent(token)));
        }
        let now = Instant::now();
        if counter.renewed_at.is_some_and(|at| now < at + RENEW_EVERY) {
            return Ok(None);
        }
        counter.renewed_at = Some(now);
        let bought = shelf.buy(counter, application, &self.transport).await;
        bought.map(Some)
    }

    async fn shelf(&self, application: &Application) -> Arc<Shelf> {
        let empty = async { Arc::default() };
        self.shelves.get_with(application.key(), empty).await
    }
}

impl Shelf {
    fn good(&self) -> Option<Arc<Token>> {
        let token = self.token.read().unwrap_or_else(PoisonError::into_inner);
        token
            .as_ref()
            .filter(|token| Instant::now() < token.expires_at)
            .map(Arc::clone)
    }

    /// Buys in the background, unless somebody does already.
    fn renew_ahead(self: &Arc<Self>, application: Application, transport: &Transport) {
        let Ok(counter) = Arc::clone(&self.counter).try_lock_owned() else {
            return;
        };
        let now = Instant::now();
        let bought_meanwhile = self.good().is_some_and(|token| now < token.renew_at);
        if bought_meanwhile || counter.pausing(now).is_some() {
            return;
        }
        let (shelf, transport) = (Arc::clone(self), transport.clone());
        tokio::spawn(async move {
            if let Err(error) = shelf.trade(counter, application, transport).await {
                tracing::warn!(
                    fault = error.fault.as_str(),
                    detail = error.detail,
                    "a token could not be renewed ahead of its end, and will be asked for again"
                );
            }
        });
    }

    /// Buys for a call that waits. Its own task, so that a call that gives up doesn't take along
    /// the token that others wait for.
    async fn buy(
        self: Arc<Self>,
        counter: OwnedMutexGuard<Counter>,
        application: Application,
        transport: &Transport,
    ) -> Result<Lent, CallError> {
        if let Some(error) = counter.pausing(Instant::now()) {
            return Err(error.clone());
        }
        tokio::spawn(self.trade(counter, application, transport.clone()))
            .await
            .unwrap_or_else(|_| {
                let detail = "the token endpoint: the request was given up";
                Err(CallError::new(Fault::Broken, detail))
            })
    }

    async fn trade(
        self: Arc<Self>,
        mut counter: OwnedMutexGuard<Counter>,
        application: Application,
        transport: Transport,
    ) -> Result<Lent, CallError> {
        let bought = application.buy(&transport).await;
        let now = Instant::now();
        match bought {
            Ok(granted) => {
                counter.failures = 0;
                counter.failed = None;
                let token = Arc::new(Token::new(granted, now));
                *self.token.write().unwrap_or_else(PoisonError::into_inner) =
                    Some(Arc::clone(&token));
                Ok(Lent(token))
            }
            Err(error) => {
                // What this machine lacks says nothing about the endpoint.
                if error.fault != Fault::Exhausted {
                    counter.note_failure(&error, now);
                }
                Err(error)
            }
        }
    }
}

impl Counter {
    /// The last failure, while it is too early to try again.
    fn pausing(&self, now: Instant) -> Option<&CallError> {
        let (error, until) = self.failed.as_ref()?;
        (now < *until).then_some(error)
    }

    fn note_failure(&mut self, error: &CallError, now: Instant) {
        let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(self.failures));
        self.failures = self.failures.saturating_add(1);
        self.failed = Some((error.clone(), now + pause.min(LONGEST_PAUSE)));
    }
}

impl Token {
    fn new(granted: Granted, now: Instant) -> Self {
        let ahead = (granted.lifetime / LAST_PART).min(EARLIEST);
        Self {
            text: granted.token,
            renew_at: now + (granted.lifetime - ahead),
            expires_at: now + granted.lifetime,
        }
    }
}

impl ExposeSecret<str> for Lent {
    fn expose_secret(&self) -> &str {
        self.0.text.expose_secret()
    }
}

#[cfg(test)]
mod tests;
