//! The control endpoint, for who is in another process: the demo, the benchmark, curl.
//!
//! - `PUT /_fates/{order_number}` and `PUT /_default`: a fate as JSON
//! - `GET /_calls/{order_number}`: how many calls there were about an order
//! - `GET /_totals`: all calls in numbers

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::json;

use super::fate::Fate;
use super::register::Register;

/// Answers what is not a question about an order.
pub(crate) async fn answer(
    register: &Register,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let method = request.method().clone();
    let path = percent_decode_str(request.uri().path())
        .decode_utf8_lossy()
        .into_owned();
    if method == Method::PUT && (path == "/_default" || path.starts_with("/_fates/")) {
        return match fate(request).await {
            Ok(fate) => {
                match path.strip_prefix("/_fates/") {
                    Some(order_number) => register.set_fate(order_number, fate),
                    None => register.set_default(fate),
                }
                say(StatusCode::NO_CONTENT, "")
            }
            Err(message) => say(StatusCode::BAD_REQUEST, &message),
        };
    }
    if method == Method::GET && path == "/_totals" {
        return say(StatusCode::OK, &json!(register.totals()).to_string());
    }
    if method == Method::GET
        && let Some(order_number) = path.strip_prefix("/_calls/")
    {
        let calls = register.count(order_number);
        return say(StatusCode::OK, &json!({ "calls": calls }).to_string());
    }
    say(StatusCode::NOT_FOUND, "no such page")
}

async fn fate(request: Request<Incoming>) -> Result<Fate, String> {
    let body = request
        .into_body()
        .collect()
        .await
        .map_err(|error| error.to_string())?;
    serde_json::from_slice(&body.to_bytes()).map_err(|error| error.to_string())
}

fn say(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(body.as_bytes())));
    *response.status_mut() = status;
    response
}
