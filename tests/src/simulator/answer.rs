//! From a step to what goes over the wire: an HTTP response, or a script of bytes. Owns the shape of
//! the provider's JSON; decides nothing about when.

use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::Value;

use super::fate::{Answer, Fate, Reply};
use super::script::{Move, Script};

/// What is sent.
pub(crate) enum Wire {
    /// By the HTTP library.
    Response(Response<Full<Bytes>>),
    /// By hand, over the bare connection.
    Script(Script),
}

/// The answer to one call about `order_number`; `invoice` is what the call named.
pub(crate) fn wire(reply: &Reply, fate: &Fate, order_number: &str, invoice: &str) -> Wire {
    let said = |status: &str| {
        document(
            &Answer::default(),
            fate,
            order_number,
            invoice,
            Some(status),
            None,
        )
    };
    let orderly = || said("\"succeeded\"");
    match reply {
        Reply::Answer(answer) => json(document(answer, fate, order_number, invoice, None, None)),
        Reply::Http {
            status,
            headers,
            body,
        } => http(*status, headers, body),
        Reply::NotJson => json("<html><body>502 Bad Gateway</body></html>"),
        Reply::Empty => json(""),
        Reply::NotUtf8 => {
            let mut bytes = orderly().into_bytes();
            let word = orderly().find("succeeded").unwrap_or(0);
            bytes[word] = 0xff;
            json(bytes)
        }
        Reply::EscapedNul => json(said(r#""succ\u0000eeded""#)),
        Reply::RawNul => json(said("\"succ\0eeded\"")),
        Reply::WithoutPath => json(r#"{"message":"Success"}"#),
        Reply::HugeNumber => {
            let succeeded = Answer {
                status: "succeeded".into(),
                ..Answer::default()
            };
            json(document(
                &succeeded,
                fate,
                order_number,
                invoice,
                None,
                Some("1e1000000"),
            ))
        }
        Reply::Deep(depth) => {
            let depth = *depth as usize;
            json(format!("{}{}", "[".repeat(depth), "]".repeat(depth)))
        }
        Reply::GzipBomb(bytes) => gzip_bomb(*bytes),
        by_hand => Wire::Script(script(by_hand, &orderly())),
    }
}

/// The provider's JSON. `status` and `amount` are JSON texts that go in as they are: some that are
/// asked for are none that a library would write.
fn document(
    answer: &Answer,
    fate: &Fate,
    order_number: &str,
    invoice: &str,
    status: Option<&str>,
    amount: Option<&str>,
) -> String {
    let text = |value: Option<&Value>, otherwise: &str| {
        value.map_or_else(|| Value::from(otherwise).to_string(), Value::to_string)
    };
    let reference = fate.reference.as_deref().unwrap_or(invoice);
    let fate_amount = text(answer.amount.as_ref().or(fate.amount.as_ref()), "0.73");
    format!(
        concat!(
            r#"{{"message":"Success","data":{{"invoiceId":{},"reference":{},"retailPrice":{},"#,
            r#""currency":{},"status":{},"transactionId":{},"productName":"Honor of Kings","#,
            r#""trxDate":"2025-12-10T10:33:32.774Z"}}}}"#
        ),
        text(answer.reference.as_ref(), reference),
        text(answer.order_number.as_ref(), order_number),
        amount.unwrap_or(&fate_amount),
        text(answer.currency.as_ref().or(fate.currency.as_ref()), "USD"),
        status.map_or_else(|| answer.status.to_string(), str::to_owned),
        text(
            answer.transaction_id.as_ref(),
            &format!("TXN-{order_number}")
        ),
    )
}

fn json(body: impl Into<Bytes>) -> Wire {
    let mut response = Response::new(Full::new(body.into()));
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Wire::Response(response)
}

fn http(status: u16, headers: &std::collections::BTreeMap<String, String>, body: &str) -> Wire {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
    Wire::Response(response.body(body).unwrap_or_else(|error| {
        // A mistake of the test, to be seen as such and not as the provider's.
        let mut wrong = Response::new(Full::new(Bytes::from(format!("bad step: {error}"))));
        *wrong.status_mut() = StatusCode::NOT_IMPLEMENTED;
        wrong
    }))
}

fn gzip_bomb(bytes: u64) -> Wire {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let piece = [b' '; 64 * 1024];
    let mut left = bytes;
    while left > 0 {
        let next = left.min(piece.len() as u64);
        // Writing to a Vec can't fail.
        packer.write_all(&piece[..next as usize]).ok();
        left -= next;
    }
    let Wire::Response(mut response) = json(packer.finish().unwrap_or_default()) else {
        return Wire::Script(Vec::new());
    };
    response
        .headers_mut()
        .insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    Wire::Response(response)
}

/// `body` is an orderly one, to be mistreated.
fn script(reply: &Reply, body: &str) -> Script {
    let head = |length: usize| {
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let half = &body[..body.len() / 2];
    let send = |text: String| Move::Send(Bytes::from(text));
    match reply {
        Reply::Large { bytes, declared } => large(*bytes, *declared),
        Reply::LengthTooLong => vec![send(head(body.len() + 100) + body)],
        Reply::LengthTooShort => vec![send(head(half.len()) + body)],
        Reply::CloseInHead => vec![send(head(7)[..40].to_owned())],
        Reply::CloseInBody => vec![send(format!("{chunked}{:x}\r\n{half}", body.len()))],
        Reply::ResetInBody => vec![send(head(body.len()) + half), Move::Reset],
        Reply::BadStatusLine => vec![send("SSH-2.0-OpenSSH_9.2p1\r\n\r\n".to_owned())],
        Reply::Drip(pause_ms) => {
            let bytes = Bytes::from(head(body.len()) + body);
            vec![Move::Drip(bytes, Duration::from_millis(*pause_ms))]
        }
        Reply::HangInBody => vec![send(head(body.len()) + half), Move::Hang],
        Reply::ResetBefore => vec![Move::Reset],
        Reply::Hang => vec![Move::Hang],
        // CloseBefore; the others are answered by the HTTP library.
        _ => Vec::new(),
    }
}

fn large(bytes: u64, declared: bool) -> Script {
    const PIECE: u64 = 64 * 1024;
    let blank = |length: u64| " ".repeat(length as usize);
    let (pieces, rest) = (bytes / PIECE, bytes % PIECE);
    let (framing, piece, end) = if declared {
        (
            format!("content-length: {bytes}"),
            blank(PIECE),
            blank(rest),
        )
    } else {
        let chunk = |length: u64| format!("{length:x}\r\n{}\r\n", blank(length));
        let last = if rest > 0 { chunk(rest) } else { String::new() };
        (
            "transfer-encoding: chunked".to_owned(),
            chunk(PIECE),
            last + "0\r\n\r\n",
        )
    };
    vec![
        Move::Send(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n").into()),
        Move::Repeat(piece.into(), pieces),
        Move::Send(end.into()),
    ]
}
