//! Owns the one place that sorts an error of the HTTP client into the ways in which a call can fail,
//! and what each is called for people. Never looks at what an answer says.

use std::{error::Error, io};

pub(crate) use reconcile_contract::fault::Fault;

use crate::call::{exhaustion::is_exhaustion, resolver::LookupError, tls_error::explain};

/// What became of the call, for people: whether anybody was asked, and whether there was an answer.
pub(crate) const fn in_words(fault: Fault) -> &'static str {
    match fault {
        Fault::Dns | Fault::Connect | Fault::Tls => "a provider could not be reached",
        Fault::Timeout => "a provider did not answer in time",
        Fault::Broken => "a provider gave no whole answer",
        Fault::TooLarge | Fault::NotText => "a provider answered what can't be read",
        Fault::Blocked | Fault::SecretMissing | Fault::BadRequest => "a provider was not asked",
        Fault::TokenRefused | Fault::TokenUnreadable => {
            "a provider was not asked: its token endpoint gave no token"
        }
        Fault::Exhausted => "a provider was not asked: this machine has no room left",
        Fault::LeaseOver => "a provider was not asked: the lease does not last for the call",
    }
}

/// A call that failed, with a short text for people that holds no secret, body or URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub(crate) struct CallError {
    /// The sort of failure.
    pub(crate) fault: Fault,
    /// What happened, for people.
    pub(crate) detail: String,
}

impl CallError {
    /// A failure with a text for people.
    pub(crate) fn new(fault: Fault, detail: impl Into<String>) -> Self {
        Self {
            fault,
            detail: detail.into(),
        }
    }
}

impl From<reqwest::Error> for CallError {
    fn from(error: reqwest::Error) -> Self {
        // The URL holds order numbers and references, and has no place in a detail.
        let error = error.without_url();
        let fault = classify(&error);
        let detail = match fault {
            Fault::Timeout => "no connection in time".to_owned(),
            _ => match causes(&error).find_map(|cause| cause.downcast_ref::<rustls::Error>()) {
                Some(tls_error) => explain(tls_error),
                None => deepest(&error),
            },
        };
        Self::new(fault, detail)
    }
}

fn classify(error: &reqwest::Error) -> Fault {
    for cause in causes(error) {
        if let Some(lookup) = cause.downcast_ref::<LookupError>() {
            return match lookup {
                LookupError::NotFound(_) => Fault::Dns,
                LookupError::NotPublic => Fault::Blocked,
                LookupError::Exhausted => Fault::Exhausted,
            };
        }
        if cause.is::<rustls::Error>() {
            return Fault::Tls;
        }
        let system = cause.downcast_ref::<io::Error>();
        if system.is_some_and(is_exhaustion) {
            return Fault::Exhausted;
        }
    }
    if error.is_builder() {
        Fault::BadRequest
    } else if error.is_timeout() {
        Fault::Timeout
    } else if error.is_connect() {
        Fault::Connect
    } else {
        Fault::Broken
    }
}

/// The error and what caused it, outermost first. An `io::Error` that only carries another error
/// skips it in `source()`, so it is opened here.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| cause(*error))
}

fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    let carried = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref);
    match carried {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

fn deepest(error: &(dyn Error + 'static)) -> String {
    causes(error)
        .last()
        .map(ToString::to_string)
        .unwrap_or_default()
}
