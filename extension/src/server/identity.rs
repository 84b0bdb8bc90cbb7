//! Whose rights a piece of work has: becoming another role for the length of a closure, and coming back.
//!
//! An error needs no way back: the transaction or subtransaction that it ends restores who it began as. Never decides who
//! may become whom; its callers do, and each says why.

use std::ffi::{CStr, CString};

use pgrx::pg_sys;

/// A user and PostgreSQL's flags about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    /// The role whose rights count now.
    pub(crate) user: pg_sys::Oid,
    /// `SECURITY_…` of `miscadmin.h`.
    pub(crate) flags: i32,
}

impl Identity {
    /// Who this backend is now.
    pub(crate) fn current() -> Self {
        let mut identity = Self {
            user: pg_sys::InvalidOid,
            flags: 0,
        };
        // SAFETY: writes to the two places that it is given, on the main thread.
        unsafe {
            pg_sys::GetUserIdAndSecContext(&raw mut identity.user, &raw mut identity.flags);
        }
        identity
    }

    /// The same with more flags.
    pub(crate) fn with(self, flags: u32) -> Self {
        Self {
            flags: self.flags | flags.cast_signed(),
            ..self
        }
    }

    /// Whether code may not change who it is: within a SECURITY DEFINER function, for one.
    pub(crate) fn is_local_change(self) -> bool {
        self.flags & pg_sys::SECURITY_LOCAL_USERID_CHANGE.cast_signed() != 0
    }

    /// Whether nothing may be left for COMMIT.
    pub(crate) fn is_restricted(self) -> bool {
        self.flags & pg_sys::SECURITY_RESTRICTED_OPERATION.cast_signed() != 0
    }

    /// Becomes it.
    pub(crate) fn assume(self) {
        // SAFETY: sets two variables of this backend, on the main thread. Every caller is inside a transaction, whose end
        // restores them after an error.
        unsafe { pg_sys::SetUserIdAndSecContext(self.user, self.flags) };
    }
}

/// Does something as another role, which that something can't leave.
pub(crate) fn as_role<T>(user: pg_sys::Oid, work: impl FnOnce() -> T) -> T {
    let before = Identity::current();
    Identity { user, ..before }
        .with(pg_sys::SECURITY_LOCAL_USERID_CHANGE)
        .assume();
    let result = work();
    before.assume();
    result
}

/// A role by its name.
pub(crate) fn role_named(name: &str) -> Option<pg_sys::Oid> {
    let name = CString::new(name).ok()?;
    // SAFETY: looks a role up in the catalog's cache; it may be missing.
    let role = unsafe { pg_sys::get_role_oid(name.as_ptr(), true) };
    (role != pg_sys::InvalidOid).then_some(role)
}

/// A role's name, for people and, quoted, for SQL; its number when it is gone.
pub(crate) fn role_name(role: pg_sys::Oid) -> String {
    // SAFETY: answers a text in PostgreSQL's memory, or NULL for a role that is gone.
    let name = unsafe { pg_sys::GetUserNameFromId(role, true) };
    match name.is_null() {
        true => role.to_u32().to_string(),
        // SAFETY: not NULL, and ends with a NUL.
        false => unsafe { CStr::from_ptr(name) }
            .to_string_lossy()
            .into_owned(),
    }
}
