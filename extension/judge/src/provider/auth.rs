//! Whether a way to sign is sound: each kind, its fields and what they may hold. The sidecar reads the same JSON
//! and does the signing. Never sees a secret: a row only names one.

use super::{header_name_complaint, secret_complaint};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// The variables that the text of an HMAC may name.
const SIGNED_VARIABLES: &[&str] = &[
    "method",
    "path",
    "path_and_query",
    "host",
    "body",
    "timestamp",
];

/// What a token request says by itself.
const OWN_FORM_FIELDS: &[&str] = &["grant_type", "client_id", "client_secret", "scope"];

/// How a request is signed. Secrets are named, never held.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Auth {
    /// Not at all.
    None {},
    /// `Authorization: Bearer …`.
    Bearer {
        /// Name of the token.
        secret: String,
    },
    /// `Authorization: Basic …`; a part that is not named is empty.
    Basic {
        /// Name of the user's secret.
        username_secret: Option<String>,
        /// Name of the password's secret.
        password_secret: Option<String>,
    },
    /// A header of its own, such as `X-API-Key`.
    Header {
        /// The header's name.
        header: String,
        /// Name of its value.
        secret: String,
    },
    /// A parameter of the URL's query, such as `api_key`.
    Query {
        /// The parameter's name.
        parameter: String,
        /// Name of its value.
        secret: String,
    },
    /// PhonePe v1's `X-VERIFY`.
    XVerify {
        /// Name of the salt key.
        secret: String,
        /// The salt key's index.
        index: String,
        /// The start of a URL's path that belongs to the host and is not signed, such as `/apis/hermes`.
        base_path: Option<String>,
    },
    /// A token bought with client credentials.
    Oauth2 {
        /// Where tokens are bought.
        token_url: String,
        /// Name of the client's id.
        client_id_secret: String,
        /// Name of the client's secret.
        client_secret: String,
        /// Where the two are put.
        style: Style,
        /// Stands before the token in `Authorization`; `Bearer` if absent.
        word: Option<String>,
        /// The scope that is asked for.
        scope: Option<String>,
        /// More fields for the token endpoint.
        #[serde(default)]
        form: BTreeMap<String, String>,
    },
    /// A header with an HMAC of a templated text.
    Hmac {
        /// Name of the key.
        secret: String,
        /// The header that carries the signature.
        header: String,
        /// The hash; SHA-256 if absent.
        algorithm: Option<Algorithm>,
        /// How the signature is written; hex if absent.
        encoding: Option<Encoding>,
        /// The text that is signed.
        signs: String,
        /// A header that carries the time that was signed.
        timestamp_header: Option<String>,
        /// Stands before the signature.
        prefix: Option<String>,
    },
    /// Paytm's checksum inside a JSON body.
    Paytm {
        /// Name of the merchant key.
        secret: String,
    },
}

/// Where client credentials are put.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Style {
    /// Into the form.
    Form,
    /// Into a header.
    Basic,
}

/// The hash under an HMAC.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

/// How an HMAC is written.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Hexadecimal, in lower case.
    Hex,
    /// Base64, with padding.
    Base64,
}

impl Auth {
    /// The headers that it writes.
    fn own_headers(&self) -> Vec<&str> {
        match self {
            Self::None {} | Self::Query { .. } | Self::Paytm { .. } => vec![],
            Self::Bearer { .. } | Self::Basic { .. } | Self::Oauth2 { .. } => {
                vec!["Authorization"]
            }
            Self::Header { header, .. } => vec![header],
            Self::XVerify { .. } => vec!["X-VERIFY"],
            Self::Hmac {
                header,
                timestamp_header,
                ..
            } => std::iter::once(header)
                .chain(timestamp_header)
                .map(String::as_str)
                .collect(),
        }
    }

    /// What is wrong with it, as a sentence; `None` when it will do.
    fn complaint(&self) -> Option<String> {
        match self {
            Self::None {} => None,
            Self::Bearer { secret } | Self::Paytm { secret } => secret_complaint(secret),
            Self::Basic {
                username_secret: None,
                password_secret: None,
            } => Some("basic needs username_secret, password_secret or both".to_owned()),
            Self::Basic {
                username_secret,
                password_secret,
            } => [username_secret, password_secret]
                .into_iter()
                .flatten()
                .find_map(|name| secret_complaint(name)),
            Self::Header { header, secret } => {
                header_name_complaint(header).or_else(|| secret_complaint(secret))
            }
            Self::Query { parameter, secret } => {
                word_complaint("parameter", parameter).or_else(|| secret_complaint(secret))
            }
            Self::XVerify {
                secret,
                index,
                base_path,
            } => secret_complaint(secret)
                .or_else(|| word_complaint("index", index))
                .or_else(|| base_path.as_deref().and_then(base_path_complaint)),
            Self::Oauth2 {
                token_url,
                client_id_secret,
                client_secret,
                style: _,
                word,
                scope,
                form,
            } => token_url_complaint(token_url)
                .or_else(|| secret_complaint(client_id_secret))
                .or_else(|| secret_complaint(client_secret))
                .or_else(|| {
                    word.as_deref()
                        .and_then(|word| word_complaint("word", word))
                })
                .or_else(|| {
                    scope
                        .as_deref()
                        .and_then(|scope| text_complaint("scope", scope))
                })
                .or_else(|| form_complaint(form)),
            Self::Hmac {
                secret,
                header,
                algorithm: _,
                encoding: _,
                signs,
                timestamp_header,
                prefix,
            } => secret_complaint(secret)
                .or_else(|| header_name_complaint(header))
                .or_else(|| signs_complaint(signs))
                .or_else(|| timestamp_header.as_deref().and_then(header_name_complaint))
                .or_else(|| {
                    prefix
                        .as_deref()
                        .and_then(|prefix| text_complaint("prefix", prefix))
                })
                .or_else(|| {
                    let same = timestamp_header
                        .as_ref()
                        .is_some_and(|other| other.eq_ignore_ascii_case(header));
                    same.then(|| "header and timestamp_header are the same header".to_owned())
                }),
        }
    }
}

