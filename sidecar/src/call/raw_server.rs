//! Owns a provider of raw bytes for tests: what it is told to answer goes over a real socket, however
//! wrong it is. Knows no HTTP but the length of a request.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    time::sleep,
};
use tokio_rustls::TlsAcceptor;

/// What is answered, one after the other, to everybody who connects.
#[derive(Clone)]
pub(crate) enum Step {
    /// These bytes.
    Bytes(Vec<u8>),
    /// Each of these bytes, with a pause after it.
    Drip(Vec<u8>, Duration),
    /// The whole request, as the body of a refusal.
    Echo,
    /// Nothing any more, with the connection open.
    Silence,
}

/// A listening socket.
pub(crate) struct RawServer {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl RawServer {
    /// Says this after each request, and closes the connection.
    pub(crate) async fn following(script: Vec<Step>) -> Self {
        Self::start(vec![script], None).await
    }

    /// Says the first bytes after the first request, and so on; the last ones after all others.
    pub(crate) async fn in_turn(answers: &[&[u8]]) -> Self {
        let script = |bytes: &&[u8]| vec![Step::Bytes(bytes.to_vec())];
        Self::start(answers.iter().map(script).collect(), None).await
    }

    /// Says these bytes after each request, and closes the connection.
    pub(crate) async fn answering(bytes: impl AsRef<[u8]>) -> Self {
        Self::following(vec![Step::Bytes(bytes.as_ref().to_vec())]).await
    }

    /// Answers over TLS.
    pub(crate) async fn over_tls(bytes: &[u8], acceptor: TlsAcceptor) -> Self {
        Self::start(vec![vec![Step::Bytes(bytes.to_vec())]], Some(acceptor)).await
    }

    async fn start(scripts: Vec<Vec<Step>>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&requests);
        let scripts = Arc::new(scripts);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (scripts, log, tls) = (Arc::clone(&scripts), Arc::clone(&log), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, &scripts, &log).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, &scripts, &log).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, requests }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Requests so far, each as it came.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    scripts: &[Vec<Step>],
    log: &Mutex<Vec<String>>,
) {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while !is_whole(&request) {
        match stream.read(&mut buffer).await {
            Ok(count) if count > 0 => request.extend_from_slice(&buffer[..count]),
            _ => return,
        }
    }
    let turn = {
        let mut log = log.lock().unwrap();
        log.push(String::from_utf8_lossy(&request).into_owned());
        log.len().min(scripts.len()) - 1
    };
    for step in scripts[turn].clone() {
        match step {
            Step::Bytes(bytes) => drop(stream.write_all(&bytes).await),
            Step::Drip(bytes, pause) => {
                for byte in bytes {
                    drop(stream.write_all(&[byte]).await);
                    sleep(pause).await;
                }
            }
            Step::Echo => {
                let length = request.len();
                let head = format!("HTTP/1.1 401 No\r\nContent-Length: {length}\r\n\r\n");
                drop(stream.write_all(head.as_bytes()).await);
                drop(stream.write_all(&request).await);
            }
            Step::Silence => std::future::pending().await,
        }
    }
    drop(stream.shutdown().await);
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, _)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length: usize = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().unwrap());
    request.len() >= head.len() + 4 + length
}
