//! Owns PhonePe v1's `X-VERIFY`: SHA-256 of the path and a salt, `###`, and the salt's index; with
//! a body, its base64 stands before the path.
//!
//! Documented by PhonePe: the header and what is signed at /v1/reference/check-status-api-1 and
//! /v2/reference/x-verify-generation, lower-case hex at /v1/reference/php-callback-verification,
//! all on developer.phonepe.com. The path that is signed is the API's, `/pg/v1/status/…`: the part
//! of the URL that PhonePe counts to its host (`/apis/hermes`, `/apis/pg-sandbox`) is not signed.

use base64::{Engine, prelude::BASE64_STANDARD};
use reconcile_contract::auth::{BasePath, XVerify};
use reqwest::{Request, header::HeaderName};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::{body_of, header_value};
use crate::call::{fault::CallError, mask::Mask, secrets::Secrets};

const X_VERIFY: HeaderName = HeaderName::from_static("x-verify");

/// Puts the hash into its header.
pub(super) async fn sign(
    x_verify: &XVerify,
    request: &mut Request,
    secrets: &Secrets,
    mask: &mut Mask,
) -> Result<(), CallError> {
    let salt = secrets.get(x_verify.secret.as_str(), request.url()).await?;
    let path = signed_path(x_verify.base_path.as_ref(), request.url().path());
    let checksum = checksum(body_of(request), path, &salt);
    mask.add(salt.expose_secret());
    mask.add(&checksum);
    let value = format!("{checksum}###{}", x_verify.index).into();
    let value = header_value(&value, "the index of x_verify")?;
    request.headers_mut().insert(X_VERIFY, value);
    Ok(())
}

fn signed_path<'a>(base: Option<&BasePath>, path: &'a str) -> &'a str {
    let base = base.map_or("", BasePath::as_str).trim_end_matches('/');
    path.strip_prefix(base)
        .filter(|rest| rest.starts_with('/'))
        .unwrap_or(path)
}

fn checksum(body: &[u8], path: &str, salt: &SecretString) -> String {
    let hash = Sha256::new()
        .chain_update(BASE64_STANDARD.encode(body))
        .chain_update(path)
        .chain_update(salt.expose_secret())
        .finalize();
    hex::encode(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with `printf '%s' '/pg/v1/status/M1/ORD-15a17-0000-salt' | sha256sum`, and with
    /// `printf '%s' "$(printf '%s' '{"merchantId":"M1"}' | base64)/pg/v1/pay5a17-0000-salt"`.
    #[test]
    fn the_hash_is_the_one_that_other_tools_compute() {
        let salt = "5a17-0000-salt".into();
        assert_eq!(
            checksum(b"", "/pg/v1/status/M1/ORD-1", &salt),
            "2be8924d4f088982b484d37e458dbb8d64eadee7f93eb5deab28f60a6819a5ae"
        );
        assert_eq!(
            checksum(br#"{"merchantId":"M1"}"#, "/pg/v1/pay", &salt),
            "57eae744519ee55389a37c8bfbc4d0e0e13503bd3788f17815324f74d7b4acfc"
        );
    }

    #[test]
    fn the_path_of_the_host_is_not_signed() {
        let signed = |base: &str, path| {
            let base = BasePath::try_from(base.to_owned()).ok();
            signed_path(base.as_ref(), path).to_owned()
        };
        assert_eq!(signed("", "/pg/v1/status/M/O"), "/pg/v1/status/M/O");
        for base in ["/apis/hermes", "/apis/hermes/"] {
            assert_eq!(signed(base, "/apis/hermes/pg/v1/x"), "/pg/v1/x");
            // The same provider at a host of its own, as a local simulator is.
            assert_eq!(signed(base, "/pg/v1/x"), "/pg/v1/x");
            assert_eq!(signed(base, "/apis/hermes2/x"), "/apis/hermes2/x");
            assert_eq!(signed(base, "/apis/hermes"), "/apis/hermes");
        }
    }
}
