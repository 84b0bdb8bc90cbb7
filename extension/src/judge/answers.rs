//! What an answer says: of the wire, of this order, of its money.

use super::{members, texts};
use pgrx::JsonB;
use pgrx::prelude::*;
use reconcile_judge::evidence::{Money, Units, disagreement_of};
use reconcile_judge::found::{Several, meaning_of, sum_of};
use reconcile_judge::money::{exponent, major_units};
use reconcile_judge::outcome::Outcome;
use reconcile_judge::wire::outcome_of;

#[pg_extern]
fn wire_outcome(
    fault: Option<&str>,
    http_status: Option<i32>,
    http_outcomes: Option<JsonB>,
) -> Option<&'static str> {
    outcome_of(fault, http_status, members(http_outcomes.as_ref())).map(Outcome::word)
}

/// NULL for the outcome when the status map has no such word: then there is nothing to compare. `several` holds, by its
/// path's name, what a path found where that is more than one value; `adds_up`, whether several amounts are parts of one sum.
#[pg_extern]
#[allow(clippy::too_many_arguments)]
fn disagreement(
    outcome: Option<&str>,
    amount: Option<&str>,
    currency: Option<&str>,
    reference: Option<&str>,
    said_amount: Option<&str>,
    said_currency: Option<&str>,
    said_reference: Option<&str>,
    amount_unit: &str,
    exceptions: Option<JsonB>,
    must_say: Option<Vec<Option<String>>>,
    several: Option<JsonB>,
    adds_up: Option<bool>,
) -> Option<String> {
    let order = Money {
        amount,
        currency,
        reference,
    };
    let said = Money {
        amount: said_amount,
        currency: said_currency,
        reference: said_reference,
    };
    let several = Several {
        adds_up: adds_up.unwrap_or(false),
        ..several
            .map(|several| Several::of(&several.0))
            .unwrap_or_default()
    };
    disagreement_of(
        Outcome::from_word(outcome?)?,
        order,
        said,
        Units::of(amount_unit, members(exceptions.as_ref())),
        &texts(must_say.unwrap_or_default()),
        &several,
    )
}

#[pg_extern]
fn several_mean(words: Vec<Option<String>>, status_map: JsonB) -> Option<&'static str> {
    meaning_of(&texts(words), &status_map.0).map(Outcome::word)
}

/// NULL when one of them can't be read.
#[pg_extern]
fn said_sum(
    amounts: Vec<Option<String>>,
    amount_unit: &str,
    currency: Option<&str>,
    exceptions: Option<JsonB>,
) -> Option<String> {
    let units = Units::of(amount_unit, members(exceptions.as_ref()));
    sum_of(&texts(amounts), currency, units).map(|sum| sum.to_plain_string())
}

/// NULL when the answer says no amount that can be read.
#[pg_extern]
fn said_amount(
    said: Option<&str>,
    amount_unit: &str,
    currency: Option<&str>,
    exceptions: Option<JsonB>,
) -> Option<String> {
    let units = Units::of(amount_unit, members(exceptions.as_ref()));
    major_units(said?, units.minor, currency, units.exceptions)
        .ok()
        .map(|amount| amount.to_plain_string())
}

#[pg_extern]
fn currency_exponent(currency: &str) -> Option<i32> {
    exponent(currency).map(i32::from)
}