/// What is wrong with a way to sign and with the secrets that stand in headers beside it, whatever the kind.
pub(super) fn complaint(mut auth: Value) -> Option<String> {
    let beside = auth
        .as_object_mut()
        .and_then(|fields| fields.remove("secret_headers"));
    let auth = match serde_json::from_value::<Auth>(auth) {
        Ok(auth) => auth,
        Err(error) => return Some(error.to_string()),
    };
    auth.complaint()
        .or_else(|| secret_headers_complaint(&beside?, &auth.own_headers()))
}

fn secret_headers_complaint(beside: &Value, own: &[&str]) -> Option<String> {
    let Some(beside) = beside.as_object().filter(|headers| headers.len() <= 10) else {
        return Some("secret_headers is not an object of up to ten headers and names".to_owned());
    };
    beside.iter().find_map(|(header, secret)| {
        let taken = own.iter().any(|own| own.eq_ignore_ascii_case(header));
        header_name_complaint(header)
            .or_else(|| {
                taken.then(|| format!("secret_headers names {header}, which signs already"))
            })
            .or_else(|| secret_complaint(secret.as_str().unwrap_or_default()))
    })
}

/// What a header's value can carry; may be empty.
fn text_complaint(field: &str, text: &str) -> Option<String> {
    let printable = text.len() <= 200 && text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    (!printable)
        .then(|| format!("{field} is longer than 200 bytes or holds more than printable ASCII"))
}

/// The same, without blanks, and something.
fn word_complaint(field: &str, word: &str) -> Option<String> {
    if word.is_empty() || word.contains(' ') {
        return Some(format!("{field} is empty or holds a blank"));
    }
    text_complaint(field, word)
}

fn base_path_complaint(path: &str) -> Option<String> {
    if !path.starts_with('/') || path.contains(['?', '#']) {
        return Some("base_path is the start of a path, as in /apis/hermes".to_owned());
    }
    word_complaint("base_path", path)
}

/// That the address may be asked, and that plain http may be, is the sidecar's to say.
fn token_url_complaint(url: &str) -> Option<String> {
    let complaint =
        || Some("token_url is not a URL, as in https://api.vendor.example/oauth/token".to_owned());
    if url.len() > 2000 || !url.is_ascii() {
        return complaint();
    }
    let Ok(parsed) = iri_string::types::UriStr::new(url) else {
        return complaint();
    };
    let Some(authority) = parsed.authority_components() else {
        return complaint();
    };
    if authority.userinfo().is_some() {
        return Some("token_url holds credentials: name secrets instead".to_owned());
    }
    let scheme = parsed.scheme_str();
    let web = scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http");
    if !web || authority.host().is_empty() || parsed.fragment().is_some() {
        return complaint();
    }
    None
}

fn form_complaint(form: &BTreeMap<String, String>) -> Option<String> {
    form.iter().find_map(|(name, value)| {
        if OWN_FORM_FIELDS.contains(&name.as_str()) {
            return Some(format!("form sets {name}, which every token request has"));
        }
        word_complaint("a name in form", name)
            .or_else(|| text_complaint(&format!("form's {name}"), value))
    })
}

fn signs_complaint(signs: &str) -> Option<String> {
    if signs.is_empty() || signs.len() > 1000 {
        return Some("signs is empty or longer than 1000 bytes".to_owned());
    }
    let mut rest = signs;
    while let Some((_, from_brace)) = rest.split_once('{') {
        let Some((name, after)) = from_brace.split_once('}') else {
            return Some("signs has a brace that is not closed".to_owned());
        };
        if !SIGNED_VARIABLES.contains(&name) {
            return Some(format!(
                "signs names {{{}}}: the variables are {}",
                name.escape_debug(),
                SIGNED_VARIABLES.join(", ")
            ));
        }
        rest = after;
    }
    None
}

#[cfg(test)]
mod tests;
