//! Owns the ways to sign that send a secret as it is: bearer, basic, and a header of the
//! provider's own.

use base64::{Engine, prelude::BASE64_STANDARD};
use reqwest::{Request, Url, header::AUTHORIZATION};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::{header_name, header_value};
use crate::{
    fault::CallError,
    mask::Mask,
    secrets::{SecretError, Secrets},
};

/// `Authorization: Bearer` and the secret.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Bearer {
    /// Name of the secret.
    secret: String,
}

impl Bearer {
    pub(super) async fn sign(
        &self,
        request: &mut Request,
        secrets: &Secrets,
        mask: &mut Mask,
    ) -> Result<(), CallError> {
        let token = secrets.get(&self.secret, request.url()).await?;
        mask.add(token.expose_secret());
        let value = SecretString::from(format!("Bearer {}", token.expose_secret()));
        let value = header_value(&value, &format!("the secret {}", self.secret))?;
        request.headers_mut().insert(AUTHORIZATION, value);
        Ok(())
    }
}

/// `Authorization: Basic` and both secrets; an absent one is empty.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Basic {
    /// Name of the secret that holds the user's name.
    username_secret: Option<String>,
    /// Name of the secret that holds the password.
    password_secret: Option<String>,
}

impl Basic {
    pub(super) async fn sign(
        &self,
        request: &mut Request,
        secrets: &Secrets,
        mask: &mut Mask,
    ) -> Result<(), CallError> {
        let username = optional(secrets, self.username_secret.as_deref(), request.url()).await?;
        let password = optional(secrets, self.password_secret.as_deref(), request.url()).await?;
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
}

async fn optional(
    secrets: &Secrets,
    name: Option<&str>,
    url: &Url,
) -> Result<SecretString, SecretError> {
    match name {
        Some(name) => secrets.get(name, url).await,
        None => Ok(SecretString::from("")),
    }
}

/// A header of the provider's own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Header {
    /// The header's name.
    header: String,
    /// Name of the secret.
    secret: String,
}

impl Header {
    pub(super) async fn sign(
        &self,
        request: &mut Request,
        secrets: &Secrets,
        mask: &mut Mask,
    ) -> Result<(), CallError> {
        let name = header_name(&self.header)?;
        let secret = secrets.get(&self.secret, request.url()).await?;
        mask.add(secret.expose_secret());
        let value = header_value(&secret, &format!("the secret {}", self.secret))?;
        request.headers_mut().insert(name, value);
        Ok(())
    }
}
