//! The way out of this process, to providers and to the application's endpoints. Knows no room but
//! telemetry, and neither orders nor events.
//!
//! - [`http`]: one exchange; [`transport`]: the HTTP clients; [`guard`], [`special_purpose`],
//!   [`resolver`]: where they may lead
//! - [`fault`]: how a call can fail; [`tls_error`]: when its TLS does; [`exhaustion`]: when it is this
//!   machine that fails
//! - [`retry_after`]: what the other end wishes
//! - [`secrets`]: what calls are signed with; [`mask`]: how it never comes back with an answer

pub(crate) mod exhaustion;
pub(crate) mod fault;
pub(crate) mod guard;
pub(crate) mod http;
pub(crate) mod mask;
#[cfg(test)]
pub(crate) mod raw_server;
pub(crate) mod resolver;
pub(crate) mod retry_after;
pub(crate) mod secrets;
pub(crate) mod special_purpose;
pub(crate) mod tls_error;
pub(crate) mod transport;
