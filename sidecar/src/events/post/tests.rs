//! Attempts over real sockets, to endpoints that behave and to endpoints that don't.

use super::*;
use crate::{
    call::{
        raw_server::{RawServer, Step},
        secrets::tests::secrets,
        transport::Limits,
    },
    database::protocol::deliveries::DeliveryLease,
};

const TIMEOUT: Duration = Duration::from_millis(500);

fn poster(allowed: &str) -> Poster {
    let limits = Limits {
        allowed: allowed.parse().unwrap(),
        slots: 4,
        max_body_bytes: 1000,
        connect_timeout: TIMEOUT,
        extra_roots: None,
    };
    let secrets = secrets(&[
        ("EVENTS", "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"),
        ("SHORT", "whsec_MDEy"),
    ]);
    Poster::new(Transport::new(limits).unwrap(), secrets)
}

fn delivery(url: &str, secret: &str) -> ClaimedDelivery {
    ClaimedDelivery {
        lease: DeliveryLease {
            delivery_id: 1,
            token: 1,
        },
        endpoint: "shop".to_owned(),
        url: url.to_owned(),
        secret: secret.to_owned(),
        message_id: "evt_1_a".to_owned(),
        body: "{\"type\": \"order.paid\"}".to_owned(),
        timeout: TIMEOUT,
    }
}

async fn post(server: &RawServer) -> Answer {
    let delivery = delivery(&server.url("/hooks?shop=1"), "EVENTS");
    poster("127.0.0.1").post(&delivery).await
}

fn says(head: &str) -> Vec<u8> {
    format!("HTTP/1.1 {head}\r\n\r\n").into_bytes()
}

#[tokio::test]
async fn a_message_is_posted_as_it_is_with_its_three_headers() {
    let server = RawServer::answering(says("204 No Content")).await;
    let answer = post(&server).await;
    assert_eq!((answer.fault, answer.http_status), (None, Some(204)));
    let heard = server.requests();
    let (head, body) = heard[0].split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /hooks?shop=1 HTTP/1.1\r\n"));
    assert_eq!(body, "{\"type\": \"order.paid\"}");
    let header = |name: &str| {
        let line = head.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim_start_matches(": ").to_owned()
    };
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(header("webhook-id"), "evt_1_a");
    let timestamp: i64 = header("webhook-timestamp").parse().unwrap();
    let key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3".into();
    let expected = signature(&key, "evt_1_a", timestamp, body).unwrap();
    assert_eq!(header("webhook-signature"), expected);
}

#[tokio::test]
async fn the_status_counts_whatever_becomes_of_the_body() {
    let endless = [
        says("200 OK\r\nContent-Length: 100000"),
        vec![b'x'; 100_000],
    ]
    .concat();
    let silent = vec![
        Step::Bytes(says("200 OK\r\nContent-Length: 5")),
        Step::Silence,
    ];
    for server in [
        RawServer::answering(endless).await,
        RawServer::following(silent).await,
    ] {
        let answer = post(&server).await;
        assert_eq!((answer.fault, answer.http_status), (None, Some(200)));
    }
}

#[tokio::test]
async fn refusals_are_reported_and_redirects_not_followed() {
    let elsewhere = RawServer::answering(says("200 OK\r\nContent-Length: 0")).await;
    let location = format!(
        "307 Temporary Redirect\r\nContent-Length: 0\r\nLocation: {}",
        elsewhere.url("/")
    );
    let busy = "429 Too Many Requests\r\nContent-Length: 0\r\nRetry-After: 60";
    for (head, status, retry_after_s) in [
        (location.as_str(), 307, None),
        (busy, 429, Some(60)),
        ("410 Gone\r\nContent-Length: 0", 410, None),
    ] {
        let answer = post(&RawServer::answering(says(head)).await).await;
        assert_eq!((answer.fault, answer.http_status), (None, Some(status)));
        assert_eq!(answer.retry_after_s, retry_after_s);
    }
    assert_eq!(elsewhere.requests().len(), 0);
}

#[tokio::test]
async fn an_endpoint_without_an_answer_is_a_fault() {
    let silent = RawServer::following(vec![Step::Silence]).await;
    assert_eq!(post(&silent).await.fault, Some(Fault::Timeout));
    let broken = RawServer::answering("no HTTP at all\r\n\r\n").await;
    assert_eq!(post(&broken).await.fault, Some(Fault::Broken));
}

#[tokio::test]
async fn nothing_is_sent_where_it_may_not_be_or_without_a_key() {
    let server = RawServer::answering(says("200 OK\r\nContent-Length: 0")).await;
    let url = server.url("/");
    for (allowed, url, secret, fault) in [
        ("", url.as_str(), "EVENTS", Fault::Blocked),
        ("127.0.0.1", &url, "MISSING", Fault::SecretMissing),
        ("127.0.0.1", &url, "SHORT", Fault::BadRequest),
        ("127.0.0.1", "no URL", "EVENTS", Fault::BadRequest),
    ] {
        let answer = poster(allowed).post(&delivery(url, secret)).await;
        assert_eq!(
            (answer.fault, answer.http_status),
            (Some(fault), None),
            "{answer:?}"
        );
        assert!(
            answer
                .detail
                .is_some_and(|detail| !detail.contains("whsec_MD"))
        );
    }
    assert_eq!(server.requests().len(), 0);
}
