//! When a token is fetched, and when not, over real sockets.

use std::collections::BTreeMap;

use reconcile_contract::auth::Style;

use super::*;
use crate::call::{
    raw_server::{RawServer, Step},
    transport::Limits,
};

fn tokens() -> Arc<Tokens> {
    let limits = Limits {
        allowed: "127.0.0.1".parse().unwrap(),
        slots: 4,
        max_body_bytes: 1000,
        connect_timeout: Duration::from_secs(2),
        extra_roots: None,
    };
    Arc::new(Tokens::new(Transport::new(limits).unwrap()))
}

fn token_request(server: &RawServer) -> TokenRequest {
    TokenRequest {
        url: server.url("/token").parse().unwrap(),
        client_id: "id".into(),
        client_secret: "hush".into(),
        style: Style::Form,
        scope: None,
        form: BTreeMap::new(),
        timeout: Duration::from_secs(5),
    }
}

fn grant(token: &str) -> Vec<u8> {
    let body = format!("{{\"access_token\":\"{token}\",\"expires_in\":1000}}");
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}

fn text(token: &SharedToken) -> &str {
    token.expose_secret()
}

/// Lets the entry's token be this old. Real sockets don't go with a paused clock.
async fn age(tokens: &Tokens, token_request: &TokenRequest, by: Duration) {
    let entry = tokens.entry(token_request).await;
    let mut token = entry.token.write().unwrap();
    let old = token.as_ref().unwrap();
    *token = Some(Arc::new(Token {
        text: old.text.clone(),
        renew_at: old.renew_at.checked_sub(by).unwrap(),
        expires_at: old.expires_at.checked_sub(by).unwrap(),
    }));
}

