//! Owns one delivery over HTTP: signs the message, posts it, and says what happened on the wire.
//! Never judges what an answer means, and tries nothing twice.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::{
    Body, Method, Request, Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use tokio::time::{Instant, timeout_at};

use super::signature::signature;
use crate::{
    call::{
        fault::{CallError, Fault},
        http::{Answer, exchange, late},
        secrets::Secrets,
        transport::Transport,
    },
    database::protocol::deliveries::Parcel,
};

/// An answer's body says nothing to us. It is read, for so long, so that the connection can be kept.
const READ_BODY_FOR: Duration = Duration::from_millis(500);

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// Posts messages.
pub(crate) struct Poster {
    transport: Transport,
    secrets: Secrets,
}

impl Poster {
    /// A poster with a way out and secrets of its own.
    pub(crate) fn new(transport: Transport, secrets: Secrets) -> Self {
        Self { transport, secrets }
    }

    /// Makes one attempt, within the endpoint's time limit.
    pub(crate) async fn post(&self, parcel: &Parcel) -> Answer {
        let started = Instant::now();
        let mut answer = Answer::default();
        if let Err(error) = self.attempt(parcel, started, &mut answer).await {
            answer.fail(error.fault, &error.detail);
        }
        answer.end(started);
        answer
    }

    async fn attempt(
        &self,
        parcel: &Parcel,
        started: Instant,
        answer: &mut Answer,
    ) -> Result<(), CallError> {
        let deadline = started + parcel.timeout;
        let request = timeout_at(deadline, self.request(parcel))
            .await
            .map_err(|_| late("no time to build the request"))??;
        let response = exchange(&self.transport, request, deadline, answer).await?;
        let enough = deadline.min(Instant::now() + READ_BODY_FOR);
        drop(timeout_at(enough, self.transport.read(response)).await);
        Ok(())
    }

    async fn request(&self, parcel: &Parcel) -> Result<Request, CallError> {
        let url = Url::parse(&parcel.url)
            .map_err(|error| CallError::new(Fault::BadRequest, format!("the URL: {error}")))?;
        // Before anything is signed: no secret is looked up for a host that may not be asked.
        self.transport.admit(&url)?;
        let secret = self.secrets.get(&parcel.secret, &url).await?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let timestamp = i64::try_from(now.unwrap_or_default().as_secs()).unwrap_or(i64::MAX);
        let signature = signature(&secret, &parcel.message_id, timestamp, &parcel.body)?;
        let mut signature = header(&signature)?;
        signature.set_sensitive(true);
        let mut request = Request::new(Method::POST, url);
        *request.headers_mut() = HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (ID, header(&parcel.message_id)?),
            (TIMESTAMP, timestamp.into()),
            (SIGNATURE, signature),
        ]);
        *request.body_mut() = Some(Body::from(parcel.body.clone()));
        Ok(request)
    }
}

fn header(value: &str) -> Result<HeaderValue, CallError> {
    HeaderValue::try_from(value)
        .map_err(|_| CallError::new(Fault::BadRequest, "the message's id can't be sent"))
}

#[cfg(test)]
mod tests;
