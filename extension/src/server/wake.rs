//! How a waiting caller gets a request committed while its own transaction is still open.
//!
//! NOTIFY is delivered at commit, and so is a change of the queue. A caller inside a transaction therefore starts a
//! dynamic background worker, which makes the check due and notifies in a transaction of its own. The worker runs one
//! SQL function that never waits for a lock: a caller that holds what the worker needs would otherwise wait for itself.
//! Owns the worker's start and end; the request itself is `reconcile_internal._request_check` in SQL.

use pgrx::bgworkers::{BackgroundWorker, BackgroundWorkerBuilder, SignalWakeFlags};
use pgrx::pg_sys;
use pgrx::prelude::*;

use super::identity::as_role;

/// PostgreSQL hands a worker this many bytes, the last of which is a NUL.
const MOST_BYTES: usize = 127;

/// What a worker is told, as text: the database, the role, and what to do there.
#[derive(Debug, PartialEq, Eq)]
struct Errand<'a> {
    database: pg_sys::Oid,
    role: pg_sys::Oid,
    task: Task<'a>,
}

#[derive(Debug, PartialEq, Eq)]
enum Task<'a> {
    /// Make an order's check due now, unless another answer came than the one that was seen; or unless it is closed, if that counts.
    Check(i64, i64, bool),
    /// Put a question of `test_provider`: test, provider, order number, reference.
    Test(i64, i32, &'a str, &'a str),
    /// Give positions to the events that have none.
    Number,
}

/// Between the parts of an errand: in no order number that a person types.
const SEPARATOR: char = '\u{1f}';

impl<'a> Errand<'a> {
    /// `None` when it is longer than what PostgreSQL hands over.
    fn written(&self) -> Option<String> {
        let task = match self.task {
            Task::Check(order_id, seen_us, even_closed) => {
                format!("{order_id}{SEPARATOR}{seen_us}{SEPARATOR}{even_closed}")
            }
            Task::Test(test_id, provider_id, order_number, reference) => {
                let parts = [
                    test_id.to_string(),
                    provider_id.to_string(),
                    order_number.to_owned(),
                    reference.to_owned(),
                ];
                parts.join(&SEPARATOR.to_string())
            }
            Task::Number => String::new(),
        };
        let text = [
            self.database.to_u32().to_string(),
            self.role.to_u32().to_string(),
            task,
        ]
        .join(&SEPARATOR.to_string());
        (text.len() <= MOST_BYTES).then_some(text)
    }

    fn read(text: &'a str) -> Option<Self> {
        let parts: Vec<&str> = text.split(SEPARATOR).collect();
        let [database, role, task @ ..] = parts.as_slice() else {
            return None;
        };
        let oid = |text: &str| text.parse().ok().map(pg_sys::Oid::from_u32);
        let task = match task {
            [order_id, seen_us, even_closed] => Task::Check(
                order_id.parse().ok()?,
                seen_us.parse().ok()?,
                even_closed.parse().ok()?,
            ),
            [test_id, provider_id, order_number, reference] => Task::Test(
                test_id.parse().ok()?,
                provider_id.parse().ok()?,
                order_number,
                reference,
            ),
            [""] => Task::Number,
            _ => return None,
        };
        Some(Self {
            database: oid(database)?,
            role: oid(role)?,
            task,
        })
    }
}

/// The worker's entry: PostgreSQL finds it by this name in the library.
///
/// # Safety
/// Called by PostgreSQL in a fresh background worker process, once.
#[pg_guard]
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn reconcile_request_worker(_argument: pg_sys::Datum) {
    let Some(errand) = Errand::read(BackgroundWorker::get_extra()) else {
        error!("the request worker was started without an errand");
    };
    BackgroundWorker::attach_signal_handlers(SignalWakeFlags::SIGTERM);
    // Without a role: the ledger's can't log in, which a worker may ignore only from PostgreSQL 17 on.
    BackgroundWorker::connect_worker_to_spi_by_oid(Some(errand.database), None);
    // A database or a role may have a search_path with operators of its own.
    // SAFETY: sets settings of this process, outside of any transaction.
    unsafe {
        pg_sys::SetConfigOption(
            c"search_path".as_ptr(),
            c"pg_catalog, pg_temp".as_ptr(),
            pg_sys::GucContext::PGC_SUSET,
            pg_sys::GucSource::PGC_S_OVERRIDE,
        );
        // What a statement locks it has to see, whatever the database's default is.
        pg_sys::SetConfigOption(
            c"default_transaction_isolation".as_ptr(),
            c"read committed".as_ptr(),
            pg_sys::GucContext::PGC_SUSET,
            pg_sys::GucSource::PGC_S_OVERRIDE,
        );
    }
    let requested =
        BackgroundWorker::transaction(|| as_role(errand.role, || request(&errand.task)));
    if let Err(error) = requested {
        warning!("what a caller asked for could not be done: {error}");
    }
}

