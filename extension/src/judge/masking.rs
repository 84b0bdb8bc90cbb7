//! What of an answer must not be stored.

use pgrx::prelude::*;
use reconcile_judge::redact::{is_sensitive_name, numbers_are_sane, redacted, redacted_text};

#[pg_extern]
fn has_sane_numbers(body: &str) -> bool {
    numbers_are_sane(body)
}

/// NULL when nothing had to be masked, so that the caller keeps what it has parsed already.
#[pg_extern]
fn redact(body: &str, also: Vec<String>) -> Option<String> {
    redacted(body, &also)
}

/// NULL when nothing had to be masked.
#[pg_extern]
fn redact_text(body: &str, also: Vec<String>) -> Option<String> {
    redacted_text(body, &also)
}

/// Whether a member of this name is masked whatever a provider's row says.
#[pg_extern]
fn is_sensitive(name: &str) -> bool {
    is_sensitive_name(name, &[])
}
