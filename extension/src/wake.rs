//! How a waiting caller gets a request committed while its own transaction is still open.
//!
//! NOTIFY is delivered at commit, and so is a change of the queue. A caller inside a transaction therefore starts a
//! dynamic background worker, which makes the check due and notifies in a transaction of its own. The worker runs one
//! SQL function that never waits for a lock: a caller that holds what the worker needs would otherwise wait for itself.
//! Owns the worker's start and end; the request itself is `reconcile._request_check` in SQL.

use pgrx::bgworkers::{BackgroundWorker, BackgroundWorkerBuilder, SignalWakeFlags};
use pgrx::pg_sys;
use pgrx::prelude::*;

/// What a worker is told, as text: PostgreSQL hands it 128 bytes.
struct Errand {
    database: pg_sys::Oid,
    role: pg_sys::Oid,
    order_id: i64,
}

impl Errand {
    fn written(&self) -> String {
        format!(
            "{} {} {}",
            self.database.to_u32(),
            self.role.to_u32(),
            self.order_id
        )
    }

    fn read(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let mut oid = || words.next()?.parse().ok().map(pg_sys::Oid::from_u32);
        let (database, role) = (oid()?, oid()?);
        Some(Self {
            database,
            role,
            order_id: words.next()?.parse().ok()?,
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
        error!("the request worker was started without an order");
    };
    BackgroundWorker::attach_signal_handlers(SignalWakeFlags::SIGTERM);
    BackgroundWorker::connect_worker_to_spi_by_oid(Some(errand.database), Some(errand.role));
    let requested = BackgroundWorker::transaction(|| {
        Spi::run_with_args(
            "select reconcile._request_check($1)",
            &[errand.order_id.into()],
        )
    });
    if let Err(error) = requested {
        warning!("a check could not be requested: {error}");
    }
}

/// Has the check of an order made due by a worker, and waits until the worker has ended.
///
/// False when no worker slot is free (`max_worker_processes`). Runs with the rights of the calling function's owner.
#[pg_extern(sql = false, volatile, parallel_restricted, strict)]
fn _wake(order_id: i64) -> bool {
    // SAFETY: both are plain reads of this backend's own state, on the main thread.
    let (database, role, backend) =
        unsafe { (pg_sys::MyDatabaseId, pg_sys::GetUserId(), pg_sys::MyProcPid) };
    let worker = BackgroundWorkerBuilder::new("pg_reconcile request")
        .set_library("pg_reconcile")
        .set_function("reconcile_request_worker")
        .enable_spi_access()
        .set_extra(
            &Errand {
                database,
                role,
                order_id,
            }
            .written(),
        )
        .set_restart_time(None)
        .set_notify_pid(backend)
        .load_dynamic();
    worker.is_ok_and(|worker| worker.wait_for_shutdown().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_errand_fits_and_comes_back() {
        let most = pg_sys::Oid::from_u32(u32::MAX);
        let text = Errand {
            database: most,
            role: most,
            order_id: i64::MIN,
        }
        .written();
        assert!(text.len() < 128);
        assert_eq!(
            Errand::read(&text).map(|errand| errand.order_id),
            Some(i64::MIN)
        );
        assert!(Errand::read("").is_none());
    }
}
