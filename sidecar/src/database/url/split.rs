//! Owns taking sslmode out of DATABASE_URL, and refusing a text in which a piece of a password would
//! be taken for something else. What the rest means is the driver's business.

use super::{DatabaseUrlError, OPTIONS};

/// The text without sslmode, and sslmode.
pub(super) fn split(text: &str) -> Result<(String, Option<String>), DatabaseUrlError> {
    let url = ["postgres://", "postgresql://"]
        .into_iter()
        .find_map(|scheme| text.strip_prefix(scheme));
    match url {
        Some(rest) => {
            check_at(rest)?;
            split_url(text, rest)
        }
        None => split_pairs(text),
    }
}

/// An unencoded @ inside a password would end it, and its rest would be the host; one in an option
/// would make credentials of all that stands before it.
fn check_at(url: &str) -> Result<(), DatabaseUrlError> {
    let Some((before, after)) = url.split_once('@') else {
        return Ok(());
    };
    let user = before.split(':').next().unwrap_or_default();
    let misplaced = before.contains('/') || before.contains("?password=") || user.contains('?');
    if after.contains('@') || misplaced {
        return Err(DatabaseUrlError::At);
    }
    Ok(())
}

/// Names that were given. Those of nobody may be given as often as one likes; the driver refuses
/// them.
#[derive(Default)]
struct Given(Vec<&'static str>);

impl Given {
    fn add(&mut self, name: &str) -> Result<(), DatabaseUrlError> {
        let Some(name) = OPTIONS.into_iter().find(|option| *option == name) else {
            return Ok(());
        };
        if self.0.contains(&name) {
            return Err(DatabaseUrlError::Twice(name));
        }
        self.0.push(name);
        Ok(())
    }
}

/// `rest` is the URL without its scheme.
fn split_url(url: &str, rest: &str) -> Result<(String, Option<String>), DatabaseUrlError> {
    let mut given = Given::default();
    let (credentials, place) = rest.split_once('@').unwrap_or(("", rest));
    let (place, query) = place.split_once('?').unwrap_or((place, ""));
    let (host, database) = place.split_once('/').unwrap_or((place, ""));
    let password = credentials
        .split_once(':')
        .map_or("", |(_, password)| password);
    for (name, value) in [
        ("host", host),
        ("dbname", database),
        ("user", credentials),
        ("password", password),
    ] {
        if !value.is_empty() {
            given.add(name)?;
        }
    }
    let mut mode = None;
    let mut others = Vec::new();
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        given.add(parameter.split('=').next().unwrap_or_default())?;
        match parameter.strip_prefix("sslmode=") {
            Some(value) => mode = Some(value.to_owned()),
            None => others.push(parameter),
        }
    }
    // A password may hold a question mark, so the query is found from the end.
    let base = &url[..url.len() - query.len()];
    let base = base.strip_suffix('?').unwrap_or(base);
    let question_mark = if others.is_empty() { "" } else { "?" };
    Ok((format!("{base}{question_mark}{}", others.join("&")), mode))
}

/// The key=value pairs without sslmode, and sslmode.
fn split_pairs(text: &str) -> Result<(String, Option<String>), DatabaseUrlError> {
    let mut given = Given::default();
    let mut mode = None;
    let mut others = String::new();
    let mut rest = text.trim_start();
    while let Some((key, value)) = rest.split_once('=') {
        let key = key.trim_end();
        let value = value.trim_start();
        let (value, after) = value.split_at(value_length(value));
        given.add(key)?;
        if key == "sslmode" {
            mode = Some(value.trim_matches('\'').to_owned());
        } else {
            others.push_str(&format!("{key}={value} "));
        }
        rest = after.trim_start();
    }
    others.push_str(rest);
    Ok((others, mode))
}

/// Bytes of the value at the start of `text`: up to white space, or in quotes; a backslash escapes.
fn value_length(text: &str) -> usize {
    let quoted = text.starts_with('\'');
    let mut escaped = false;
    for (at, char) in text.char_indices().skip(usize::from(quoted)) {
        match char {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\'' if quoted => return at + 1,
            _ if char.is_whitespace() && !quoted => return at,
            _ => {}
        }
    }
    text.len()
}
