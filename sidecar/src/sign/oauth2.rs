//! Owns signing with an OAuth 2 token, got by client credentials: which credentials, and how the token
//! is put into a request. Where a token comes from and how long it is good is not decided here.

use std::{collections::BTreeMap, time::Duration};

use reqwest::{Request, Url, header::AUTHORIZATION};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::{
    SharedToken, SigningContext, header_value,
    token_endpoint::{Style, TokenRequest},
};
use crate::call::{fault::CallError, mask::Mask, secrets::Secrets};

/// A token for client credentials.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OAuth2 {
    /// Where tokens are fetched.
    token_url: Url,
    /// Name of the secret that holds the client's id.
    client_id_secret: String,
    /// Name of the secret that holds the client's secret.
    client_secret: String,
    style: Style,
    /// Stands before the token in `Authorization`.
    #[serde(default = "bearer")]
    word: String,
    scope: Option<String>,
    /// More fields for the token endpoint.
    #[serde(default)]
    form: BTreeMap<String, String>,
}

fn bearer() -> String {
    "Bearer".to_owned()
}

impl OAuth2 {
    pub(super) async fn sign(
        &self,
        request: &mut Request,
        context: &SigningContext,
        timeout: Duration,
        mask: &mut Mask,
    ) -> Result<SharedToken, CallError> {
        let token_request = self
            .token_request(request.url(), &context.secrets, timeout)
            .await?;
        token_request.mask_credentials(mask);
        let token = context.tokens.get(token_request).await?;
        mask.add(token.expose_secret());
        self.authorize(request, &token)?;
        Ok(token)
    }

    pub(super) async fn renew(
        &self,
        request: &mut Request,
        refused: SharedToken,
        context: &SigningContext,
        timeout: Duration,
        mask: &mut Mask,
    ) -> Result<bool, CallError> {
        let token_request = self
            .token_request(request.url(), &context.secrets, timeout)
            .await?;
        let Some(token) = context.tokens.renew(token_request, &refused).await? else {
            return Ok(false);
        };
        mask.add(token.expose_secret());
        self.authorize(request, &token)?;
        Ok(true)
    }

    /// The credentials have to be allowed to go to the token endpoint, and the token to the
    /// host that is asked.
    async fn token_request(
        &self,
        asked: &Url,
        secrets: &Secrets,
        timeout: Duration,
    ) -> Result<TokenRequest, CallError> {
        for name in [&self.client_id_secret, &self.client_secret] {
            secrets.get(name, asked).await?;
        }
        Ok(TokenRequest {
            url: self.token_url.clone(),
            client_id: secrets.get(&self.client_id_secret, &self.token_url).await?,
            client_secret: secrets.get(&self.client_secret, &self.token_url).await?,
            style: self.style,
            scope: self.scope.clone(),
            form: self.form.clone(),
            timeout,
        })
    }

    fn authorize(&self, request: &mut Request, token: &SharedToken) -> Result<(), CallError> {
        let value = SecretString::from(format!("{} {}", self.word, token.expose_secret()));
        let value = header_value(&value, "the word before the token")?;
        request.headers_mut().insert(AUTHORIZATION, value);
        Ok(())
    }
}
