//! Which URL, headers and body ask about an order.
//!
//! URLs are RFC 6570 templates, as in `https://api.vendor.example/orders/{order_number}`; headers and bodies are texts
//! with the same variables. Owns what a template may say and how it is filled in. In a URL values are percent-encoded; a
//! value never becomes a host, a path of its own or a second parameter, and never ends a header's line.

use iri_string::spec::UriSpec;
use iri_string::template::UriTemplateStr;
use iri_string::template::simple_context::SimpleContext;
use iri_string::types::UriStr;
use leon::Template;
use pgrx::prelude::*;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// The variables that every order has; a provider's row may add constants.
pub const VARIABLES: &[&str] = &["order_number", "reference"];

/// What a template is filled in with.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    /// The order's number.
    pub order_number: &'a str,
    /// The provider's id for the order.
    pub reference: Option<&'a str>,
    /// The provider's constants: texts and numbers by name.
    pub constants: Option<&'a Map<String, Value>>,
}

impl<'a> Values<'a> {
    fn get(&self, name: &str) -> Option<Cow<'a, str>> {
        match name {
            "order_number" => Some(Cow::Borrowed(self.order_number)),
            "reference" => self.reference.map(Cow::Borrowed),
            constant => match self.constants?.get(constant)? {
                Value::String(text) => Some(Cow::Borrowed(text)),
                Value::Number(number) => Some(Cow::Owned(number.to_string())),
                _ => None,
            },
        }
    }

    fn required(&self, name: &str) -> Result<Cow<'a, str>, String> {
        self.get(name)
            .ok_or_else(|| format!("it needs {{{name}}}, which the order does not have"))
    }
}

/// Fills in a URL template for one order.
///
/// # Errors
/// A sentence for people: the template can't be read, it needs a reference that the order lacks, or a value would
/// change the path (`.` and `..` can't be encoded).
pub fn url_for(template: &str, values: Values<'_>) -> Result<String, String> {
    let template = parsed(template)?;
    let mut context = SimpleContext::new();
    for variable in template.variables() {
        let name = variable.as_str();
        match values.required(name)?.as_ref() {
            "" | "." | ".." => return Err(format!("the {name} can't stand in a URL")),
            value => context.insert(name, value),
        };
    }
    let expanded = template
        .expand::<UriSpec, _>(&context)
        .map_err(|error| format!("the URL can't be built: {error}"))?;
    Ok(expanded.to_string())
}

/// Fills in a text, such as a header's value.
///
/// # Errors
/// A sentence for people: the text is no template, or it needs what the order does not have.
pub fn text_for(template: &str, values: Values<'_>) -> Result<String, String> {
    let template =
        Template::parse(template).map_err(|error| format!("it is not a template: {error}"))?;
    for name in template.keys() {
        values.required(name)?;
    }
    let values = leon::vals(|name| values.get(name).map(|value| Cow::Owned(value.into_owned())));
    template
        .render(&values)
        .map_err(|error| format!("it can't be filled in: {error}"))
}

/// Fills in the headers of one order. A value that can't stand in a header is an error.
///
/// # Errors
/// As [`text_for`].
pub fn headers_for(headers: &Map<String, Value>, values: Values<'_>) -> Result<Value, String> {
    let filled = headers.iter().map(|(name, value)| {
        let text = text_for(value.as_str().unwrap_or_default(), values)?;
        match text
            .bytes()
            .all(|byte| byte == b'\t' || (0x20..0x7f).contains(&byte))
        {
            true => Ok((name.clone(), Value::String(text))),
            false => Err(format!(
                "the header {name} would hold a character that a header can't carry"
            )),
        }
    });
    filled
        .collect::<Result<Map<_, _>, String>>()
        .map(Value::Object)
}

