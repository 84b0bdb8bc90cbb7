//! A token that client credentials bought.

use super::Fields;
use crate::secret::SecretName;
use crate::text::{Text, Word, checked_text, text_complaint, word_complaint};
use serde::Deserialize;
use std::collections::BTreeMap;

/// What a token request says by itself.
const OWN_FORM_FIELDS: &[&str] = &["grant_type", "client_id", "client_secret", "scope"];

/// Which credentials buy a token, where, and how it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OAuth2 {
    /// Where tokens are bought.
    pub token_url: TokenUrl,
    /// Name of the client's id.
    pub client_id_secret: SecretName,
    /// Name of the client's secret.
    pub client_secret: SecretName,
    /// Where the two are put.
    pub style: Style,
    /// Stands before the token in `Authorization`; `Bearer` if absent.
    pub word: Option<Word>,
    /// The scope that is asked for.
    pub scope: Option<Text>,
    /// More fields for the token endpoint.
    #[serde(default)]
    pub form: Form,
}

/// Where client credentials are put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Style {
    /// Into the form.
    Form,
    /// Into an `Authorization: Basic` header.
    Basic,
}

checked_text! {
    /// A web address without credentials. That it may be asked, and that plain http may be, is the sidecar's to say.
    TokenUrl by token_url_complaint
}

/// Fields of a form, none of which a token request has by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>")]
pub struct Form(BTreeMap<String, String>);

impl Form {
    /// By their names.
    #[must_use]
    pub const fn fields(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

impl TryFrom<BTreeMap<String, String>> for Form {
    type Error = String;

    fn try_from(form: BTreeMap<String, String>) -> Result<Self, String> {
        let complaint = form.iter().find_map(|(name, value)| {
            if OWN_FORM_FIELDS.contains(&name.as_str()) {
                return Some(format!("it sets {name}, which every token request has"));
            }
            word_complaint(name)
                .map(|complaint| format!("of a name in it: {complaint}"))
                .or_else(|| {
                    text_complaint(value).map(|complaint| format!("of {name}: {complaint}"))
                })
        });
        match complaint {
            Some(complaint) => Err(complaint),
            None => Ok(Self(form)),
        }
    }
}

fn token_url_complaint(url: &str) -> Option<String> {
    let complaint =
        || Some("it is not a URL, as in https://api.vendor.example/oauth/token".to_owned());
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
        return Some("it holds credentials: name secrets instead".to_owned());
    }
    let scheme = parsed.scheme_str();
    let web = scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http");
    if !web || authority.host().is_empty() || parsed.fragment().is_some() {
        return complaint();
    }
    None
}

impl Fields for OAuth2 {
    fn headers(&self) -> Vec<&str> {
        vec!["Authorization"]
    }
}
