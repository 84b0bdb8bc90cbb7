//! Calls over real sockets, to providers that behave and to providers that don't.

mod answers;
mod echoes;
mod exhaustion;
mod reach;
mod requests;
mod signatures;
mod tokens;

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::{Answer, Caller, OrderCheck};
use crate::{
    call::{fault::Fault, raw_server::RawServer, secrets::tests::secrets, transport::Limits},
    database::{protocol::providers::ProviderRow, uptime::Uptime},
    orders::instruments::ProviderInstruments,
    orders::profile::Profile,
};

const CAP: usize = 1000;
const TIMEOUT_MS: i32 = 500;
/// After the call's own time.
const LEASE_LASTS_MS: i32 = 20_000;

fn caller(allowed: &str, extra_roots: Option<Vec<u8>>) -> Caller {
    let limits = Limits {
        allowed: allowed.parse().unwrap(),
        slots: 4,
        max_body_bytes: CAP,
        connect_timeout: Duration::from_secs(2),
        extra_roots,
    };
    let secrets = secrets(&[
        ("TOKEN", "hush-hush"),
        ("USER", "me"),
        ("PASSWORD", "pä:ss"),
        ("SALT", "5a17-0000-salt"),
        ("MERCHANT_KEY", "0123456789abcdef"),
        ("CLIENT_ID", "client one"),
        ("CLIENT_SECRET", "hush&client=secret"),
        ("BOUND", "hush-bound"),
        ("BOUND_HOSTS", "127.0.0.2"),
    ]);
    Caller::new(limits, secrets).unwrap()
}

/// A provider whose calls may take `timeout_ms`.
fn provider(method: &str, auth: Value, timeout_ms: i32) -> Profile {
    let row = ProviderRow {
        method: Some(method.to_owned()),
        headers: Some(json!({"X-Static": "1", "X-Both": "static"})),
        auth: Some(auth),
        timeout_ms: Some(timeout_ms),
        lease_ms: Some(timeout_ms + LEASE_LASTS_MS),
        own_headers: false,
        own_body: false,
    };
    Profile::new("p", Some(row), Arc::new(ProviderInstruments::of("p")))
}

fn profile(auth: Value) -> Profile {
    provider("GET", auth, TIMEOUT_MS)
}

/// A question without headers and body of its own.
fn check<'a>(profile: &'a Profile, url: &'a str) -> OrderCheck<'a> {
    OrderCheck {
        profile,
        url: Some(url),
        headers: None,
        body: None,
        problem: None,
        asked_at: Uptime::now(),
    }
}

async fn ask(caller: &Caller, url: &str) -> Answer {
    let profile = profile(json!({"kind": "none"}));
    caller.ask(check(&profile, url)).await
}

/// The answer to a provider that is listed and says these bytes.
async fn told(bytes: impl AsRef<[u8]>) -> Answer {
    let server = RawServer::answering(bytes).await;
    ask(&caller("127.0.0.1", None), &server.url("/")).await
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
    says("200 OK", body)
}

fn says(status: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// The body of a request, as it came.
fn body_of(request: &str) -> &str {
    request.split_once("\r\n\r\n").unwrap().1
}

/// A header of a request, as it came.
fn header_of<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    let mut found = request
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(": "))
        .filter(|(header, _)| *header == name);
    let value = found.next()?.1;
    assert!(found.next().is_none(), "{name} twice in {request}");
    Some(value)
}