/// Fills in a body: `{"json": …}` becomes JSON, `{"form": {…}}` an URL-encoded form.
///
/// # Errors
/// As [`text_for`]; or the description is of neither kind.
pub fn body_for(body: &Value, values: Values<'_>) -> Result<String, String> {
    match (
        body.get("json"),
        body.get("form").and_then(Value::as_object),
    ) {
        (Some(json), None) => Ok(filled(json, values)?.to_string()),
        (None, Some(fields)) => {
            let mut form = form_urlencoded::Serializer::new(String::new());
            for (name, value) in fields {
                form.append_pair(name, &text_for(value.as_str().unwrap_or_default(), values)?);
            }
            Ok(form.finish())
        }
        _ => Err("it is neither {\"json\": …} nor {\"form\": {…}}".to_owned()),
    }
}

fn filled(json: &Value, values: Values<'_>) -> Result<Value, String> {
    Ok(match json {
        Value::String(text) => Value::String(text_for(text, values)?),
        Value::Array(items) => Value::Array(
            items
                .iter()
                .map(|item| filled(item, values))
                .collect::<Result<_, _>>()?,
        ),
        Value::Object(members) => Value::Object(
            members
                .iter()
                .map(|(name, member)| Ok((name.clone(), filled(member, values)?)))
                .collect::<Result<_, String>>()?,
        ),
        Value::Null | Value::Bool(_) | Value::Number(_) => json.clone(),
    })
}

fn parsed(template: &str) -> Result<&UriTemplateStr, String> {
    // Beyond ASCII a URL is percent-encoded anyway, and the parser does not take every such text.
    if !template.is_ascii() {
        return Err("it holds characters beyond ASCII: percent-encode them".to_owned());
    }
    UriTemplateStr::new(template).map_err(|error| format!("it is not a URL template: {error}"))
}

/// What is wrong with a URL template; `None` when it will do.
#[must_use]
pub fn template_error(template: &str, constants: &Map<String, Value>) -> Option<String> {
    let parsed = match parsed(template) {
        Ok(parsed) => parsed,
        Err(error) => return Some(error),
    };
    if template.contains("{+") || template.contains("{#") {
        return Some("{+…} and {#…} would let a value change the path: use {…}".to_owned());
    }
    if let Some(error) = parsed
        .variables()
        .find_map(|variable| unknown_variable(variable.as_str(), constants))
    {
        return Some(error);
    }
    // Two fillings that agree in scheme and authority show that no order's value reaches them.
    let filled = |value| {
        url_for(
            template,
            Values {
                order_number: value,
                reference: Some(value),
                constants: Some(constants),
            },
        )
    };
    let (one, other) = match (filled("a"), filled("b")) {
        (Ok(one), Ok(other)) => (one, other),
        (Err(error), _) | (_, Err(error)) => return Some(error),
    };
    match (origin(&one), origin(&other)) {
        (Ok(one), Ok(other)) if one == other => None,
        (Ok(_), Ok(_)) => Some("its host may not be a variable".to_owned()),
        (Err(error), _) | (_, Err(error)) => Some(error),
    }
}

fn unknown_variable(name: &str, constants: &Map<String, Value>) -> Option<String> {
    let known = VARIABLES.contains(&name) || constants.contains_key(name);
    let all = || {
        VARIABLES
            .iter()
            .copied()
            .chain(constants.keys().map(String::as_str))
            .collect::<Vec<_>>()
            .join(", ")
    };
    (!known).then(|| format!("it names {{{name}}}: the variables are {}", all()))
}

/// What is wrong with a text template; `None` when it will do.
#[must_use]
pub fn text_error(template: &str, constants: &Map<String, Value>) -> Option<String> {
    match Template::parse(template) {
        Err(error) => Some(format!("it is not a template: {error}")),
        Ok(parsed) => parsed
            .keys()
            .find_map(|name| unknown_variable(name, constants)),
    }
}

