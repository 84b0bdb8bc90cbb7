//! Looks through JSON: values by their names, texts and numbers by what they are, names that hold what is sensitive. Keeps
//! shape and numbers; never looks at what stands behind a masked name.

use super::names::{Also, says_secret};
use super::{MASK, cards, numbers, text};
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::collections::HashSet;

/// So many harmless names are remembered, of so many bytes: a provider's answers have the same ones again and again.
const REMEMBERED: usize = 1024;
const LONGEST_REMEMBERED: usize = 64;

thread_local! {
    /// Names that hold nothing and say nothing by themselves, whatever a provider's row names besides.
    static HARMLESS: RefCell<HashSet<Box<str>>> = RefCell::default();
}

/// Members by which a form that is written as a list names its fields, and those that hold what a field says.
const NAMING: [&str; 14] = [
    "name",
    "key",
    "field",
    "fieldName",
    "field_name",
    "id",
    "label",
    "param",
    "parameter",
    "attribute",
    "property",
    "type",
    "@name",
    "@key",
];
const SAYING: [&str; 12] = [
    "value",
    "values",
    "val",
    "v",
    "content",
    "text",
    "#text",
    "$",
    "_",
    "string",
    "stringValue",
    "data",
];

fn is_one_of(name: &str, names: &[&str]) -> bool {
    names.iter().any(|each| name.eq_ignore_ascii_case(each))
}

/// What is not NULL, nor a truth value.
fn says(value: &Value) -> bool {
    !value.is_null() && !value.is_boolean()
}

/// Whether a name has nothing in it to mask and is no secret's. Only names of letters, digits, `_` and `-` are remembered:
/// nothing in them stands beside a value of its own.
fn is_harmless(name: &str) -> bool {
    let memorable = name.len() <= LONGEST_REMEMBERED
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if !memorable {
        return false;
    }
    HARMLESS.with_borrow_mut(|harmless| {
        if harmless.contains(name) {
            return true;
        }
        if says_secret(name) || text::name_redacted(name, &Also::new(&[])).is_some() {
            return false;
        }
        if harmless.len() >= REMEMBERED {
            harmless.clear();
        }
        harmless.insert(name.into())
    })
}

/// Why a text could not be read: by its depth alone, or since it is not JSON.
#[derive(Debug)]
pub(super) enum TooDeep {
    Yes,
    No,
}

pub(super) fn parsed(body: &str) -> Result<Value, TooDeep> {
    serde_json::from_str(body).map_err(|error| {
        // The parser stops at 128 levels, and says so in words only.
        match error.to_string().starts_with("recursion limit") {
            true => TooDeep::Yes,
            false => TooDeep::No,
        }
    })
}

/// A parsed body, masked and written again; `None` when nothing had to be.
pub(super) fn masked(body: &str, mut value: Value, also: &Also, depth: usize) -> Option<String> {
    let mut look = Look {
        also,
        depth,
        members: 0,
        masked: false,
    };
    look.through(&mut value);
    // Of a member that is named twice only the last was read: what the others say may not stay in the text.
    let repeats = !look.masked && numbers::members_written(body) != look.members;
    (look.masked || repeats).then(|| value.to_string())
}

struct Look<'a> {
    also: &'a Also,
    depth: usize,
    members: usize,
    masked: bool,
}

