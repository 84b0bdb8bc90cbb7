//! Templates: values stay in their places, and bad templates say why.

use super::*;
use proptest::prelude::*;
use serde_json::json;

mod complaining;
mod filling;

const TEMPLATE: &str = "https://api.vendor.example/orders/{order_number}{?reference}";

fn values<'a>(order_number: &'a str, reference: Option<&'a str>) -> Values<'a> {
    Values {
        order_number,
        reference,
        constants: None,
        details: Details::None,
    }
}

/// A text with room for all of it.
fn text(template: &str, values: Values<'_>) -> Result<String, String> {
    text_for(template, values, &mut Room::for_body())
}
