//! Code of others that would run with the rights of a table's owner when the ledger writes to that table as that owner.
//!
//! A trigger's function runs as whoever writes. Who has the TRIGGER privilege can place one, and so can the owner of a
//! partition: neither need have the owner's role. Looked at in the caches that the write itself goes by, and not in the
//! snapshot of the transaction, which may be older than the lock.

use std::ffi::CStr;

use pgrx::pg_sys;
use pgrx::prelude::*;

use super::give::owner_of;
use super::hold::Table;
use super::identity::{role_name, role_named};

/// What stands at a table, or at one of its partitions, and would give its owner's rights away; none when nothing does.
///
/// Whoever has the owner's role anyway gains nothing by it: the owner, a member, a superuser. Nor does the ledger's own
/// role. A trigger that is disabled does not run, and only the owner enables it.
#[pg_extern]
fn _strange_code(relation: pg_sys::Oid, owner: pg_sys::Oid) -> Option<String> {
    let table = Table::look(relation)?;
    if !has_role(table.owner, owner) {
        return Some(format!(
            "{} is a partition of it and belongs to {}, whose triggers would run with the rights of {owner}: give it to {owner}",
            table.name,
            role_name(table.owner),
            owner = role_name(owner),
        ));
    }
    for trigger in Trigger::all_of(relation) {
        let whose = owner_of(trigger.function);
        if whose.is_some_and(|whose| has_role(whose, owner) || is_ours(whose)) {
            continue;
        }
        // SAFETY: answers a text in PostgreSQL's memory, the number for a function that is gone.
        let function =
            unsafe { CStr::from_ptr(pg_sys::format_procedure_qualified(trigger.function)) };
        return Some(format!(
            "trigger {} of {} calls {}, which belongs to {} and would run with the rights of {owner}: give that function to {owner} or to a superuser, or drop the trigger",
            trigger.name,
            table.name,
            function.to_string_lossy(),
            whose.map_or_else(|| "nobody".to_owned(), role_name),
            owner = role_name(owner),
        ));
    }
    None
}

fn has_role(role: pg_sys::Oid, owner: pg_sys::Oid) -> bool {
    // SAFETY: looks roles up in the catalog's cache.
    role == owner || unsafe { pg_sys::has_privs_of_role(role, owner) }
}

fn is_ours(role: pg_sys::Oid) -> bool {
    role_named("reconcile_owner") == Some(role)
}

/// A trigger that may run.
struct Trigger {
    name: String,
    function: pg_sys::Oid,
}

impl Trigger {
    /// Copied, so that nothing is held while their functions are looked up: that may have the table's entry made anew.
    fn all_of(relation: pg_sys::Oid) -> Vec<Self> {
        // SAFETY: an entry of the cache of relations is read while it is held, and given back once; none is answered for a
        // relation that is gone, and its triggers are as many as it says.
        unsafe {
            let held = pg_sys::RelationIdGetRelation(relation);
            if held.is_null() {
                return Vec::new();
            }
            let described = (*held).trigdesc;
            let triggers = match described.is_null() {
                true => Vec::new(),
                false => {
                    let count = usize::try_from((*described).numtriggers).unwrap_or(0);
                    std::slice::from_raw_parts((*described).triggers, count)
                        .iter()
                        .filter(|trigger| {
                            trigger.tgenabled.cast_unsigned() != pg_sys::TRIGGER_DISABLED
                        })
                        .map(|trigger| Self {
                            name: CStr::from_ptr(trigger.tgname)
                                .to_string_lossy()
                                .into_owned(),
                            function: trigger.tgfoid,
                        })
                        .collect()
                }
            };
            pg_sys::RelationClose(held);
            triggers
        }
    }
}