fn origin(url: &str) -> Result<String, String> {
    let url = UriStr::new(url).map_err(|_| "it is not a URL".to_owned())?;
    let scheme = url.scheme_str().to_ascii_lowercase();
    if scheme != "https" && scheme != "http" {
        return Err(format!("its scheme is {scheme}: use https"));
    }
    let authority = url.authority_components().ok_or("it has no host")?;
    if authority.userinfo().is_some() {
        return Err("it holds a user name or password: name a secret in auth".to_owned());
    }
    if authority.host().is_empty() {
        return Err("it has no host".to_owned());
    }
    if url.fragment().is_some() {
        return Err("it has a fragment (#…), which is never sent".to_owned());
    }
    Ok(format!(
        "{scheme}://{}",
        url.authority_str().unwrap_or_default()
    ))
}

fn constants(variables: &pgrx::JsonB) -> Map<String, Value> {
    variables.0.as_object().cloned().unwrap_or_default()
}

#[pg_extern(sql = false, immutable, parallel_safe, strict)]
fn url_template_error(template: &str, variables: pgrx::JsonB) -> Option<String> {
    template_error(template, &constants(&variables))
}

/// What is wrong with a provider's constants, headers and body; `None` when they will do.
#[must_use]
pub fn request_complaint(
    headers: &Value,
    body: Option<&Value>,
    variables: &Value,
) -> Option<String> {
    let Some(constants) = variables.as_object() else {
        return Some("variables: it is not an object of names and texts".to_owned());
    };
    for (name, value) in constants {
        let sound = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if !sound || VARIABLES.contains(&name.as_str()) {
            return Some(format!(
                "variables: \"{}\" can't be a constant's name",
                name.escape_debug()
            ));
        }
        if !(value.is_string() || value.is_number()) {
            return Some(format!("variables: {name} is neither a text nor a number"));
        }
    }
    let values = Values {
        order_number: "a",
        reference: Some("a"),
        constants: Some(constants),
    };
    for (name, value) in headers.as_object().into_iter().flatten() {
        if let Some(error) = text_error(value.as_str().unwrap_or_default(), constants) {
            return Some(format!("headers: {name}: {error}"));
        }
    }
    body.and_then(|body| body_for(body, values).err())
        .map(|error| format!("body: {error}"))
}

/// The complaint begins with the field's name and a colon.
#[pg_extern(sql = false, immutable, parallel_safe)]
fn request_error(
    headers: pgrx::JsonB,
    body: Option<pgrx::JsonB>,
    variables: pgrx::JsonB,
) -> Option<String> {
    request_complaint(&headers.0, body.as_ref().map(|body| &body.0), &variables.0)
}

/// NULL when the URL can't be built: the caller records that as a refused check.
#[pg_extern(sql = false, immutable, parallel_safe)]
fn request_url(
    template: &str,
    order_number: &str,
    reference: Option<&str>,
    variables: Option<pgrx::JsonB>,
) -> Option<String> {
    let constants = variables
        .as_ref()
        .and_then(|variables| variables.0.as_object());
    url_for(
        template,
        Values {
            order_number,
            reference,
            constants,
        },
    )
    .ok()
}

/// NULL when the headers can't be built.
#[pg_extern(sql = false, immutable, parallel_safe)]
fn request_headers(
    headers: pgrx::JsonB,
    order_number: &str,
    reference: Option<&str>,
    variables: Option<pgrx::JsonB>,
) -> Option<pgrx::JsonB> {
    let constants = variables
        .as_ref()
        .and_then(|variables| variables.0.as_object());
    headers_for(
        headers.0.as_object()?,
        Values {
            order_number,
            reference,
            constants,
        },
    )
    .ok()
    .map(pgrx::JsonB)
}

/// NULL when the body can't be built.
#[pg_extern(sql = false, immutable, parallel_safe)]
fn request_body(
    body: pgrx::JsonB,
    order_number: &str,
    reference: Option<&str>,
    variables: Option<pgrx::JsonB>,
) -> Option<String> {
    let constants = variables
        .as_ref()
        .and_then(|variables| variables.0.as_object());
    body_for(
        &body.0,
        Values {
            order_number,
            reference,
            constants,
        },
    )
    .ok()
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
