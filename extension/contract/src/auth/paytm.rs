//! Paytm's checksum inside a JSON body.

use super::Fields;
use crate::secret::SecretName;
use serde::Deserialize;

/// A signature in the head of a JSON body.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paytm {
    /// Name of the merchant key.
    pub secret: SecretName,
}

impl Fields for Paytm {}
