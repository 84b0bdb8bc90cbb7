//! What of a superuser's session is out of reach for code of an application that his calls run.
//!
//! Connections of dblink, descriptors of large objects, advisory locks and prepared statements belong to a session and are found by a name or
//! a number: PostgreSQL looks at nobody's rights. What a superuser has opened may do anything, so in his session functions that use such are
//! run for no code of an application, unless its owner is a superuser himself. Owns when code of an application is running, as
//! [`super::confine`] says and the end of that function ends it, and which functions these are.

use std::cell::Cell;
use std::ffi::{CStr, c_char};

use pgrx::pg_sys;
use pgrx::prelude::*;

thread_local! {
    /// How many functions with a SET clause are running, as far as their beginning was seen.
    static DEPTH: Cell<i32> = const { Cell::new(0) };
    /// The outermost of them that runs code of an application.
    static CONFINED: Cell<Option<i32>> = const { Cell::new(None) };
}

/// One begins.
pub(super) fn begin() {
    DEPTH.set(DEPTH.get() + 1);
}

/// One ends, by an error too.
pub(super) fn end() {
    let depth = DEPTH.get();
    if CONFINED.get().is_some_and(|confined| confined >= depth) {
        CONFINED.set(None);
    }
    DEPTH.set(depth - 1);
}

/// What is running runs code of an application from here on.
pub(super) fn confine() {
    if CONFINED.get().is_none() {
        CONFINED.set(Some(DEPTH.get()));
    }
}

/// Fails with 42501 for a function that such code may not run in this session.
pub(super) fn refuse(function: pg_sys::Oid) {
    if CONFINED.get().is_none() {
        return;
    }
    // SAFETY: looks at this process's own roles, and roles up in the catalog's cache.
    let (owner, is_meant) = unsafe {
        let owner = pg_sys::GetUserId();
        let login = pg_sys::MyProc.as_ref().map(|process| process.roleId);
        let is_superuser = |role| pg_sys::superuser_arg(role);
        let session = is_superuser(pg_sys::GetSessionUserId()) || login.is_some_and(is_superuser);
        (owner, session && !is_superuser(owner))
    };
    if is_meant && let Some(name) = uses_session(function) {
        ereport!(
            ERROR,
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!(
                "{name} uses what a superuser's session has open, and code of {} that it calls may not",
                super::identity::role_name(owner)
            ),
            "Call from the session of a role that is no superuser, or have the code use pg_advisory_xact_lock, lo_get and lo_put."
        );
    }
}

/// The name of a function that finds what a session has by its name or number.
fn uses_session(function: pg_sys::Oid) -> Option<String> {
    // SAFETY: look-ups in the catalog's caches, which answer a text in PostgreSQL's memory, or NULL.
    unsafe {
        if pg_sys::get_func_namespace(function).to_u32() == pg_sys::PG_CATALOG_NAMESPACE {
            return text(pg_sys::get_func_name(function)).filter(|name| is_of_session(name));
        }
        let extension = pg_sys::getExtensionOfObject(pg_sys::ProcedureRelationId, function);
        if extension == pg_sys::InvalidOid {
            return None;
        }
        text(pg_sys::get_extension_name(extension)).filter(|extension| extension == "dblink")?;
        text(pg_sys::get_func_name(function))
    }
}

fn is_of_session(name: &str) -> bool {
    let is_lock = name.starts_with("pg_advisory_") || name.starts_with("pg_try_advisory_");
    is_lock && !name.contains("_xact_")
        || matches!(
            name,
            "pg_prepared_statement"
                | "loread"
                | "lowrite"
                | "lo_close"
                | "lo_lseek"
                | "lo_lseek64"
                | "lo_tell"
                | "lo_tell64"
                | "lo_truncate"
                | "lo_truncate64"
        )
}

/// # Safety
/// NULL, or a text that ends with a NUL.
unsafe fn text(text: *const c_char) -> Option<String> {
    // SAFETY: as the caller says.
    (!text.is_null()).then(|| {
        unsafe { CStr::from_ptr(text) }
            .to_string_lossy()
            .into_owned()
    })
}
