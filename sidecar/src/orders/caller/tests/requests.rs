//! What is on the wire without a signature: method, headers, body. And what never gets there.

use super::*;

#[tokio::test]
async fn what_can_not_be_asked() {
    let caller = caller("127.0.0.1", None);
    for url in ["", "not a url", "http://", "http://u:p@127.0.0.1/"] {
        assert_fault(&ask(&caller, url).await, Fault::BadRequest, None);
    }
    let none = Profile::new("p", None, Arc::new(ProviderInstruments::of("p")));
    let unknown = profile(json!({"kind": "carrier pigeon"}));
    let fine = profile(Value::Null);
    let host = json!({"Host": "other"});
    for (profile, url, headers) in [
        (&none, Some("http://127.0.0.1/"), None),
        (&unknown, Some("http://127.0.0.1/"), None),
        (&fine, None, None),
        (&fine, Some("http://127.0.0.1/"), Some(&host)),
    ] {
        let answer = caller
            .ask(OrderCheck {
                profile,
                url,
                headers,
                body: None,
                problem: None,
                asked_at: Uptime::now(),
            })
            .await;
        assert_fault(&answer, Fault::BadRequest, None);
    }
}

/// Asks with this method, these headers and this body; gives the request as it came.
async fn sent(method: &str, headers: Option<Value>, body: Option<&str>) -> String {
    let server = RawServer::answering(ok(b"{}")).await;
    let profile = provider(method, json!({"kind": "none"}), TIMEOUT_MS);
    let url = server.url("/orders/1?x=y");
    let check = OrderCheck {
        headers: headers.as_ref(),
        body: body.map(str::to_owned),
        ..check(&profile, &url)
    };
    let answer = caller("127.0.0.1", None).ask(check).await;
    assert_eq!(answer.fault, None, "{answer:?}");
    server.requests().remove(0)
}

#[tokio::test]
async fn a_body_is_sent_exactly_as_given() {
    let form = json!({"Content-Type": "application/x-www-form-urlencoded"});
    for (headers, body, content_type) in [
        (
            None,
            "{ \"a\" :1.00,\n\"é\":\"\\u00e9\"} ",
            "application/json",
        ),
        (
            Some(form),
            "a=1&b=%C3%A9+x",
            "application/x-www-form-urlencoded",
        ),
        (None, "", "application/json"),
    ] {
        for method in ["POST", "PUT"] {
            let request = sent(method, headers.clone(), Some(body)).await;
            assert!(
                request.starts_with(&format!("{method} /orders/1?x=y HTTP/1.1\r\n")),
                "{request}"
            );
            assert_eq!(body_of(&request), body);
            assert_eq!(header_of(&request, "content-type"), Some(content_type));
            let length = body.len().to_string();
            assert_eq!(
                header_of(&request, "content-length"),
                Some(length.as_str()),
                "{request}"
            );
        }
    }
}

#[tokio::test]
async fn a_get_without_a_body_says_nothing_about_one() {
    let request = sent("GET", None, None).await;
    assert!(
        request.starts_with("GET /orders/1?x=y HTTP/1.1\r\n"),
        "{request}"
    );
    assert_eq!(body_of(&request), "");
    assert_eq!(header_of(&request, "content-type"), None);
    assert_eq!(header_of(&request, "content-length"), None);
}

#[tokio::test]
async fn the_orders_headers_go_over_the_providers() {
    let headers = json!({"X-Order": "é?", "X-Both": "order", "Accept": "text/json"});
    let request = sent("GET", Some(headers), None).await;
    for (header, value) in [
        ("x-static", "1"),
        ("x-both", "order"),
        ("x-order", "é?"),
        ("accept", "text/json"),
        ("accept-encoding", "gzip"),
        (
            "user-agent",
            concat!("pg_reconcile/", env!("CARGO_PKG_VERSION")),
        ),
    ] {
        assert_eq!(header_of(&request, header), Some(value), "{request}");
    }
    let request = sent("GET", None, None).await;
    assert_eq!(header_of(&request, "x-both"), Some("static"));
    assert_eq!(header_of(&request, "accept"), Some("application/json"));
}

/// A provider whose orders have headers, a body, or both of their own.
fn own(own_headers: bool, own_body: bool) -> Profile {
    let row = ProviderRow {
        method: Some("POST".to_owned()),
        headers: Some(json!({"X-Reference": "{reference}", "X Bad": "{reference}"})),
        auth: None,
        timeout_ms: Some(TIMEOUT_MS),
        lease_ms: Some(TIMEOUT_MS + LEASE_LASTS_MS),
        own_headers,
        own_body,
    };
    Profile::new("p", Some(row), Arc::new(ProviderInstruments::of("p")))
}

#[tokio::test]
async fn an_order_without_what_is_its_own_is_not_asked_about() {
    let server = RawServer::answering(ok(b"{}")).await;
    let url = server.url("/");
    let headers = json!({"X-Reference": "R1"});
    let null = Value::Null;
    for (own_headers, own_body, headers, body, problem, detail) in [
        (true, false, None, Some("{}"), None, "has no headers"),
        (true, true, Some(&null), Some("{}"), None, "has no headers"),
        (true, true, Some(&headers), None, None, "has no body"),
        (true, true, None, None, Some("no reference"), "no reference"),
        (true, true, Some(&headers), Some("{}"), Some("why"), "why"),
    ] {
        let profile = own(own_headers, own_body);
        let check = OrderCheck {
            headers,
            body: body.map(str::to_owned),
            problem,
            ..check(&profile, &url)
        };
        let answer = caller("127.0.0.1", None).ask(check).await;
        assert_fault(&answer, Fault::BadRequest, None);
        assert!(answer.detail.unwrap().contains(detail), "{detail}");
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn templates_of_the_row_are_never_sent() {
    let server = RawServer::answering(ok(b"{}")).await;
    let (profile, url) = (own(true, true), server.url("/"));
    let headers = json!({"X-Reference": "R1"});
    let check = OrderCheck {
        headers: Some(&headers),
        body: Some("[]".to_owned()),
        ..check(&profile, &url)
    };
    let answer = caller("127.0.0.1", None).ask(check).await;
    assert_eq!(answer.fault, None, "{answer:?}");
    let request = server.requests().remove(0);
    assert_eq!(header_of(&request, "x-reference"), Some("R1"));
    assert_eq!(body_of(&request), "[]");
    assert!(!request.contains('{'), "{request}");
}

#[tokio::test]
async fn a_call_that_its_lease_does_not_last_for_is_not_begun() {
    let server = RawServer::answering(ok(b"{}")).await;
    let profile = profile(json!({"kind": "none"}));
    let url = server.url("/");
    let caller = caller("127.0.0.1", None);
    let claimed = |ago: Duration| OrderCheck {
        asked_at: Uptime::now().before(ago),
        ..check(&profile, &url)
    };
    let spare = profile.lease - profile.timeout;
    let late = caller.ask(claimed(spare + Duration::from_millis(1))).await;
    assert_fault(&late, Fault::LeaseOver, None);
    assert!(server.requests().is_empty());
    let last = caller.ask(claimed(spare.mul_f32(0.9))).await;
    assert_eq!(last.fault, None, "{last:?}");
}
