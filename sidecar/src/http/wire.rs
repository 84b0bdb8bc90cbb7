//! Owns a provider of raw bytes for tests: what it is told to say goes over a real socket, however
//! wrong it is. Knows no HTTP but the end of a request.

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

/// What is said, one after the other, to everybody who connects.
#[derive(Clone)]
pub(super) enum Say {
    /// These bytes.
    Bytes(Vec<u8>),
    /// Each of these bytes, with a pause after it.
    Drip(Vec<u8>, Duration),
    /// Nothing any more, with the connection open.
    Silence,
}

/// A listening socket.
pub(super) struct Wire {
    pub(super) address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Wire {
    /// Says this after each request, and closes the connection.
    pub(super) async fn saying(script: Vec<Say>) -> Self {
        Self::start(script, None).await
    }

    /// Says these bytes after each request, and closes the connection.
    pub(super) async fn answering(bytes: impl AsRef<[u8]>) -> Self {
        Self::saying(vec![Say::Bytes(bytes.as_ref().to_vec())]).await
    }

    /// Answers over TLS.
    pub(super) async fn over_tls(bytes: &[u8], acceptor: TlsAcceptor) -> Self {
        Self::start(vec![Say::Bytes(bytes.to_vec())], Some(acceptor)).await
    }

    async fn start(script: Vec<Say>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&heard);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (script, record, tls) = (script.clone(), Arc::clone(&record), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => converse(stream, script, &record).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                converse(stream, script, &record).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, heard }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Requests so far, each as it came.
    pub(super) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    script: Vec<Say>,
    record: &Mutex<Vec<String>>,
) {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut buffer).await {
            Ok(count) if count > 0 => request.extend_from_slice(&buffer[..count]),
            _ => return,
        }
    }
    record
        .lock()
        .unwrap()
        .push(String::from_utf8_lossy(&request).into_owned());
    for say in script {
        match say {
            Say::Bytes(bytes) => drop(stream.write_all(&bytes).await),
            Say::Drip(bytes, pause) => {
                for byte in bytes {
                    drop(stream.write_all(&[byte]).await);
                    sleep(pause).await;
                }
            }
            Say::Silence => std::future::pending().await,
        }
    }
    drop(stream.shutdown().await);
}
