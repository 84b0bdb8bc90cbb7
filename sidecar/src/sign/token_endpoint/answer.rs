//! Owns what a token endpoint's answer means: a token with its lifetime, a refusal, or nonsense.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::oauth2::{
    AccessToken, RefreshToken, RequestTokenError, Scope, TokenResponse,
    basic::{BasicErrorResponse, BasicErrorResponseType, BasicTokenType},
};
use reqwest::{StatusCode, header::HeaderValue};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::call::fault::{CallError, Fault};

/// How long a token is taken to be good if its endpoint says nothing about it.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(300);

/// An endpoint that says less would be asked again for each order.
const SHORTEST_LIFETIME: Duration = Duration::from_secs(5);
const LONGEST_LIFETIME: Duration = Duration::from_secs(86_400);

/// A token that was issued.
pub(in crate::sign) struct IssuedToken {
    pub(in crate::sign) token: SecretString,
    pub(in crate::sign) lifetime: Duration,
}

/// A token endpoint's good answer. Its token type is not read: the provider's row says which word
/// goes before a token. Times are read leniently, since some endpoints put them into texts.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct TokenAnswer {
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

type TokenError = RequestTokenError<CallError, BasicErrorResponse>;

/// Nothing that the endpoint said is repeated, but for the closed set of the standard's words: an
/// endpoint may say back what it was sent.
pub(super) fn fault(status: u16, error: TokenError) -> CallError {
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
    /// The token, if it can be used.
    pub(super) fn issued(self, now: SystemTime) -> Result<IssuedToken, CallError> {
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
