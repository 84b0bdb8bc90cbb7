//! An application's endpoint: takes what is posted, remembers it, and answers as it is told to. It
//! judges nothing; what a message has to look like is for the tests to say.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use reconcile_tests::shop::SOON;
use reconcile_tests::wait;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A message as it came.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Message {
    /// A header's text.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("")
    }

    pub(crate) fn id(&self) -> &str {
        self.header("webhook-id")
    }

    pub(crate) fn json(&self) -> Result<serde_json::Value> {
        Ok(serde_json::from_slice(&self.body)?)
    }
}

#[derive(Default)]
struct Register {
    status: u16,
    headers: Vec<(&'static str, String)>,
    messages: Vec<Message>,
    under_way: usize,
    most_under_way: usize,
}

/// A running endpoint.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    register: Arc<Mutex<Register>>,
    held: watch::Sender<bool>,
    server: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Receiver {
    /// One that takes everything.
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let register = Arc::new(Mutex::new(Register {
            status: 204,
            ..Register::default()
        }));
        let (held, gate) = watch::channel(false);
        let shared = Arc::clone(&register);
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (register, gate) = (Arc::clone(&shared), gate.clone());
                let service =
                    service_fn(move |request| answer(Arc::clone(&register), gate.clone(), request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Ok(Self {
            address,
            register,
            held,
            server,
        })
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What is answered from now on.
    pub(crate) fn says(&self, status: u16, headers: &[(&'static str, &str)]) {
        let mut register = self.register.lock();
        register.status = status;
        register.headers = headers
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect();
    }

    /// Answers nothing until [`Self::let_go`].
    pub(crate) fn hold(&self) {
        self.held.send_replace(true);
    }

    pub(crate) fn let_go(&self) {
        self.held.send_replace(false);
    }

    /// All messages so far.
    pub(crate) fn messages(&self) -> Vec<Message> {
        self.register.lock().messages.clone()
    }

    /// Calls that are not answered yet, now and at most so far.
    pub(crate) fn under_way(&self) -> (usize, usize) {
        let register = self.register.lock();
        (register.under_way, register.most_under_way)
    }

    /// Waits until there were so many messages, and gives them.
    pub(crate) async fn received(&self, count: usize) -> Result<Vec<Message>> {
        let what = format!("{count} messages");
        wait::value(SOON, what, async || {
            let messages = self.messages();
            ensure!(messages.len() >= count, "there were {}", messages.len());
            Ok(Some(messages))
        })
        .await
    }
}

/// Counts a call as over when it is answered, or when the caller has gone.
struct UnderWay(Arc<Mutex<Register>>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.lock().under_way -= 1;
    }
}

async fn answer(
    register: Arc<Mutex<Register>>,
    mut gate: watch::Receiver<bool>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes());
    let _under_way = {
        let mut now = register.lock();
        now.messages.push(Message {
            method: head.method.to_string(),
            path: head.uri.to_string(),
            headers: head.headers,
            body: body.unwrap_or_default(),
        });
        now.under_way += 1;
        now.most_under_way = now.most_under_way.max(now.under_way);
        UnderWay(Arc::clone(&register))
    };
    // The sender goes away with the test.
    gate.wait_for(|held| !held).await.ok();
    let mut response = Response::new(Full::default());
    let now = register.lock();
    if let Ok(status) = now.status.try_into() {
        *response.status_mut() = status;
    }
    for (name, value) in &now.headers {
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(*name, value);
        }
    }
    Ok(response)
}
