//! Calls over real sockets, to providers that behave and to providers that don't.

use std::{sync::Arc, time::Duration};

use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use serde_json::{Value, json};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};

use super::{
    Answer, Caller, Options, Question,
    wire::{Say, Wire},
};
use crate::{
    fault::Fault,
    instruments::ProviderInstruments,
    profile::{Profile, ProviderRow},
    secrets::tests::secrets,
};

const CAP: usize = 1000;
const TIMEOUT_MS: i32 = 500;

fn caller(allowed: &str, extra_roots: Option<Vec<u8>>) -> Caller {
    Caller::new(Options {
        allowed: allowed.parse().unwrap(),
        secrets: secrets(&[
            ("TOKEN", "hush-hush"),
            ("USER", "me"),
            ("PASSWORD", "pä:ss"),
        ]),
        slots: 4,
        max_body_bytes: CAP,
        connect_timeout: Duration::from_secs(2),
        extra_roots,
    })
    .unwrap()
}

fn profile(auth: Value) -> Profile {
    let row = ProviderRow {
        method: Some("GET".to_owned()),
        headers: Some(json!({"X-Static": "1", "X-Both": "static"})),
        auth: Some(auth),
        timeout_ms: Some(TIMEOUT_MS),
    };
    Profile::new("p", Some(row), Arc::new(ProviderInstruments::of("p")))
}

async fn ask(caller: &Caller, url: &str) -> Answer {
    let profile = profile(json!({"kind": "none"}));
    let question = Question {
        profile: &profile,
        url: Some(url),
        headers: None,
        body: None,
    };
    caller.ask(question).await
}

/// The answer to a provider that is listed and says these bytes.
async fn told(bytes: impl AsRef<[u8]>) -> Answer {
    let wire = Wire::answering(bytes).await;
    ask(&caller("127.0.0.1", None), &wire.url("/")).await
}

#[track_caller]
fn assert_fault(answer: &Answer, fault: Fault, status: Option<i32>) {
    assert_eq!(
        (answer.fault, answer.http_status),
        (Some(fault), status),
        "{answer:?}"
    );
    assert!(answer.body.is_none() && answer.detail.is_some());
}

