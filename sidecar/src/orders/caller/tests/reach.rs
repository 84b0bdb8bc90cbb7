//! Where a call may go, and how long it may take to get there and back.

use std::{sync::Arc, time::Duration};

use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};

use super::{TIMEOUT_MS, ask, assert_fault, caller, ok};
use crate::call::{
    fault::Fault,
    raw_server::{RawServer, Step},
};

#[tokio::test]
async fn the_time_limit_is_for_the_whole_call() {
    let pause = Duration::from_millis(100);
    let drip = RawServer::following(vec![Step::Drip(ok(&[b'x'; 100]), pause)]).await;
    let head =
        RawServer::following(vec![Step::Bytes(ok(b"x")[..20].to_vec()), Step::Silence]).await;
    let body = RawServer::following(vec![
        Step::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n".to_vec()),
        Step::Drip(vec![b'x'; 50], pause),
    ])
    .await;
    let silent = RawServer::following(vec![Step::Silence]).await;
    let caller = caller("127.0.0.1", None);
    for (server, status) in [
        (drip, None),
        (head, None),
        (body, Some(200)),
        (silent, None),
    ] {
        let answer = ask(&caller, &server.url("/")).await;
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
    let server = RawServer::answering(ok(b"{}")).await;
    let port = server.address.port();
    let elsewhere = format!("127.0.0.1:{}", port.wrapping_add(1).max(1));
    for allowed in ["", "localhost", &elsewhere] {
        let caller = caller(allowed, None);
        for url in [
            server.url("/"),
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
    assert!(server.requests().is_empty());
    let listed = ask(
        &caller(&format!("LOCALHOST:{port}"), None),
        &format!("http://localhost:{port}/"),
    )
    .await;
    assert_eq!(listed.fault, None);
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
    let server = RawServer::over_tls(&ok(b"{}"), TlsAcceptor::from(Arc::new(config))).await;
    let port = server.address.port();
    let (good, wrong) = (
        format!("https://localhost:{port}/"),
        format!("https://127.0.0.1:{port}/"),
    );
    let pem = issuer.pem().into_bytes();

    let trusting = caller("localhost,127.0.0.1", Some(pem));
    assert_eq!(ask(&trusting, &good).await.body.as_deref(), Some("{}"));
    let misnamed = ask(&trusting, &wrong).await;
    assert_fault(&misnamed, Fault::Tls, None);
    assert_eq!(
        misnamed.detail.as_deref(),
        Some("its certificate is not for 127.0.0.1, but for localhost")
    );
    let untrusted = ask(&caller("localhost", None), &good).await;
    assert_fault(&untrusted, Fault::Tls, None);
    assert_eq!(
        untrusted.detail.as_deref(),
        Some(
            "its certificate is from an authority that is not trusted here: RECONCILE_CA_FILE names others"
        )
    );

    let plain = RawServer::answering(ok(b"{}")).await;
    let url = format!("https://127.0.0.1:{}/", plain.address.port());
    let answer = ask(&caller("127.0.0.1", None), &url).await;
    assert!(
        matches!(answer.fault, Some(Fault::Tls | Fault::Timeout)),
        "{answer:?}"
    );
}
