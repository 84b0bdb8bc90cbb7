//! Owns one call to a provider: builds the request, sends it, reads the answer up to the cap, and
//! says what happened in the protocol's words. Never judges what an answer means, follows no
//! redirect, uses no proxy, tries nothing twice: the database decides when to ask again.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use reqwest::{
    Body, Certificate, Client, ClientBuilder, Request, Response, Url,
    header::{ACCEPT, CONTENT_TYPE, HeaderValue},
    redirect::Policy,
};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use crate::{
    fault::{CallError, Fault},
    guard::{AllowList, Route},
    profile::{Profile, header_map},
    resolver::Resolver,
    retry_after::retry_after_s,
    secrets::Secrets,
};

/// Providers close connections that idle, often after 30 s or more. A connection that is let go
/// before never meets that moment, where the request would be lost.
const KEEP_IDLE: Duration = Duration::from_secs(15);

const MAX_DETAIL_CHARS: usize = 200;

/// What the calls of this process have in common.
pub(crate) struct Options {
    /// Hosts that the operator trusts.
    pub(crate) allowed: AllowList,
    /// Where secrets are found.
    pub(crate) secrets: Secrets,
    /// The most calls at one time.
    pub(crate) slots: u32,
    /// The cap of a body, in bytes.
    pub(crate) max_body_bytes: usize,
    /// The limit for making a connection.
    pub(crate) connect_timeout: Duration,
    /// Authorities to trust besides the built-in ones, as PEM.
    pub(crate) extra_roots: Option<Vec<u8>>,
}

/// Makes calls.
pub(crate) struct Caller {
    public: Client,
    listed: Client,
    options: Options,
}

/// What is asked about one order.
pub(crate) struct Question<'a> {
    /// The provider.
    pub(crate) profile: &'a Profile,
    /// None if its template could not be rendered.
    pub(crate) url: Option<&'a str>,
    /// Headers for this order alone.
    pub(crate) headers: Option<&'a Value>,
    /// The request's body.
    pub(crate) body: Option<String>,
}

/// What came of a call.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// None if an answer was read to its end and is text.
    pub(crate) fault: Option<Fault>,
    /// The status, whenever a status line was read.
    pub(crate) http_status: Option<i32>,
    /// The body, if there is no fault.
    pub(crate) body: Option<String>,
    /// What happened, for people.
    pub(crate) detail: Option<String>,
    /// Of the whole call, in milliseconds.
    pub(crate) duration_ms: i32,
    /// From the answer's headers.
    pub(crate) retry_after_s: Option<i32>,
}

impl Caller {
    /// Fails if TLS can't be set up, for example by extra roots that are no certificates.
    pub(crate) fn new(options: Options) -> Result<Self, reqwest::Error> {
        let public = client(&options, true)?.https_only(true).build()?;
        let listed = client(&options, false)?.build()?;
        Ok(Self {
            public,
            listed,
            options,
        })
    }

    /// Makes one call, within the provider's time limit.
    pub(crate) async fn ask(&self, question: Question<'_>) -> Answer {
        let started = Instant::now();
        let deadline = started + question.profile.timeout;
        let mut answer = Answer::default();
        match self.converse(question, deadline, &mut answer).await {
            Ok(body) => answer.body = Some(body),
            Err(error) => {
                answer.fault = Some(error.fault);
                answer.detail = Some(presentable(&error.detail));
            }
        }
        answer.duration_ms = started.elapsed().as_millis().try_into().unwrap_or(i32::MAX);
        answer
    }

    async fn converse(
        &self,
        question: Question<'_>,
        deadline: Instant,
        answer: &mut Answer,
    ) -> Result<String, CallError> {
        let late = |what: &str| CallError::new(Fault::Timeout, what);
        // Boxed, since its state is large and gone before the call, of which thousands may be under way.
        let (client, request) = timeout_at(deadline, Box::pin(self.request(question)))
            .await
            .map_err(|_| late("no time to build the request"))??;
        let response = timeout_at(deadline, client.execute(request))
            .await
            .map_err(|_| late("no answer in time"))??;
        answer.http_status = Some(response.status().as_u16().into());
        answer.retry_after_s = retry_after_s(response.headers(), SystemTime::now());
        let body = timeout_at(deadline, self.read(response))
            .await
            .map_err(|_| late("the answer took too long"))??;
        text(body)
    }

    async fn request(&self, question: Question<'_>) -> Result<(&Client, Request), CallError> {
        let shape = question.profile.shape.as_ref().map_err(CallError::clone)?;
        let url = question.url.ok_or_else(|| {
            CallError::new(
                Fault::BadRequest,
                "the URL's template can't be rendered for this order",
            )
        })?;
        let url = Url::parse(url)
            .map_err(|error| CallError::new(Fault::BadRequest, format!("the URL: {error}")))?;
        let client = match self.options.allowed.route(&url)? {
            Route::Public => &self.public,
            Route::Listed => &self.listed,
        };
        let mut request = Request::new(shape.method.clone(), url);
        let headers = request.headers_mut();
        headers.clone_from(&shape.headers);
        headers.extend(header_map(question.headers)?);
        headers
            .entry(ACCEPT)
            .or_insert(HeaderValue::from_static("application/json"));
        if question.body.is_some() {
            let json = HeaderValue::from_static("application/json");
            headers.entry(CONTENT_TYPE).or_insert(json);
        }
        shape.auth.sign(headers, &self.options.secrets).await?;
        *request.body_mut() = question.body.map(Body::from);
        Ok((client, request))
    }

    async fn read(&self, mut response: Response) -> Result<Vec<u8>, CallError> {
        let cap = self.options.max_body_bytes;
        let too_large = || {
            CallError::new(
                Fault::TooLarge,
                format!("the body is longer than {cap} bytes"),
            )
        };
        // What the header promises is only trusted to be too much, never to be enough room.
        if response
            .content_length()
            .is_some_and(|length| length > cap as u64)
        {
            return Err(too_large());
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > cap {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

fn client(options: &Options, public_only: bool) -> Result<ClientBuilder, reqwest::Error> {
    let mut builder = Client::builder()
        .user_agent(concat!("pg_reconcile/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .no_proxy()
        .referer(false)
        .gzip(true)
        .dns_resolver(Arc::new(Resolver::new(public_only)))
        .connect_timeout(options.connect_timeout)
        .tcp_nodelay(true)
        .pool_idle_timeout(KEEP_IDLE)
        .pool_max_idle_per_host(options.slots as usize);
    for root in options
        .extra_roots
        .as_deref()
        .map(Certificate::from_pem_bundle)
        .transpose()?
        .unwrap_or_default()
    {
        builder = builder.add_root_certificate(root);
    }
    Ok(builder)
}

/// The body as PostgreSQL can store it: UTF-8, without a byte order mark and without NUL.
fn text(mut body: Vec<u8>) -> Result<String, CallError> {
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

/// Short, on one line, and storable.
fn presentable(detail: &str) -> String {
    let plain = |char: char| if char.is_control() { ' ' } else { char };
    detail.chars().map(plain).take(MAX_DETAIL_CHARS).collect()
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod wire;
