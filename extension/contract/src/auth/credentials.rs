//! What sends a secret as it is: nothing at all, bearer, basic, a header, a parameter of the query.

use super::Fields;
use crate::header::HeaderName;
use crate::secret::SecretName;
use crate::text::Word;
use serde::Deserialize;

const AUTHORIZATION: &str = "Authorization";

/// No secret.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unsigned {}

/// `Authorization: Bearer` and the secret.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bearer {
    /// Name of the token.
    pub secret: SecretName,
}

/// `Authorization: Basic` and both secrets; a part that is not named is empty.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Basic {
    /// Name of the user's secret.
    pub username_secret: Option<SecretName>,
    /// Name of the password's secret.
    pub password_secret: Option<SecretName>,
}

/// A header of the provider's own.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The header's name.
    pub header: HeaderName,
    /// Name of its value.
    pub secret: SecretName,
}

/// A parameter of the query.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// The parameter's name.
    pub parameter: Word,
    /// Name of its value.
    pub secret: SecretName,
}

impl Fields for Unsigned {}

impl Fields for Bearer {
    fn headers(&self) -> Vec<&str> {
        vec![AUTHORIZATION]
    }
}

impl Fields for Basic {
    fn headers(&self) -> Vec<&str> {
        vec![AUTHORIZATION]
    }

    fn contradiction(&self) -> Option<&'static str> {
        (self.username_secret.is_none() && self.password_secret.is_none())
            .then_some("basic needs username_secret, password_secret or both")
    }
}

impl Fields for Header {
    fn headers(&self) -> Vec<&str> {
        vec![self.header.as_str()]
    }
}

impl Fields for Query {}
