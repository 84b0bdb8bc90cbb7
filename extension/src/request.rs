//! Which URL, headers and body ask about an order.
//!
//! URLs are RFC 6570 templates, as in `https://api.vendor.example/orders/{order_number}`; headers and bodies are texts
//! with the same variables. Owns what a template may say and how it is filled in. In a URL values are percent-encoded; a
//! value never becomes a host, a path of its own or a second parameter, and never ends a header's line.

use iri_string::spec::UriSpec;
use iri_string::template::UriTemplateStr;
use iri_string::template::simple_context::SimpleContext;
use leon::Template;
use pgrx::prelude::*;
use serde_json::{Map, Value};
use std::borrow::Cow;

mod complaint;
mod problem;

pub use complaint::{request_complaint, template_error, text_error};
pub use problem::{depends_on_order, needs_reference, request_problem};

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
    let constants = values.constants;
    let values = leon::vals(|name| values.get(name).map(|value| Cow::Owned(value.into_owned())));
    let filled = template
        .render(&values)
        .map_err(|error| format!("it can't be filled in: {error}"))?;
    match variable_in(&filled, constants) {
        // Written with escapes, or part of a value: the provider would be asked about an order of that name.
        Some(name) => Err(format!("it would say {{{name}}} as such")),
        None => Ok(filled),
    }
}

/// A variable that a text still names when nothing is left to fill in.
fn variable_in<'a>(text: &'a str, constants: Option<&Map<String, Value>>) -> Option<&'a str> {
    let known = |name: &str| {
        VARIABLES.contains(&name) || constants.is_some_and(|all| all.contains_key(name))
    };
    text.split('{')
        .skip(1)
        .filter_map(|rest| Some(rest.split_once('}')?.0.trim()))
        .find(|name| known(name))
}

/// Fills in the headers of one order. A value that can't stand in a header is an error.
///
/// # Errors
/// As [`text_for`].
pub fn headers_for(headers: &Map<String, Value>, values: Values<'_>) -> Result<Value, String> {
    let filled = headers.iter().map(|(name, value)| {
        let text = header_for(name, value, values)
            .map_err(|error| format!("the header {name}: {error}"))?;
        Ok((name.clone(), Value::String(text)))
    });
    filled
        .collect::<Result<Map<_, _>, String>>()
        .map(Value::Object)
}

fn header_for(name: &str, value: &Value, values: Values<'_>) -> Result<String, String> {
    plain_name(name, values)?;
    let text = text_for(value.as_str().unwrap_or_default(), values)?;
    match text
        .bytes()
        .all(|byte| byte == b'\t' || (0x20..0x7f).contains(&byte))
    {
        true => Ok(text),
        false => Err("it would hold a character that a header can't carry".to_owned()),
    }
}

/// Names are sent as they are: one that holds a variable would be sent with its braces.
fn plain_name(name: &str, values: Values<'_>) -> Result<(), String> {
    match variable_in(name, values.constants) {
        Some(variable) => Err(format!(
            "a name holds {{{variable}}}, and only values are filled in"
        )),
        None => Ok(()),
    }
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
                plain_name(name, values)?;
                let value = match value {
                    Value::String(text) => text_for(text, values)?,
                    Value::Number(number) => number.to_string(),
                    _ => return Err(format!("its field {name} is neither a text nor a number")),
                };
                form.append_pair(name, &value);
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
                .map(|(name, member)| {
                    plain_name(name, values)?;
                    Ok((name.clone(), filled(member, values)?))
                })
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
