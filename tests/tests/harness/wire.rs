//! The simulator's misbehaviour, as the bytes that a plain TCP client sees.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use anyhow::Result;
use reconcile_tests::simulator::{Fate, Reply, Simulator};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Closed,
    Reset,
    /// It was still open after the time given.
    Open,
}

async fn bytes_of(reply: Reply, within: Duration) -> Result<(Vec<u8>, End)> {
    let simulator = Simulator::start()?;
    simulator.set_fate("A", Fate::of([reply.into()]));
    let mut stream = TcpStream::connect(simulator.address()).await?;
    stream
        .write_all(b"GET /orders/A HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .await?;
    let mut bytes = Vec::new();
    let end = match tokio::time::timeout(within, stream.read_to_end(&mut bytes)).await {
        Ok(Ok(_)) => End::Closed,
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionReset => End::Reset,
        Ok(Err(error)) => return Err(error.into()),
        Err(_) => End::Open,
    };
    assert_eq!(simulator.count("A"), 1);
    Ok((bytes, end))
}

async fn whole(reply: Reply) -> Result<(String, Vec<u8>)> {
    let (bytes, end) = bytes_of(reply, Duration::from_secs(20)).await?;
    assert_eq!(end, End::Closed);
    let split = bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .expect("a head")
        + 4;
    let head = String::from_utf8(bytes[..split].to_vec())?.to_lowercase();
    assert!(head.starts_with("http/1.1 200 ok\r\n"), "{head}");
    Ok((head, bytes[split..].to_vec()))
}

fn declared(head: &str) -> usize {
    let line = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    line.expect("a length").parse().expect("a number")
}

#[tokio::test]
async fn bodies_that_are_no_answer() -> Result<()> {
    assert!(whole(Reply::NotJson).await?.1.starts_with(b"<html>"));
    assert_eq!(whole(Reply::Empty).await?.1, b"");
    let not_utf8 = whole(Reply::NotUtf8).await?.1;
    assert!(std::str::from_utf8(&not_utf8).is_err() && not_utf8.contains(&0xff));
    let escaped = String::from_utf8(whole(Reply::EscapedNul).await?.1)?;
    assert!(
        escaped.contains(r#""status":"succ\u0000eeded""#),
        "{escaped}"
    );
    assert!(whole(Reply::RawNul).await?.1.contains(&0));
    let without = whole(Reply::WithoutPath).await?.1;
    assert_eq!(without, br#"{"message":"Success"}"#);
    let huge = String::from_utf8(whole(Reply::HugeNumber).await?.1)?;
    assert!(huge.contains(r#""retailPrice":1e1000000,"#), "{huge}");
    assert!(huge.contains(r#""status":"succeeded""#), "{huge}");
    let deep = whole(Reply::Deep(100_000)).await?.1;
    assert_eq!(
        (deep.len(), deep[99_999], deep[100_000]),
        (200_000, b'[', b']')
    );
    Ok(())
}

#[tokio::test]
async fn bodies_that_are_too_large() -> Result<()> {
    const SIZE: u64 = 50_000_000;
    let (head, body) = whole(Reply::Large {
        bytes: SIZE,
        declared: true,
    })
    .await?;
    assert_eq!(
        (declared(&head), body.len()),
        (SIZE as usize, SIZE as usize)
    );
    let (head, body) = whole(Reply::Large {
        bytes: SIZE,
        declared: false,
    })
    .await?;
    assert!(head.contains("transfer-encoding: chunked"));
    assert!(body.len() as u64 > SIZE && body.ends_with(b"\r\n0\r\n\r\n"));
    let (head, body) = whole(Reply::GzipBomb(SIZE)).await?;
    assert!(head.contains("content-encoding: gzip") && body.len() < 100_000);
    let unpacked = std::io::copy(
        &mut flate2::read::GzDecoder::new(&body[..]),
        &mut std::io::sink(),
    );
    assert_eq!(unpacked?, SIZE);
    Ok(())
}

#[tokio::test]
async fn lengths_that_lie() -> Result<()> {
    let (head, body) = whole(Reply::LengthTooLong).await?;
    assert_eq!(declared(&head), body.len() + 100);
    let (head, body) = whole(Reply::LengthTooShort).await?;
    assert!(declared(&head) < body.len());
    Ok(())
}

#[tokio::test]
async fn connections_that_break() -> Result<()> {
    let soon = Duration::from_secs(10);
    assert_eq!(
        bytes_of(Reply::CloseBefore, soon).await?,
        (Vec::new(), End::Closed)
    );
    assert_eq!(
        bytes_of(Reply::ResetBefore, soon).await?,
        (Vec::new(), End::Reset)
    );
    let (head, end) = bytes_of(Reply::CloseInHead, soon).await?;
    assert!(end == End::Closed && head.starts_with(b"HTTP/1.1 200") && !head.ends_with(b"\n"));
    let (_, body) = whole(Reply::CloseInBody).await?;
    assert!(body.ends_with(b"\"") || !body.ends_with(b"\r\n"));
    assert_eq!(bytes_of(Reply::ResetInBody, soon).await?.1, End::Reset);
    let (bytes, end) = bytes_of(Reply::BadStatusLine, soon).await?;
    assert!(end == End::Closed && bytes.starts_with(b"SSH-2.0"));
    Ok(())
}

#[tokio::test]
async fn answers_that_take_for_ever() -> Result<()> {
    let while_watched = Duration::from_millis(150);
    assert_eq!(
        bytes_of(Reply::Hang, while_watched).await?,
        (Vec::new(), End::Open)
    );
    let (bytes, end) = bytes_of(Reply::HangInBody, while_watched).await?;
    assert!(end == End::Open && !bytes.ends_with(b"\r\n\r\n") && !bytes.is_empty());
    let (bytes, end) = bytes_of(Reply::Drip(10), while_watched).await?;
    assert!(
        end == End::Open && (2..=16).contains(&bytes.len()),
        "{} bytes",
        bytes.len()
    );
    let began = Instant::now();
    let (_, body) = whole(Reply::Drip(1)).await?;
    assert!(began.elapsed() > Duration::from_millis(200) && body.ends_with(b"}}"));
    Ok(())
}
