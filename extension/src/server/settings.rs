//! How code of the application is kept from changing the settings of the session that runs it.
//!
//! A function's own `SET` clause takes back what is set within it by `SET LOCAL`; a plain `SET` outlives the function and its
//! callers. A `search_path` that was left behind like that would have the ledger's own statements look things up in a
//! schema of somebody else's. So the ledger opens a level of settings before it calls such code, and gives it back after.
//! Owns these two steps. An error in between needs neither: the transaction that is taken back takes its levels with it.

use pgrx::pg_sys;
use pgrx::prelude::*;

/// Opens a level of settings: everything that is set from now on is taken back with it.
#[pg_extern]
fn _hold_settings() -> i32 {
    // SAFETY: counts this backend's levels up by one, on the main thread; no memory is touched.
    unsafe { pg_sys::NewGUCNestLevel() }
}

/// Takes back all that was set since the level was opened, `SET` and `SET LOCAL` alike.
#[pg_extern]
fn _give_back_settings(level: i32) {
    // SAFETY: what PostgreSQL does after it has run code of a table's owner. The level is one that `_hold_settings` has
    // opened under the same function call, and only the extension's owner may execute either.
    unsafe { pg_sys::AtEOXact_GUC(false, level) }
}
