//! Owns signing with an OAuth 2 token, got by client credentials: which credentials, and how the token
//! is put into a request. Where a token comes from and how long it is good is not decided here.

use std::time::Duration;

use reconcile_contract::auth::OAuth2;
use reqwest::{Request, Url, header::AUTHORIZATION};
use secrecy::{ExposeSecret, SecretString};

use super::{SharedToken, SigningContext, bad_request, header_value, token_endpoint::TokenRequest};
use crate::call::{fault::CallError, mask::Mask, secrets::Secrets};

/// Puts a token into the request, and gives it.
pub(super) async fn sign(
    oauth2: &OAuth2,
    request: &mut Request,
    context: &SigningContext,
    timeout: Duration,
    mask: &mut Mask,
) -> Result<SharedToken, CallError> {
    let token_request = token_request(oauth2, request.url(), &context.secrets, timeout).await?;
    token_request.mask_credentials(mask);
    let token = context.tokens.get(token_request).await?;
    mask.add(token.expose_secret());
    authorize(oauth2, request, &token)?;
    Ok(token)
}

/// Puts another token into the request than the one that was refused. False if there is no other.
pub(super) async fn renew(
    oauth2: &OAuth2,
    request: &mut Request,
    refused: SharedToken,
    context: &SigningContext,
    timeout: Duration,
    mask: &mut Mask,
) -> Result<bool, CallError> {
    let token_request = token_request(oauth2, request.url(), &context.secrets, timeout).await?;
    let Some(token) = context.tokens.renew(token_request, &refused).await? else {
        return Ok(false);
    };
    mask.add(token.expose_secret());
    authorize(oauth2, request, &token)?;
    Ok(true)
}

/// The credentials have to be allowed to go to the token endpoint, and the token to the
/// host that is asked.
async fn token_request(
    oauth2: &OAuth2,
    asked: &Url,
    secrets: &Secrets,
    timeout: Duration,
) -> Result<TokenRequest, CallError> {
    let url = Url::parse(oauth2.token_url.as_str())
        .map_err(|error| bad_request(format!("the token_url: {error}")))?;
    let (id, secret) = (&oauth2.client_id_secret, &oauth2.client_secret);
    for name in [id, secret] {
        secrets.get(name.as_str(), asked).await?;
    }
    Ok(TokenRequest {
        client_id: secrets.get(id.as_str(), &url).await?,
        client_secret: secrets.get(secret.as_str(), &url).await?,
        url,
        style: oauth2.style,
        scope: oauth2.scope.as_ref().map(ToString::to_string),
        form: oauth2.form.fields().clone(),
        timeout,
    })
}

fn authorize(oauth2: &OAuth2, request: &mut Request, token: &SharedToken) -> Result<(), CallError> {
    let word = oauth2.word.as_ref().map_or("Bearer", |word| word.as_str());
    let value = SecretString::from(format!("{word} {}", token.expose_secret()));
    let value = header_value(&value, "the word before the token")?;
    request.headers_mut().insert(AUTHORIZATION, value);
    Ok(())
}
