//! Owns signing with a token that client credentials bought: which credentials, and how the token
//! is shown. Where a token comes from and how long it is good is not decided here.

use std::{collections::BTreeMap, time::Duration};

use reqwest::{Request, Url, header::AUTHORIZATION};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::{
    Lent, Means, header_value,
    token_endpoint::{Application, Style},
};
use crate::call::{fault::CallError, mask::Mask, secrets::Secrets};

/// A token that client credentials bought.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OAuth2 {
    /// Where tokens are bought.
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
        means: &Means,
        timeout: Duration,
        mask: &mut Mask,
    ) -> Result<Lent, CallError> {
        let application = self
            .application(request.url(), &means.secrets, timeout)
            .await?;
        application.hide(mask);
        let lent = means.tokens.get(application).await?;
        mask.add(lent.expose_secret());
        self.show(request, &lent)?;
        Ok(lent)
    }

    pub(super) async fn renew(
        &self,
        request: &mut Request,
        refused: Lent,
        means: &Means,
        timeout: Duration,
        mask: &mut Mask,
    ) -> Result<bool, CallError> {
        let application = self
            .application(request.url(), &means.secrets, timeout)
            .await?;
        let Some(lent) = means.tokens.renew(application, &refused).await? else {
            return Ok(false);
        };
        mask.add(lent.expose_secret());
        self.show(request, &lent)?;
        Ok(true)
    }

    /// The credentials have to be allowed to go to the token endpoint, and what they buy to the
    /// host that is asked.
    async fn application(
        &self,
        asked: &Url,
        secrets: &Secrets,
        timeout: Duration,
    ) -> Result<Application, CallError> {
        for name in [&self.client_id_secret, &self.client_secret] {
            secrets.get(name, asked).await?;
        }
        Ok(Application {
            url: self.token_url.clone(),
            client_id: secrets.get(&self.client_id_secret, &self.token_url).await?,
            client_secret: secrets.get(&self.client_secret, &self.token_url).await?,
            style: self.style,
            scope: self.scope.clone(),
            form: self.form.clone(),
            timeout,
        })
    }

    fn show(&self, request: &mut Request, lent: &Lent) -> Result<(), CallError> {
        let token = lent.expose_secret();
        let value = SecretString::from(format!("{} {token}", self.word));
        let value = header_value(&value, "the word before the token")?;
        request.headers_mut().insert(AUTHORIZATION, value);
        Ok(())
    }
}
