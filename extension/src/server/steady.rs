//! A clock that doesn't step: how long this machine has been up, its time asleep included, and which of its lives that is about.
//!
//! PostgreSQL's own clocks follow the machine's date, which people and time servers set. Owns reading the system; what a time of an
//! earlier life is worth is decided in `sql/core/clock.sql`.

use std::fs;
use std::sync::OnceLock;

use pgrx::pg_sys;
use pgrx::prelude::*;

/// Counts while the machine sleeps, where the system has such a clock.
#[cfg(any(target_os = "linux", target_os = "android"))]
const CLOCK: libc::clockid_t = libc::CLOCK_BOOTTIME;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC;

/// Which life of which machine this is.
#[pg_extern]
fn _boot() -> &'static str {
    boot()
}

/// Microseconds of this life; NULL when `boot` names another.
#[pg_extern]
fn _since_boot(boot_of: &str) -> Option<i64> {
    (boot_of == boot()).then(uptime_us)
}

/// Waits for a length of time, not for a date; what wakes the session may end it early.
#[pg_extern]
fn _pause(milliseconds: i64) {
    let events = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
    // SAFETY: waits on this process's own latch, on the main thread, as pg_sleep does.
    unsafe {
        pg_sys::WaitLatch(
            pg_sys::MyLatch,
            events.cast_signed(),
            milliseconds.max(0),
            pg_sys::WaitEventTimeout::WAIT_EVENT_PG_SLEEP,
        );
        pg_sys::ResetLatch(pg_sys::MyLatch);
    }
    check_for_interrupts!();
}

/// Read once a session. Containers of one machine share its life, unless a namespace gives one of them another beginning. Where the
/// system names no life, each of the server's counts as one: nothing is then known of what was before.
fn boot() -> &'static str {
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(|| {
        let Ok(boot) = fs::read_to_string("/proc/sys/kernel/random/boot_id") else {
            // SAFETY: set before this process began, and never written again.
            return format!("server {}", unsafe { pg_sys::PgStartTime });
        };
        let namespace = fs::read_link("/proc/self/ns/time").unwrap_or_default();
        format!("{} {}", boot.trim(), namespace.display())
    })
}

fn uptime_us() -> i64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: writes to the place that it is given. It can't fail for a clock that the system has.
    unsafe { libc::clock_gettime(CLOCK, &raw mut time) };
    time.tv_sec * 1_000_000 + time.tv_nsec / 1000
}
