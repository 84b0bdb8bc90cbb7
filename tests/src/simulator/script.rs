//! Answers that no HTTP library would send: bytes, pauses, resets, played onto the bare connection.
//! Knows nothing of orders.

use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One move on the wire.
#[derive(Clone, Debug)]
pub(crate) enum Move {
    /// These bytes, at once.
    Send(Bytes),
    /// These bytes, this many times.
    Repeat(Bytes, u64),
    /// These bytes one at a time, with a pause after each.
    Drip(Bytes, Duration),
    /// Nothing, until the other side goes away.
    Hang,
    /// The end, by a reset in place of an orderly close.
    Reset,
}

/// Moves in order; after the last one the connection is closed.
pub(crate) type Script = Vec<Move>;

/// Plays it. The other side's going away ends it at any point.
pub(crate) async fn play(script: Script, mut stream: TcpStream) {
    for next in script {
        if play_move(next, &mut stream).await.is_err() {
            return;
        }
    }
    // The other side may have closed first.
    stream.shutdown().await.ok();
}

async fn play_move(next: Move, stream: &mut TcpStream) -> std::io::Result<()> {
    match next {
        Move::Send(bytes) => stream.write_all(&bytes).await,
        Move::Repeat(bytes, times) => {
            for _ in 0..times {
                stream.write_all(&bytes).await?;
            }
            Ok(())
        }
        Move::Drip(bytes, pause) => {
            for byte in bytes {
                stream.write_all(&[byte]).await?;
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    gone = gone(stream) => return gone,
                }
            }
            Ok(())
        }
        Move::Hang => gone(stream).await,
        Move::Reset => stream
            .set_zero_linger()
            .and_then(|()| Err(std::io::ErrorKind::Other.into())),
    }
}

/// Comes back, with an error, when the other side has closed.
async fn gone(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut ignored = [0; 1024];
    while stream.read(&mut ignored).await? > 0 {}
    Err(std::io::ErrorKind::UnexpectedEof.into())
}
