//! How code of an application is kept inside the call that runs it.
//!
//! SECURITY DEFINER alone does not do that: a cursor WITH HOLD, a deferred trigger or a prepared statement runs after the
//! function has ended, with the rights of whoever's session it is. PostgreSQL has a flag that refuses all of these, which it
//! sets while it maintains indexes and materialized views. A function that is made for an owner sets it first, and
//! PostgreSQL restores what was when the function ends, by an error too. There is no call that would take it back.

use pgrx::pg_sys;
use pgrx::prelude::*;

use super::identity::{Identity, role_named};
use super::reach;

/// For the rest of the SECURITY DEFINER function that calls this: nothing is left for COMMIT, and the role can't be changed.
///
/// Fails with 42501 when the function does not run as `owner`, as one does that was restored without owners, or when it is
/// no SECURITY DEFINER function, where nobody would take the flag back.
#[pg_extern]
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
    if current.user != ledger()
        && let Some(object) = strange_object(current.user)
    {
        ereport!(
            ERROR,
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!(
                "this session has a temporary {object}, which code of {owner} could take for its own"
            ),
            "Call from a session without temporary tables and types: DISCARD TEMP drops them."
        );
    }
    reach::confine();
    current.with(pg_sys::SECURITY_RESTRICTED_OPERATION).assume();
}

/// The role that the ledger belongs to: its own functions name `pg_temp` last, and note rows in sessions of applications.
fn ledger() -> pg_sys::Oid {
    role_named("reconcile_owner").unwrap_or(pg_sys::InvalidOid)
}

/// A temporary table or type of this session that code of `owner` would see before all others, and that is neither his nor a superuser's.
/// The calls that people and sidecars make look before they begin; this is where code is entered, whatever led there.
fn strange_object(owner: pg_sys::Oid) -> Option<String> {
    let (mut schema, mut toast) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
    // SAFETY: writes to the two places that it is given, on the main thread.
    unsafe { pg_sys::GetTempNamespaceState(&raw mut schema, &raw mut toast) };
    if schema == pg_sys::InvalidOid {
        return None;
    }
    Spi::get_one_with_args(
        "select made.name from (
             select c.relname::pg_catalog.text, c.relowner from pg_catalog.pg_class as c where c.relnamespace operator(pg_catalog.=) $1
             union all
             select t.typname::pg_catalog.text, t.typowner from pg_catalog.pg_type as t where t.typnamespace operator(pg_catalog.=) $1
         ) as made (name, owner)
         join pg_catalog.pg_roles as r on r.oid operator(pg_catalog.=) made.owner and not r.rolsuper
         where made.owner operator(pg_catalog.<>) $2
         limit 1",
        &[schema.into(), owner.into()],
    )
    .ok()
    .flatten()
}
