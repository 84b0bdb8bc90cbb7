//! What is wrong with templates, before any order is asked about with them: a provider's row is refused for it. Fills them in
//! for orders that don't exist, through the functions of `request`.

use super::{
    DETAILS, Details, Room, VARIABLES, Values, body_for, detail_of, header_for, parsed, url_for,
    variable_in,
};
use iri_string::types::UriStr;
use leon::Template;
use serde_json::{Map, Value};

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
    // Of "..a" the first two characters are a path of their own, and another order's number begins like this one's.
    if expressions(template).any(|expression| expression.contains([':', '*'])) {
        return Some("{…:n} and {…*} stand for a part of a value: use {…}".to_owned());
    }
    if let Some(error) = parsed
        .variables()
        .find_map(|variable| unknown_variable(variable.as_str(), constants))
    {
        return Some(error);
    }
    // Percent-encoded, a variable is a text like any other, and would reach the provider.
    if let Some(name) = variable_in(&decoded(template), Some(constants)) {
        return Some(format!(
            "it would say {{{name}}} as such: write the braces themselves"
        ));
    }
    // Two fillings that agree in scheme and authority show that no order's value reaches them.
    let filled = |value| {
        url_for(
            template,
            Values {
                order_number: value,
                reference: Some(value),
                constants: Some(constants),
                details: Details::Any(value),
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

/// What stands between braces.
fn expressions(template: &str) -> impl Iterator<Item = &str> {
    template
        .split('{')
        .skip(1)
        .filter_map(|rest| Some(rest.split_once('}')?.0))
}

/// A template's own text: without its expressions, and percent-encoded characters as what they stand for.
fn decoded(template: &str) -> String {
    let mut literal = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        literal.push_str(before);
        rest = after.split_once('}').map_or("", |(_, after)| after);
    }
    literal.push_str(rest);
    literal
        .replace("%7B", "{")
        .replace("%7b", "{")
        .replace("%7D", "}")
        .replace("%7d", "}")
}

fn unknown_variable(name: &str, constants: &Map<String, Value>) -> Option<String> {
    let known =
        VARIABLES.contains(&name) || detail_of(name).is_some() || constants.contains_key(name);
    let all = || {
        VARIABLES
            .iter()
            .copied()
            .chain(constants.keys().map(String::as_str))
            .chain(["details.…"])
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
        if !sound || VARIABLES.contains(&name.as_str()) || name == DETAILS {
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
        details: Details::Any("a"),
    };
    let mut room = Room::for_headers();
    for (name, value) in headers.as_object().into_iter().flatten() {
        let unknown = text_error(value.as_str().unwrap_or_default(), constants);
        if let Some(error) = unknown.or_else(|| header_for(name, value, values, &mut room).err()) {
            return Some(format!("headers: {name}: {error}"));
        }
    }
    body.and_then(|body| body_for(body, values).err())
        .map(|error| format!("body: {error}"))
}
