//! A header with an HMAC of a templated text.

use super::Fields;
use crate::header::HeaderName;
use crate::secret::SecretName;
use crate::text::Text;
use serde::Deserialize;

/// Which text is signed, with which hash, and where the signature goes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hmac {
    /// Name of the key.
    pub secret: SecretName,
    /// The header that carries the signature.
    pub header: HeaderName,
    /// The hash; SHA-256 if absent.
    #[serde(default)]
    pub algorithm: Algorithm,
    /// How the signature is written; hex if absent.
    #[serde(default)]
    pub encoding: Encoding,
    /// The text that is signed.
    pub signs: SignedText,
    /// A header that carries the time that was signed, in Unix seconds.
    pub timestamp_header: Option<HeaderName>,
    /// Stands before the signature.
    pub prefix: Option<Text>,
}

/// The hash under an HMAC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// SHA-256.
    #[default]
    Sha256,
    /// SHA-512.
    Sha512,
}

/// How an HMAC is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Hexadecimal, in lower case.
    #[default]
    Hex,
    /// Base64, with padding.
    Base64,
}

/// A text with variables in braces.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct SignedText(Vec<Piece>);

/// A part of a signed text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Stands as it is.
    Text(String),
    /// The request's method.
    Method,
    /// The URL's path.
    Path,
    /// The URL's path and query.
    PathAndQuery,
    /// The URL's host, with its port where it has one.
    Host,
    /// The body as it is sent.
    Body,
    /// Unix seconds.
    Timestamp,
}

/// The variables and what they stand for.
const VARIABLES: [(&str, Piece); 6] = [
    ("method", Piece::Method),
    ("path", Piece::Path),
    ("path_and_query", Piece::PathAndQuery),
    ("host", Piece::Host),
    ("body", Piece::Body),
    ("timestamp", Piece::Timestamp),
];

impl SignedText {
    /// In their order.
    #[must_use]
    pub fn pieces(&self) -> &[Piece] {
        &self.0
    }
}

impl TryFrom<String> for SignedText {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.is_empty() || text.len() > 1000 {
            return Err("it is empty or longer than 1000 bytes".to_owned());
        }
        let mut pieces = Vec::new();
        let mut rest = text.as_str();
        while let Some((literal, from_brace)) = rest.split_once('{') {
            let (name, after) = from_brace
                .split_once('}')
                .ok_or("it has a brace that is not closed")?;
            if !literal.is_empty() {
                pieces.push(Piece::Text(literal.to_owned()));
            }
            pieces.push(variable(name)?);
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self(pieces))
    }
}

fn variable(name: &str) -> Result<Piece, String> {
    let known = VARIABLES.iter().find(|(known, _)| *known == name);
    known.map(|(_, piece)| piece.clone()).ok_or_else(|| {
        let shown: String = name
            .chars()
            .take(100)
            .flat_map(char::escape_debug)
            .collect();
        let variables = VARIABLES.each_ref().map(|(name, _)| *name).join(", ");
        format!("it names {{{shown}}}: the variables are {variables}")
    })
}

impl Fields for Hmac {
    fn headers(&self) -> Vec<&str> {
        std::iter::once(&self.header)
            .chain(&self.timestamp_header)
            .map(HeaderName::as_str)
            .collect()
    }

    fn contradiction(&self) -> Option<&'static str> {
        let same = |other: &HeaderName| other.as_str().eq_ignore_ascii_case(self.header.as_str());
        self.timestamp_header
            .as_ref()
            .is_some_and(same)
            .then_some("header and timestamp_header are the same header")
    }
}
