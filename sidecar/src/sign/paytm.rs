//! Owns Paytm's checksum: over the text of the `body` member exactly as it is sent, placed in
//! `head.signature`.
//!
//! That the body's JSON is signed as it is sent is in Paytm's documentation
//! (developer.paytm.com/docs/apis/v3/transaction-status-api). The checksum itself is documented by
//! Paytm's published checksum libraries only, on which many public implementations agree: SHA-256
//! of the text, `|` and a salt, in hex, followed by the salt, encrypted by AES-128-CBC with the
//! merchant key and a fixed vector, in base64.

use aes::Aes128;
use base64::{Engine, prelude::BASE64_STANDARD};
use cbc::{
    Encryptor,
    cipher::{BlockModeEncrypt, KeyIvInit, block_padding::Pkcs7},
};
use rand::distr::{Alphanumeric, SampleString};
use reconcile_contract::auth::Paytm;
use reqwest::{Body, Request};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};
use sha2::{Digest, Sha256};

use super::{bad_request, body_of};
use crate::call::{fault::CallError, mask::Mask, secrets::Secrets};

/// Part of Paytm's protocol. The hash in front of it is what makes checksums differ.
const VECTOR: &[u8; 16] = b"@@@@&&&&####$$$$";

const SALT_CHARS: usize = 4;

/// What is sent. The body's text is kept as it came, to the last blank.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Message<'a> {
    #[serde(borrow)]
    body: &'a RawValue,
    #[serde(default)]
    head: Map<String, Value>,
}

/// Puts the signature into the body's head.
pub(super) async fn sign(
    paytm: &Paytm,
    request: &mut Request,
    secrets: &Secrets,
    mask: &mut Mask,
) -> Result<(), CallError> {
    let key = secrets.get(paytm.secret.as_str(), request.url()).await?;
    let salt = Alphanumeric.sample_string(&mut rand::rng(), SALT_CHARS);
    mask.add(key.expose_secret());
    let (message, signature) = signed(paytm, body_of(request), &key, &salt)?;
    mask.add(&signature);
    *request.body_mut() = Some(Body::from(message));
    Ok(())
}

/// The message with its signature, and the signature.
fn signed(
    paytm: &Paytm,
    message: &[u8],
    key: &SecretString,
    salt: &str,
) -> Result<(String, String), CallError> {
    let mut message: Message<'_> = serde_json::from_slice(message)
        .ok()
        .filter(|message: &Message<'_>| message.body.get().starts_with('{'))
        .ok_or_else(|| bad_request("paytm signs a JSON body of {\"body\":{…},\"head\":{…}}"))?;
    let signature = checksum(paytm, message.body.get(), key, salt)?;
    message
        .head
        .insert("signature".to_owned(), signature.clone().into());
    let signed = serde_json::to_string(&message)
        .map_err(|_| bad_request("the signed body can't be written"))?;
    Ok((signed, signature))
}

fn checksum(
    paytm: &Paytm,
    text: &str,
    key: &SecretString,
    salt: &str,
) -> Result<String, CallError> {
    let hash = Sha256::digest(format!("{text}|{salt}"));
    let plain = format!("{}{salt}", hex::encode(hash));
    let cipher = Encryptor::<Aes128>::new_from_slices(key.expose_secret().as_bytes(), VECTOR)
        .map_err(|_| {
            let name = &paytm.secret;
            bad_request(format!(
                "the secret {name} is not 16 bytes long, as Paytm's merchant keys are"
            ))
        })?;
    Ok(BASE64_STANDARD.encode(cipher.encrypt_padded_vec::<Pkcs7>(plain.as_bytes())))
}

#[cfg(test)]
mod tests;
