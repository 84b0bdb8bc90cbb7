//! Token requests over real sockets: what is posted, and what is made of each answer.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::call::{raw_server::RawServer, transport::Limits};

const CAP: usize = 2000;

fn transport(allowed: &str) -> Transport {
    Transport::new(Limits {
        allowed: allowed.parse().unwrap(),
        slots: 1,
        max_body_bytes: CAP,
        connect_timeout: Duration::from_secs(2),
        extra_roots: None,
    })
    .unwrap()
}

fn token_request(url: &str) -> TokenRequest {
    TokenRequest {
        url: url.parse().unwrap(),
        client_id: "client one".into(),
        client_secret: "hush&client=secret".into(),
        style: Style::Form,
        scope: None,
        form: BTreeMap::new(),
        timeout: Duration::from_millis(500),
    }
}

async fn told(answer: impl AsRef<[u8]>) -> Result<IssuedToken, CallError> {
    let server = RawServer::answering(answer).await;
    let token_request = token_request(&server.url("/token"));
    token_request.fetch(&transport("127.0.0.1")).await
}

fn says(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}")
}

/// The request as it came: head and form.
async fn posted(change: impl FnOnce(&mut TokenRequest)) -> (String, String) {
    let server = RawServer::answering(says("200 OK", r#"{"access_token":"t"}"#)).await;
    let mut token_request = token_request(&server.url("/v1/oauth/token"));
    change(&mut token_request);
    token_request.fetch(&transport("127.0.0.1")).await.unwrap();
    let request = server.requests().remove(0);
    let (head, form) = request.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), form.to_owned())
}

#[tokio::test]
async fn the_credentials_go_into_the_form() {
    let (head, form) = posted(|token_request| {
        token_request.scope = Some("read write".to_owned());
        token_request.form = BTreeMap::from([("client_version".to_owned(), "1".to_owned())]);
    })
    .await;
    assert!(head.starts_with("POST /v1/oauth/token HTTP/1.1"), "{head}");
    assert!(head.contains("content-type: application/x-www-form-urlencoded"));
    assert!(head.contains("user-agent: pg_reconcile/"), "{head}");
    assert!(!head.contains("authorization"));
    let mut pairs: Vec<_> = form.split('&').collect();
    pairs.sort_unstable();
    assert_eq!(
        pairs,
        [
            "client_id=client+one",
            "client_secret=hush%26client%3Dsecret",
            "client_version=1",
            "grant_type=client_credentials",
            "scope=read+write",
        ]
    );
}

/// Expected: `printf '%s' 'client+one:hush%26client%3Dsecret' | base64`, since RFC 6749, 2.3.1,
/// wants both parts encoded as in a form.
#[tokio::test]
async fn or_into_a_basic_header() {
    let (head, form) = posted(|token_request| token_request.style = Style::Basic).await;
    let line = "authorization: Basic Y2xpZW50K29uZTpodXNoJTI2Y2xpZW50JTNEc2VjcmV0";
    assert!(head.lines().any(|found| found == line), "{head}");
    assert_eq!(form, "grant_type=client_credentials");
}

#[tokio::test]
async fn a_token_is_read_with_its_lifetime() {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    for (fields, seconds) in [
        (json!({}), 300),
        (json!({"token_type": "Bearer", "expires_in": 3600}), 3600),
        (json!({"expires_in": "3600"}), 3600),
        (json!({"expires_in": null}), 300),
        (json!({"expires_in": 0}), 5),
        (json!({"expires_in": -1, "more": [1.5]}), 300),
        (json!({"expires_in": 10_000_000}), 86_400),
        // PhonePe's.
        (
            json!({"token_type": "O-Bearer", "expires_in": null, "expires_at": now + 1200}),
            1200,
        ),
        (json!({"expires_in": 60, "expires_at": now + 1200}), 1200),
        (json!({"expires_at": now - 1200}), 5),
    ] {
        let mut body = fields.clone();
        body["access_token"] = "abc.def".into();
        let issued = told(says("200 OK", &body.to_string())).await.unwrap();
        assert_eq!(issued.token.expose_secret(), "abc.def");
        assert!(
            issued.lifetime.as_secs().abs_diff(seconds) <= 5,
            "{fields}: {:?}",
            issued.lifetime
        );
    }
}

/// What is made of an answer that brings no token.
#[track_caller]
fn assert_failed(issued: Result<IssuedToken, CallError>, fault: Fault, detail: &str) {
    let expected = CallError::new(fault, format!("the token endpoint: {detail}"));
    assert_eq!(issued.map(drop).unwrap_err(), expected);
}

