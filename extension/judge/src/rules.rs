//! Whether a provider's way of reading answers is sound: rules, HTTP statuses, captures. Answers with the complaint as a
//! sentence. Predicates and paths are PostgreSQL's jsonpath and are parsed by PostgreSQL; here is what stands around them.

use crate::outcome::Outcome;
use serde::Deserialize;
use serde_json::Value;

const MOST_RULES: usize = 50;
const MOST_CAPTURES: usize = 20;

/// One rule: where the predicate holds, the answer means the outcome. The first that holds decides.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    when: String,
    means: String,
    /// Of `provider_error`, whose trouble it is; by its HTTP status where it is not said.
    about: Option<String>,
}

/// What a rule may mean: a word of the provider, or a fault that it reports in a body.
fn is_meanable(word: &str) -> bool {
    let fault = |outcome| {
        matches!(
            outcome,
            Outcome::ProviderError | Outcome::Refused | Outcome::Throttled
        )
    };
    Outcome::from_word(word).is_some_and(|outcome| outcome.is_mappable() || fault(outcome))
}

fn meanable_words() -> String {
    format!(
        "{}, provider_error, refused, throttled",
        Outcome::mappable_words()
    )
}

/// What is wrong with a list of rules; `None` when it will do.
#[must_use]
pub fn rules_complaint(rules: &Value) -> Option<String> {
    let Some(items) = rules.as_array() else {
        return Some("it is not a list of rules".to_owned());
    };
    if items.len() > MOST_RULES {
        return Some(format!("{} rules are more than {MOST_RULES}", items.len()));
    }
    let mut seen: Vec<String> = Vec::new();
    for (place, item) in items.iter().enumerate() {
        let number = place + 1;
        let rule: Rule = match Rule::deserialize(item) {
            Ok(rule) => rule,
            Err(error) => return Some(format!("rule {number}: {error}")),
        };
        if !is_meanable(&rule.means) {
            return Some(format!(
                "rule {number} means \"{}\": use one of {}",
                rule.means.escape_debug(),
                meanable_words()
            ));
        }
        if let Some(about) = rule.about.as_deref() {
            if !matches!(about, "order" | "provider") {
                return Some(format!(
                    "rule {number} is about \"{}\": use order or provider",
                    about.escape_debug()
                ));
            }
            if rule.means != Outcome::ProviderError.word() {
                return Some(format!(
                    "rule {number} means {}, and only of provider_error it is asked whose trouble it is: leave about out",
                    rule.means
                ));
            }
        }
        let predicate: String = rule.when.split_whitespace().collect();
        if let Some(earlier) = seen.iter().position(|seen| *seen == predicate) {
            return Some(format!(
                "rule {number} can never match: rule {} has the same predicate",
                earlier + 1
            ));
        }
        if let Some(always) = seen
            .iter()
            .position(|seen| seen == "true" || seen == "1==1")
        {
            return Some(format!(
                "rule {number} can never match: rule {} always does",
                always + 1
            ));
        }
        seen.push(predicate);
    }
    None
}

/// What is wrong with a map of HTTP statuses to outcomes; `None` when it will do.
#[must_use]
pub fn http_outcomes_complaint(outcomes: &Value) -> Option<String> {
    let Some(outcomes) = outcomes.as_object() else {
        return Some("it is not an object of HTTP statuses and outcomes".to_owned());
    };
    outcomes.iter().find_map(|(status, outcome)| {
        let digits = status.strip_suffix("xx").unwrap_or(status);
        let length = if status.ends_with("xx") { 1 } else { 3 };
        let number = digits.len() == length && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !number || !(b'1'..=b'5').contains(&digits.as_bytes()[0]) {
            return Some(format!(
                "\"{}\" is not an HTTP status: write 404 or 4xx",
                status.escape_debug()
            ));
        }
        let word = outcome.as_str().unwrap_or_default();
        (word != "body" && !is_meanable(word)).then(|| {
            format!(
                "{status} leads to {outcome}: use body or one of {}",
                meanable_words()
            )
        })
    })
}

