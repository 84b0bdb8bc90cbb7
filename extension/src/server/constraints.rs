//! When deferred constraints are checked, around code of an application.
//!
//! Nothing may be left for COMMIT by that code, so its deferred constraints have to be immediate before it begins; every
//! foreign key that Django makes is one. `SET CONSTRAINTS` also checks what is pending already, which is the caller's: it
//! may be a trigger of anybody, and at COMMIT it would run with the rights of the session and not with the ledger's. So it
//! does here. SQL says SET CONSTRAINTS by itself, so that an error arrives as PostgreSQL made it: this gives it the rights.
//! Never decides which constraints there are.

use std::ffi::{CStr, CString};

use pgrx::pg_sys;
use pgrx::prelude::*;

use super::identity::{Identity, as_role};

/// For the rest of the SECURITY DEFINER function that calls this: the rights of the role that the session has, and its
/// search_path, which a trigger without one of its own expects to find at COMMIT.
///
/// True when they are lent. False within a restricted operation, a hook or a CREATE INDEX, where nothing can be made
/// pending; but what was pending before it may be anybody's, and would run as the caller of this, so nothing may be checked.
/// Fails with 42501 in another kind of function, where nobody would take them back.
#[pg_extern]
fn _become_session() -> bool {
    let current = Identity::current();
    if !current.is_local_change() {
        ereport!(
            ERROR,
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            "the session's rights are lent to SECURITY DEFINER functions only"
        );
    }
    if current.is_restricted() {
        return false;
    }
    const SEARCH_PATH: &CStr = c"search_path";
    // SAFETY: the text is PostgreSQL's and outlives the call; what is set goes with the level of the function that has
    // called this.
    let session = unsafe {
        pg_sys::set_config_option(
            SEARCH_PATH.as_ptr(),
            pg_sys::GetConfigOptionResetString(SEARCH_PATH.as_ptr()),
            pg_sys::GucContext::PGC_USERSET,
            pg_sys::GucSource::PGC_S_SESSION,
            pg_sys::GucAction::GUC_ACTION_LOCAL,
            true,
            0,
            false,
        );
        pg_sys::GetOuterUserId()
    };
    Identity {
        user: session,
        ..current
    }
    .assume();
    true
}

/// Has these constraints deferred again, which nothing runs by. Within a restricted operation they were not made immediate,
/// and what runs there needs them as they are.
///
/// Fails with 42704 for a constraint that is gone, and 42809 for a name that one has that can't be deferred.
#[pg_extern]
fn _defer_constraints(schemas: Vec<String>, names: Vec<String>) {
    if Identity::current().is_restricted() {
        return;
    }
    let superuser = pg_sys::Oid::from_u32(pg_sys::BOOTSTRAP_SUPERUSERID);
    as_role(superuser, || defer(&schemas, &names));
}

fn defer(schemas: &[String], names: &[String]) {
    // SAFETY: a list of PostgreSQL's own nodes in its memory, as the parser makes it, and what SET CONSTRAINTS calls.
    unsafe {
        let mut list: *mut pg_sys::List = std::ptr::null_mut();
        for (schema, name) in schemas.iter().zip(names) {
            let (Ok(schema), Ok(name)) =
                (CString::new(schema.as_str()), CString::new(name.as_str()))
            else {
                continue;
            };
            let constraint = pg_sys::makeRangeVar(
                pg_sys::pstrdup(schema.as_ptr()),
                pg_sys::pstrdup(name.as_ptr()),
                -1,
            );
            list = pg_sys::lappend(list, constraint.cast());
        }
        if list.is_null() {
            return;
        }
        let mut these = pg_sys::ConstraintsSetStmt {
            type_: pg_sys::NodeTag::T_ConstraintsSetStmt,
            constraints: list,
            deferred: true,
        };
        pg_sys::AfterTriggerSetState(&raw mut these);
    }
}
