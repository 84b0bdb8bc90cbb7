//! The provider's HTTP server: accepts, routes, waits as long as a fate says, answers. The path of an
//! ordinary call is short on purpose: a benchmark's provider must not be its bottleneck.

use std::borrow::Cow;
use std::error::Error as _;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use tokio::net::{TcpListener, TcpStream};

use super::answer::{Wire, wire};
use super::control;
use super::register::{Admission, Call, InFlight, Recording, Register};
use super::script::{self, Script};

/// Accepts until it is dropped.
pub(crate) async fn serve(listener: TcpListener, register: Arc<Register>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(converse(stream, Arc::clone(&register)));
            }
            // Out of file descriptors, most likely: some will be closed soon.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// One connection, until either side has enough.
async fn converse(stream: TcpStream, register: Arc<Register>) {
    // Slower without, and nothing else.
    stream.set_nodelay(true).ok();
    let service = service_fn(|request| route(&register, request));
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let ended = poll_fn(|context| connection.poll_without_shutdown(context)).await;
    let Err(error) = ended else { return };
    let Some(by_hand) = error
        .source()
        .and_then(|cause| cause.downcast_ref::<ByHand>())
    else {
        return;
    };
    let by_hand = by_hand.clone();
    script::play(by_hand.script, connection.into_parts().io.into_inner()).await;
    drop(by_hand.in_flight);
}

/// Takes the connection away from the HTTP library, which passes it on as an error of the service.
#[derive(Clone)]
struct ByHand {
    script: Script,
    in_flight: Arc<InFlight>,
}

impl std::fmt::Debug for ByHand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an answer by hand")
    }
}

impl std::fmt::Display for ByHand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an answer by hand")
    }
}

impl std::error::Error for ByHand {}

type Answered = Result<Response<Full<Bytes>>, ByHand>;

/// An answer now, or later: what can be said at once needs no allocated future.
enum Reply {
    Now(Option<Answered>),
    Later(Pin<Box<dyn Future<Output = Answered> + Send>>),
}

impl Future for Reply {
    type Output = Answered;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answered> {
        match self.get_mut() {
            Self::Now(answer) => answer.take().map_or(Poll::Pending, Poll::Ready),
            Self::Later(future) => future.as_mut().poll(context),
        }
    }
}

fn route(register: &Arc<Register>, request: Request<Incoming>) -> Reply {
    let path = request.uri().path();
    let Some(order) = path.strip_prefix("/orders/") else {
        let register = Arc::clone(register);
        return Reply::Later(Box::pin(async move {
            Ok(control::answer(&register, request).await)
        }));
    };
    let Ok(order_number) = percent_decode_str(order).decode_utf8() else {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::BAD_REQUEST;
        return Reply::Now(Some(Ok(response)));
    };
    let in_flight = register.begin();
    if register.recording() == Recording::Calls && !request.body().is_end_stream() {
        let register = Arc::clone(register);
        return Reply::Later(Box::pin(async move {
            let (head, body) = request.into_parts();
            // A caller that breaks off in its body is answered as one without a body.
            let body = body
                .collect()
                .await
                .map(|all| all.to_bytes())
                .unwrap_or_default();
            order_call(&register, in_flight, &Request::from_parts(head, body)).await
        }));
    }
    let admission = admit(register, &order_number, &request, Bytes::new());
    let invoice = invoice(&request);
    if admission.gate.is_none() && latency(&admission).is_zero() {
        return Reply::Now(Some(reply(&admission, in_flight, &order_number, &invoice)));
    }
    let (order_number, invoice) = (order_number.into_owned(), invoice.into_owned());
    Reply::Later(Box::pin(async move {
        wait(&admission).await;
        reply(&admission, in_flight, &order_number, &invoice)
    }))
}

/// A call that came with a body.
async fn order_call(
    register: &Arc<Register>,
    in_flight: InFlight,
    request: &Request<Bytes>,
) -> Answered {
    let order = request.uri().path().trim_start_matches("/orders/");
    let order_number = percent_decode_str(order).decode_utf8_lossy();
    let admission = admit(register, &order_number, request, request.body().clone());
    wait(&admission).await;
    reply(&admission, in_flight, &order_number, &invoice(request))
}

fn admit<B>(
    register: &Register,
    order_number: &str,
    request: &Request<B>,
    body: Bytes,
) -> Admission {
    register.admit(order_number, |nth| Call {
        order_number: order_number.to_owned(),
        nth,
        arrived: Instant::now(),
        method: request.method().to_string(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        headers: request.headers().clone(),
        body,
    })
}

/// What the caller takes for the provider's id.
fn invoice<B>(request: &Request<B>) -> Cow<'_, str> {
    let parameters = request.uri().query().unwrap_or_default().split('&');
    parameters
        .filter_map(|parameter| parameter.strip_prefix("invoice="))
        .map(|value| percent_decode_str(value).decode_utf8_lossy())
        .next()
        .unwrap_or_default()
}

fn latency(admission: &Admission) -> Duration {
    admission
        .step()
        .map_or(Duration::ZERO, |step| admission.fate.latency(step))
}

async fn wait(admission: &Admission) {
    let latency = latency(admission);
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    if let Some(gate) = &admission.gate
        && let Ok(ticket) = gate.acquire().await
    {
        // One ticket lets one call through; a closed gate's error means that it stands open.
        ticket.forget();
    }
}

fn reply(
    admission: &Admission,
    in_flight: InFlight,
    order_number: &str,
    invoice: &str,
) -> Answered {
    let Some(step) = admission.step() else {
        let mut response = Response::new(Full::from("no fate was set"));
        *response.status_mut() = StatusCode::NOT_IMPLEMENTED;
        return Ok(response);
    };
    match wire(&step.reply, &admission.fate, order_number, invoice) {
        Wire::Response(response) => Ok(response),
        Wire::Script(script) => Err(ByHand {
            script,
            in_flight: Arc::new(in_flight),
        }),
    }
}
