//! How requests to a provider are signed: the kinds, and what each needs, a file for each. To read a provider's `auth` is to check
//! it, for the extension when a row is written and for the sidecar when it signs. Secrets are named, never held.
//!
//! A new kind is a file here with its fields, a line in [`Scheme`], and a file in the sidecar that signs.

mod credentials;
mod hmac;
mod oauth2;
mod paytm;
mod x_verify;

pub use credentials::{Basic, Bearer, Header, Query, Unsigned};
pub use hmac::{Algorithm, Encoding, Hmac, Piece, SignedText};
pub use oauth2::{Form, OAuth2, Style, TokenUrl};
pub use paytm::Paytm;
pub use x_verify::{BasePath, XVerify};

use crate::header::HeaderName;
use crate::secret::SecretName;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// So many headers may stand beside what signs.
const MOST_SECRET_HEADERS: usize = 10;

/// What all kinds have in common.
trait Fields: DeserializeOwned {
    /// The headers that it writes.
    fn headers(&self) -> Vec<&str> {
        Vec::new()
    }

    /// What is wrong with its fields together, each of which is sound.
    fn contradiction(&self) -> Option<&'static str> {
        None
    }
}

/// Declares the kinds, each with its fields.
macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident($fields:ty) = $kind:literal),+ $(,)?) => {
        /// How a request is signed.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Scheme { $($(#[$doc])* $variant($fields)),+ }

        impl Scheme {
            /// All kinds, as a row names them.
            pub const KINDS: &'static [&'static str] = &[$($kind),+];

            fn read(kind: &str, fields: Value) -> Result<Self, String> {
                match kind {
                    $($kind => read::<$fields>(fields).map(Self::$variant),)+
                    _ => Err(unknown_kind(kind)),
                }
            }

            fn headers(&self) -> Vec<&str> {
                match self { $(Self::$variant(fields) => fields.headers()),+ }
            }
        }
    };
}

kinds! {
    /// Not at all.
    None(Unsigned) = "none",
    /// `Authorization: Bearer …`.
    Bearer(Bearer) = "bearer",
    /// `Authorization: Basic …`.
    Basic(Basic) = "basic",
    /// A header of the provider's own, such as `X-API-Key`.
    Header(Header) = "header",
    /// A parameter of the URL's query, such as `api_key`.
    Query(Query) = "query",
    /// PhonePe v1's `X-VERIFY`.
    XVerify(XVerify) = "x_verify",
    /// A token that client credentials bought.
    OAuth2(OAuth2) = "oauth2",
    /// A header with an HMAC of a templated text.
    Hmac(Hmac) = "hmac",
    /// Paytm's checksum inside a JSON body.
    Paytm(Paytm) = "paytm",
}

/// How the requests to one provider are signed, and the secrets that stand in headers beside that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// What signs.
    pub scheme: Scheme,
    /// Secrets in headers of their own, whatever signs.
    pub secret_headers: Vec<Header>,
}

impl Auth {
    /// Not at all.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            scheme: Scheme::None(Unsigned {}),
            secret_headers: Vec::new(),
        }
    }

    /// Reads a provider's `auth`.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence that begins with the field. It repeats no text that stands in a secret's place.
    pub fn parse(auth: Value) -> Result<Self, String> {
        let Value::Object(mut fields) = auth else {
            return Err("it is not an object with a kind".to_owned());
        };
        let beside = fields.remove("secret_headers");
        let Some(Value::String(kind)) = fields.remove("kind") else {
            return Err("it has no kind".to_owned());
        };
        let scheme = Scheme::read(&kind, Value::Object(fields))?;
        let secret_headers = match beside {
            Some(beside) => secret_headers(&beside, &scheme.headers())?,
            None => Vec::new(),
        };
        Ok(Self {
            scheme,
            secret_headers,
        })
    }
}

fn unknown_kind(kind: &str) -> String {
    let shown: String = kind.chars().take(40).flat_map(char::escape_debug).collect();
    let kinds = Scheme::KINDS.join(", ");
    format!("\"{shown}\" is not a kind: use one of {kinds}")
}

/// Names the field that can't be read.
fn read<T: Fields>(fields: Value) -> Result<T, String> {
    let fields: T = serde_path_to_error::deserialize(fields).map_err(|error| {
        let field = error.path().to_string();
        let complaint = error.into_inner().to_string();
        match field.as_str() {
            "." => complaint,
            _ if complaint.starts_with("unknown field") => complaint,
            field => format!("{field}: {complaint}"),
        }
    })?;
    match fields.contradiction() {
        Some(contradiction) => Err(contradiction.to_owned()),
        None => Ok(fields),
    }
}

fn secret_headers(beside: &Value, own: &[&str]) -> Result<Vec<Header>, String> {
    let few = |headers: &&Map<String, Value>| headers.len() <= MOST_SECRET_HEADERS;
    let Some(beside) = beside.as_object().filter(few) else {
        return Err("secret_headers is not an object of up to ten headers and names".to_owned());
    };
    let read = beside.iter().map(|(header, secret)| {
        if own.iter().any(|own| own.eq_ignore_ascii_case(header)) {
            return Err(format!(
                "secret_headers names {header}, which signs already"
            ));
        }
        let secret = secret.as_str().unwrap_or_default().to_owned();
        Ok(Header {
            header: HeaderName::try_from(header.clone())?,
            secret: SecretName::try_from(secret)?,
        })
    });
    read.collect::<Result<_, String>>()
        .map_err(|error| match error.starts_with("secret_headers") {
            true => error,
            false => format!("secret_headers: {error}"),
        })
}

#[cfg(test)]
mod tests;
