//! What a server knows of itself that SQL can't ask cheaply, or at all: whose history its writes continue, and whether a
//! transaction ends with the statement that asks. Decides nothing.

use pgrx::pg_sys;
use pgrx::prelude::*;

/// Given when a cluster is made, and kept by all of its physical copies.
#[pg_extern]
fn _system_identifier() -> i64 {
    // SAFETY: reads shared memory that is set once, before any backend starts.
    unsafe { pg_sys::GetSystemIdentifier() }.cast_signed()
}

/// The system identifier, the timeline that is written to just now, and the database: it changes when a standby is promoted,
/// and when a database is restored or copied. `None` on a standby, which writes to none.
#[pg_extern]
fn _history() -> Option<String> {
    // SAFETY: as above; the timeline is asked for after recovery alone, when it is set.
    unsafe {
        if pg_sys::RecoveryInProgress() {
            return None;
        }
        #[cfg(feature = "pg14")]
        let timeline = pg_sys::ThisTimeLineID;
        #[cfg(not(feature = "pg14"))]
        let timeline = pg_sys::GetWALInsertionTimeLine();
        Some(format!(
            "{}/{timeline}/{}",
            pg_sys::GetSystemIdentifier(),
            pg_sys::MyDatabaseId.to_u32()
        ))
    }
}

/// Whether this transaction ends with the statement, may write, and sees with each statement what was committed before it.
#[pg_extern]
fn _commits_at_once() -> bool {
    // SAFETY: plain reads of this backend's own state, on the main thread.
    unsafe {
        !pg_sys::IsTransactionBlock()
            && !pg_sys::XactReadOnly
            && pg_sys::XactIsoLevel <= pg_sys::XACT_READ_COMMITTED.cast_signed()
            && !pg_sys::RecoveryInProgress()
    }
}
