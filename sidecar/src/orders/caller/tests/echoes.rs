//! Providers that say back what they were sent: no secret comes along, whichever way it was used.

use super::*;
use crate::call::raw_server::Step;

/// What is reported of a provider that repeats the request in its refusal.
async fn echoed(auth: Value) -> (String, Vec<String>) {
    let server = RawServer::following(vec![Step::Echo]).await;
    let profile = provider("POST", auth, 10_000);
    let url = server.url("/orders/1?x=y");
    let check = OrderCheck {
        body: Some("{\"body\":{\"mid\":\"M1\"},\"head\":{}}".to_owned()),
        ..check(&profile, &url)
    };
    let answer = caller("127.0.0.1", None).ask(check).await;
    assert_eq!((answer.fault, answer.http_status), (None, Some(401)));
    let requests = server.requests();
    assert!(!format!("{answer:?}").contains("hush"), "{answer:?}");
    (answer.body.unwrap(), requests)
}

#[tokio::test]
async fn what_a_request_proves_itself_with_does_not_come_back() {
    for (auth, header) in [
        (
            json!({"kind": "bearer", "secret": "TOKEN"}),
            "authorization",
        ),
        (
            json!({"kind": "basic", "username_secret": "USER", "password_secret": "PASSWORD"}),
            "authorization",
        ),
        (
            json!({"kind": "header", "header": "X-Key", "secret": "TOKEN"}),
            "x-key",
        ),
        (
            json!({"kind": "none", "secret_headers": {"X-Key": "TOKEN"}}),
            "x-key",
        ),
        (
            json!({"kind": "x_verify", "secret": "SALT", "index": "1"}),
            "x-verify",
        ),
        (
            json!({"kind": "hmac", "secret": "TOKEN", "header": "X-Key", "signs": "{path}"}),
            "x-key",
        ),
    ] {
        let (body, requests) = echoed(auth.clone()).await;
        let value = header_of(&requests[0], header).unwrap();
        let proof = value.rsplit(' ').next().unwrap();
        let proof = proof.split("###").next().unwrap();
        assert!(!body.contains(proof), "{auth} {body}");
        assert!(
            header_of(&body, header).unwrap().contains("[redacted]"),
            "{body}"
        );
        // The rest is as it was said.
        assert_eq!(body.replace("[redacted]", proof), requests[0]);
    }
}

#[tokio::test]
async fn a_secret_in_the_query_does_not_come_back() {
    let query = json!({"kind": "query", "parameter": "key", "secret": "TOKEN"});
    let (body, requests) = echoed(query).await;
    assert!(requests[0].starts_with("POST /orders/1?x=y&key=hush-hush "));
    assert!(
        body.starts_with("POST /orders/1?x=y&key=[redacted] "),
        "{body}"
    );
}

#[tokio::test]
async fn a_signature_inside_the_body_does_not_come_back() {
    let (body, requests) = echoed(json!({"kind": "paytm", "secret": "MERCHANT_KEY"})).await;
    let sent: Value = serde_json::from_str(body_of(&requests[0])).unwrap();
    let signature = sent["head"]["signature"].as_str().unwrap();
    assert!(!body.contains(signature));
    assert!(body.contains("{\"signature\":\"[redacted]\"}"), "{body}");
}

#[tokio::test]
async fn neither_token_of_a_repeated_call_comes_back() {
    let grant = |token: &str| ok(format!("{{\"access_token\":\"{token}\"}}").as_bytes());
    let endpoint = RawServer::in_turn(&[&grant("hush-first"), &grant("hush-second")]).await;
    let (body, requests) = echoed(json!({
        "kind": "oauth2", "token_url": endpoint.url("/token"), "style": "form",
        "client_id_secret": "CLIENT_ID", "client_secret": "CLIENT_SECRET",
    }))
    .await;
    assert_eq!(requests.len(), 2);
    assert!(requests[1].contains("Bearer hush-second"));
    assert_eq!(
        header_of(&body, "authorization"),
        Some("Bearer [redacted]"),
        "{body}"
    );
}

#[tokio::test]
async fn secrets_in_other_spellings_do_not_come_back() {
    let bearer = json!({"kind": "bearer", "secret": "TOKEN"});
    let profile = profile(bearer);
    for spelling in ["hush-hush", "aHVzaC1odXNo", "Bearer hush-hush"] {
        let server = RawServer::answering(says("401 No", spelling.as_bytes())).await;
        let url = server.url("/");
        let answer = caller("127.0.0.1", None).ask(check(&profile, &url)).await;
        assert!(answer.body.unwrap().ends_with("[redacted]"), "{spelling}");
    }
}
