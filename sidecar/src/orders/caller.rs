//! Owns one call to a provider: builds the request, has it signed and sent, reads the answer, and
//! says what happened in the protocol's words. Never judges what an answer means. Tries nothing
//! twice, because the database decides when to ask again, with one exception: a token that the
//! provider doesn't take any more is replaced once.

use reqwest::{
    Body, Method, Request, Response, StatusCode, Url,
    header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue},
};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use crate::{
    call::{
        fault::{CallError, Fault},
        http::{Answer, exchange, other_than_json, presentable, text, timed_out},
        mask::Mask,
        secrets::Secrets,
        transport::{Limits, Transport},
    },
    database::uptime::Uptime,
    orders::profile::{Profile, RequestShape, header_map},
    sign::{self, SharedToken, SigningContext, Tokens},
};

/// Makes calls.
pub(crate) struct Caller {
    transport: Transport,
    context: SigningContext,
}

/// What it takes to ask about one order.
pub(crate) struct OrderCheck<'a> {
    /// The provider.
    pub(crate) profile: &'a Profile,
    /// None if it could not be written for this order.
    pub(crate) url: Option<&'a str>,
    /// Headers for this order alone.
    pub(crate) headers: Option<&'a Value>,
    /// The request's body.
    pub(crate) body: Option<String>,
    /// Why this order can't be asked about, if it can't.
    pub(crate) problem: Option<&'a str>,
    /// A moment before the lease began.
    pub(crate) asked_at: Uptime,
}

/// A signed request, and if another token could be had, the same request with the one it bears.
struct SignedRequest {
    request: Request,
    renewable: Option<(Request, SharedToken)>,
}

impl Caller {
    /// Fails if TLS can't be set up, for example by extra roots that are no certificates.
    pub(crate) fn new(limits: Limits, secrets: Secrets) -> Result<Self, reqwest::Error> {
        let transport = Transport::new(limits)?;
        let tokens = Tokens::new(transport.clone());
        Ok(Self {
            transport,
            context: SigningContext { secrets, tokens },
        })
    }

    /// Makes one call, within the provider's time limit and within its lease.
    pub(crate) async fn ask(&self, check: OrderCheck<'_>) -> Answer {
        let started = Instant::now();
        let deadline = started + check.profile.timeout;
        let mut answer = Answer::default();
        // Outlives the call, so that a secret stays masked whatever ends it.
        let mut mask = Mask::default();
        match self.call(check, deadline, &mut answer, &mut mask).await {
            Ok(body) => {
                answer.body = Some(mask.apply(body));
                answer.detail = (answer.detail.take()).map(|kind| presentable(&mask.apply(kind)));
            }
            Err(error) => {
                answer.fail(error.fault, &mask.apply(error.detail));
            }
        }
        answer.end(started);
        answer
    }

    async fn call(
        &self,
        check: OrderCheck<'_>,
        deadline: Instant,
        answer: &mut Answer,
        mask: &mut Mask,
    ) -> Result<String, CallError> {
        let (profile, asked_at) = (check.profile, check.asked_at);
        let shape = profile.shape.as_ref().map_err(CallError::clone)?;
        let too_slow = || timed_out(sign::slow_part(&shape.auth));
        // Boxed, since its state is large and gone before the call, of which thousands may be under way.
        let building = Box::pin(self.request(check, shape, mask));
        let SignedRequest { request, renewable } = timeout_at(deadline, building)
            .await
            .map_err(|_| too_slow())??;
        // Up to here this process may have been stopped, or the machine asleep, for any time.
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || asked_at.elapsed() + left > profile.lease {
            return Err(CallError::new(
                Fault::LeaseOver,
                "the lease does not last for the call",
            ));
        }
        let mut response = self.exchange(request, deadline, answer).await?;
        if response.status() == StatusCode::UNAUTHORIZED
            && let Some((mut request, refused)) = renewable
        {
            let renewal = sign::renew(
                &shape.auth,
                &mut request,
                refused,
                &self.context,
                profile.timeout,
                mask,
            );
            let renewed = timeout_at(deadline, Box::pin(renewal))
                .await
                .map_err(|_| too_slow())??;
            if renewed {
                response = self.exchange(request, deadline, answer).await?;
            }
        }
        let body = timeout_at(deadline, self.transport.read(response))
            .await
            .map_err(|_| timed_out("the answer took too long"))??;
        text(body)
    }

    async fn exchange(
        &self,
        request: Request,
        deadline: Instant,
        answer: &mut Answer,
    ) -> Result<Response, CallError> {
        // A second request of the same call; and one that is late is not begun to see whether there is time.
        if deadline <= Instant::now() {
            return Err(timed_out("no answer in time"));
        }
        let response = exchange(&self.transport, request, deadline, answer).await?;
        answer.detail = other_than_json(response.headers());
        Ok(response)
    }

    async fn request(
        &self,
        check: OrderCheck<'_>,
        shape: &RequestShape,
        mask: &mut Mask,
    ) -> Result<SignedRequest, CallError> {
        let url = check.url(shape)?;
        let url = Url::parse(url)
            .map_err(|error| CallError::new(Fault::BadRequest, format!("the URL: {error}")))?;
        // Before anything is signed: no secret is looked up for a host that may not be asked.
        self.transport.admit(&url)?;
        let mut request = Request::new(shape.method.clone(), url);
        let headers = request.headers_mut();
        headers.extend(shape.headers.clone().unwrap_or_default());
        headers.extend(header_map(check.headers)?);
        headers
            .entry(ACCEPT)
            .or_insert(HeaderValue::from_static("application/json"));
        let empty = check.body.as_deref().is_none_or(str::is_empty);
        if empty && (shape.method == Method::POST || shape.method == Method::PUT) {
            // The client leaves it out, and some servers then answer 411.
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        if check.body.is_some() {
            let json = HeaderValue::from_static("application/json");
            headers.entry(CONTENT_TYPE).or_insert(json);
        }
        *request.body_mut() = check.body.map(Body::from);
        let timeout = check.profile.timeout;
        let token = sign::sign(&shape.auth, &mut request, &self.context, timeout, mask).await?;
        let renewable = token.and_then(|token| Some((request.try_clone()?, token)));
        Ok(SignedRequest { request, renewable })
    }
}

impl<'a> OrderCheck<'a> {
    /// The URL, if nothing is missing that each order of this provider has. Nothing takes the place
    /// of what is missing: a template is no header, and another body is another question.
    fn url(&self, shape: &RequestShape) -> Result<&'a str, CallError> {
        let refuse = |detail: &str| Err(CallError::new(Fault::BadRequest, detail));
        if let Some(problem) = self.problem {
            return refuse(problem);
        }
        let no_headers = matches!(self.headers, None | Some(Value::Null));
        match self.url {
            None => refuse("the order has no URL, though each order of this provider has its own"),
            Some(_) if shape.headers.is_none() && no_headers => {
                refuse("the order has no headers, though each order of this provider has its own")
            }
            Some(_) if shape.own_body && self.body.is_none() => {
                refuse("the order has no body, though each order of this provider has its own")
            }
            Some(url) => Ok(url),
        }
    }
}

#[cfg(test)]
mod tests;
