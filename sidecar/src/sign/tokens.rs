//! Owns the tokens of this process: shared by all calls, renewed before they expire, fetched by one
//! call while the others wait, and not asked for again right after their endpoint failed. Never logs
//! or shows a token.

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

use super::token_endpoint::{IssuedToken, TokenRequest};
use crate::call::{
    fault::{CallError, Fault},
    transport::Transport,
};

const MAX_ENTRIES: u64 = 1024;

/// A token is renewed when this part of its life is left, but no earlier than [`EARLIEST`] before
/// its end. Calls go on with the old one in the meantime.
const LAST_PART: u32 = 5;
const EARLIEST: Duration = Duration::from_secs(300);

/// A provider that refuses a token just after another one was fetched because of a refusal doesn't
/// mean the token.
const RENEW_EVERY: Duration = Duration::from_secs(10);

const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Tokens, by what is requested for them.
pub(crate) struct Tokens {
    transport: Transport,
    entries: Cache<[u8; 32], Arc<TokenEntry>>,
}

/// A token that a call is signed with.
#[derive(Clone)]
pub(crate) struct SharedToken(Arc<Token>);

struct Token {
    text: SecretString,
    renew_at: Instant,
    expires_at: Instant,
}

/// A token, and who fetches the next one.
#[derive(Default)]
struct TokenEntry {
    token: RwLock<Option<Arc<Token>>>,
    /// Held by whoever fetches.
    retry: Arc<Mutex<RetryState>>,
}

/// What there is to know before asking a token endpoint again.
#[derive(Default)]
struct RetryState {
    failures: u32,
    failed: Option<(CallError, Instant)>,
    renewed_at: Option<Instant>,
}

impl Tokens {
    /// No tokens yet; they will be fetched through `transport`.
    pub(crate) fn new(transport: Transport) -> Self {
        let entries = Cache::builder().max_capacity(MAX_ENTRIES).build();
        Self { transport, entries }
    }

    /// The token, fetched if there is none.
    pub(super) async fn get(&self, token_request: TokenRequest) -> Result<SharedToken, CallError> {
        let entry = self.entry(&token_request).await;
        if let Some(token) = entry.valid() {
            if token.renew_at <= Instant::now() {
                entry.renew_ahead(token_request, &self.transport);
            }
            return Ok(SharedToken(token));
        }
        let retry = Arc::clone(&entry.retry).lock_owned().await;
        match entry.valid() {
            Some(token) => Ok(SharedToken(token)),
            None => entry.fetch(retry, token_request, &self.transport).await,
        }
    }

    /// Another token than the one that was refused, unless that would be the second one in a short
    /// time.
    pub(super) async fn renew(
        &self,
        token_request: TokenRequest,
        refused: &SharedToken,
    ) -> Result<Option<SharedToken>, CallError> {
        let entry = self.entry(&token_request).await;
        let mut retry = Arc::clone(&entry.retry).lock_owned().await;
        if let Some(token) = entry.valid()
            && !Arc::ptr_eq(&token, &refused.0)
        {
            return Ok(Some(SharedToken(token)));
        }
        let now = Instant::now();
        if retry.renewed_at.is_some_and(|at| now < at + RENEW_EVERY) {
            return Ok(None);
        }
        retry.renewed_at = Some(now);
        let fetched = entry.fetch(retry, token_request, &self.transport).await;
        fetched.map(Some)
    }

    async fn entry(&self, token_request: &TokenRequest) -> Arc<TokenEntry> {
        let empty = async { Arc::default() };
        self.entries.get_with(token_request.key(), empty).await
    }
}

impl TokenEntry {
    fn valid(&self) -> Option<Arc<Token>> {
        let token = self.token.read().unwrap_or_else(PoisonError::into_inner);
        token
            .as_ref()
            .filter(|token| Instant::now() < token.expires_at)
            .map(Arc::clone)
    }

    /// Fetches in the background, unless somebody does already.
    fn renew_ahead(self: &Arc<Self>, token_request: TokenRequest, transport: &Transport) {
        let Ok(retry) = Arc::clone(&self.retry).try_lock_owned() else {
            return;
        };
        let now = Instant::now();
        let fetched_meanwhile = self.valid().is_some_and(|token| now < token.renew_at);
        if fetched_meanwhile || retry.backing_off(now).is_some() {
            return;
        }
        let (entry, transport) = (Arc::clone(self), transport.clone());
        tokio::spawn(async move {
            if let Err(error) = entry.request_token(retry, token_request, transport).await {
                tracing::warn!(
                    fault = error.fault.word(),
                    detail = error.detail,
                    "a token could not be renewed ahead of its end, and will be asked for again"
                );
            }
        });
    }

    /// Fetches for a call that waits. Its own task, so that a call that gives up doesn't take along
    /// the token that others wait for.
    async fn fetch(
        self: Arc<Self>,
        retry: OwnedMutexGuard<RetryState>,
        token_request: TokenRequest,
        transport: &Transport,
    ) -> Result<SharedToken, CallError> {
        if let Some(error) = retry.backing_off(Instant::now()) {
            return Err(error.clone());
        }
        tokio::spawn(self.request_token(retry, token_request, transport.clone()))
            .await
            .unwrap_or_else(|_| {
                let detail = "the token endpoint: the request was given up";
                Err(CallError::new(Fault::Broken, detail))
            })
    }

    async fn request_token(
        self: Arc<Self>,
        mut retry: OwnedMutexGuard<RetryState>,
        token_request: TokenRequest,
        transport: Transport,
    ) -> Result<SharedToken, CallError> {
        let fetched = token_request.fetch(&transport).await;
        let now = Instant::now();
        match fetched {
            Ok(issued) => {
                retry.failures = 0;
                retry.failed = None;
                let token = Arc::new(Token::new(issued, now));
                *self.token.write().unwrap_or_else(PoisonError::into_inner) =
                    Some(Arc::clone(&token));
                Ok(SharedToken(token))
            }
            Err(error) => {
                // What this machine lacks says nothing about the endpoint.
                if error.fault != Fault::Exhausted {
                    retry.note_failure(&error, now);
                }
                Err(error)
            }
        }
    }
}

impl RetryState {
    /// The last failure, while it is too early to try again.
    fn backing_off(&self, now: Instant) -> Option<&CallError> {
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
    fn new(issued: IssuedToken, now: Instant) -> Self {
        let ahead = (issued.lifetime / LAST_PART).min(EARLIEST);
        Self {
            text: issued.token,
            renew_at: now + (issued.lifetime - ahead),
            expires_at: now + issued.lifetime,
        }
    }
}

impl ExposeSecret<str> for SharedToken {
    fn expose_secret(&self) -> &str {
        self.0.text.expose_secret()
    }
}

#[cfg(test)]
mod tests;
