//! Owns one token request: what is posted to a token endpoint, and what its answer means. What is
//! in the form and in the answer is the oauth2 crate's business (RFC 6749, client credentials); how
//! it gets there is the transport's, with its guard and its cap. Keeps nothing, tries nothing twice.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ::oauth2::{
    AccessToken, AsyncHttpClient, AuthType, Client, ClientId, ClientSecret, HttpRequest,
    HttpResponse, RefreshToken, RequestTokenError, Scope, StandardRevocableToken, TokenResponse,
    TokenUrl,
    basic::{
        BasicErrorResponse, BasicErrorResponseType, BasicRevocationErrorResponse,
        BasicTokenIntrospectionResponse, BasicTokenType,
    },
};
use base64::{Engine, prelude::BASE64_STANDARD};
use reqwest::{StatusCode, Url, header::HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use url::form_urlencoded::byte_serialize;

use crate::call::{
    fault::{CallError, Fault},
    mask::Mask,
    transport::Transport,
};

/// How long a token is taken to be good if its endpoint says nothing about it.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(300);

/// An endpoint that says less would be asked again for each order.
const SHORTEST_LIFETIME: Duration = Duration::from_secs(5);
const LONGEST_LIFETIME: Duration = Duration::from_secs(86_400);

/// Where the client's id and secret are put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Style {
    /// Into the form.
    Form,
    /// Into an `Authorization: Basic` header.
    Basic,
}

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

/// A token that was issued.
pub(super) struct IssuedToken {
    pub(super) token: SecretString,
    pub(super) lifetime: Duration,
}

/// A token endpoint's good answer. Its token type is not read: the provider's row says which word
/// goes before a token. Times are read leniently, since some endpoints put them into texts.
#[derive(Debug, Deserialize, Serialize)]
struct TokenAnswer {
    access_token: AccessToken,
    #[serde(skip, default = "token_type")]
    token_type: BasicTokenType,
    #[serde(default)]
    expires_in: Value,
    /// PhonePe's: Unix seconds, with `expires_in` null.
    #[serde(default)]
    expires_at: Value,
}

fn token_type() -> BasicTokenType {
    BasicTokenType::Bearer
}

impl TokenResponse for TokenAnswer {
    type TokenType = BasicTokenType;

    fn access_token(&self) -> &AccessToken {
        &self.access_token
    }

    fn token_type(&self) -> &BasicTokenType {
        &self.token_type
    }

    fn expires_in(&self) -> Option<Duration> {
        seconds(&self.expires_in)
    }

    fn refresh_token(&self) -> Option<&RefreshToken> {
        None
    }

    fn scopes(&self) -> Option<&Vec<Scope>> {
        None
    }
}

type TokenClient = Client<
    BasicErrorResponse,
    TokenAnswer,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
>;

type TokenError = RequestTokenError<CallError, BasicErrorResponse>;

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

/// Nothing that the endpoint said is repeated, but for the closed set of the standard's words: an
/// endpoint may say back what it was sent.
fn fault(status: u16, error: TokenError) -> CallError {
    let refused = |response: &BasicErrorResponse| {
        let detail = match response.error() {
            BasicErrorResponseType::Extension(_) => format!("refused with {status}"),
            word => format!("refused with {status} {}", word.as_ref()),
        };
        CallError::new(Fault::TokenRefused, detail)
    };
    // These say nothing about the credentials.
    let passing = [
        StatusCode::REQUEST_TIMEOUT.as_u16(),
        StatusCode::TOO_MANY_REQUESTS.as_u16(),
    ];
    match error {
        RequestTokenError::Request(error) if error.fault == Fault::TooLarge => {
            CallError::new(Fault::TokenUnreadable, error.detail)
        }
        RequestTokenError::Request(error) => error,
        _ if !(200..500).contains(&status)
            || (300..400).contains(&status)
            || passing.contains(&status) =>
        {
            CallError::new(Fault::TokenUnreadable, format!("answered {status}"))
        }
        RequestTokenError::ServerResponse(response) => refused(&response),
        RequestTokenError::Parse(_, body) => match serde_json::from_slice(&body) {
            Ok(response) => refused(&response),
            Err(_) => unreadable(status),
        },
        RequestTokenError::Other(_) => unreadable(status),
    }
}

fn unreadable(status: u16) -> CallError {
    if status >= 400 {
        return CallError::new(Fault::TokenRefused, format!("refused with {status}"));
    }
    CallError::new(
        Fault::TokenUnreadable,
        format!("answered {status} without a token"),
    )
}

impl TokenAnswer {
    fn issued(self, now: SystemTime) -> Result<IssuedToken, CallError> {
        let token = self.access_token.secret();
        let usable = !token.is_empty() && HeaderValue::from_str(token).is_ok();
        if !usable {
            let detail = "answered with a token that no header can carry";
            return Err(CallError::new(Fault::TokenUnreadable, detail));
        }
        Ok(IssuedToken {
            token: token.as_str().into(),
            lifetime: self.lifetime(now),
        })
    }

    fn lifetime(&self, now: SystemTime) -> Duration {
        let left = |expires_at| {
            let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
            Duration::saturating_sub(expires_at, now)
        };
        seconds(&self.expires_at)
            .map(left)
            .or_else(|| self.expires_in())
            .unwrap_or(DEFAULT_LIFETIME)
            .clamp(SHORTEST_LIFETIME, LONGEST_LIFETIME)
    }
}

fn seconds(value: &Value) -> Option<Duration> {
    let seconds = match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    seconds.map(Duration::from_secs)
}

#[cfg(test)]
mod tests;
