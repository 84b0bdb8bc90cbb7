//! A provider that answers with fixtures: by the reference that it is asked about, and with a token
//! where the preset buys one. It remembers every request as it came. It judges none.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::manifest::Fixtures;

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// Path and query, as they were written.
    pub(crate) url: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// The number of the order that a case of this place is about.
pub(crate) fn order_number(place: usize) -> String {
    format!("ORD-{place}")
}

/// A running server; it ends when it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    _tasks: JoinSet<()>,
}

struct State {
    answers: HashMap<String, (StatusCode, Bytes)>,
    token: Option<(String, Bytes)>,
    asked: Mutex<Vec<Asked>>,
    bought: Mutex<Vec<Asked>>,
}

impl Server {
    pub(crate) async fn start(fixtures: &Fixtures) -> Result<Self> {
        let mut answers = HashMap::new();
        for (place, case) in fixtures.manifest.cases.iter().enumerate() {
            let answer = (
                StatusCode::from_u16(case.http_status)?,
                Bytes::from(fixtures.body(case)?),
            );
            let asked_by = match case.by_order_number {
                true => order_number(place),
                false => case.order.reference.clone(),
            };
            answers.insert(asked_by, answer);
        }
        let token = fixtures.manifest.token.as_ref();
        let state = Arc::new(State {
            answers,
            token: token.map(|token| (token.path.clone(), token.answer.to_string().into())),
            asked: Mutex::default(),
            bought: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, Arc::clone(&state)));
        Ok(Self {
            address,
            state,
            _tasks: tasks,
        })
    }

    /// The requests since the last look.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.state.asked.lock())
    }

    /// The requests for a token, all of them.
    pub(crate) fn bought(&self) -> Vec<Asked> {
        self.state.bought.lock().clone()
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    let mut conversations = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        conversations.spawn(async move {
            let service = service_fn(|request| answer(&state, request));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // A caller that hangs up has its own report of it.
            connection.await.ok();
        });
    }
}

async fn answer(
    state: &State,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, body) = reply(state, request).await.unwrap_or_else(|error| {
        let problem = format!("{error:#}").into();
        (StatusCode::NOT_IMPLEMENTED, problem)
    });
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let json = hyper::header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    Ok(response)
}

async fn reply(state: &State, request: Request<Incoming>) -> Result<(StatusCode, Bytes)> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let asked = Asked {
        method: head.method.to_string(),
        url: head
            .uri
            .path_and_query()
            .context("no path")?
            .as_str()
            .to_owned(),
        headers: head.headers,
        body: String::from_utf8(body.to_vec())?,
    };
    if let Some((path, token)) = &state.token
        && asked.url == *path
    {
        state.bought.lock().push(asked);
        return Ok((StatusCode::OK, token.clone()));
    }
    let found = state
        .answers
        .iter()
        .find(|(reference, _)| asked.is_about(reference))
        .map(|(_, answer)| answer.clone());
    state.asked.lock().push(asked);
    found.context("no fixture is about this")
}

impl Asked {
    fn is_about(&self, reference: &str) -> bool {
        self.url
            .split(['/', '?', '&', '='])
            .any(|part| part == reference)
            || self.body.contains(&format!("\"{reference}\""))
    }
}