async fn until_requested(server: &RawServer, requests: usize) {
    let heard = async {
        while server.requests().len() < requests {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), heard)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_calls_at_once_make_one_token_request() {
    let answer = vec![
        Step::Drip(grant("one")[..20].to_vec(), Duration::from_millis(5)),
        Step::Bytes(grant("one")[20..].to_vec()),
    ];
    let server = RawServer::following(answer).await;
    let tokens = tokens();
    let calls: Vec<_> = (0..1000)
        .map(|_| {
            let (tokens, token_request) = (Arc::clone(&tokens), token_request(&server));
            tokio::spawn(async move { tokens.get(token_request).await })
        })
        .collect();
    for call in calls {
        assert_eq!(text(&call.await.unwrap().unwrap()), "one");
    }
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn applications_do_not_share_tokens() {
    let server = RawServer::in_turn(&[&grant("one"), &grant("two")]).await;
    let tokens = tokens();
    let other = TokenRequest {
        client_secret: "hush, rotated".into(),
        ..token_request(&server)
    };
    assert_eq!(
        text(&tokens.get(token_request(&server)).await.unwrap()),
        "one"
    );
    assert_eq!(text(&tokens.get(other).await.unwrap()), "two");
    assert_eq!(
        text(&tokens.get(token_request(&server)).await.unwrap()),
        "one"
    );
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_token_is_renewed_ahead_while_calls_use_the_old_one() {
    let server = RawServer::in_turn(&[&grant("one"), &grant("two")]).await;
    let tokens = tokens();
    let get = || tokens.get(token_request(&server));
    assert_eq!(text(&get().await.unwrap()), "one");
    age(&tokens, &token_request(&server), Duration::from_secs(799)).await;
    assert_eq!(text(&get().await.unwrap()), "one");
    assert_eq!(server.requests().len(), 1);
    age(&tokens, &token_request(&server), Duration::from_secs(2)).await;
    assert_eq!(text(&get().await.unwrap()), "one");
    until_requested(&server, 2).await;
    let renewed = async {
        while text(&get().await.unwrap()) != "two" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), renewed)
        .await
        .unwrap();
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn an_expired_token_is_not_used() {
    let server = RawServer::in_turn(&[&grant("one"), &grant("two")]).await;
    let tokens = tokens();
    assert_eq!(
        text(&tokens.get(token_request(&server)).await.unwrap()),
        "one"
    );
    age(&tokens, &token_request(&server), Duration::from_secs(1000)).await;
    assert_eq!(
        text(&tokens.get(token_request(&server)).await.unwrap()),
        "two"
    );
}

#[tokio::test]
async fn a_failed_renewal_ahead_leaves_the_old_token_in_use() {
    let server = RawServer::in_turn(&[&grant("one"), b"HTTP/1.1 500 Oops\r\n\r\n"]).await;
    let tokens = tokens();
    assert_eq!(
        text(&tokens.get(token_request(&server)).await.unwrap()),
        "one"
    );
    age(&tokens, &token_request(&server), Duration::from_secs(900)).await;
    assert_eq!(
        text(&tokens.get(token_request(&server)).await.unwrap()),
        "one"
    );
    until_requested(&server, 2).await;
    for _ in 0..20 {
        assert_eq!(
            text(&tokens.get(token_request(&server)).await.unwrap()),
            "one"
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_failing_endpoint_is_not_asked_again_at_once() {
    let server = RawServer::in_turn(&[b"HTTP/1.1 500 Oops\r\n\r\n", &grant("one")]).await;
    let tokens = tokens();
    for _ in 0..50 {
        let error = tokens
            .get(token_request(&server))
            .await
            .map(drop)
            .unwrap_err();
        assert_eq!(error.fault, Fault::TokenUnreadable);
        assert_eq!(error.detail, "the token endpoint: answered 500");
    }
    assert_eq!(server.requests().len(), 1);
    let entry = tokens.entry(&token_request(&server)).await;
    entry.retry.lock().await.failed.as_mut().unwrap().1 = Instant::now();
    assert_eq!(
        text(&tokens.get(token_request(&server)).await.unwrap()),
        "one"
    );
}

#[test]
fn the_pause_after_failures_grows_to_a_minute() {
    let error = CallError::new(Fault::TokenRefused, "no");
    let mut retry = RetryState::default();
    let now = Instant::now();
    assert!(retry.backing_off(now).is_none());
    for seconds in [2, 4, 8, 16, 32, 60, 60, 60] {
        retry.note_failure(&error, now);
        let end = now + Duration::from_secs(seconds);
        assert_eq!(
            retry.backing_off(end - Duration::from_millis(1)),
            Some(&error)
        );
        assert_eq!(retry.backing_off(end), None);
    }
    retry.failures = u32::MAX;
    retry.note_failure(&error, now);
    assert!(retry.backing_off(now + Duration::from_secs(59)).is_some());
}

#[tokio::test]
async fn a_call_that_gives_up_leaves_the_token_to_the_others() {
    let slowly = vec![
        Step::Drip(grant("one")[..20].to_vec(), Duration::from_millis(10)),
        Step::Bytes(grant("one")[20..].to_vec()),
    ];
    let server = RawServer::following(slowly).await;
    let tokens = tokens();
    let impatient = tokio::time::timeout(
        Duration::from_millis(50),
        tokens.get(token_request(&server)),
    );
    assert!(impatient.await.is_err());
    assert_eq!(
        text(&tokens.get(token_request(&server)).await.unwrap()),
        "one"
    );
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_for_all() {
    let server = RawServer::in_turn(&[&grant("one"), &grant("two"), &grant("three")]).await;
    let tokens = tokens();
    let one = tokens.get(token_request(&server)).await.unwrap();
    let renew = |refused: &SharedToken| {
        let (tokens, token_request) = (Arc::clone(&tokens), token_request(&server));
        let refused = refused.clone();
        async move { tokens.renew(token_request, &refused).await.unwrap() }
    };
    let (first, second) = tokio::join!(renew(&one), renew(&one));
    assert_eq!(text(&first.unwrap()), "two");
    let two = second.unwrap();
    assert_eq!(text(&two), "two");
    assert_eq!(server.requests().len(), 2);
    // Refused again right away: it isn't the token.
    assert!(renew(&two).await.is_none());
    assert_eq!(server.requests().len(), 2);
    let entry = tokens.entry(&token_request(&server)).await;
    entry.retry.lock().await.renewed_at = Instant::now().checked_sub(RENEW_EVERY);
    assert_eq!(text(&renew(&two).await.unwrap()), "three");
}
