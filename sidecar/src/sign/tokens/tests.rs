//! When a token is bought, and when not, over real sockets.

use std::collections::BTreeMap;

use super::*;
use crate::{
    call::{
        transport::Limits,
        wire::{Say, Wire},
    },
    sign::token_endpoint::Style,
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

fn application(wire: &Wire) -> Application {
    Application {
        url: wire.url("/token").parse().unwrap(),
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

fn text(lent: &Lent) -> &str {
    lent.expose_secret()
}

/// Lets the shelf's token be this old. Real sockets don't go with a paused clock.
async fn age(tokens: &Tokens, application: &Application, by: Duration) {
    let shelf = tokens.shelf(application).await;
    let mut token = shelf.token.write().unwrap();
    let old = token.as_ref().unwrap();
    *token = Some(Arc::new(Token {
        text: old.text.clone(),
        renew_at: old.renew_at.checked_sub(by).unwrap(),
        expires_at: old.expires_at.checked_sub(by).unwrap(),
    }));
}

async fn until_heard(wire: &Wire, requests: usize) {
    let heard = async {
        while wire.heard().len() < requests {
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
        Say::Drip(grant("one")[..20].to_vec(), Duration::from_millis(5)),
        Say::Bytes(grant("one")[20..].to_vec()),
    ];
    let wire = Wire::saying(answer).await;
    let tokens = tokens();
    let calls: Vec<_> = (0..1000)
        .map(|_| {
            let (tokens, application) = (Arc::clone(&tokens), application(&wire));
            tokio::spawn(async move { tokens.get(application).await })
        })
        .collect();
    for call in calls {
        assert_eq!(text(&call.await.unwrap().unwrap()), "one");
    }
    assert_eq!(wire.heard().len(), 1);
}

#[tokio::test]
async fn applications_do_not_share_tokens() {
    let wire = Wire::in_turn(&[&grant("one"), &grant("two")]).await;
    let tokens = tokens();
    let other = Application {
        client_secret: "hush, rotated".into(),
        ..application(&wire)
    };
    assert_eq!(text(&tokens.get(application(&wire)).await.unwrap()), "one");
    assert_eq!(text(&tokens.get(other).await.unwrap()), "two");
    assert_eq!(text(&tokens.get(application(&wire)).await.unwrap()), "one");
    assert_eq!(wire.heard().len(), 2);
}

#[tokio::test]
async fn a_token_is_renewed_ahead_while_calls_use_the_old_one() {
    let wire = Wire::in_turn(&[&grant("one"), &grant("two")]).await;
    let tokens = tokens();
    let get = || tokens.get(application(&wire));
    assert_eq!(text(&get().await.unwrap()), "one");
    age(&tokens, &application(&wire), Duration::from_secs(799)).await;
    assert_eq!(text(&get().await.unwrap()), "one");
    assert_eq!(wire.heard().len(), 1);
    age(&tokens, &application(&wire), Duration::from_secs(2)).await;
    assert_eq!(text(&get().await.unwrap()), "one");
    until_heard(&wire, 2).await;
    let renewed = async {
        while text(&get().await.unwrap()) != "two" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), renewed)
        .await
        .unwrap();
    assert_eq!(wire.heard().len(), 2);
}

#[tokio::test]
async fn an_expired_token_is_not_used() {
    let wire = Wire::in_turn(&[&grant("one"), &grant("two")]).await;
    let tokens = tokens();
    assert_eq!(text(&tokens.get(application(&wire)).await.unwrap()), "one");
    age(&tokens, &application(&wire), Duration::from_secs(1000)).await;
    assert_eq!(text(&tokens.get(application(&wire)).await.unwrap()), "two");
}

#[tokio::test]
async fn a_failed_renewal_ahead_leaves_the_old_token_in_use() {
    let wire = Wire::in_turn(&[&grant("one"), b"HTTP/1.1 500 Oops\r\n\r\n"]).await;
    let tokens = tokens();
    assert_eq!(text(&tokens.get(application(&wire)).await.unwrap()), "one");
    age(&tokens, &application(&wire), Duration::from_secs(900)).await;
    assert_eq!(text(&tokens.get(application(&wire)).await.unwrap()), "one");
    until_heard(&wire, 2).await;
    for _ in 0..20 {
        assert_eq!(text(&tokens.get(application(&wire)).await.unwrap()), "one");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(wire.heard().len(), 2);
}

#[tokio::test]
async fn a_failing_endpoint_is_not_asked_again_at_once() {
    let wire = Wire::in_turn(&[b"HTTP/1.1 500 Oops\r\n\r\n", &grant("one")]).await;
    let tokens = tokens();
    for _ in 0..50 {
        let error = tokens.get(application(&wire)).await.map(drop).unwrap_err();
        assert_eq!(error.fault, Fault::TokenUnreadable);
        assert_eq!(error.detail, "the token endpoint: answered 500");
    }
    assert_eq!(wire.heard().len(), 1);
    let shelf = tokens.shelf(&application(&wire)).await;
    shelf.counter.lock().await.failed.as_mut().unwrap().1 = Instant::now();
    assert_eq!(text(&tokens.get(application(&wire)).await.unwrap()), "one");
}

#[test]
fn the_pause_after_failures_grows_to_a_minute() {
    let error = CallError::new(Fault::TokenRefused, "no");
    let mut counter = Counter::default();
    let now = Instant::now();
    assert!(counter.pausing(now).is_none());
    for seconds in [2, 4, 8, 16, 32, 60, 60, 60] {
        counter.note_failure(&error, now);
        let end = now + Duration::from_secs(seconds);
        assert_eq!(
            counter.pausing(end - Duration::from_millis(1)),
            Some(&error)
        );
        assert_eq!(counter.pausing(end), None);
    }
    counter.failures = u32::MAX;
    counter.note_failure(&error, now);
    assert!(counter.pausing(now + Duration::from_secs(59)).is_some());
}

#[tokio::test]
async fn a_call_that_gives_up_leaves_the_token_to_the_others() {
    let slowly = vec![
        Say::Drip(grant("one")[..20].to_vec(), Duration::from_millis(10)),
        Say::Bytes(grant("one")[20..].to_vec()),
    ];
    let wire = Wire::saying(slowly).await;
    let tokens = tokens();
    let impatient = tokio::time::timeout(Duration::from_millis(50), tokens.get(application(&wire)));
    assert!(impatient.await.is_err());
    assert_eq!(text(&tokens.get(application(&wire)).await.unwrap()), "one");
    assert_eq!(wire.heard().len(), 1);
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_for_all() {
    let wire = Wire::in_turn(&[&grant("one"), &grant("two"), &grant("three")]).await;
    let tokens = tokens();
    let one = tokens.get(application(&wire)).await.unwrap();
    let renew = |refused: &Lent| {
        let (tokens, application) = (Arc::clone(&tokens), application(&wire));
        let refused = refused.clone();
        async move { tokens.renew(application, &refused).await.unwrap() }
    };
    let (first, second) = tokio::join!(renew(&one), renew(&one));
    assert_eq!(text(&first.unwrap()), "two");
    let two = second.unwrap();
    assert_eq!(text(&two), "two");
    assert_eq!(wire.heard().len(), 2);
    // Refused again right away: it isn't the token.
    assert!(renew(&two).await.is_none());
    assert_eq!(wire.heard().len(), 2);
    let shelf = tokens.shelf(&application(&wire)).await;
    shelf.counter.lock().await.renewed_at = Instant::now().checked_sub(RENEW_EVERY);
    assert_eq!(text(&renew(&two).await.unwrap()), "three");
}
