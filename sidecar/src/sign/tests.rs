//! What can't be signed, and what never shows.

use reqwest::{
    Method,
    header::{AUTHORIZATION, HeaderMap},
};
use serde_json::json;

use super::*;
use crate::call::{
    secrets::tests::secrets,
    transport::{Limits, Transport},
};

const KNOWN: &[(&str, &str)] = &[
    ("TOKEN", "hush-hush"),
    ("USER", "me"),
    ("TWO", "a\nb"),
    ("BOUND", "hush-bound"),
    ("BOUND_HOSTS", "api.bound.example"),
];

async fn sign(auth: serde_json::Value) -> Result<HeaderMap, CallError> {
    let auth = Auth::parse(auth).map_err(bad_request)?;
    let limits = Limits {
        allowed: "127.0.0.1".parse().unwrap(),
        slots: 1,
        max_body_bytes: 1000,
        connect_timeout: Duration::from_secs(1),
        extra_roots: None,
    };
    let context = SigningContext {
        secrets: secrets(KNOWN),
        tokens: Tokens::new(Transport::new(limits).unwrap()),
    };
    let mut request = Request::new(Method::GET, "https://api.example.com/".parse().unwrap());
    super::sign(
        &auth,
        &mut request,
        &context,
        Duration::from_secs(5),
        &mut Mask::default(),
    )
    .await
    .map(|_| request.headers().clone())
}

#[tokio::test]
async fn a_secret_is_in_no_debug_output() {
    for auth in [
        json!({"kind": "bearer", "secret": "TOKEN"}),
        json!({"kind": "header", "header": "Authorization", "secret": "TOKEN"}),
    ] {
        let headers = sign(auth).await.unwrap();
        let shown = headers[AUTHORIZATION].to_str().unwrap();
        assert!(shown.ends_with("hush-hush"), "{shown}");
        assert!(!format!("{headers:?}").contains("hush"));
    }
    let url = "https://api.example.com/".parse().unwrap();
    let secret = secrets(KNOWN).get("TOKEN", &url).await.unwrap();
    assert!(!format!("{secret:?}").contains("hush"));
}

#[tokio::test]
async fn every_signature_is_marked_as_sensitive() {
    for (auth, header) in [
        (
            json!({"kind": "x_verify", "secret": "TOKEN", "index": "1"}),
            "x-verify",
        ),
        (
            json!({"kind": "hmac", "secret": "TOKEN", "header": "X-S", "signs": "{path}"}),
            "x-s",
        ),
        (
            json!({"kind": "basic", "username_secret": "TOKEN"}),
            "authorization",
        ),
    ] {
        assert!(sign(auth).await.unwrap()[header].is_sensitive(), "{header}");
    }
}

#[tokio::test]
async fn what_can_not_be_signed() {
    let missing = sign(json!({"kind": "bearer", "secret": "ABSENT"})).await;
    let missing = missing.unwrap_err();
    assert_eq!(missing.fault, Fault::SecretMissing);
    assert_eq!(missing.detail, "no secret named ABSENT");
    let newline = json!({"kind": "header", "header": "X-Key", "secret": "TWO"});
    let newline = sign(newline).await.unwrap_err();
    assert_eq!(newline.fault, Fault::BadRequest);
    assert!(!newline.detail.contains('\n') && newline.detail.contains("TWO"));
    for auth in [
        json!({"kind": "header", "header": "X Key", "secret": "TOKEN"}),
        json!({"kind": "hmac", "header": "X Key", "secret": "TOKEN", "signs": ""}),
        json!({"kind": "hmac", "header": "X", "secret": "TOKEN", "signs": "", "prefix": "\n"}),
        json!({"kind": "hmac", "header": "X", "secret": "TOKEN", "signs": "", "timestamp_header": "\n"}),
        json!({"kind": "x_verify", "secret": "TOKEN", "index": "\n"}),
        json!({"kind": "paytm", "secret": "TOKEN"}),
    ] {
        let error = sign(auth.clone()).await.unwrap_err();
        assert_eq!(error.fault, Fault::BadRequest, "{auth}");
        assert!(!error.detail.contains("hush"), "{error:?}");
    }
}

#[tokio::test]
async fn a_secret_bound_to_other_hosts_signs_nothing() {
    let oauth2 = json!({
        "kind": "oauth2", "token_url": "https://api.bound.example/token", "style": "form",
        "client_id_secret": "BOUND", "client_secret": "BOUND",
    });
    for auth in [
        json!({"kind": "bearer", "secret": "BOUND"}),
        json!({"kind": "basic", "password_secret": "BOUND"}),
        json!({"kind": "header", "header": "X", "secret": "BOUND"}),
        json!({"kind": "x_verify", "secret": "BOUND", "index": "1"}),
        json!({"kind": "hmac", "secret": "BOUND", "header": "X", "signs": "{path}"}),
        json!({"kind": "paytm", "secret": "BOUND"}),
        // Its token endpoint is one of the hosts, but the host that would get the token isn't.
        oauth2,
    ] {
        let error = sign(auth.clone()).await.unwrap_err();
        assert_eq!(error.fault, Fault::SecretMissing, "{auth}");
        assert_eq!(
            error.detail,
            "the secret BOUND is bound to other hosts than the one that is asked"
        );
    }
}
