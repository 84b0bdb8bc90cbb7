//! What PostgreSQL tells the library about calls of functions: that one with a SET clause begins or ends, and that one is about to be run.
//!
//! Such functions are the ledger's own and those that are made for an owner, among all others of the server. Owns the two hooks, and
//! calls on who was there before; what is seen is for [`super::interrupts`] and [`super::reach`] to judge.

use std::ffi::{c_int, c_void};

use pgrx::pg_sys;
use pgrx::prelude::*;

use super::{interrupts, reach};

/// Who looked at calls before.
static mut CALLS_BEFORE: pg_sys::fmgr_hook_type = None;
static mut ACCESS_BEFORE: pg_sys::object_access_hook_type = None;

/// Called by PostgreSQL once, when it loads the library into a process.
#[pg_guard]
#[allow(non_snake_case)]
pub extern "C-unwind" fn _PG_init() {
    // SAFETY: variables of this process that are there for it, on the main thread; who was here before is called on.
    unsafe {
        CALLS_BEFORE = pg_sys::fmgr_hook;
        pg_sys::fmgr_hook = Some(call);
        ACCESS_BEFORE = pg_sys::object_access_hook;
        pg_sys::object_access_hook = Some(access);
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn call(
    event: pg_sys::FmgrHookEventType::Type,
    function: *mut pg_sys::FmgrInfo,
    private: *mut pg_sys::Datum,
) {
    // SAFETY: written once, when the library was loaded; what it holds is called as PostgreSQL calls this.
    unsafe {
        if let Some(before) = CALLS_BEFORE {
            before(event, function, private);
        }
    }
    match event {
        pg_sys::FmgrHookEventType::FHET_START => reach::begin(),
        pg_sys::FmgrHookEventType::FHET_ABORT => {
            reach::end();
            // SAFETY: PostgreSQL is passing an error on, so there is one.
            unsafe { interrupts::look() };
        }
        _ => reach::end(),
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn access(
    access: pg_sys::ObjectAccessType::Type,
    class: pg_sys::Oid,
    object: pg_sys::Oid,
    part: c_int,
    argument: *mut c_void,
) {
    // SAFETY: as above.
    unsafe {
        if let Some(before) = ACCESS_BEFORE {
            before(access, class, object, part, argument);
        }
    }
    if access == pg_sys::ObjectAccessType::OAT_FUNCTION_EXECUTE {
        reach::refuse(object);
    }
}
