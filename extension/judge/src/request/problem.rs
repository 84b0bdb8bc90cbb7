//! Why a request can't be built of an order, and what its templates need of one: sentences for people, and yes or no.
//! Fills templates in through the functions of `request`, so that what is said here is what would happen; sends nothing.

use super::{Room, VARIABLES, Values, body_for, detail_of, header_for, parsed, url_for};
use leon::Template;
use serde_json::{Map, Value};

/// Why the request can't be built, naming the part; `None` when it can.
#[must_use]
pub fn request_problem(
    url: Option<&str>,
    headers: Option<&Map<String, Value>>,
    body: Option<&Value>,
    values: Values<'_>,
) -> Option<String> {
    let of_url = || {
        let error = url_for(url?, values).err()?;
        Some(format!("the URL can't be built: {error}"))
    };
    let of_headers = || {
        let mut room = Room::for_headers();
        headers?.iter().find_map(|(name, value)| {
            let error = header_for(name, value, values, &mut room).err()?;
            Some(format!("the header {name} can't be built: {error}"))
        })
    };
    let of_body = || {
        let error = body_for(body?, values).err()?;
        Some(format!("the body can't be built: {error}"))
    };
    of_url().or_else(of_headers).or_else(of_body)
}

/// Whether what is sent differs between orders: any part names `{order_number}`, `{own_number}`, `{reference}` or one of
/// `{details.…}`. What is no template names nothing.
#[must_use]
pub fn depends_on_order(url: Option<&str>, headers: Option<&Value>, body: Option<&Value>) -> bool {
    let of_an_order = |name: &str| VARIABLES.contains(&name) || detail_of(name).is_some();
    names_any(&of_an_order, url, headers, body)
}

/// Whether any part names `{reference}`, which an order may lack.
#[must_use]
pub fn needs_reference(url: Option<&str>, headers: Option<&Value>, body: Option<&Value>) -> bool {
    names_any(&|name| name == "reference", url, headers, body)
}

fn names_any(
    is_meant: &dyn Fn(&str) -> bool,
    url: Option<&str>,
    headers: Option<&Value>,
    body: Option<&Value>,
) -> bool {
    let in_url = |url: &str| {
        parsed(url).is_ok_and(|url| url.variables().any(|variable| is_meant(variable.as_str())))
    };
    url.is_some_and(in_url)
        || headers.is_some_and(|headers| text_names_any(is_meant, headers))
        || body.is_some_and(|body| text_names_any(is_meant, body))
}

fn text_names_any(is_meant: &dyn Fn(&str) -> bool, template: &Value) -> bool {
    match template {
        Value::String(text) => {
            Template::parse(text).is_ok_and(|text| text.keys().any(|name| is_meant(name)))
        }
        Value::Array(items) => items.iter().any(|item| text_names_any(is_meant, item)),
        Value::Object(members) => members
            .values()
            .any(|member| text_names_any(is_meant, member)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}