impl Look<'_> {
    fn through(&mut self, value: &mut Value) {
        match value {
            Value::Object(members) => self.through_members(members),
            Value::Array(items) => self.through_items(items),
            Value::String(content) => {
                if let Some(masked) = text::redacted(content, self.also, self.depth) {
                    *content = masked;
                    self.masked = true;
                }
            }
            Value::Number(number) => {
                // A number of few characters needs no look.
                if cards::is_number_of_card(number.as_str()) {
                    self.mask(value);
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn mask(&mut self, value: &mut Value) {
        *value = MASK.into();
        self.masked = true;
    }

    /// NULL hides nothing; a truth value does where the provider's row says so.
    fn hides(&self, name: &str, value: &Value) -> bool {
        match value {
            Value::Null => false,
            Value::Bool(_) => self.also.holds(name),
            _ => self.also.holds(name) || says_secret(name),
        }
    }

    /// `{"name": "password", "value": "…"}`: a member is named by another one.
    fn is_secret_field(&self, members: &Map<String, Value>) -> bool {
        members.iter().any(|(name, value)| {
            is_one_of(name, &NAMING)
                && value
                    .as_str()
                    .is_some_and(|field| self.also.holds(field) || says_secret(field))
        })
    }

    /// `["password", "…"]`, `["Accept", "…", "Cookie", "…"]`, and a card's number in groups.
    fn through_items(&mut self, items: &mut [Value]) {
        if is_card_in_groups(items) {
            items.iter_mut().for_each(|item| self.mask(item));
            return;
        }
        let are_pairs =
            items.len().is_multiple_of(2) && items.iter().step_by(2).all(Value::is_string);
        let names_secret = |item: &Value| {
            let name = item
                .as_str()
                .filter(|name| name.len() <= LONGEST_REMEMBERED);
            name.is_some_and(|name| {
                self.also.holds(name) || !is_harmless(name) && says_secret(name)
            })
        };
        let hidden: Vec<bool> = (0..items.len())
            .map(|place| {
                are_pairs
                    && place % 2 == 1
                    && says(&items[place])
                    && names_secret(&items[place - 1])
                    // A list of words that name secrets tells none.
                    && !names_secret(&items[place])
            })
            .collect();
        for (item, hidden) in items.iter_mut().zip(hidden) {
            match hidden {
                true if item != MASK => self.mask(item),
                true => {}
                false => self.through(item),
            }
        }
    }

    fn through_members(&mut self, members: &mut Map<String, Value>) {
        let mut renamed = Vec::new();
        let is_field = self.is_secret_field(members);
        for (name, value) in members.iter_mut() {
            self.members += 1;
            if is_field && is_one_of(name, &SAYING) && says(value) {
                if value != MASK {
                    self.mask(value);
                }
                continue;
            }
            if is_harmless(name) && (value.is_null() || !self.also.holds(name)) {
                self.through(value);
                continue;
            }
            let masked = text::name_redacted(name, self.also);
            // What is left of a masked name may say more than the whole did.
            let names = [Some(name.as_str()), masked.as_deref()];
            if names
                .into_iter()
                .flatten()
                .any(|name| self.hides(name, value))
            {
                if value != MASK {
                    self.mask(value);
                }
            } else {
                self.through(value);
            }
            renamed.extend(masked.map(|masked| (name.clone(), masked)));
        }
        for (name, masked) in renamed {
            if let Some(value) = members.remove(&name) {
                members.insert(unused(members, masked), value);
                self.masked = true;
            }
        }
    }
}

/// Whether a list is the digits of one card's number and nothing else.
fn is_card_in_groups(items: &[Value]) -> bool {
    if !(2..=cards::MOST).contains(&items.len()) {
        return false;
    }
    let mut digits = String::new();
    for item in items {
        let group = match item {
            Value::String(group) => group.as_str(),
            Value::Number(group) => group.as_str(),
            _ => return false,
        };
        if group.is_empty() || !group.bytes().all(|byte| byte.is_ascii_digit()) {
            return false;
        }
        digits.push_str(group);
    }
    cards::is_number_of_card(&digits)
}

/// Two names that became one are told apart by a number.
fn unused(members: &Map<String, Value>, name: String) -> String {
    if !members.contains_key(&name) {
        return name;
    }
    // As many as there are members are enough.
    (2..=members.len() + 2)
        .map(|number| format!("{name} {number}"))
        .find(|candidate| !members.contains_key(candidate))
        .unwrap_or(name)
}
