//! Which URL, headers and body ask about an order.
//!
//! URLs are RFC 6570 templates, as in `https://api.vendor.example/orders/{order_number}`; headers and bodies are texts
//! with the same variables. Owns what a template may say and how it is filled in. In a URL values are percent-encoded; a
//! value never becomes a host, a path of its own or a second parameter, and never ends a header's line.

use iri_string::spec::UriSpec;
use iri_string::template::UriTemplateStr;
use iri_string::template::simple_context::SimpleContext;
use leon::Template;
use reconcile_contract::header;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt::Write as _;

mod complaint;
mod problem;
mod room;
mod values;

pub use complaint::{request_complaint, template_error, text_error};
pub use problem::{depends_on_order, needs_reference, request_problem};
pub use room::Room;
pub use values::{Details, VARIABLES, Values};

use values::{DETAILS, detail_of};

/// Fills in a URL template for one order.
///
/// # Errors
/// A sentence for people: the template can't be read, it needs a reference that the order lacks, a value would
/// change the path (`.` and `..` can't be encoded), or the URL would be too long.
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
    let mut room = Room::for_url();
    let mut writer = room.writer();
    // Written until there is no room left: a template may name a long value any number of times.
    let written = write!(writer, "{expanded}");
    let url = writer.into_text();
    written.map_err(|_| room.complaint())?;
    match path_of(&url).split('/').find(|segment| is_a_step(segment)) {
        // A value that stands beside others, and so is none of these itself.
        Some(step) => Err(format!("its path would hold \"{step}\"")),
        None => Ok(url),
    }
}

/// The path of a URL that has been filled in.
fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['?', '#']).next().unwrap_or_default()
}

/// What a server or a client would leave out of a path, the one before it too.
fn is_a_step(segment: &str) -> bool {
    let plain = segment.replace("%2E", ".").replace("%2e", ".");
    plain == "." || plain == ".."
}

/// Fills in a text, such as a header's value.
///
/// # Errors
/// A sentence for people: the text is no template, it needs what the order does not have, or there is no room for it.
pub fn text_for(template: &str, values: Values<'_>, room: &mut Room) -> Result<String, String> {
    let template =
        Template::parse(template).map_err(|error| format!("it is not a template: {error}"))?;
    for name in template.keys() {
        values.required(name)?;
    }
    let constants = values.constants;
    let values = leon::vals(|name| values.get(name).map(|value| Cow::Owned(value.into_owned())));
    let mut writer = room.writer();
    let written = template.render_into(&mut writer, &values);
    let filled = writer.into_text();
    match written {
        Ok(()) => {}
        Err(leon::RenderError::Io(_)) => return Err(room.complaint()),
        Err(error) => return Err(format!("it can't be filled in: {error}")),
    }
    match variable_in(&filled, constants) {
        // Written with escapes, or part of a value: the provider would be asked about an order of that name.
        Some(name) => Err(format!("it would say {{{name}}} as such")),
        None => Ok(filled),
    }
}

/// A variable that a text still names when nothing is left to fill in.
fn variable_in<'a>(text: &'a str, constants: Option<&Map<String, Value>>) -> Option<&'a str> {
    let known = |name: &str| {
        VARIABLES.contains(&name)
            || detail_of(name).is_some()
            || constants.is_some_and(|all| all.contains_key(name))
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
    let mut room = Room::for_headers();
    let filled = headers.iter().map(|(name, value)| {
        let text = header_for(name, value, values, &mut room)
            .map_err(|error| format!("the header {name}: {error}"))?;
        Ok((name.clone(), Value::String(text)))
    });
    filled
        .collect::<Result<Map<_, _>, String>>()
        .map(Value::Object)
}

fn header_for(
    name: &str,
    value: &Value,
    values: Values<'_>,
    room: &mut Room,
) -> Result<String, String> {
    plain_name(name, values)?;
    let text = text_for(value.as_str().unwrap_or_default(), values, room)?;
    match header::carries(&text) {
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
    let mut room = Room::for_body();
    let body = written_body(body, values, &mut room)?;
    // Escaped and encoded it is longer than what it was filled in with, by a small factor.
    match room.holds(&body) {
        true => Ok(body),
        false => Err(room.complaint()),
    }
}

fn written_body(body: &Value, values: Values<'_>, room: &mut Room) -> Result<String, String> {
    match (
        body.get("json"),
        body.get("form").and_then(Value::as_object),
    ) {
        (Some(json), None) => Ok(filled(json, values, room)?.to_string()),
        (None, Some(fields)) => {
            let mut form = form_urlencoded::Serializer::new(String::new());
            for (name, value) in fields {
                plain_name(name, values)?;
                let value = match value {
                    Value::String(text) => text_for(text, values, room)?,
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

fn filled(json: &Value, values: Values<'_>, room: &mut Room) -> Result<Value, String> {
    Ok(match json {
        Value::String(text) => Value::String(text_for(text, values, room)?),
        Value::Array(items) => Value::Array(
            items
                .iter()
                .map(|item| filled(item, values, room))
                .collect::<Result<_, _>>()?,
        ),
        Value::Object(members) => Value::Object(
            members
                .iter()
                .map(|(name, member)| {
                    plain_name(name, values)?;
                    Ok((name.clone(), filled(member, values, room)?))
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

#[cfg(test)]
mod tests;
