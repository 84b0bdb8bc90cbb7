//! Owns the choice among the ways to sign a request; each is a module of its own. Never logs or
//! returns what it made; signed headers are marked as sensitive. Uses call and telemetry; knows neither
//! the database nor what is signed.
//!
//! - [`credentials`]: a secret, as it is, in a header or in the query
//! - [`x_verify`]: PhonePe v1's hash of path and salt
//! - [`hmac`]: a keyed hash of what the provider wants hashed
//! - [`paytm`]: Paytm's checksum inside the body
//! - [`oauth2`]: a token for client credentials; [`token_endpoint`]: where;
//!   [`tokens`]: kept until it expires

mod credentials;
mod hmac;
mod oauth2;
mod paytm;
mod token_endpoint;
mod tokens;
mod x_verify;

use std::time::Duration;

use reqwest::{
    Body, Request,
    header::{HeaderName, HeaderValue},
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

pub(crate) use credentials::SecretHeaders;
pub(crate) use tokens::{SharedToken, Tokens};

use crate::call::{
    fault::{CallError, Fault},
    mask::Mask,
    secrets::{SecretError, Secrets},
};

/// How a provider wants to be convinced, as its row says. Holds names of secrets, never secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Auth {
    /// Not at all.
    #[default]
    None,
    /// `Authorization: Bearer` and the secret.
    Bearer(credentials::Bearer),
    /// `Authorization: Basic` and both secrets.
    Basic(credentials::Basic),
    /// A header of the provider's own.
    Header(credentials::Header),
    /// A parameter of the query.
    Query(credentials::Query),
    /// `X-VERIFY`, as PhonePe v1 wants it.
    XVerify(x_verify::XVerify),
    /// An OAuth 2 token for client credentials.
    Oauth2(oauth2::OAuth2),
    /// A header with an HMAC of a templated text.
    Hmac(hmac::Hmac),
    /// A signature in the head of a JSON body.
    Paytm(paytm::Paytm),
}

/// What it takes to sign.
pub(crate) struct SigningContext {
    /// Where secrets are found.
    pub(crate) secrets: Secrets,
    /// Where tokens are fetched and kept.
    pub(crate) tokens: Tokens,
}

impl Auth {
    /// Puts the signature into a request that is complete otherwise, in place of a header of the
    /// same name. Gives the token, if it was signed with one that could be renewed. `timeout` is
    /// for buying one. `mask` learns every secret that is used, and what is made with it.
    pub(crate) async fn sign(
        &self,
        request: &mut Request,
        context: &SigningContext,
        timeout: Duration,
        mask: &mut Mask,
    ) -> Result<Option<SharedToken>, CallError> {
        let secrets = &context.secrets;
        match self {
            Self::None => {}
            Self::Bearer(bearer) => bearer.sign(request, secrets, mask).await?,
            Self::Basic(basic) => basic.sign(request, secrets, mask).await?,
            Self::Header(header) => header.sign(request, secrets, mask).await?,
            Self::Query(query) => query.sign(request, secrets, mask).await?,
            Self::XVerify(x_verify) => x_verify.sign(request, secrets, mask).await?,
            Self::Hmac(hmac) => hmac.sign(request, secrets, mask).await?,
            Self::Paytm(paytm) => paytm.sign(request, secrets, mask).await?,
            Self::Oauth2(oauth2) => {
                let token = oauth2.sign(request, context, timeout, mask).await?;
                return Ok(Some(token));
            }
        }
        Ok(None)
    }

    /// Signs a request once more, after the provider refused the token. False if there is no other
    /// token to try.
    pub(crate) async fn renew(
        &self,
        request: &mut Request,
        refused: SharedToken,
        context: &SigningContext,
        timeout: Duration,
        mask: &mut Mask,
    ) -> Result<bool, CallError> {
        match self {
            Self::Oauth2(oauth2) => oauth2.renew(request, refused, context, timeout, mask).await,
            _ => Ok(false),
        }
    }

    /// What it was that took too long, when no request was ready in time.
    pub(crate) const fn slow_part(&self) -> &'static str {
        match self {
            Self::Oauth2(_) => "the token endpoint: no token in time",
            _ => "no time to build the request",
        }
    }
}

fn bad_request(detail: impl Into<String>) -> CallError {
    CallError::new(Fault::BadRequest, detail)
}

fn header_name(name: &str) -> Result<HeaderName, CallError> {
    HeaderName::try_from(name).map_err(|_| bad_request("auth names a header that can't exist"))
}

/// `what` says where a value comes from that can't be sent.
fn header_value(value: &SecretString, what: &str) -> Result<HeaderValue, CallError> {
    let mut value = HeaderValue::try_from(value.expose_secret())
        .map_err(|_| bad_request(format!("{what} holds characters that no header can carry")))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The body as it will be sent; none is empty.
fn body_of(request: &Request) -> &[u8] {
    request.body().and_then(Body::as_bytes).unwrap_or_default()
}

impl From<SecretError> for CallError {
    fn from(error: SecretError) -> Self {
        let fault = match error {
            SecretError::Exhausted(_) => Fault::Exhausted,
            _ => Fault::SecretMissing,
        };
        Self::new(fault, error.to_string())
    }
}

#[cfg(test)]
mod tests;
