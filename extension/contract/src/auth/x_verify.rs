//! PhonePe v1's `X-VERIFY`.

use super::Fields;
use crate::secret::SecretName;
use crate::text::{Word, checked_text, word_complaint};
use serde::Deserialize;

/// A hash of path and salt.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct XVerify {
    /// Name of the salt key.
    pub secret: SecretName,
    /// The salt key's index.
    pub index: Word,
    /// The start of a URL's path that belongs to the host and is not signed, where a path has it.
    pub base_path: Option<BasePath>,
}

checked_text! {
    /// The start of a path, such as `/apis/hermes`.
    BasePath by base_path_complaint
}

fn base_path_complaint(path: &str) -> Option<String> {
    if !path.starts_with('/') || path.contains(['?', '#']) {
        return Some("it is not the start of a path, as in /apis/hermes".to_owned());
    }
    word_complaint(path)
}

impl Fields for XVerify {
    fn headers(&self) -> Vec<&str> {
        vec!["X-VERIFY"]
    }
}
