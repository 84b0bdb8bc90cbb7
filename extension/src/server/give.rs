//! How a function that was made for an owner comes to belong to that owner.
//!
//! `ALTER FUNCTION … OWNER TO` is for members of the new owner's role, and the ledger's role is a member of nobody's. So
//! this one statement runs as the superuser that PostgreSQL was set up with. It reaches no further than functions of the
//! ledger's own, in the two schemas that hold such functions, and only to a role that the session has anyway: whoever came
//! to be the ledger's role by a mistake of ours would gain no other role by this. No event trigger hears of it.

use std::ffi::CStr;

use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::spi::quote_identifier;

use super::define::define;
use super::identity::{Identity, as_role, role_name};

/// The schemas whose functions may be given away.
const OURS: [&str; 2] = ["reconcile_generated", "reconcile_doors"];

/// Gives a function to a role, and keeps the right to execute it.
///
/// Fails with 42501 when it is not the caller's, stands elsewhere, or would go to a role that the session does not have or
/// that is PostgreSQL's own, such as `pg_execute_server_program`.
#[pg_extern]
fn _give_to(function: pg_sys::Oid, owner: pg_sys::Oid) {
    let giver = Identity::current().user;
    if let Err(why) = may_give(function, giver, owner) {
        ereport!(
            ERROR,
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!("the function can't be given away: {why}")
        );
    }
    // SAFETY: answers a text in PostgreSQL's memory, every name in it with its schema and quoted.
    let name = unsafe { CStr::from_ptr(pg_sys::format_procedure_qualified(function)) };
    let statements = format!(
        "alter function {name} owner to {owner}; grant execute on function {name} to {giver}",
        name = name.to_string_lossy(),
        owner = quote_identifier(role_name(owner)),
        giver = quote_identifier(role_name(giver)),
    );
    let superuser = pg_sys::Oid::from_u32(pg_sys::BOOTSTRAP_SUPERUSERID);
    as_role(superuser, || define(&statements));
}

fn may_give(
    function: pg_sys::Oid,
    giver: pg_sys::Oid,
    owner: pg_sys::Oid,
) -> Result<(), &'static str> {
    if owner_of(function) != Some(giver) {
        return Err("it is another role's");
    }
    // SAFETY: answers a text in PostgreSQL's memory; the function exists, so its schema does.
    let schema = unsafe {
        CStr::from_ptr(pg_sys::get_namespace_name(pg_sys::get_func_namespace(
            function,
        )))
    };
    if !OURS.iter().any(|ours| schema.to_bytes() == ours.as_bytes()) {
        return Err("it stands in another schema");
    }
    // SAFETY: all look roles up in the catalog's cache.
    let (is_superuser, is_had) = unsafe {
        (
            pg_sys::superuser_arg(owner),
            pg_sys::has_privs_of_role(pg_sys::GetOuterUserId(), owner),
        )
    };
    if !is_had {
        return Err("the session does not have the role that it would go to");
    }
    if owner.to_u32() < pg_sys::FirstNormalObjectId && !is_superuser {
        return Err("it would go to a role of PostgreSQL's own");
    }
    Ok(())
}

/// Whose a function is; none when there is no such function.
pub(crate) fn owner_of(function: pg_sys::Oid) -> Option<pg_sys::Oid> {
    // SAFETY: a row of the catalog's cache is read while it is held, and released once.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(
            pg_sys::SysCacheIdentifier::PROCOID.cast_signed(),
            pg_sys::Datum::from(function),
        );
        if tuple.is_null() {
            return None;
        }
        let row = pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_proc>();
        let owner = (*row).proowner;
        pg_sys::ReleaseSysCache(tuple);
        Some(owner)
    }
}
