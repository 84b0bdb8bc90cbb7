//! Calls that need a token first, to a provider and a token endpoint on real sockets.

use super::*;

const LONG_MS: i32 = 10_000;

fn grant(token: &str) -> Vec<u8> {
    ok(format!("{{\"access_token\":\"{token}\",\"expires_at\":99999999999}}").as_bytes())
}

fn auth(endpoint: &RawServer) -> Value {
    json!({
        "kind": "oauth2", "token_url": endpoint.url("/v1/oauth/token"), "style": "form",
        "client_id_secret": "CLIENT_ID", "client_secret": "CLIENT_SECRET",
        "word": "O-Bearer", "form": {"client_version": "1"},
    })
}

async fn ask_with(caller: &Caller, auth: Value, server: &RawServer) -> Answer {
    let profile = provider("POST", auth, LONG_MS);
    let url = server.url("/orders/1");
    let check = OrderCheck {
        body: Some("{\"a\":1}".to_owned()),
        ..check(&profile, &url)
    };
    caller.ask(check).await
}

fn shown(server: &RawServer) -> Vec<String> {
    let token = |request: &String| header_of(request, "authorization").unwrap().to_owned();
    server.requests().iter().map(token).collect()
}

#[tokio::test]
async fn a_token_is_bought_once_and_shown_with_its_word() {
    let endpoint = RawServer::in_turn(&[&grant("one"), &grant("two")]).await;
    let server = RawServer::answering(ok(b"{}")).await;
    let caller = caller("127.0.0.1", None);
    for _ in 0..3 {
        let answer = ask_with(&caller, auth(&endpoint), &server).await;
        assert_eq!(answer.fault, None, "{answer:?}");
    }
    // Another word is no other token.
    let mut bearer = auth(&endpoint);
    bearer.as_object_mut().unwrap().remove("word");
    ask_with(&caller, bearer, &server).await;
    assert_eq!(
        shown(&server),
        ["O-Bearer one", "O-Bearer one", "O-Bearer one", "Bearer one"]
    );
    assert_eq!(endpoint.requests().len(), 1);
    assert!(body_of(&endpoint.requests()[0]).contains("client_version=1"));
}

#[tokio::test]
async fn many_calls_at_once_buy_one_token() {
    let endpoint = RawServer::in_turn(&[&grant("one"), &grant("two")]).await;
    let server = RawServer::answering(ok(b"{}")).await;
    let caller = Arc::new(caller("127.0.0.1", None));
    let (endpoint, server) = (Arc::new(endpoint), Arc::new(server));
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let (caller, endpoint, server) = (caller.clone(), endpoint.clone(), server.clone());
            tokio::spawn(async move { ask_with(&caller, auth(&endpoint), &server).await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap().fault, None);
    }
    assert_eq!(endpoint.requests().len(), 1);
    assert!(shown(&server).iter().all(|token| token == "O-Bearer one"));
}

#[tokio::test]
async fn a_refused_token_is_renewed_and_the_call_repeated_once() {
    let endpoint = RawServer::in_turn(&[&grant("one"), &grant("two")]).await;
    let server = RawServer::in_turn(&[&says("401 No", b"{}"), &ok(b"{\"ok\":1}")]).await;
    let caller = caller("127.0.0.1", None);
    let answer = ask_with(&caller, auth(&endpoint), &server).await;
    assert_eq!(answer.http_status, Some(200));
    assert_eq!(answer.body.as_deref(), Some("{\"ok\":1}"));
    assert_eq!(shown(&server), ["O-Bearer one", "O-Bearer two"]);
    // Everything else is the same.
    let requests = server.requests();
    assert_eq!(
        requests[0].replace("O-Bearer one", "O-Bearer two"),
        requests[1]
    );
}

#[tokio::test]
async fn a_second_401_is_reported_as_it_is() {
    let endpoint = RawServer::in_turn(&[&grant("one"), &grant("two"), &grant("three")]).await;
    let server = RawServer::answering(says("401 No", b"{\"why\":1}")).await;
    let caller = caller("127.0.0.1", None);
    for _ in 0..3 {
        let answer = ask_with(&caller, auth(&endpoint), &server).await;
        assert_eq!((answer.fault, answer.http_status), (None, Some(401)));
        assert_eq!(answer.body.as_deref(), Some("{\"why\":1}"));
    }
    // Later calls don't make the token endpoint pay for a provider that refuses every token.
    assert_eq!(endpoint.requests().len(), 2);
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test]
async fn a_401_without_a_token_is_asked_once() {
    let server = RawServer::answering(says("401 No", b"{}")).await;
    let caller = caller("127.0.0.1", None);
    let bearer = json!({"kind": "bearer", "secret": "TOKEN"});
    let answer = ask_with(&caller, bearer, &server).await;
    assert_eq!(answer.http_status, Some(401));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn without_a_token_the_provider_is_not_asked() {
    for (answer, fault, detail) in [
        (
            says("401 No", b"{\"error\":\"invalid_client\"}"),
            Fault::TokenRefused,
            "the token endpoint: refused with 401 invalid_client",
        ),
        (
            ok(b"<html>"),
            Fault::TokenUnreadable,
            "the token endpoint: answered 200 without a token",
        ),
    ] {
        let endpoint = RawServer::answering(answer).await;
        let server = RawServer::answering(ok(b"{}")).await;
        let caller = caller("127.0.0.1", None);
        for _ in 0..3 {
            let answer = ask_with(&caller, auth(&endpoint), &server).await;
            assert_fault(&answer, fault, None);
            assert_eq!(answer.detail.as_deref(), Some(detail));
        }
        assert!(server.requests().is_empty());
        assert_eq!(endpoint.requests().len(), 1);
    }
}

#[tokio::test]
async fn the_time_for_a_token_is_part_of_the_calls_time() {
    let endpoint = RawServer::following(vec![crate::call::raw_server::Step::Silence]).await;
    let server = RawServer::answering(ok(b"{}")).await;
    let profile = provider("GET", auth(&endpoint), TIMEOUT_MS);
    let url = server.url("/");
    let answer = caller("127.0.0.1", None).ask(check(&profile, &url)).await;
    assert_fault(&answer, Fault::Timeout, None);
    let detail = "the token endpoint: no token in time";
    assert_eq!(answer.detail.as_deref(), Some(detail));
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn no_token_is_bought_for_a_host_that_may_not_be_asked() {
    let endpoint = RawServer::answering(grant("one")).await;
    let allowed = endpoint.address.to_string();
    let server = RawServer::answering(ok(b"{}")).await;
    let answer = ask_with(&caller(&allowed, None), auth(&endpoint), &server).await;
    assert_fault(&answer, Fault::Blocked, None);
    assert!(endpoint.requests().is_empty());
}

#[tokio::test]
async fn the_guard_stands_before_the_token_endpoint_too() {
    let endpoint = RawServer::answering(grant("one")).await;
    let server = RawServer::answering(ok(b"{}")).await;
    let allowed = server.address.to_string();
    let answer = ask_with(&caller(&allowed, None), auth(&endpoint), &server).await;
    assert_fault(&answer, Fault::Blocked, None);
    assert!(answer.detail.unwrap().starts_with("the token endpoint: "));
    assert!(endpoint.requests().is_empty() && server.requests().is_empty());
}
