//! How code of an application is kept inside the call that runs it.
//!
//! SECURITY DEFINER alone does not do that: a cursor WITH HOLD, a deferred trigger or a prepared statement runs after the
//! function has ended, with the rights of whoever's session it is. PostgreSQL has a flag that refuses all of these, which it
//! sets while it maintains indexes and materialized views. A function that is made for an owner sets it first, and
//! PostgreSQL restores what was when the function ends, by an error too. There is no call that would take it back.

use pgrx::pg_sys;
use pgrx::prelude::*;

use super::identity::{Identity, role_named};

/// For the rest of the SECURITY DEFINER function that calls this: nothing is left for COMMIT, and the role can't be changed.
///
/// Fails with 42501 when the function does not run as `owner`, as one does that was restored without owners, or when it is
/// no SECURITY DEFINER function, where nobody would take the flag back.
#[pg_extern(sql = false, volatile, parallel_unsafe, strict)]
fn confine(owner: &str) {
    let current = Identity::current();
    if role_named(owner) != Some(current.user) || !current.is_local_change() {
        ereport!(
            ERROR,
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!("this function was made to run as {owner}, and runs as another role"),
            "It was restored without its owner, or its owner has another name now: what it was made for has to be attached or added again."
        );
    }
    current.with(pg_sys::SECURITY_RESTRICTED_OPERATION).assume();
}
