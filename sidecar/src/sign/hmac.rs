//! Owns signatures by HMAC: of which text, with which hash, in which header. Which text a provider
//! wants is its row's to say.

use std::time::{SystemTime, UNIX_EPOCH};

use ::hmac::{Hmac as Code, KeyInit, Mac};
use base64::{Engine, prelude::BASE64_STANDARD};
use reconcile_contract::auth::{Algorithm, Encoding, Hmac, Piece, SignedText};
use reqwest::{Request, header::HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Sha256, Sha512};
use url::Position;

use super::{bad_request, body_of, header_name, header_value};
use crate::call::{fault::CallError, mask::Mask, secrets::Secrets};

/// Puts the signature, and the time if it was signed, into headers.
pub(super) async fn sign(
    hmac: &Hmac,
    request: &mut Request,
    secrets: &Secrets,
    mask: &mut Mask,
) -> Result<(), CallError> {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    let timestamp = since_epoch.unwrap_or_default().as_secs().to_string();
    let key = secrets.get(hmac.secret.as_str(), request.url()).await?;
    let code = written(hmac, &key, &render(&hmac.signs, request, &timestamp))?;
    mask.add(key.expose_secret());
    mask.add(&code);
    let prefix = hmac.prefix.as_ref().map_or("", |prefix| prefix.as_str());
    let value = header_value(&format!("{prefix}{code}").into(), "the prefix")?;
    request
        .headers_mut()
        .insert(header_name(&hmac.header)?, value);
    if let Some(header) = &hmac.timestamp_header {
        let value = HeaderValue::try_from(timestamp)
            .map_err(|_| bad_request("the time can't be written"))?;
        request.headers_mut().insert(header_name(header)?, value);
    }
    Ok(())
}

/// The signature of a text, as the provider wants it written.
fn written(hmac: &Hmac, key: &SecretString, text: &[u8]) -> Result<String, CallError> {
    let code = match hmac.algorithm {
        Algorithm::Sha256 => code::<Code<Sha256>>(key, text)?,
        Algorithm::Sha512 => code::<Code<Sha512>>(key, text)?,
    };
    Ok(match hmac.encoding {
        Encoding::Hex => hex::encode(code),
        Encoding::Base64 => BASE64_STANDARD.encode(code),
    })
}

fn code<M: Mac + KeyInit>(key: &SecretString, text: &[u8]) -> Result<Vec<u8>, CallError> {
    let mut mac = <M as KeyInit>::new_from_slice(key.expose_secret().as_bytes())
        .map_err(|_| bad_request("the secret can't be a key"))?;
    mac.update(text);
    Ok(mac.finalize().into_bytes().to_vec())
}

/// In one pass, so that nothing inside a body is taken for a variable.
fn render(signs: &SignedText, request: &Request, timestamp: &str) -> Vec<u8> {
    let url = request.url();
    let mut text = Vec::new();
    for piece in signs.pieces() {
        text.extend_from_slice(match piece {
            Piece::Text(literal) => literal.as_bytes(),
            Piece::Method => request.method().as_str().as_bytes(),
            Piece::Path => url.path().as_bytes(),
            Piece::PathAndQuery => url[Position::BeforePath..Position::AfterQuery].as_bytes(),
            Piece::Host => url[Position::BeforeHost..Position::AfterPort].as_bytes(),
            Piece::Body => body_of(request),
            Piece::Timestamp => timestamp.as_bytes(),
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn hmac(changes: Value) -> Hmac {
        let mut auth = json!({"secret": "KEY", "header": "X-Signature", "signs": "{body}"});
        for (key, value) in changes.as_object().unwrap() {
            auth[key] = value.clone();
        }
        serde_json::from_value(auth).unwrap()
    }

    /// Test case 2 of RFC 4231.
    #[test]
    fn the_codes_are_those_of_the_standard() {
        let code = |changes| {
            let text = b"what do ya want for nothing?";
            written(&hmac(changes), &"Jefe".into(), text).unwrap()
        };
        let sha256 = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(code(json!({})), sha256);
        assert_eq!(
            code(json!({"encoding": "base64"})),
            BASE64_STANDARD.encode(hex::decode(sha256).unwrap())
        );
        assert_eq!(
            code(json!({"algorithm": "sha512"})),
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"
        );
    }

    #[test]
    fn every_variable_is_what_goes_over_the_wire() {
        let url = "https://API.example.com:8443/v1/a b?x=1&y={path}#end";
        let mut request = Request::new(reqwest::Method::POST, url.parse().unwrap());
        *request.body_mut() = Some("{\"id\":\"{host}\"}".into());
        let signs = "{timestamp}.{method}\n{path}|{path_and_query}|{host}|{body}!";
        let template = SignedText::try_from(signs.to_owned()).unwrap();
        assert_eq!(
            String::from_utf8(render(&template, &request, "1700000000")).unwrap(),
            "1700000000.POST\n/v1/a%20b|/v1/a%20b?x=1&y={path}|api.example.com:8443|{\"id\":\"{host}\"}!"
        );
        let request = Request::new(reqwest::Method::GET, "https://[::1]/?".parse().unwrap());
        let template = SignedText::try_from("{host}{path_and_query}{body}".to_owned()).unwrap();
        assert_eq!(render(&template, &request, ""), b"[::1]/?");
    }
}
