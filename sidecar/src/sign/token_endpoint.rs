//! Owns one token request: what is posted to a token endpoint. What is
//! in the form and in the answer is the oauth2 crate's business (RFC 6749, client credentials); how
//! it gets there is the transport's, with its guard and its cap. Keeps nothing, tries nothing twice.
//!
//! - [`answer`]: what comes back

mod answer;

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, SystemTime},
};

use ::oauth2::{
    AsyncHttpClient, AuthType, Client, ClientId, ClientSecret, HttpRequest, HttpResponse, Scope,
    StandardRevocableToken, TokenUrl,
    basic::{BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use reconcile_contract::auth::Style;
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use url::form_urlencoded::byte_serialize;

pub(super) use self::answer::IssuedToken;
use self::answer::{TokenAnswer, fault};
use crate::call::{
    fault::{CallError, Fault},
    mask::Mask,
    transport::Transport,
};

/// For whom a token is requested, and where.
pub(super) struct TokenRequest {
    pub(super) url: Url,
    pub(super) client_id: SecretString,
    pub(super) client_secret: SecretString,
    pub(super) style: Style,
    pub(super) scope: Option<String>,
    pub(super) form: BTreeMap<String, String>,
    /// For the whole token request.
    pub(super) timeout: Duration,
}

type TokenClient = Client<
    BasicErrorResponse,
    TokenAnswer,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
>;

impl TokenRequest {
    /// What tells one client's tokens from another's. A hash, so that no secret is kept in a
    /// key; over the secrets too, so that a rotated one gets a new token, and so that nobody gets a
    /// token without naming its secret.
    pub(super) fn key(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        let mut add = |part: &str| {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        };
        add(self.url.as_str());
        add(self.client_id.expose_secret());
        add(self.client_secret.expose_secret());
        add(match self.style {
            Style::Form => "form",
            Style::Basic => "basic",
        });
        add(self.scope.as_deref().unwrap_or_default());
        for (name, value) in &self.form {
            add(name);
            add(value);
        }
        hash.finalize().into()
    }

    /// Tells `mask` the credentials, as they are and as a pair.
    pub(super) fn mask_credentials(&self, mask: &mut Mask) {
        let (id, secret) = (
            self.client_id.expose_secret(),
            self.client_secret.expose_secret(),
        );
        mask.add(id);
        mask.add(secret);
        if self.style == Style::Basic {
            let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
            let pair = SecretString::from(format!("{}:{}", encode(id), encode(secret)));
            mask.add(&BASE64_STANDARD.encode(pair.expose_secret()));
        }
    }

    /// Fetches a token. Every detail says that this was about the token endpoint.
    pub(super) async fn fetch(&self, transport: &Transport) -> Result<IssuedToken, CallError> {
        let asking = tokio::time::timeout(self.timeout, self.ask(transport));
        let timed_out = |_| CallError::new(Fault::Timeout, "no token in time");
        asking.await.map_err(timed_out).flatten().map_err(|error| {
            CallError::new(error.fault, format!("the token endpoint: {}", error.detail))
        })
    }

    async fn ask(&self, transport: &Transport) -> Result<IssuedToken, CallError> {
        let client_secret = self.client_secret.expose_secret().to_owned();
        let client = TokenClient::new(ClientId::new(self.client_id.expose_secret().to_owned()))
            .set_client_secret(ClientSecret::new(client_secret))
            .set_token_uri(TokenUrl::from_url(self.url.clone()))
            .set_auth_type(match self.style {
                Style::Form => AuthType::RequestBody,
                Style::Basic => AuthType::BasicAuth,
            });
        let mut request = client.exchange_client_credentials();
        if let Some(scope) = &self.scope {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        for (name, value) in &self.form {
            request = request.add_extra_param(name, value);
        }
        let post = OAuthTransport {
            transport: transport.clone(),
            status: AtomicU16::new(0),
        };
        match request.request_async(&post).await {
            Ok(answer) => answer.issued(SystemTime::now()),
            Err(error) => Err(fault(post.status.into_inner(), error)),
        }
    }
}

/// The crate's way to our transport. Remembers the status, which the crate's errors leave out.
struct OAuthTransport {
    transport: Transport,
    status: AtomicU16,
}

impl<'a> AsyncHttpClient<'a> for OAuthTransport {
    type Error = CallError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, CallError>> + Send + 'a>>;

    fn call(&'a self, request: HttpRequest) -> Self::Future {
        Box::pin(self.post(request))
    }
}

impl OAuthTransport {
    async fn post(&self, request: HttpRequest) -> Result<HttpResponse, CallError> {
        let response = self.transport.send(request.try_into()?).await?;
        self.status
            .store(response.status().as_u16(), Ordering::Relaxed);
        let mut answer = HttpResponse::new(Vec::new());
        *answer.status_mut() = response.status();
        *answer.headers_mut() = response.headers().clone();
        *answer.body_mut() = self.transport.read(response).await?;
        Ok(answer)
    }
}

#[cfg(test)]
mod tests;