/// The one statement of a worker, with the rights of the role that has sent it. Each value goes over with its type, so that
/// no function but the one that is meant can be.
fn request(task: &Task<'_>) -> Result<(), pgrx::spi::Error> {
    match *task {
        Task::Check(order_id, seen_us, even_closed) => Spi::run_with_args(
            "select reconcile_internal._request_check($1, $2, $3)",
            &[order_id.into(), seen_us.into(), even_closed.into()],
        ),
        Task::Test(test_id, provider_id, order_number, reference) => Spi::run_with_args(
            "select reconcile_internal._request_test($1, $2, $3, $4)",
            &[
                test_id.into(),
                provider_id.into(),
                order_number.into(),
                reference.into(),
            ],
        ),
        Task::Number => Spi::run("select reconcile_internal._number_events()"),
    }
}

/// Has the check of an order made due by a worker, and waits until the worker has ended.
///
/// False when no worker slot is free (`max_worker_processes`). Runs with the rights of the calling function's owner.
#[pg_extern]
fn _wake(order_id: i64, seen_us: i64, even_closed: bool) -> bool {
    send(Task::Check(order_id, seen_us, even_closed))
}

/// Has a question of `test_provider` put by a worker, and waits until the worker has ended. As [`_wake`].
#[pg_extern]
fn _wake_for_test(test_id: i64, provider_id: i32, order_number: &str, reference: &str) -> bool {
    if [order_number, reference]
        .iter()
        .any(|text| text.contains(SEPARATOR))
    {
        error!("a test's order number and reference can't hold control characters");
    }
    send(Task::Test(test_id, provider_id, order_number, reference))
}

/// Has events numbered by a worker, and waits until the worker has ended. As [`_wake`].
#[pg_extern]
fn _wake_to_number() -> bool {
    send(Task::Number)
}

fn send(task: Task<'_>) -> bool {
    // SAFETY: these are plain reads of this backend's own state, on the main thread.
    let (database, role, backend) =
        unsafe { (pg_sys::MyDatabaseId, pg_sys::GetUserId(), pg_sys::MyProcPid) };
    let Some(errand) = (Errand {
        database,
        role,
        task,
    })
    .written() else {
        error!("a test's order number and reference may have 60 bytes together");
    };
    let worker = BackgroundWorkerBuilder::new("pg_reconcile request")
        .set_library("pg_reconcile")
        .set_function("reconcile_request_worker")
        .enable_spi_access()
        .set_extra(&errand)
        .set_restart_time(None)
        .set_notify_pid(backend)
        .load_dynamic();
    worker.is_ok_and(|worker| worker.wait_for_shutdown().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_errands_fit_and_come_back() {
        let most = pg_sys::Oid::from_u32(u32::MAX);
        let reference = "r".repeat(60);
        for task in [
            Task::Check(i64::MIN, i64::MIN, false),
            Task::Test(i64::MAX, i32::MAX, "", &reference),
            Task::Number,
        ] {
            let errand = Errand {
                database: most,
                role: most,
                task,
            };
            let text = errand.written().expect("it fits");
            assert_eq!(Errand::read(&text), Some(errand));
        }
        let endless = "r".repeat(120);
        assert_eq!(
            Errand {
                database: most,
                role: most,
                task: Task::Test(1, 1, "", &endless)
            }
            .written(),
            None
        );
        assert_eq!(Errand::read(""), None);
    }
}
