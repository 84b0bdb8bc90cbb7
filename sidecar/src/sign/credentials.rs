//! Owns the ways to sign that send a secret as it is: bearer, basic, a header of the provider's
//! own, and a parameter of the query.

use base64::{Engine, prelude::BASE64_STANDARD};
use reqwest::{Request, Url, header::AUTHORIZATION};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;

use super::{header_name, header_value};
use crate::call::{
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

/// A parameter of the query.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Query {
    /// The parameter's name.
    parameter: String,
    /// Name of the secret.
    secret: String,
}

impl Query {
    pub(super) async fn sign(
        &self,
        request: &mut Request,
        secrets: &Secrets,
        mask: &mut Mask,
    ) -> Result<(), CallError> {
        let secret = secrets.get(&self.secret, request.url()).await?;
        mask.add(secret.expose_secret());
        let mut pairs = request.url_mut().query_pairs_mut();
        pairs.append_pair(&self.parameter, secret.expose_secret());
        Ok(())
    }
}

/// Secrets in headers that stand beside whatever else signs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SecretHeaders(Vec<Header>);

impl SecretHeaders {
    /// Takes them out of a provider's way to sign; none if it isn't an object of texts.
    pub(crate) fn taken_from(auth: &mut Value) -> Option<Self> {
        let Some(beside) = auth
            .as_object_mut()
            .and_then(|fields| fields.remove("secret_headers"))
        else {
            return Some(Self::default());
        };
        let headers = beside.as_object()?.iter().map(|(header, secret)| {
            Some(Header {
                header: header.clone(),
                secret: secret.as_str()?.to_owned(),
            })
        });
        headers.collect::<Option<Vec<_>>>().map(Self)
    }

    /// Puts them into a request.
    pub(crate) async fn sign(
        &self,
        request: &mut Request,
        secrets: &Secrets,
        mask: &mut Mask,
    ) -> Result<(), CallError> {
        for header in &self.0 {
            header.sign(request, secrets, mask).await?;
        }
        Ok(())
    }
}
