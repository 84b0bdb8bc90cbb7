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
        http::{Answer, exchange, timed_out},
        secrets::Secrets,
        transport::Transport,
    },
    database::protocol::deliveries::ClaimedDelivery,
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
    pub(crate) async fn post(&self, delivery: &ClaimedDelivery) -> Answer {
        let started = Instant::now();
        let mut answer = Answer::default();
        if let Err(error) = self.attempt(delivery, started, &mut answer).await {
            answer.fail(error.fault, &error.detail);
        }
        answer.end(started);
        answer
    }

    async fn attempt(
        &self,
        delivery: &ClaimedDelivery,
        started: Instant,
        answer: &mut Answer,
    ) -> Result<(), CallError> {
        let deadline = started + delivery.timeout;
        let request = timeout_at(deadline, self.request(delivery))
            .await
            .map_err(|_| timed_out("no time to build the request"))??;
        let response = exchange(&self.transport, request, deadline, answer).await?;
        let enough = deadline.min(Instant::now() + READ_BODY_FOR);
        drop(timeout_at(enough, self.transport.read(response)).await);
        Ok(())
    }

    async fn request(&self, delivery: &ClaimedDelivery) -> Result<Request, CallError> {
        let url = Url::parse(&delivery.url)
            .map_err(|error| CallError::new(Fault::BadRequest, format!("the URL: {error}")))?;
        // Before anything is signed: no secret is looked up for a host that may not be asked.
        self.transport.admit(&url)?;
        let secret = self.secrets.get(&delivery.secret, &url).await?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let timestamp = i64::try_from(now.unwrap_or_default().as_secs()).unwrap_or(i64::MAX);
        let signature = signature(&secret, &delivery.message_id, timestamp, &delivery.body)?;
        let mut signature = header(&signature)?;
        signature.set_sensitive(true);
        let mut request = Request::new(Method::POST, url);
        *request.headers_mut() = HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (ID, header(&delivery.message_id)?),
            (TIMESTAMP, timestamp.into()),
            (SIGNATURE, signature),
        ]);
        *request.body_mut() = Some(Body::from(delivery.body.clone()));
        Ok(request)
    }
}

fn header(value: &str) -> Result<HeaderValue, CallError> {
    HeaderValue::try_from(value)
        .map_err(|_| CallError::new(Fault::BadRequest, "the message's id can't be sent"))
}

#[cfg(test)]
mod tests;
