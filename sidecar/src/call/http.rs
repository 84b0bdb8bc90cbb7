//! Owns one exchange over HTTP: within its time, with what is noted of its answer in the protocol's
//! words. Never judges what an answer means, and tries nothing twice.

use std::time::SystemTime;

use reqwest::{
    Request, Response,
    header::{CONTENT_TYPE, HeaderMap},
};
use tokio::time::{Instant, timeout_at};

use crate::call::{
    fault::{CallError, Fault},
    retry_after::retry_after_s,
    transport::Transport,
};

const MAX_DETAIL_CHARS: usize = 200;

/// What came of a call.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// None if an answer was read to its end and is text.
    pub(crate) fault: Option<Fault>,
    /// The status, whenever a status line was read.
    pub(crate) http_status: Option<i32>,
    /// The body, if there is no fault.
    pub(crate) body: Option<String>,
    /// What happened, for people; without a fault, the content type of an answer that says it is no JSON.
    pub(crate) detail: Option<String>,
    /// Of the whole call, in milliseconds.
    pub(crate) duration_ms: i32,
    /// From the answer's headers.
    pub(crate) retry_after_s: Option<i32>,
}

impl Answer {
    /// The call failed.
    pub(crate) fn fail(&mut self, fault: Fault, detail: &str) {
        self.fault = Some(fault);
        self.detail = Some(presentable(detail));
    }

    /// The call that began at this moment is over.
    pub(crate) fn end(&mut self, started: Instant) {
        self.duration_ms = started.elapsed().as_millis().try_into().unwrap_or(i32::MAX);
    }
}

/// Sends a request, and notes what the head of its answer says.
pub(crate) async fn exchange(
    transport: &Transport,
    request: Request,
    deadline: Instant,
    answer: &mut Answer,
) -> Result<Response, CallError> {
    let response = timeout_at(deadline, transport.send(request))
        .await
        .map_err(|_| timed_out("no answer in time"))??;
    answer.http_status = Some(response.status().as_u16().into());
    answer.retry_after_s = retry_after_s(response.headers(), SystemTime::now());
    Ok(response)
}

/// A call that took too long.
pub(crate) fn timed_out(what: &str) -> CallError {
    CallError::new(Fault::Timeout, what)
}

/// The body as PostgreSQL can store it: UTF-8, without a byte order mark and without NUL.
pub(crate) fn text(mut body: Vec<u8>) -> Result<String, CallError> {
    if body.starts_with(b"\xEF\xBB\xBF") {
        body.drain(..3);
    }
    if body.contains(&0) {
        return Err(CallError::new(
            Fault::NotText,
            "the body contains a NUL byte",
        ));
    }
    String::from_utf8(body).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        CallError::new(
            Fault::NotText,
            format!("the body isn't UTF-8 from byte {at} on"),
        )
    })
}

/// What an answer says it is, if that is not JSON: without the parameters.
pub(crate) fn other_than_json(headers: &HeaderMap) -> Option<String> {
    let kind = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let kind = kind
        .split(';')
        .next()
        .unwrap_or(kind)
        .trim()
        .to_ascii_lowercase();
    (!kind.is_empty() && !kind.contains("json")).then_some(kind)
}

/// Short, on one line, and storable.
pub(crate) fn presentable(detail: &str) -> String {
    let plain = |char: char| if char.is_control() { ' ' } else { char };
    detail.chars().map(plain).take(MAX_DETAIL_CHARS).collect()
}
