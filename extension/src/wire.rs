//! What the transport says by itself, before any body is read: a sidecar's fault word, or an HTTP status.
//!
//! The sidecar classifies what happened on the wire; what that means for an order is said here and nowhere else.

use crate::outcome::Outcome;
use crate::state::closed_set;
use pgrx::prelude::*;

closed_set! {
    /// What can go wrong between the sidecar and the provider. The sidecar uses the same words.
    Fault {
        /// The name could not be resolved.
        Dns = "dns",
        /// No connection.
        Connect = "connect",
        /// No trusted connection.
        Tls = "tls",
        /// The call took longer than the provider's time-out.
        Timeout = "timeout",
        /// The connection broke, or the answer was not HTTP, or its length was a lie.
        Broken = "broken",
        /// The body is larger than the sidecar's cap.
        TooLarge = "too_large",
        /// The body is not text.
        NotText = "not_text",
        /// The network guard of the sidecar refused the address.
        Blocked = "blocked",
        /// The sidecar has no secret of that name.
        SecretMissing = "secret_missing",
        /// The request could not be built.
        BadRequest = "bad_request",
    }
}

/// The outcome that is known without reading the body; `None` when the body decides.
///
/// A fault word from a newer sidecar counts as an answer that can't be read, so that nothing is closed on it.
#[must_use]
pub fn outcome_of(fault: Option<&str>, http_status: Option<i32>) -> Option<Outcome> {
    if let Some(word) = fault {
        return Some(match Fault::from_word(word) {
            Some(Fault::Dns | Fault::Connect | Fault::Tls | Fault::Timeout) => Outcome::Unreachable,
            Some(Fault::Broken) if http_status.is_none() => Outcome::Unreachable,
            Some(Fault::Broken | Fault::TooLarge | Fault::NotText) | None => Outcome::ProviderError,
            Some(Fault::Blocked | Fault::SecretMissing | Fault::BadRequest) => Outcome::Refused,
        });
    }
    match http_status {
        None => Some(Outcome::Unreachable),
        Some(200..=299) => None,
        Some(401 | 403) => Some(Outcome::Refused),
        Some(404 | 410) => Some(Outcome::NotFound),
        Some(429) => Some(Outcome::Throttled),
        Some(_) => Some(Outcome::ProviderError),
    }
}

#[pg_extern(sql = false, immutable, parallel_safe)]
fn wire_outcome(fault: Option<&str>, http_status: Option<i32>) -> Option<&'static str> {
    outcome_of(fault, http_status).map(Outcome::word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_without_a_body_to_read_is_a_fault_or_not_found() {
        for status in (100..200).chain(300..600) {
            let outcome = outcome_of(None, Some(status)).expect("only 2xx leaves it to the body");
            assert!(
                outcome.is_fault() || outcome == Outcome::NotFound,
                "{status} gave {outcome}"
            );
        }
    }

    #[test]
    fn a_fault_never_closes_even_with_a_success_status() {
        for fault in Fault::ALL {
            assert!(
                outcome_of(Some(fault.word()), Some(200))
                    .expect("a fault is an outcome")
                    .is_fault()
            );
        }
        assert_eq!(
            outcome_of(Some("a word of next year"), Some(200)),
            Some(Outcome::ProviderError)
        );
    }
}
