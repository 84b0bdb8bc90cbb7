//! What is made of an answer, whole or broken.

use super::{CAP, assert_fault, ok, told};
use crate::call::{fault::Fault, raw_server::RawServer};

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
async fn what_says_that_it_is_no_json_is_called_by_its_type() {
    for (kind, detail) in [
        ("text/html; charset=utf-8", Some("text/html")),
        ("TEXT/plain", Some("text/plain")),
        ("application/json; charset=utf-8", None),
        ("application/problem+json", None),
        ("", None),
    ] {
        let answer = told(format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: 2\r\n\r\n{{}}"
        ));
        assert_eq!(answer.await.detail.as_deref(), detail, "{kind}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = RawServer::answering(ok(b"secret")).await;
    let location = target.url("/");
    let redirect =
        format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(told(redirect).await.http_status, Some(302));
    assert!(target.requests().is_empty());
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

/// A gzip file of one stored block.
fn gzip_stored(text: &[u8]) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap();
    let mut file = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 1];
    file.extend(length.to_le_bytes());
    file.extend((!length).to_le_bytes());
    file.extend(text);
    file
}
