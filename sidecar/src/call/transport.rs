//! Owns the way out of this process: the HTTP clients, the guard before them and the cap behind
//! them. Every request leaves through here, to a provider or to its token endpoint. Follows no
//! redirect, uses no proxy, never looks at what an answer says.

use std::{sync::Arc, time::Duration};

use reqwest::{Certificate, Client, ClientBuilder, Request, Response, Url, redirect::Policy};

use crate::call::{
    fault::{CallError, Fault},
    guard::{AllowList, Route},
    resolver::Resolver,
};

/// Providers close connections that idle, often after 30 s or more. A connection that is let go
/// before never meets that moment, where the request would be lost.
const KEEP_IDLE: Duration = Duration::from_secs(15);

/// What all requests through one way out have in common.
#[derive(Clone)]
pub(crate) struct Limits {
    /// Hosts that the operator trusts.
    pub(crate) allowed: AllowList,
    /// The most calls at one time.
    pub(crate) slots: u32,
    /// The cap of a body, in bytes.
    pub(crate) max_body_bytes: usize,
    /// The limit for making a connection.
    pub(crate) connect_timeout: Duration,
    /// Authorities to trust besides the built-in ones, as PEM.
    pub(crate) extra_roots: Option<Vec<u8>>,
}

/// Sends requests. A clone shares connections.
#[derive(Clone)]
pub(crate) struct Transport {
    public: Client,
    listed: Client,
    allowed: Arc<AllowList>,
    max_body_bytes: usize,
}

impl Transport {
    /// Fails if TLS can't be set up, for example by extra roots that are no certificates.
    pub(crate) fn new(limits: Limits) -> Result<Self, reqwest::Error> {
        let public = client(&limits, true)?.https_only(true).build()?;
        let listed = client(&limits, false)?.build()?;
        Ok(Self {
            public,
            listed,
            allowed: Arc::new(limits.allowed),
            max_body_bytes: limits.max_body_bytes,
        })
    }

    /// Whether `url` may be asked, as far as that is known before its name is resolved.
    pub(crate) fn admit(&self, url: &Url) -> Result<(), CallError> {
        self.allowed.route(url).map(drop)
    }

    /// Sends a request, and reads the head of its answer.
    pub(crate) async fn send(&self, request: Request) -> Result<Response, CallError> {
        let client = match self.allowed.route(request.url())? {
            Route::Public => &self.public,
            Route::Listed => &self.listed,
        };
        Ok(client.execute(request).await?)
    }

    /// Reads a body up to the cap.
    pub(crate) async fn read(&self, mut response: Response) -> Result<Vec<u8>, CallError> {
        let cap = self.max_body_bytes;
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

fn client(limits: &Limits, public_only: bool) -> Result<ClientBuilder, reqwest::Error> {
    let mut builder = Client::builder()
        .user_agent(concat!("pg_reconcile/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .no_proxy()
        .referer(false)
        .gzip(true)
        .dns_resolver(Arc::new(Resolver::new(public_only)))
        .connect_timeout(limits.connect_timeout)
        .tcp_nodelay(true)
        .pool_idle_timeout(KEEP_IDLE)
        .pool_max_idle_per_host(limits.slots as usize);
    for root in limits
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
