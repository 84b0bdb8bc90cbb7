//! The judge as SQL sees it, by subject. Words, numbers and JSON are handed over as they are; what they mean is decided in
//! `reconcile_judge`, and nothing here touches the server. The declarations stand in `sql/judge.sql`, in the same order.
//!
//! | module           | what SQL asks                                                     |
//! |------------------|-------------------------------------------------------------------|
//! | [`deciding`]     | where an order goes, by an answer or by its row                     |
//! | [`answers`]      | what an answer says of the wire, of this order and of its money     |
//! | [`times`]        | when an order is asked about again                                  |
//! | [`requests`]     | what is sent about an order                                         |
//! | [`descriptions`] | what is wrong with a provider's row                                 |
//! | [`masking`]      | what of an answer must not be stored                                |

mod answers;
mod deciding;
mod descriptions;
mod masking;
mod requests;
mod times;

use pgrx::JsonB;
use serde_json::{Map, Value};

/// The members of an object; none of anything else.
fn members(json: Option<&JsonB>) -> Option<&Map<String, Value>> {
    json?.0.as_object()
}

/// Texts without NULLs among them.
fn texts(all: Vec<Option<String>>) -> Vec<String> {
    all.into_iter().flatten().collect()
}

fn value(json: Option<&JsonB>) -> Option<&Value> {
    json.map(|json| &json.0)
}