/// One value of the answer that is kept on the order.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Capture {
    Path(String),
    Marked(Marked),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Marked {
    path: String,
    #[serde(default)]
    sensitive: bool,
}

/// Captures in their full form, `{"name": {"path": …, "sensitive": …}}`.
///
/// # Errors
/// What is wrong with them, as a sentence.
pub fn captures_in_full(captures: &Value) -> Result<Value, String> {
    let captures = captures
        .as_object()
        .ok_or("it is not an object of names and paths")?;
    if captures.len() > MOST_CAPTURES {
        return Err(format!(
            "{} captures are more than {MOST_CAPTURES}",
            captures.len()
        ));
    }
    let full = captures.iter().map(|(name, value)| {
        let sound = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.len() <= 63
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if !sound {
            return Err(format!(
                "\"{}\" is not a capture's name: use small letters, digits and _",
                name.escape_debug()
            ));
        }
        let (path, sensitive) = match Capture::deserialize(value) {
            Ok(Capture::Path(path)) => (path, false),
            Ok(Capture::Marked(marked)) => (marked.path, marked.sensitive),
            Err(_) => {
                return Err(format!(
                    "{name} is neither a path nor {{\"path\": …, \"sensitive\": true}}"
                ));
            }
        };
        Ok((
            name.clone(),
            serde_json::json!({"path": path, "sensitive": sensitive}),
        ))
    });
    full.collect::<Result<serde_json::Map<_, _>, String>>()
        .map(Value::Object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rules_that_cannot_match_are_refused() {
        let rule = |when: &str, means: &str| json!({"when": when, "means": means});
        assert_eq!(
            rules_complaint(&json!([
                rule("$.a == 1", "succeeded"),
                rule("$.a == 2", "refused"),
                json!({"when": "$.a == 3", "means": "provider_error", "about": "order"}),
                json!({"when": "$.a == 4", "means": "provider_error", "about": "provider"})
            ])),
            None
        );
        for (rules, part) in [
            (json!({}), "not a list"),
            (json!([{"when": "$.a == 1"}]), "missing field"),
            (
                json!([{"when": "$.a == 1", "means": "failed", "else": 1}]),
                "unknown field",
            ),
            (
                json!([{"when": "$.a == 1", "means": "provider_error", "about": "us"}]),
                "use order or provider",
            ),
            (
                json!([{"when": "$.a == 1", "means": "failed", "about": "order"}]),
                "leave about out",
            ),
            (json!([rule("$.a == 1", "paid")]), "use one of"),
            (json!([rule("$.a == 1", "unreachable")]), "use one of"),
            (
                json!([rule("$.a == 1", "failed"), rule("$.a  ==  1", "pending")]),
                "rule 2 can never match: rule 1",
            ),
            (
                json!([rule("true", "failed"), rule("$.a == 1", "pending")]),
                "always does",
            ),
        ] {
            let complaint = rules_complaint(&rules).unwrap_or_default();
            assert!(complaint.contains(part), "{rules}: {complaint}");
        }
    }

    #[test]
    fn http_statuses_and_captures() {
        assert_eq!(
            http_outcomes_complaint(&json!({"404": "pending", "5xx": "body", "400": "refused"})),
            None
        );
        for bad in [
            json!([]),
            json!({"40": "pending"}),
            json!({"999": "body"}),
            json!({"xx": "body"}),
            json!({"404": "x"}),
        ] {
            assert!(http_outcomes_complaint(&bad).is_some(), "{bad}");
        }
        let full =
            captures_in_full(&json!({"pin": {"path": "$.pin", "sensitive": true}, "id": "$.id"}));
        assert_eq!(
            full,
            Ok(
                json!({"pin": {"path": "$.pin", "sensitive": true}, "id": {"path": "$.id", "sensitive": false}})
            )
        );
        for bad in [
            json!([]),
            json!({"Pin": "$.a"}),
            json!({"pin": 1}),
            json!({"pin": {"path": "$.a", "x": 1}}),
        ] {
            assert!(captures_in_full(&bad).is_err(), "{bad}");
        }
    }
}
