//! What the transport says by itself, before any body is read: a sidecar's fault word, or an HTTP status.
//!
//! The sidecar classifies what happened on the wire; what that means for an order is said here and nowhere else.

use crate::outcome::Outcome;
use reconcile_contract::fault::Fault;
use serde_json::{Map, Value};

/// The function or table of this database that answers raised an error: no call was made.
pub const LOOKUP_FAILED: &str = "lookup_failed";

/// What a provider's row says of an HTTP status, by its number (`404`) or its class (`4xx`); the number goes first.
fn override_of(http_status: i32, http_outcomes: &Map<String, Value>) -> Option<&str> {
    let class = format!("{}xx", http_status / 100);
    http_outcomes
        .get(&http_status.to_string())
        .or_else(|| http_outcomes.get(&class))?
        .as_str()
}

/// The outcome that is known without reading the body; `None` when the body decides.
///
/// `http_outcomes` is the provider's own reading of HTTP statuses: an outcome's word, or `body`. A fault that no call has, as the database's own [`LOOKUP_FAILED`] or a newer sidecar's, counts as an answer that can't be read, so that
/// nothing is closed on it.
#[must_use]
pub fn outcome_of(
    fault: Option<&str>,
    http_status: Option<i32>,
    http_outcomes: Option<&Map<String, Value>>,
) -> Option<Outcome> {
    if let Some(word) = fault {
        return Some(match Fault::from_word(word) {
            Some(Fault::Dns | Fault::Connect | Fault::Tls | Fault::Timeout) => Outcome::Unreachable,
            Some(Fault::Broken) if http_status.is_none() => Outcome::Unreachable,
            Some(
                Fault::Broken
                | Fault::TooLarge
                | Fault::NotText
                | Fault::TokenUnreadable
                // What is never reported says nothing either.
                | Fault::Exhausted
                | Fault::LeaseOver,
            )
            | None => Outcome::ProviderError,
            Some(
                Fault::Blocked | Fault::SecretMissing | Fault::BadRequest | Fault::TokenRefused,
            ) => Outcome::Refused,
        });
    }
    if let (Some(status), Some(http_outcomes)) = (http_status, http_outcomes)
        && let Some(word) = override_of(status, http_outcomes)
    {
        return Outcome::from_word(word);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_without_a_body_to_read_is_a_fault_or_not_found() {
        for status in (100..200).chain(300..600) {
            let outcome =
                outcome_of(None, Some(status), None).expect("only 2xx leaves it to the body");
            assert!(
                outcome.is_fault() || outcome == Outcome::NotFound,
                "{status} gave {outcome}"
            );
        }
    }

    #[test]
    fn a_token_that_is_refused_is_ours_to_mend_and_one_that_is_unreadable_is_theirs() {
        for status in [None, Some(401), Some(200)] {
            let outcome = |word| outcome_of(Some(word), status, None);
            assert_eq!(outcome("token_refused"), Some(Outcome::Refused));
            assert_eq!(outcome("token_unreadable"), Some(Outcome::ProviderError));
        }
    }

    #[test]
    fn a_fault_never_closes_even_with_a_success_status() {
        for fault in Fault::ALL
            .iter()
            .map(|fault| fault.word())
            .chain([LOOKUP_FAILED])
        {
            assert!(
                outcome_of(Some(fault), Some(200), None)
                    .expect("a fault is an outcome")
                    .is_fault()
            );
        }
        assert_eq!(
            outcome_of(Some("a word of next year"), Some(200), None),
            Some(Outcome::ProviderError)
        );
    }

    #[test]
    fn a_provider_may_read_http_statuses_in_its_own_way() {
        let own = serde_json::json!({"404": "pending", "4xx": "refused", "500": "body"});
        let outcome = |status| outcome_of(None, Some(status), own.as_object());
        assert_eq!(outcome(404), Some(Outcome::Pending));
        assert_eq!(outcome(418), Some(Outcome::Refused));
        assert_eq!(outcome(500), None, "the body decides");
        assert_eq!(
            outcome(502),
            Some(Outcome::ProviderError),
            "what it does not name stays as it is"
        );
    }
}