fn ok(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

#[tokio::test]
async fn an_answer_is_an_answer_whatever_its_status() {
    for status in [
        "200 OK",
        "404 Not Found",
        "500 Oops",
        "429 Slow Down",
        "302 Found",
    ] {
        let answer = told(format!(
            "HTTP/1.1 {status}\r\nLocation: /x\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\n{{}}"
        ))
        .await;
        assert_eq!(answer.fault, None);
        assert_eq!(answer.http_status.unwrap().to_string(), status[..3]);
        assert_eq!(answer.body.as_deref(), Some("{}"));
        assert_eq!(answer.retry_after_s, Some(7));
        assert_eq!(answer.detail, None);
    }
}

#[tokio::test]
async fn a_body_may_be_empty_chunked_or_without_a_length() {
    assert_eq!(told(ok(b"")).await.body.as_deref(), Some(""));
    let chunked =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n";
    assert_eq!(told(chunked).await.body.as_deref(), Some("abc"));
    assert_eq!(
        told("HTTP/1.0 200 OK\r\n\r\nto the end")
            .await
            .body
            .as_deref(),
        Some("to the end")
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = Wire::answering(ok(b"secret")).await;
    let location = target.url("/");
    let redirect =
        format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(told(redirect).await.http_status, Some(302));
    assert!(target.heard().is_empty());
}

#[tokio::test]
async fn a_body_is_capped() {
    assert_eq!(told(ok(&[b'x'; CAP])).await.body.unwrap().len(), CAP);
    assert_fault(
        &told(ok(&[b'x'; CAP + 1])).await,
        Fault::TooLarge,
        Some(200),
    );
    let endless = [&b"HTTP/1.1 200 OK\r\n\r\n"[..], &[b'x'; CAP * 3]].concat();
    assert_fault(&told(endless).await, Fault::TooLarge, Some(200));
    let promised = "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n";
    assert_fault(&told(promised).await, Fault::TooLarge, Some(200));
}

#[tokio::test]
async fn a_small_body_that_unpacks_to_a_large_one_is_capped() {
    let zipped = gzip_stored(&[b'x'; CAP * 2]);
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        zipped.len()
    );
    assert_fault(
        &told([head.as_bytes(), &zipped].concat()).await,
        Fault::TooLarge,
        Some(200),
    );
}

#[tokio::test]
async fn a_cut_off_answer_is_broken() {
    let lying = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort";
    assert_fault(&told(lying).await, Fault::Broken, Some(200));
    let truncated = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nshort";
    assert_fault(&told(truncated).await, Fault::Broken, Some(200));
    assert_fault(&told("").await, Fault::Broken, None);
    assert_fault(&told("HTTP/1.1 200 O").await, Fault::Broken, None);
    let no_gzip = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nplain";
    assert_fault(&told(no_gzip).await, Fault::Broken, Some(200));
}

#[tokio::test]
async fn what_is_no_http_is_broken() {
    assert_fault(
        &told("SSH-2.0-OpenSSH_9.9\r\n\r\n").await,
        Fault::Broken,
        None,
    );
    assert_fault(
        &told("HTTP/1.1 two hundred\r\n\r\n").await,
        Fault::Broken,
        None,
    );
    assert_fault(
        &told("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n").await,
        Fault::Broken,
        None,
    );
    let bomb = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X-A: b\r\n".repeat(10_000));
    assert_fault(&told(bomb).await, Fault::Broken, None);
}

#[tokio::test]
async fn what_is_no_text_is_not_stored() {
    assert_fault(&told(ok(b"caf\xE9")).await, Fault::NotText, Some(200));
    assert_fault(&told(ok(b"a\0b")).await, Fault::NotText, Some(200));
    assert_fault(&told(ok(b"\xED\xA0\x80")).await, Fault::NotText, Some(200));
    assert_eq!(
        told(ok("\u{FEFF}é".as_bytes())).await.body.as_deref(),
        Some("é")
    );
}

#[tokio::test]
async fn the_time_limit_is_for_the_whole_call() {
    let pause = Duration::from_millis(100);
    let drip = Wire::saying(vec![Say::Drip(ok(&[b'x'; 100]), pause)]).await;
    let head = Wire::saying(vec![Say::Bytes(ok(b"x")[..20].to_vec()), Say::Silence]).await;
    let body = Wire::saying(vec![
        Say::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n".to_vec()),
        Say::Drip(vec![b'x'; 50], pause),
    ])
    .await;
    let silent = Wire::saying(vec![Say::Silence]).await;
    let caller = caller("127.0.0.1", None);
    for (wire, status) in [
        (drip, None),
        (head, None),
        (body, Some(200)),
        (silent, None),
    ] {
        let answer = ask(&caller, &wire.url("/")).await;
        assert_fault(&answer, Fault::Timeout, status);
        assert!(
            (TIMEOUT_MS..TIMEOUT_MS * 3).contains(&answer.duration_ms),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn no_connection() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", closed.local_addr().unwrap());
    drop(closed);
    let answer = ask(&caller("127.0.0.1", None), &url).await;
    assert_fault(&answer, Fault::Connect, None);
    assert!(answer.detail.unwrap().to_lowercase().contains("refused"));
    let answer = ask(&caller("name.invalid", None), "http://name.invalid/").await;
    assert_fault(&answer, Fault::Dns, None);
}

#[tokio::test]
async fn the_guard_stands_before_every_connection() {
    let wire = Wire::answering(ok(b"{}")).await;
    let port = wire.address.port();
    let elsewhere = format!("127.0.0.1:{}", port.wrapping_add(1).max(1));
    for allowed in ["", "localhost", &elsewhere] {
        let caller = caller(allowed, None);
        for url in [
            wire.url("/"),
            format!("https://127.0.0.1:{port}/"),
            format!("https://[::ffff:7f00:1]:{port}/"),
        ] {
            assert_fault(&ask(&caller, &url).await, Fault::Blocked, None);
        }
    }
    // A name gets as far as the resolver.
    let answer = ask(&caller("", None), &format!("https://localhost:{port}/")).await;
    assert_fault(&answer, Fault::Blocked, None);
    assert!(!answer.detail.unwrap().contains("127."));
    assert!(wire.heard().is_empty());
    let listed = ask(
        &caller(&format!("LOCALHOST:{port}"), None),
        &format!("http://localhost:{port}/"),
    )
    .await;
    assert_eq!(listed.fault, None);
}

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
            .ask(Question {
                profile,
                url,
                headers,
                body: None,
            })
            .await;
        assert_fault(&answer, Fault::BadRequest, None);
    }
}

async fn heard(auth: Value) -> (Answer, Vec<String>) {
    let wire = Wire::answering(ok(b"{}")).await;
    let profile = profile(auth);
    let headers = json!({"X-Order": "é?", "X-Both": "order"});
    let question = Question {
        profile: &profile,
        url: Some(&wire.url("/orders/1?x=y")),
        headers: Some(&headers),
        body: Some("{\"a\":1}".to_owned()),
    };
    let answer = caller("127.0.0.1", None).ask(question).await;
    (answer, wire.heard())
}

#[tokio::test]
async fn every_auth_kind_is_on_the_wire() {
    for (auth, line) in [
        (json!({"kind": "none"}), None),
        (
            json!({"kind": "bearer", "secret": "TOKEN"}),
            Some("authorization: Bearer hush-hush"),
        ),
        (
            json!({"kind": "basic", "username_secret": "USER", "password_secret": "PASSWORD"}),
            Some("authorization: Basic bWU6cMOkOnNz"),
        ),
        (
            json!({"kind": "basic", "username_secret": "TOKEN"}),
            Some("authorization: Basic aHVzaC1odXNoOg=="),
        ),
        (json!({"kind": "basic"}), Some("authorization: Basic Og==")),
        (
            json!({"kind": "header", "header": "X-API-Key", "secret": "TOKEN"}),
            Some("x-api-key: hush-hush"),
        ),
    ] {
        let (answer, requests) = heard(auth).await;
        assert_eq!(answer.fault, None, "{answer:?}");
        let lines: Vec<&str> = requests[0].lines().collect();
        assert_eq!(lines[0], "GET /orders/1?x=y HTTP/1.1");
        for expected in [
            line.unwrap_or("accept: application/json"),
            "accept-encoding: gzip",
            concat!("user-agent: pg_reconcile/", env!("CARGO_PKG_VERSION")),
            "content-type: application/json",
            "content-length: 7",
            "x-static: 1",
            "x-both: order",
            "x-order: é?",
        ] {
            assert!(lines.contains(&expected), "{expected} in {lines:?}");
        }
        let signed = lines
            .iter()
            .filter(|line| line.starts_with("authorization"))
            .count();
        assert_eq!(
            signed,
            usize::from(line.is_some_and(|line| line.starts_with("authorization")))
        );
    }
}

#[tokio::test]
async fn without_its_secret_no_request_leaves() {
    let (answer, requests) = heard(json!({"kind": "bearer", "secret": "ABSENT"})).await;
    assert_fault(&answer, Fault::SecretMissing, None);
    assert_eq!(answer.detail.as_deref(), Some("no secret named ABSENT"));
    assert!(requests.is_empty());
}

#[tokio::test]
async fn no_secret_and_no_query_in_what_is_reported() {
    let wire = Wire::answering("nonsense\r\n\r\n").await;
    let profile = profile(json!({"kind": "bearer", "secret": "TOKEN"}));
    let url = wire.url("/orders/ORD-1?key=visible");
    let question = Question {
        profile: &profile,
        url: Some(&url),
        headers: None,
        body: None,
    };
    let answer = caller("127.0.0.1", None).ask(question).await;
    assert_fault(&answer, Fault::Broken, None);
    let debug = format!("{answer:?}{:?}", profile.shape);
    assert!(!debug.contains("hush") && !debug.contains("visible") && !debug.contains("ORD-1"));
}

#[tokio::test]
async fn tls_needs_a_trusted_certificate_for_the_name() {
    let issuer = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, issuer).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let wire = Wire::over_tls(&ok(b"{}"), TlsAcceptor::from(Arc::new(config))).await;
    let port = wire.address.port();
    let (good, wrong) = (
        format!("https://localhost:{port}/"),
        format!("https://127.0.0.1:{port}/"),
    );
    let pem = issuer.pem().into_bytes();

    let trusting = caller("localhost,127.0.0.1", Some(pem));
    assert_eq!(ask(&trusting, &good).await.body.as_deref(), Some("{}"));
    assert_fault(&ask(&trusting, &wrong).await, Fault::Tls, None);
    assert_fault(
        &ask(&caller("localhost", None), &good).await,
        Fault::Tls,
        None,
    );

    let plain = Wire::answering(ok(b"{}")).await;
    let url = format!("https://127.0.0.1:{}/", plain.address.port());
    let answer = ask(&caller("127.0.0.1", None), &url).await;
    assert!(
        matches!(answer.fault, Some(Fault::Tls | Fault::Timeout)),
        "{answer:?}"
    );
}

/// A gzip file of one stored block.
fn gzip_stored(text: &[u8]) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap();
    let mut file = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 1];
    file.extend(length.to_le_bytes());
    file.extend((!length).to_le_bytes());
    file.extend(text);
    file
}
