//! Owns the ways to sign a request: which header, made of which secrets. Never logs or returns what
//! it made; the header is marked as sensitive.

use base64::{Engine, prelude::BASE64_STANDARD};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::{
    fault::{CallError, Fault},
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
    Bearer {
        /// Name of the secret.
        secret: String,
    },
    /// `Authorization: Basic` and both secrets; an absent one is empty.
    Basic {
        /// Name of the secret that holds the user's name.
        username_secret: Option<String>,
        /// Name of the secret that holds the password.
        password_secret: Option<String>,
    },
    /// A header of the provider's own.
    Header {
        /// The header's name.
        header: String,
        /// Name of the secret.
        secret: String,
    },
}

impl Auth {
    /// Puts the signature into `headers`, in place of a header of the same name.
    pub(crate) async fn sign(
        &self,
        headers: &mut HeaderMap,
        secrets: &Secrets,
    ) -> Result<(), CallError> {
        match self {
            Self::None => {}
            Self::Bearer { secret } => {
                let token = secrets.get(secret).await?;
                let value = SecretString::from(format!("Bearer {}", token.expose_secret()));
                headers.insert(AUTHORIZATION, header_value(&value, secret)?);
            }
            Self::Basic {
                username_secret,
                password_secret,
            } => {
                let username = optional(secrets, username_secret.as_deref()).await?;
                let password = optional(secrets, password_secret.as_deref()).await?;
                let pair = SecretString::from(format!(
                    "{}:{}",
                    username.expose_secret(),
                    password.expose_secret()
                ));
                let encoded = BASE64_STANDARD.encode(pair.expose_secret());
                let value = SecretString::from(format!("Basic {encoded}"));
                headers.insert(AUTHORIZATION, header_value(&value, "")?);
            }
            Self::Header { header, secret } => {
                let name = HeaderName::try_from(header.as_str()).map_err(|_| {
                    CallError::new(Fault::BadRequest, "auth names a header that can't exist")
                })?;
                headers.insert(name, header_value(&secrets.get(secret).await?, secret)?);
            }
        }
        Ok(())
    }
}

async fn optional(secrets: &Secrets, name: Option<&str>) -> Result<SecretString, SecretError> {
    match name {
        Some(name) => secrets.get(name).await,
        None => Ok(SecretString::from("")),
    }
}

fn header_value(value: &SecretString, name: &str) -> Result<HeaderValue, CallError> {
    let mut value = HeaderValue::try_from(value.expose_secret()).map_err(|_| {
        let detail = format!("the secret {name} holds characters that no header can carry");
        CallError::new(Fault::BadRequest, detail)
    })?;
    value.set_sensitive(true);
    Ok(value)
}

impl From<SecretError> for CallError {
    fn from(error: SecretError) -> Self {
        Self::new(Fault::SecretMissing, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::tests::secrets;

    const KNOWN: &[(&str, &str)] = &[("TOKEN", "hush-hush"), ("USER", "me"), ("TWO", "a\nb")];

    async fn sign(auth: serde_json::Value) -> Result<HeaderMap, CallError> {
        let auth: Auth = serde_json::from_value(auth).unwrap();
        let mut headers = HeaderMap::new();
        auth.sign(&mut headers, &secrets(KNOWN))
            .await
            .map(|()| headers)
    }

    #[tokio::test]
    async fn a_secret_is_in_no_debug_output() {
        let auth = serde_json::json!({"kind": "bearer", "secret": "TOKEN"});
        let headers = sign(auth).await.unwrap();
        assert_eq!(headers[AUTHORIZATION], "Bearer hush-hush");
        assert!(!format!("{headers:?}").contains("hush"));
        let secret = secrets(KNOWN).get("TOKEN").await.unwrap();
        assert!(!format!("{secret:?}").contains("hush"));
    }

    #[tokio::test]
    async fn what_can_not_be_signed() {
        let missing = sign(serde_json::json!({"kind": "bearer", "secret": "ABSENT"})).await;
        let missing = missing.unwrap_err();
        assert_eq!(missing.fault, Fault::SecretMissing);
        assert_eq!(missing.detail, "no secret named ABSENT");
        let newline = serde_json::json!({"kind": "header", "header": "X-Key", "secret": "TWO"});
        let newline = sign(newline).await.unwrap_err();
        assert_eq!(newline.fault, Fault::BadRequest);
        assert!(!newline.detail.contains('\n'));
        let name = serde_json::json!({"kind": "header", "header": "X Key", "secret": "TOKEN"});
        assert_eq!(sign(name).await.unwrap_err().fault, Fault::BadRequest);
    }

    #[test]
    fn an_unknown_kind_is_refused() {
        let auth = serde_json::json!({"kind": "hmac", "secret": "TOKEN"});
        assert!(serde_json::from_value::<Auth>(auth).is_err());
    }
}
