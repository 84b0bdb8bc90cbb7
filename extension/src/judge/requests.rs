//! What is sent about an order, and why it can't be.

use super::{members, value};
use pgrx::JsonB;
use pgrx::prelude::*;
use reconcile_judge::request::{
    Values, body_for, depends_on_order, headers_for, needs_reference, request_problem, url_for,
};

/// NULL when the URL can't be built: the caller records that as a refused check.
#[pg_extern]
fn request_url(
    template: &str,
    order_number: &str,
    reference: Option<&str>,
    variables: Option<JsonB>,
) -> Option<String> {
    let values = Values::of(order_number, reference, value(variables.as_ref()));
    url_for(template, values).ok()
}

/// NULL when the headers can't be built.
#[pg_extern]
fn request_headers(
    headers: JsonB,
    order_number: &str,
    reference: Option<&str>,
    variables: Option<JsonB>,
) -> Option<JsonB> {
    let values = Values::of(order_number, reference, value(variables.as_ref()));
    headers_for(members(Some(&headers))?, values)
        .ok()
        .map(JsonB)
}

/// NULL when the body can't be built.
#[pg_extern]
fn request_body(
    body: JsonB,
    order_number: &str,
    reference: Option<&str>,
    variables: Option<JsonB>,
) -> Option<String> {
    let values = Values::of(order_number, reference, value(variables.as_ref()));
    body_for(&body.0, values).ok()
}

/// Total: whatever is NULL is not looked at, but for the order's number, without which nothing can be asked.
#[pg_extern]
fn request_problem_of(
    url: Option<&str>,
    headers: Option<JsonB>,
    body: Option<JsonB>,
    order_number: Option<&str>,
    reference: Option<&str>,
    variables: Option<JsonB>,
) -> Option<String> {
    let Some(order_number) = order_number else {
        return Some("the order has no number".to_owned());
    };
    request_problem(
        url,
        members(headers.as_ref()),
        value(body.as_ref()),
        Values::of(order_number, reference, value(variables.as_ref())),
    )
}

#[pg_extern]
fn request_depends_on_order(
    url: Option<&str>,
    headers: Option<JsonB>,
    body: Option<JsonB>,
) -> bool {
    depends_on_order(url, value(headers.as_ref()), value(body.as_ref()))
}

#[pg_extern]
fn request_needs_reference(url: Option<&str>, headers: Option<JsonB>, body: Option<JsonB>) -> bool {
    needs_reference(url, value(headers.as_ref()), value(body.as_ref()))
}
