//! What templates are filled in with: of an order, of its details, of the provider's constants. Never fills in any.

use serde_json::{Map, Value};
use std::borrow::Cow;

/// The variables that every order has; a provider's row may add constants, and `details.` leads to a member of the order's
/// details.
pub const VARIABLES: &[&str] = &["order_number", "own_number", "reference"];

/// What `{details.x}` is filled in with.
#[derive(Clone, Copy, Debug, Default)]
pub enum Details<'a> {
    /// The order has none.
    #[default]
    None,
    /// The order's.
    Of(&'a Map<String, Value>),
    /// Of an order that does not exist: each is this text.
    Any(&'a str),
}

/// What a template is filled in with.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    /// The order's number.
    pub order_number: &'a str,
    /// The provider's id for the order.
    pub reference: Option<&'a str>,
    /// The provider's constants: texts and numbers by name.
    pub constants: Option<&'a Map<String, Value>>,
    /// What the application keeps with the order.
    pub details: Details<'a>,
}

impl<'a> Values<'a> {
    /// Of one order. Its details stand among the constants, where no constant can be.
    #[must_use]
    pub fn of(
        order_number: &'a str,
        reference: Option<&'a str>,
        constants: Option<&'a Value>,
    ) -> Self {
        let constants = constants.and_then(Value::as_object);
        let details = constants
            .and_then(|constants| constants.get(DETAILS)?.as_object())
            .map_or(Details::None, Details::Of);
        Self {
            order_number,
            reference,
            constants,
            details,
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<Cow<'a, str>> {
        let plain = |value: &'a Value| match value {
            Value::String(text) => Some(Cow::Borrowed(text.as_str())),
            Value::Number(number) => Some(Cow::Owned(number.to_string())),
            _ => None,
        };
        match (name, detail_of(name), self.details) {
            ("order_number", ..) => Some(Cow::Borrowed(self.order_number)),
            // Of an order whose number has a prefix it comes with the constants, none of which may have this name.
            ("own_number", ..) => self
                .constants
                .and_then(|constants| plain(constants.get(name)?))
                .or(Some(Cow::Borrowed(self.order_number))),
            ("reference", ..) => self.reference.map(Cow::Borrowed),
            (_, Some(_), Details::None) => None,
            (_, Some(_), Details::Any(text)) => Some(Cow::Borrowed(text)),
            (_, Some(path), Details::Of(details)) => {
                let mut members = path.split('.');
                let first = details.get(members.next()?)?;
                plain(members.try_fold(first, |value, member| value.get(member))?)
            }
            (constant, None, _) => plain(self.constants?.get(constant)?),
        }
    }

    pub(super) fn required(&self, name: &str) -> Result<Cow<'a, str>, String> {
        self.get(name)
            .ok_or_else(|| format!("it needs {{{name}}}, which the order does not have"))
    }
}

/// Where an order's details stand among what a template is filled in with: the name of no constant.
pub(super) const DETAILS: &str = "details";

/// The path behind `details.`, if a variable has one.
pub(super) fn detail_of(name: &str) -> Option<&str> {
    let path = name.strip_prefix(DETAILS)?.strip_prefix('.')?;
    (!path.split('.').any(str::is_empty)).then_some(path)
}
