//! Owns the closed set of ways in which a call can fail, and the one place that sorts an error of
//! the HTTP client into it. Never looks at what an answer says.

use std::{error::Error, io};

use crate::call::{exhaustion::is_exhaustion, resolver::LookupError, tls_error::explain};

/// Why a call brought no readable answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The provider's name has no address.
    Dns,
    /// No connection could be made.
    Connect,
    /// The connection could not be secured, or the certificate isn't to be trusted.
    Tls,
    /// The call took longer than it may.
    Timeout,
    /// The answer was cut off or is no HTTP.
    Broken,
    /// The body is longer than the cap.
    TooLarge,
    /// The body isn't UTF-8, or contains a NUL.
    NotText,
    /// The network guard refused the URL or the address.
    Blocked,
    /// A secret that the call needs isn't there.
    SecretMissing,
    /// The request could not be built.
    BadRequest,
    /// The token endpoint gave no token, and says that it is our fault.
    TokenRefused,
    /// The token endpoint answered, but with no token and no reason.
    TokenUnreadable,
    /// This machine had no descriptor or no memory left. It says nothing about whom was asked, so it
    /// is the one that is never reported: the lease is put back.
    Exhausted,
    /// This process slept for so long that the lease does not last for the call, so it was not begun. It is never reported either.
    LeaseOver,
}

impl Fault {
    /// All faults, in the order of their discriminants.
    pub(crate) const ALL: [Self; 14] = [
        Self::Dns,
        Self::Connect,
        Self::Tls,
        Self::Timeout,
        Self::Broken,
        Self::TooLarge,
        Self::NotText,
        Self::Blocked,
        Self::SecretMissing,
        Self::BadRequest,
        Self::TokenRefused,
        Self::TokenUnreadable,
        Self::Exhausted,
        Self::LeaseOver,
    ];

    /// The word that the protocol has for it; those of `Exhausted` and `LeaseOver` are for numbers alone.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Broken => "broken",
            Self::TooLarge => "too_large",
            Self::NotText => "not_text",
            Self::Blocked => "blocked",
            Self::SecretMissing => "secret_missing",
            Self::BadRequest => "bad_request",
            Self::TokenRefused => "token_refused",
            Self::TokenUnreadable => "token_unreadable",
            Self::Exhausted => "exhausted",
            Self::LeaseOver => "lease_over",
        }
    }

    /// What became of the call, for people: whether anybody was asked, and whether there was an answer.
    pub(crate) const fn in_words(self) -> &'static str {
        match self {
            Self::Dns | Self::Connect | Self::Tls => "a provider could not be reached",
            Self::Timeout => "a provider did not answer in time",
            Self::Broken => "a provider gave no whole answer",
            Self::TooLarge | Self::NotText => "a provider answered what can't be read",
            Self::Blocked | Self::SecretMissing | Self::BadRequest => "a provider was not asked",
            Self::TokenRefused | Self::TokenUnreadable => {
                "a provider was not asked: its token endpoint gave no token"
            }
            Self::Exhausted => "a provider was not asked: this machine has no room left",
            Self::LeaseOver => "a provider was not asked: the lease does not last for the call",
        }
    }

    /// Whether nothing was learned, so that the lease is put back.
    pub(crate) const fn is_unasked(self) -> bool {
        matches!(self, Self::Exhausted | Self::LeaseOver)
    }

    /// Whether the operator of the sidecar has to do something about it.
    pub(crate) const fn is_configuration(self) -> bool {
        matches!(
            self,
            Self::Blocked | Self::SecretMissing | Self::BadRequest | Self::TokenRefused
        )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_the_order_of_the_discriminants() {
        for (index, fault) in Fault::ALL.into_iter().enumerate() {
            assert_eq!(fault as usize, index);
        }
    }
}
