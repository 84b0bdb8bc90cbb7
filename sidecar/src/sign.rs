//! Owns signing by each of the ways that the contract has; each is a module of its own. Never logs or
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

use reconcile_contract::{
    auth::{Auth, Scheme},
    header as contract,
};
use reqwest::{
    Body, Request,
    header::{HeaderName, HeaderValue},
};
use secrecy::{ExposeSecret, SecretString};

pub(crate) use tokens::{SharedToken, Tokens};

use crate::call::{
    fault::{CallError, Fault},
    mask::Mask,
    secrets::{SecretError, Secrets},
};

/// What it takes to sign.
pub(crate) struct SigningContext {
    /// Where secrets are found.
    pub(crate) secrets: Secrets,
    /// Where tokens are fetched and kept.
    pub(crate) tokens: Tokens,
}

/// Puts the signature into a request that is complete otherwise, in place of a header of the
/// same name, and the secrets that stand in headers beside it. Gives the token, if it was signed with
/// one that could be renewed. `timeout` is for buying one. `mask` learns every secret that is used, and
/// what is made with it.
pub(crate) async fn sign(
    auth: &Auth,
    request: &mut Request,
    context: &SigningContext,
    timeout: Duration,
    mask: &mut Mask,
) -> Result<Option<SharedToken>, CallError> {
    let secrets = &context.secrets;
    for header in &auth.secret_headers {
        credentials::header(header, request, secrets, mask).await?;
    }
    match &auth.scheme {
        Scheme::None(_) => {}
        Scheme::Bearer(bearer) => credentials::bearer(bearer, request, secrets, mask).await?,
        Scheme::Basic(basic) => credentials::basic(basic, request, secrets, mask).await?,
        Scheme::Header(header) => credentials::header(header, request, secrets, mask).await?,
        Scheme::Query(query) => credentials::query(query, request, secrets, mask).await?,
        Scheme::XVerify(x_verify) => x_verify::sign(x_verify, request, secrets, mask).await?,
        Scheme::Hmac(hmac) => hmac::sign(hmac, request, secrets, mask).await?,
        Scheme::Paytm(paytm) => paytm::sign(paytm, request, secrets, mask).await?,
        Scheme::OAuth2(oauth2) => {
            let token = oauth2::sign(oauth2, request, context, timeout, mask).await?;
            return Ok(Some(token));
        }
    }
    Ok(None)
}

/// Signs a request once more, after the provider refused the token. False if there is no other
/// token to try.
pub(crate) async fn renew(
    auth: &Auth,
    request: &mut Request,
    refused: SharedToken,
    context: &SigningContext,
    timeout: Duration,
    mask: &mut Mask,
) -> Result<bool, CallError> {
    match &auth.scheme {
        Scheme::OAuth2(oauth2) => {
            oauth2::renew(oauth2, request, refused, context, timeout, mask).await
        }
        _ => Ok(false),
    }
}

/// What it was that took too long, when no request was ready in time.
pub(crate) const fn slow_part(auth: &Auth) -> &'static str {
    match auth.scheme {
        Scheme::OAuth2(_) => "the token endpoint: no token in time",
        _ => "no time to build the request",
    }
}

fn bad_request(detail: impl Into<String>) -> CallError {
    CallError::new(Fault::BadRequest, detail)
}

fn header_name(name: &contract::HeaderName) -> Result<HeaderName, CallError> {
    HeaderName::try_from(name.as_str())
        .map_err(|_| bad_request("auth names a header that can't exist"))
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
