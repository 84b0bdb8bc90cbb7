//! Owns the ways to sign that send a secret as it is: bearer, basic, a header of the provider's
//! own, and a parameter of the query.

use base64::{Engine, prelude::BASE64_STANDARD};
use reconcile_contract::{
    auth::{Basic, Bearer, Header, Query},
    secret::SecretName,
};
use reqwest::{Request, Url, header::AUTHORIZATION};
use secrecy::{ExposeSecret, SecretString};

use super::{header_name, header_value};
use crate::call::{
    fault::CallError,
    mask::Mask,
    secrets::{SecretError, Secrets},
};

/// `Authorization: Bearer` and the secret.
pub(super) async fn bearer(
    bearer: &Bearer,
    request: &mut Request,
    secrets: &Secrets,
    mask: &mut Mask,
) -> Result<(), CallError> {
    let token = secrets.get(bearer.secret.as_str(), request.url()).await?;
    mask.add(token.expose_secret());
    let value = SecretString::from(format!("Bearer {}", token.expose_secret()));
    let value = header_value(&value, &format!("the secret {}", bearer.secret))?;
    request.headers_mut().insert(AUTHORIZATION, value);
    Ok(())
}

/// `Authorization: Basic` and both secrets; an absent one is empty.
pub(super) async fn basic(
    basic: &Basic,
    request: &mut Request,
    secrets: &Secrets,
    mask: &mut Mask,
) -> Result<(), CallError> {
    let username = optional(secrets, basic.username_secret.as_ref(), request.url()).await?;
    let password = optional(secrets, basic.password_secret.as_ref(), request.url()).await?;
    let pair = SecretString::from(format!(
        "{}:{}",
        username.expose_secret(),
        password.expose_secret()
    ));
    let encoded = BASE64_STANDARD.encode(pair.expose_secret());
    for secret in [username.expose_secret(), password.expose_secret(), &encoded] {
        mask.add(secret);
    }
    let value = header_value(&format!("Basic {encoded}").into(), "base64")?;
    request.headers_mut().insert(AUTHORIZATION, value);
    Ok(())
}

async fn optional(
    secrets: &Secrets,
    name: Option<&SecretName>,
    url: &Url,
) -> Result<SecretString, SecretError> {
    match name {
        Some(name) => secrets.get(name.as_str(), url).await,
        None => Ok(SecretString::from("")),
    }
}

/// A header of the provider's own.
pub(super) async fn header(
    header: &Header,
    request: &mut Request,
    secrets: &Secrets,
    mask: &mut Mask,
) -> Result<(), CallError> {
    let name = header_name(&header.header)?;
    let secret = secrets.get(header.secret.as_str(), request.url()).await?;
    mask.add(secret.expose_secret());
    let value = header_value(&secret, &format!("the secret {}", header.secret))?;
    request.headers_mut().insert(name, value);
    Ok(())
}

/// A parameter of the query.
pub(super) async fn query(
    query: &Query,
    request: &mut Request,
    secrets: &Secrets,
    mask: &mut Mask,
) -> Result<(), CallError> {
    let secret = secrets.get(query.secret.as_str(), request.url()).await?;
    mask.add(secret.expose_secret());
    let mut pairs = request.url_mut().query_pairs_mut();
    pairs.append_pair(query.parameter.as_str(), secret.expose_secret());
    Ok(())
}
