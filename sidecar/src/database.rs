//! The way to PostgreSQL, and the SQL functions that may be called there. Knows no room but telemetry:
//! what the protocol carries is said in the protocol's own types.
//!
//! - [`url`], [`tls`]: where it is and how the way there is protected
//! - [`session`]: one session; [`connection`]: a session that comes back; [`failure`]: what can go wrong
//! - [`protocol`]: the SQL functions, one Rust function each; [`sidecar_id`]: who calls them;
//!   [`uptime`]: the clock of leases
//! - [`listener`], [`channels`]: the wake-up call; [`polling`]: when to poll without one
//! - [`follower`]: has noted rows followed and kept webhooks settled, where nobody waits for it

pub(crate) mod channels;
pub(crate) mod connection;
pub(crate) mod failure;
pub(crate) mod follower;
pub(crate) mod listener;
pub(crate) mod polling;
pub(crate) mod protocol;
pub(crate) mod session;
pub(crate) mod sidecar_id;
pub(crate) mod tls;
pub(crate) mod uptime;
pub(crate) mod url;
