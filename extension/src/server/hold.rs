//! What a table or a function of an application is, looked at under its lock.
//!
//! A look before the lock is worth nothing: who holds the lock may swap the table for a view and let go. So the lock is
//! taken first, by the number that was kept and not by a name, and for the rest of the transaction; then the catalog's cache
//! says what it is. Never waits: a table that somebody holds is asked for again later, and is nobody else's trouble.

use std::ffi::CStr;

use pgrx::pg_sys;
use pgrx::prelude::*;

use super::give::owner_of;
use super::identity::role_name;

/// Begins every answer that says that the lock was not to be had, and that waiting would do.
const BUSY: &str = "somebody else has locked it";

/// Locks a table and says what is wrong with it; none when it is held and what it was.
///
/// A NULL among what it has to be is wrong too: silence is no agreement.
#[pg_extern]
fn _hold_relation(
    relation: Option<pg_sys::Oid>,
    kind: Option<i8>,
    owner: Option<pg_sys::Oid>,
    name: Option<&str>,
    writes: Option<bool>,
) -> Option<String> {
    let (Some(relation), Some(kind), Some(owner), Some(name), Some(writes)) =
        (relation, kind, owner, name, writes)
    else {
        return Some("it is not known what it was".to_owned());
    };
    if !try_lock(relation, writes) {
        return Some(BUSY.to_owned());
    }
    let Some(now) = Table::look(relation) else {
        return Some("it is gone".to_owned());
    };
    if now.kind != kind {
        return Some("it is of another kind than it was".to_owned());
    }
    if now.owner != owner {
        return Some(belongs_to(now.owner, owner));
    }
    (now.name != name).then(|| format!("it is called {} now, and was {name}", now.name))
}

/// Locks a function and says what is wrong with it; none when it is held and what it was. As [`_hold_relation`].
#[pg_extern]
fn _hold_function(
    function: Option<pg_sys::Oid>,
    owner: Option<pg_sys::Oid>,
    name: Option<&str>,
) -> Option<String> {
    let (Some(function), Some(owner), Some(name)) = (function, owner, name) else {
        return Some("it is gone".to_owned());
    };
    // SAFETY: an entry of the lock table, given back when the transaction ends.
    let held = unsafe {
        pg_sys::ConditionalLockDatabaseObject(
            pg_sys::ProcedureRelationId,
            function,
            0,
            pg_sys::AccessShareLock.cast_signed(),
        )
    };
    if !held {
        return Some(BUSY.to_owned());
    }
    let Some(now) = owner_of(function) else {
        return Some("it is gone".to_owned());
    };
    if now != owner {
        return Some(belongs_to(now, owner));
    }
    let _names = PlainNames::begin();
    // SAFETY: answers a text in PostgreSQL's memory, as regprocedure is written.
    let called = unsafe { CStr::from_ptr(pg_sys::format_procedure(function)) }.to_string_lossy();
    (called != name).then(|| format!("it is called {called} now, and was {name}"))
}

/// Names as they are kept, whatever the session's `quote_all_identifiers`; it is as it was when this is dropped.
struct PlainNames(bool);

impl PlainNames {
    fn begin() -> Self {
        // SAFETY: a setting of this process, which has one thread.
        unsafe {
            let before = pg_sys::quote_all_identifiers;
            pg_sys::quote_all_identifiers = false;
            Self(before)
        }
    }
}

impl Drop for PlainNames {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { pg_sys::quote_all_identifiers = self.0 };
    }
}

/// Locks a partition; whether it was to be had.
#[pg_extern]
fn _try_lock_relation(relation: pg_sys::Oid, writes: bool) -> bool {
    try_lock(relation, writes)
}

fn belongs_to(now: pg_sys::Oid, before: pg_sys::Oid) -> String {
    format!(
        "it belongs to {} now, and did to {}",
        role_name(now),
        role_name(before)
    )
}

fn try_lock(relation: pg_sys::Oid, writes: bool) -> bool {
    let mode = match writes {
        true => pg_sys::RowExclusiveLock,
        false => pg_sys::AccessShareLock,
    };
    // SAFETY: an entry of the lock table, given back when the transaction ends; also takes in what was changed meanwhile.
    unsafe { pg_sys::ConditionalLockRelationOid(relation, mode.cast_signed()) }
}

/// What the catalog's cache says of a relation.
pub(super) struct Table {
    kind: i8,
    pub(super) owner: pg_sys::Oid,
    pub(super) name: String,
}

impl Table {
    pub(super) fn look(relation: pg_sys::Oid) -> Option<Self> {
        let _names = PlainNames::begin();
        // SAFETY: a row of the catalog's cache is read while it is held, and released once; its schema can't be dropped
        // while it has this relation.
        unsafe {
            let tuple = pg_sys::SearchSysCache1(
                pg_sys::SysCacheIdentifier::RELOID.cast_signed(),
                pg_sys::Datum::from(relation),
            );
            if tuple.is_null() {
                return None;
            }
            let row = pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_class>();
            let schema = pg_sys::get_namespace_name((*row).relnamespace);
            let table = (!schema.is_null()).then(|| Self {
                kind: (*row).relkind,
                owner: (*row).relowner,
                // As regclass is written, where no schema of an application is searched.
                name: CStr::from_ptr(pg_sys::quote_qualified_identifier(
                    schema,
                    (&raw const (*row).relname.data).cast(),
                ))
                .to_string_lossy()
                .into_owned(),
            });
            pg_sys::ReleaseSysCache(tuple);
            table
        }
    }
}
