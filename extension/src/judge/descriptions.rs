//! What is wrong with a provider's row, field by field: a complaint as a sentence, or NULL when it will do.

use super::{members, value};
use pgrx::JsonB;
use pgrx::prelude::*;
use reconcile_judge::money::exponents_complaint;
use reconcile_judge::provider::{auth_complaint, headers_complaint, status_map_complaint};
use reconcile_judge::request::{request_complaint, template_error};
use reconcile_judge::rules::{captures_in_full, http_outcomes_complaint, rules_complaint};

#[pg_extern]
fn url_template_error(template: &str, variables: JsonB) -> Option<String> {
    let constants = members(Some(&variables)).cloned().unwrap_or_default();
    template_error(template, &constants)
}

/// The complaint begins with the field's name and a colon.
#[pg_extern]
fn request_error(headers: JsonB, body: Option<JsonB>, variables: JsonB) -> Option<String> {
    request_complaint(&headers.0, value(body.as_ref()), &variables.0)
}

#[pg_extern]
fn auth_error(auth: JsonB) -> Option<String> {
    auth_complaint(auth.0)
}

#[pg_extern]
fn headers_error(headers: JsonB) -> Option<String> {
    headers_complaint(&headers.0)
}

#[pg_extern]
fn status_map_error(status_map: JsonB) -> Option<String> {
    status_map_complaint(&status_map.0)
}

#[pg_extern]
fn rules_error(rules: JsonB) -> Option<String> {
    rules_complaint(&rules.0)
}

#[pg_extern]
fn http_outcomes_error(http_outcomes: JsonB) -> Option<String> {
    http_outcomes_complaint(&http_outcomes.0)
}

#[pg_extern]
fn captures_error(captures: JsonB) -> Option<String> {
    captures_in_full(&captures.0).err()
}

/// NULL when they are unsound: [`captures_error`] says why.
#[pg_extern]
fn full_captures(captures: JsonB) -> Option<JsonB> {
    captures_in_full(&captures.0).ok().map(JsonB)
}

#[pg_extern]
fn currency_exponents_error(currency_exponents: JsonB) -> Option<String> {
    exponents_complaint(&currency_exponents.0)
}