#[tokio::test]
async fn a_refusal_says_its_status_and_a_word_of_the_standard_alone() {
    let oauth = r#"{"error":"invalid_client","error_description":"hush&client=secret"}"#;
    let echo = r#"{"error":"hush&client=secret"}"#;
    let code = r#"{"code":"hush&client=secret"}"#;
    for (status, body, detail) in [
        ("400 Bad", oauth, "refused with 400 invalid_client"),
        ("401 No", oauth, "refused with 401 invalid_client"),
        ("200 OK", oauth, "refused with 200 invalid_client"),
        ("400 Bad", echo, "refused with 400"),
        ("401 No", code, "refused with 401"),
        ("403 No", "", "refused with 403"),
        ("404 Gone", "<html>", "refused with 404"),
    ] {
        let issued = told(says(status, body)).await;
        assert_failed(issued, Fault::TokenRefused, detail);
    }
}

#[tokio::test]
async fn what_refuses_nothing_and_brings_no_token_is_told_from_a_refusal() {
    let oauth = r#"{"error":"invalid_client"}"#;
    let token = r#"{"access_token":"t"}"#;
    let long = format!("{{\"access_token\":\"{}\"}}", "x".repeat(CAP));
    let none = "answered 200 without a token";
    let unfit = "answered with a token that no header can carry";
    for (status, body, detail) in [
        ("429 Slow", oauth, "answered 429"),
        ("500 Oops", oauth, "answered 500"),
        ("502 Oops", "", "answered 502"),
        ("302 Found", token, "answered 302"),
        ("200 OK", "", none),
        ("200 OK", "<html>", none),
        ("200 OK", "{}", none),
        ("200 OK", "[]", none),
        ("200 OK", r#"{"access_token":null}"#, none),
        ("200 OK", r#"{"access_token":""}"#, unfit),
        ("200 OK", r#"{"access_token":"a\nb"}"#, unfit),
        ("200 OK", &long, "the body is longer than 2000 bytes"),
    ] {
        let issued = told(says(status, body)).await;
        assert_failed(issued, Fault::TokenUnreadable, detail);
    }
}

#[tokio::test]
async fn trouble_on_the_way_keeps_its_word() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let silent = RawServer::following(vec![crate::call::raw_server::Step::Silence]).await;
    let broken = RawServer::answering("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{").await;
    let no_tls = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let no_tls_url = format!("https://{}/", no_tls.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = no_tls.accept().await.unwrap();
        stream.write_all(b"this is no TLS\r\n").await.unwrap();
        drop(stream.read(&mut [0; 4096]).await);
    });
    for (allowed, url, fault) in [
        ("127.0.0.1", format!("http://{address}/"), Fault::Connect),
        (
            "name.invalid",
            "http://name.invalid/".to_owned(),
            Fault::Dns,
        ),
        ("", silent.url("/"), Fault::Blocked),
        ("", "https://localhost/".to_owned(), Fault::Blocked),
        ("127.0.0.1", silent.url("/"), Fault::Timeout),
        ("127.0.0.1", broken.url("/"), Fault::Broken),
        ("127.0.0.1", no_tls_url, Fault::Tls),
        (
            "127.0.0.1",
            "http://u:p@127.0.0.1/".to_owned(),
            Fault::BadRequest,
        ),
    ] {
        let fetched = token_request(&url).fetch(&transport(allowed)).await;
        let error = fetched.map(drop).unwrap_err();
        assert_eq!(error.fault, fault, "{url} {error:?}");
        assert!(
            error.detail.starts_with("the token endpoint: "),
            "{error:?}"
        );
        assert!(!error.detail.contains("hush"));
    }
}

#[tokio::test]
async fn a_redirect_takes_no_credentials_along() {
    let thief = RawServer::answering(says("200 OK", r#"{"access_token":"t"}"#)).await;
    let location = thief.url("/");
    let answer = format!("HTTP/1.1 307 There\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
    let error = told(answer).await.map(drop).unwrap_err();
    assert_eq!(error.fault, Fault::TokenUnreadable);
    assert!(thief.requests().is_empty());
}

#[test]
fn a_key_is_anothers_if_anything_differs() {
    let key = |change: fn(&mut TokenRequest)| {
        let mut token_request = token_request("https://example.com/token");
        change(&mut token_request);
        token_request.key()
    };
    let form = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
    let keys = [
        key(|_| ()),
        key(|it| it.url.set_path("/other")),
        key(|it| it.client_id = "other".into()),
        key(|it| it.client_secret = "other".into()),
        key(|it| it.style = Style::Basic),
        key(|it| it.scope = Some("a".to_owned())),
    ];
    let mut with_form = token_request("https://example.com/token");
    let mut keys = keys.to_vec();
    for (name, value) in [("a", "bc"), ("ab", "c")] {
        with_form.form = form(name, value);
        keys.push(with_form.key());
    }
    assert_eq!(keys[0], key(|it| it.timeout = Duration::ZERO));
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 8);
}
