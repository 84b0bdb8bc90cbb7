//! Every way to sign, as it is on the wire.

use std::time::SystemTime;

use super::*;

const BODY: &str = "{\"body\":{\"mid\": \"M1\"},\"head\":{\"version\":\"v1\"}}";

/// Asks for `/base/orders/1?x=y`, with `BODY` if it is a POST; gives the request as it came.
async fn signed(method: &str, auth: Value) -> (Answer, Vec<String>) {
    let server = RawServer::answering(ok(b"{}")).await;
    let profile = provider(method, auth, TIMEOUT_MS);
    let url = server.url("/base/orders/1?x=y");
    let check = OrderCheck {
        body: (method == "POST").then(|| BODY.to_owned()),
        ..check(&profile, &url)
    };
    let answer = caller("127.0.0.1", None).ask(check).await;
    (answer, server.requests())
}

async fn header(method: &str, auth: Value, name: &str) -> Option<String> {
    let (answer, requests) = signed(method, auth).await;
    assert_eq!(answer.fault, None, "{answer:?}");
    header_of(&requests[0], name).map(str::to_owned)
}

#[tokio::test]
async fn credentials_as_they_are() {
    for (auth, name, value) in [
        (json!({"kind": "none"}), "authorization", None),
        (
            json!({"kind": "bearer", "secret": "TOKEN"}),
            "authorization",
            Some("Bearer hush-hush"),
        ),
        (
            json!({"kind": "basic", "username_secret": "USER", "password_secret": "PASSWORD"}),
            "authorization",
            Some("Basic bWU6cMOkOnNz"),
        ),
        (
            json!({"kind": "basic", "username_secret": "TOKEN"}),
            "authorization",
            Some("Basic aHVzaC1odXNoOg=="),
        ),
        (
            json!({"kind": "header", "header": "X-API-Key", "secret": "TOKEN"}),
            "x-api-key",
            Some("hush-hush"),
        ),
        (
            json!({"kind": "header", "header": "X-Static", "secret": "TOKEN"}),
            "x-static",
            Some("hush-hush"),
        ),
    ] {
        assert_eq!(header("GET", auth, name).await.as_deref(), value);
    }
}

/// Expected: `printf '%s' '/orders/15a17-0000-salt' | sha256sum`, and the same after
/// `printf '%s' "$BODY" | base64 -w0`.
#[tokio::test]
async fn x_verify_is_over_the_path_alone_and_with_a_body_over_both() {
    let auth = json!({"kind": "x_verify", "secret": "SALT", "index": "3", "base_path": "/base"});
    assert_eq!(
        header("GET", auth.clone(), "x-verify").await.unwrap(),
        "aaa4c4230928f192c1bef4f100e057728c278f456b2aa0d4be5e7aaca5baa741###3"
    );
    assert_eq!(
        header("POST", auth, "x-verify").await.unwrap(),
        "f718d3aac13b3c3df253ce3133df50c5a0346b39c94435accf92009fe75755e2###3"
    );
    let whole = json!({"kind": "x_verify", "secret": "SALT", "index": "3"});
    assert_eq!(
        header("GET", whole, "x-verify").await.unwrap(),
        "4c681a5dd22756250b435bd307846b4ad356c574b8f711d2bbb283dfa22c8133###3"
    );
}

/// Expected: `printf '%s' "POST/base/orders/1/base/orders/1?x=y$BODY" | openssl dgst -sha512
/// -hmac hush-hush -binary | base64 -w0`.
#[tokio::test]
async fn hmac_is_over_what_was_sent() {
    let auth = json!({
        "kind": "hmac", "secret": "TOKEN", "header": "X-Signature", "algorithm": "sha512",
        "encoding": "base64", "signs": "{method}{path}{path_and_query}{body}", "prefix": "v1=",
    });
    assert_eq!(
        header("POST", auth, "x-signature").await.unwrap(),
        "v1=khbLaHKPd0rmei0y+jqYsdEpduRLV9OXA3WBy6T8+Ek8/u/31CR5G7pSJ+s9K1O72VQT8IFWDb09jO6jUxCidA=="
    );
}

#[tokio::test]
async fn hmac_signs_the_time_that_it_sends() {
    let auth = |signs: &str| {
        json!({
            "kind": "hmac", "secret": "TOKEN", "header": "X-Signature", "signs": signs,
            "timestamp_header": "X-Time",
        })
    };
    let (_, requests) = signed("GET", auth("{timestamp}.{host}")).await;
    let time = header_of(&requests[0], "x-time").unwrap();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    assert!(now.unwrap().as_secs().abs_diff(time.parse().unwrap()) < 60);
    // The same time and host as a literal give the same signature.
    let host = header_of(&requests[0], "host").unwrap();
    let literal = auth(&format!("{time}.{host}"));
    assert_eq!(
        header("GET", literal, "x-signature").await.as_deref(),
        header_of(&requests[0], "x-signature")
    );
}

#[tokio::test]
async fn paytm_signs_inside_the_body_with_a_salt_of_its_own() {
    let auth = json!({"kind": "paytm", "secret": "MERCHANT_KEY"});
    let mut signatures = Vec::new();
    for _ in 0..2 {
        let (_, requests) = signed("POST", auth.clone()).await;
        let sent = body_of(&requests[0]);
        assert!(sent.starts_with("{\"body\":{\"mid\": \"M1\"},"), "{sent}");
        let length = sent.len().to_string();
        assert_eq!(
            header_of(&requests[0], "content-length"),
            Some(length.as_str())
        );
        let sent: Value = serde_json::from_str(sent).unwrap();
        assert_eq!(sent["head"]["version"], "v1");
        signatures.push(sent["head"]["signature"].as_str().unwrap().to_owned());
    }
    // 68 characters and the padding are five blocks of 16 bytes.
    assert_eq!(signatures[0].len(), 108);
    assert_ne!(signatures[0], signatures[1]);
    let (answer, requests) = signed("GET", auth).await;
    assert_fault(&answer, Fault::BadRequest, None);
    assert!(requests.is_empty());
}

#[tokio::test]
async fn without_its_secret_no_request_leaves() {
    for (secret, detail) in [
        ("ABSENT", "no secret named ABSENT"),
        (
            "BOUND",
            "the secret BOUND is bound to other hosts than the one that is asked",
        ),
    ] {
        let (answer, requests) = signed("GET", json!({"kind": "bearer", "secret": secret})).await;
        assert_fault(&answer, Fault::SecretMissing, None);
        assert_eq!(answer.detail.as_deref(), Some(detail));
        assert!(requests.is_empty());
    }
}

#[tokio::test]
async fn no_secret_and_no_query_in_what_is_reported() {
    let server = RawServer::answering("nonsense\r\n\r\n").await;
    let profile = profile(json!({"kind": "bearer", "secret": "TOKEN"}));
    let url = server.url("/orders/ORD-1?key=visible");
    let answer = caller("127.0.0.1", None).ask(check(&profile, &url)).await;
    assert_fault(&answer, Fault::Broken, None);
    let debug = format!("{answer:?}{:?}", profile.shape);
    assert!(!debug.contains("hush") && !debug.contains("visible") && !debug.contains("ORD-1"));
}
