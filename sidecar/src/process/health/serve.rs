//! Owns the connections of those who ask for /health and /metrics: how many there are and how long
//! each may last, so that whoever opens many takes no descriptor that a call needs. What is
//! answered is not decided here.

use std::{collections::VecDeque, convert::Infallible, net::SocketAddr, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;

use crate::telemetry::log_limit::LogLimit;

/// The longest head of a request. A probe's is far shorter.
const HEAD_BYTES: usize = 16 * 1024;

/// How long to leave the listener alone when the system has no descriptor for a connection.
const AFTER_REFUSAL: Duration = Duration::from_millis(100);

/// What all connections share, and each may have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// The most at one time; the oldest makes room for a new one.
    pub(super) connections: usize,
    /// For the head of the request.
    pub(super) head: Duration,
    /// For everything, down to the last byte of the answer.
    pub(super) whole: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: 32,
            head: Duration::from_secs(3),
            whole: Duration::from_secs(10),
        }
    }
}

/// Binds the address and serves until the process ends; gives the address that was chosen.
pub(super) async fn serve(
    address: SocketAddr,
    router: Router,
    bounds: Bounds,
) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let chosen = listener.local_addr()?;
    tokio::spawn(accept(listener, router, bounds));
    Ok(chosen)
}

async fn accept(listener: TcpListener, router: Router, bounds: Bounds) -> Infallible {
    let mut open: VecDeque<AbortOnDropHandle<()>> = VecDeque::new();
    let mut failures = LogLimit::default();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                open.retain(|connection| !connection.is_finished());
                if open.len() >= bounds.connections {
                    // A probe's connection is young; what is old here reads or writes too slowly.
                    open.pop_front();
                }
                let answered = answer(stream, router.clone(), bounds);
                open.push_back(AbortOnDropHandle::new(tokio::spawn(answered)));
            }
            Err(error) => {
                open.pop_front();
                if let Some(times) = failures.happened() {
                    tracing::warn!(%error, times, "a connection to /health or /metrics can't be taken");
                }
                sleep(AFTER_REFUSAL).await;
            }
        }
    }
}

/// One request and its answer. Kept open afterwards, a connection would only take another's place.
async fn answer(stream: TcpStream, router: Router, bounds: Bounds) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head)
        .max_buf_size(HEAD_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    match timeout(bounds.whole, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection to /health or /metrics failed"),
        Err(_) => tracing::debug!("a connection to /health or /metrics took too long"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        time::Instant,
    };

    const MOMENT: Duration = Duration::from_millis(200);
    const LONG: Duration = Duration::from_secs(60);

    async fn serving(connections: usize, head: Duration, whole: Duration) -> SocketAddr {
        // An answer that is longer than the buffers of both ends.
        let long = "x".repeat(32 * 1024 * 1024);
        let router = Router::new()
            .route("/health", get(|| async { "ok" }))
            .route("/long", get(|| async { long }));
        let bounds = Bounds {
            connections,
            head,
            whole,
        };
        serve("127.0.0.1:0".parse().unwrap(), router, bounds)
            .await
            .unwrap()
    }

    /// Connects and sends this.
    async fn connected(address: SocketAddr, words: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(words.as_bytes()).await.unwrap();
        stream
    }

    /// What is answered until the connection ends, which it has to.
    async fn answer_of(stream: &mut TcpStream) -> String {
        let mut bytes = Vec::new();
        // A connection that is reset has ended as well.
        drop(
            timeout(LONG / 2, stream.read_to_end(&mut bytes))
                .await
                .unwrap(),
        );
        String::from_utf8(bytes).unwrap()
    }

    async fn probe(address: SocketAddr) {
        // HTTP/1.1 without `Connection: close`: the server ends it all the same.
        let mut stream = connected(address, "GET /health HTTP/1.1\r\nHost: h\r\n\r\n").await;
        let answer = answer_of(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.ends_with("ok"), "{answer}");
    }

    #[tokio::test]
    async fn a_probe_gets_through_many_connections_that_say_nothing() {
        let address = serving(4, LONG, LONG).await;
        let mut silent = Vec::new();
        for _ in 0..100 {
            silent.push(connected(address, "GET /health HTT").await);
            silent.push(connected(address, "").await);
        }
        probe(address).await;
        // All but the last few were let go for those that came after them.
        for stream in &mut silent[..190] {
            assert_eq!(answer_of(stream).await, "");
        }
    }

    #[tokio::test]
    async fn who_does_not_end_the_head_of_a_request_is_let_go() {
        let address = serving(4, MOMENT, LONG).await;
        let started = Instant::now();
        answer_of(&mut connected(address, "GET /health HTTP/1.1\r\nX: ").await).await;
        answer_of(&mut connected(address, "").await).await;
        assert!(started.elapsed() < LONG / 4);
    }

    #[tokio::test]
    async fn who_does_not_read_the_answer_is_let_go() {
        let address = serving(4, LONG, MOMENT).await;
        let mut stream = connected(address, "GET /long HTTP/1.1\r\nHost: h\r\n\r\n").await;
        sleep(2 * MOMENT).await;
        let length = answer_of(&mut stream).await.len();
        assert!(length < 32 * 1024 * 1024, "{length}");
        probe(address).await;
    }
}
