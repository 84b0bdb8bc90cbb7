//! Which cursors of a session code of others could read on in.

use std::ffi::CString;

use pgrx::pg_sys;
use pgrx::prelude::*;

/// Whether there is such a cursor and FETCH would be let: one that is running right now is refused by PostgreSQL itself.
#[pg_extern]
fn _can_be_read(cursor: &str) -> bool {
    // A name with a zero byte is nobody's.
    let Ok(name) = CString::new(cursor) else {
        return false;
    };
    // SAFETY: the portal belongs to this session and is only looked at; nothing ends it meanwhile.
    unsafe {
        let portal = pg_sys::GetPortalByName(name.as_ptr());
        !portal.is_null() && (*portal).status == pg_sys::PortalStatus::PORTAL_READY
    }
}
