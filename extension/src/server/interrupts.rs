//! Who an error comes from, the server or code that raised it by a name of the server's, and how long a statement may still take.
//!
//! An error's SQLSTATE, message and context are texts, and code of an application writes any of them: names of its functions and columns
//! stand in the context. Which function of PostgreSQL's made an error is not for it to say, and PostgreSQL tells it to who looks
//! while the error passes by. It passes by wherever it leaves a function with a SET clause, see [`super::calls`]. Never decides what follows from an error.

use std::ffi::{CStr, c_char, c_int};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

use pgrx::pg_sys;
use pgrx::prelude::*;

/// What PostgreSQL makes an error with when a statement is cancelled, and what RAISE and ASSERT make theirs with.
const INTERRUPTS: &CStr = c"ProcessInterrupts";
const RAISES: [&CStr; 2] = [c"exec_stmt_raise", c"exec_stmt_assert"];

const RAISED: u8 = 1;
const CANCELLED: u8 = 2;
const OTHER: u8 = 3;

/// The latest error that was looked at: its context, as a hash, and who made it. A backend is one thread.
static CONTEXT: AtomicU64 = AtomicU64::new(0);
static MAKER: AtomicU8 = AtomicU8::new(0);

/// `STATEMENT_TIMEOUT` of `utils/timeout.h`.
const STATEMENT_TIMEOUT: c_int = 3;

unsafe extern "C-unwind" {
    fn get_timeout_active(id: c_int) -> bool;
    fn get_timeout_finish_time(id: c_int) -> pg_sys::TimestampTz;
    fn enable_timeout_after(id: c_int, milliseconds: c_int);
}

/// Only what may be taken for the server's own trouble. Want of memory is left alone: looking takes some.
///
/// # Safety
/// An error is being passed on.
pub(super) unsafe fn look() {
    // SAFETY: as the caller says.
    let code = unsafe { pg_sys::geterrcode() };
    let is_meant = code == PgSqlErrorCode::ERRCODE_QUERY_CANCELED as c_int
        || code != PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY as c_int
            && [
                PgSqlErrorCode::ERRCODE_INSUFFICIENT_RESOURCES,
                PgSqlErrorCode::ERRCODE_TRANSACTION_ROLLBACK,
            ]
            .iter()
            .any(|class| code & CLASS == *class as c_int & CLASS);
    if !is_meant {
        return;
    }
    // SAFETY: copies the error into memory that outlasts it, reads two of its texts, and gives the copy back. The memory that was
    // current is the error's own, and is so again.
    unsafe {
        let before = pg_sys::MemoryContextSwitchTo(pg_sys::TopMemoryContext);
        let error = pg_sys::CopyErrorData();
        MAKER.store(
            match named((*error).funcname) {
                maker if maker == INTERRUPTS => CANCELLED,
                maker if RAISES.contains(&maker) => RAISED,
                _ => OTHER,
            },
            Relaxed,
        );
        CONTEXT.store(hash(named((*error).context).to_bytes()), Relaxed);
        pg_sys::FreeErrorData(error);
        pg_sys::MemoryContextSwitchTo(before);
    }
}

/// The two characters of a SQLSTATE that say its class.
const CLASS: c_int = (1 << 12) - 1;

/// # Safety
/// NULL, or a text that ends with a NUL and outlives the answer.
unsafe fn named<'text>(text: *const c_char) -> &'text CStr {
    match text.is_null() {
        true => c"",
        // SAFETY: as the caller says.
        false => unsafe { CStr::from_ptr(text) },
    }
}

fn hash(context: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    context.hash(&mut hasher);
    hasher.finish()
}

/// Who made the error of this context: `cancelled`, `raised` or `other`. NULL when it is not the latest that left a function
/// with a SET clause, or of another class than 40, 53 and 57014.
#[pg_extern]
fn _maker_of(context: &str) -> Option<&'static str> {
    if CONTEXT.load(Relaxed) != hash(context.as_bytes()) {
        return None;
    }
    match MAKER.load(Relaxed) {
        CANCELLED => Some("cancelled"),
        RAISED => Some("raised"),
        OTHER => Some("other"),
        _ => None,
    }
}

/// Whether the time limit of the statement that is running has come. PostgreSQL cancels it once, and what catches that has none after.
#[pg_extern]
fn _time_is_up() -> bool {
    // SAFETY: reads this backend's own timers and clock.
    unsafe {
        // The timer of a statement that is running is active until it fires; a process that runs none never had one.
        let end = get_timeout_finish_time(STATEMENT_TIMEOUT);
        pg_sys::StatementTimeout > 0
            && !get_timeout_active(STATEMENT_TIMEOUT)
            && (1..=pg_sys::GetCurrentTimestamp()).contains(&end)
    }
}

/// Gives the statement that is running the whole of its time limit from now on, if it has one.
#[pg_extern]
fn _renew_time_limit() {
    // SAFETY: sets this backend's own timer, which PostgreSQL disables at the end of the statement.
    unsafe {
        if pg_sys::StatementTimeout > 0 {
            enable_timeout_after(STATEMENT_TIMEOUT, pg_sys::StatementTimeout);
        }
    }
}
