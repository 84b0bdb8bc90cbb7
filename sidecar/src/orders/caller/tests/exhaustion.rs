//! Calls of a process that has no descriptors left. A limit is the whole process's, so these run in
//! one of their own.

use std::{fs::File, process::Command};

use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    call::secrets::Secrets,
    database::protocol::leases::{ClaimedOrder, Lease, Subject},
    orders::{slots::Slots, worker::Worker},
};

const ALONE: &str = concat!(module_path!(), "::with_few_descriptors");

#[test]
fn what_this_machine_lacks_is_nobodys_fault() {
    let tests = std::env::current_exe().unwrap();
    let (_, alone) = ALONE.split_once("::").unwrap();
    let output = Command::new("sh")
        .args(["-c", "ulimit -n 64 && exec \"$0\" --exact \"$1\" --ignored"])
        .args([tests.as_os_str(), alone.as_ref()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
}

#[tokio::test]
#[ignore = "lowers the limit of the whole process"]
async fn with_few_descriptors() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("TOKEN"), "hush-hush").unwrap();
    let limits = Limits {
        allowed: "127.0.0.1, localhost".parse().unwrap(),
        slots: 4,
        max_body_bytes: CAP,
        connect_timeout: Duration::from_secs(2),
        extra_roots: None,
    };
    let caller = Caller::new(limits, Secrets::new(Some(folder.path().to_owned()))).unwrap();
    let server = RawServer::answering(ok(b"{}")).await;
    let port = server.address.port();
    let none = profile(json!({"kind": "none"}));
    let bearer = profile(json!({"kind": "bearer", "secret": "TOKEN"}));
    let asked = [
        (&bearer, format!("http://127.0.0.1:{port}/")),
        (&none, format!("http://127.0.0.1:{port}/")),
        (&none, format!("http://localhost:{port}/")),
    ];
    let all: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    assert!(all.len() < 64);
    for (profile, url) in &asked {
        let answer = caller.ask(check(profile, url)).await;
        assert_fault(&answer, Fault::Exhausted, None);
    }
    drop(all);
    let answer = caller.ask(check(&bearer, &asked[0].1)).await;
    assert_eq!(answer.fault, None, "{answer:?}");
    released(caller, &asked[1].1).await;
}

/// A call that this machine can't make: nothing is reported, and the lease is there to be released.
async fn released(caller: Caller, url: &str) {
    let (findings, mut found) = tokio::sync::mpsc::channel(1);
    let worker = Arc::new(Worker::new(caller, findings, CancellationToken::new()));
    let slots = Slots::new(1);
    let lease = Lease {
        subject: Subject::Order(7),
        token: 9,
    };
    let claimed = ClaimedOrder {
        lease,
        provider: "p".to_owned(),
        provider_version: 1,
        url: Some(url.to_owned()),
        headers: None,
        body: None,
        problem: None,
        awaited: false,
        by_order_number: false,
        asked_at: Uptime::now(),
    };
    let all: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    let profile = Arc::new(profile(json!({"kind": "none"})));
    worker.start(claimed, profile, slots.take().await.unwrap());
    worker.exhausted().await;
    worker.finished().await;
    drop(all);
    assert_eq!(worker.take_unasked(), [lease]);
    assert!(found.try_recv().is_err());
    assert_eq!(slots.in_flight(), 0);
}
