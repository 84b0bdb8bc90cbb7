//! Owns the signature of the Standard Webhooks specification: HMAC-SHA256 over id, time and body.
//! Never logs or returns a key.

use ::hmac::{Hmac, KeyInit, Mac};
use base64::{Engine, prelude::BASE64_STANDARD};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use crate::call::fault::{CallError, Fault};

/// What a key may begin with, so that people know it when they see it.
const PREFIX: &str = "whsec_";

/// The specification's shortest key.
const SHORTEST_KEY: usize = 24;

/// The value of `webhook-signature`: one signature for each key of the secret, which are separated
/// by spaces or lines, so that a receiver may know the old key or the new one.
pub(super) fn signature(
    secret: &SecretString,
    id: &str,
    timestamp: i64,
    body: &str,
) -> Result<String, CallError> {
    let signatures: Vec<String> = secret
        .expose_secret()
        .split_whitespace()
        .map(|key| one(key, id, timestamp, body))
        .collect::<Result<_, _>>()?;
    if signatures.is_empty() {
        return Err(unusable());
    }
    Ok(signatures.join(" "))
}

fn one(key: &str, id: &str, timestamp: i64, body: &str) -> Result<String, CallError> {
    let key = BASE64_STANDARD
        .decode(key.strip_prefix(PREFIX).unwrap_or(key))
        .ok()
        .filter(|key| key.len() >= SHORTEST_KEY)
        .ok_or_else(unusable)?;
    let mut code = Hmac::<Sha256>::new_from_slice(&key).map_err(|_| unusable())?;
    code.update(format!("{id}.{timestamp}.{body}").as_bytes());
    let code = BASE64_STANDARD.encode(code.finalize().into_bytes());
    Ok(format!("v1,{code}"))
}

fn unusable() -> CallError {
    CallError::new(
        Fault::BadRequest,
        "the endpoint's secret is no key of Standard Webhooks: whsec_ and at least 24 bytes in base64",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3";

    fn sign(secret: &str) -> Result<String, Fault> {
        signature(&secret.into(), "evt_1", 1_700_000_000, "{\"a\": \"ä\"}")
            .map_err(|error| error.fault)
    }

    #[test]
    fn a_signature_is_that_of_another_implementation() {
        // openssl dgst -sha256 -mac HMAC -macopt hexkey:… -binary | base64
        let expected = "v1,M4FAJzKILdXsC+qNJi3LmF2HL5tLYmqg+dt8tCwlXPc=";
        assert_eq!(sign(KEY).unwrap(), expected);
        assert_eq!(sign(&format!("{PREFIX}{KEY}\n")).unwrap(), expected);
    }

    #[test]
    fn each_key_signs_while_it_is_rotated() {
        let other = BASE64_STANDARD.encode([7; 32]);
        let both = sign(&format!("{PREFIX}{KEY}\n{PREFIX}{other}")).unwrap();
        let alone = [sign(KEY).unwrap(), sign(&other).unwrap()];
        assert_eq!(both, alone.join(" "));
    }

    #[test]
    fn what_is_no_key_signs_nothing() {
        for secret in [" ", "whsec_", "whsec_c2hvcnQ=", "not base64!", "whsec_%%"] {
            assert_eq!(sign(secret), Err(Fault::BadRequest), "{secret:?}");
        }
        let one_is_bad = format!("{KEY} whsec_");
        assert_eq!(sign(&one_is_bad), Err(Fault::BadRequest));
    }
}
