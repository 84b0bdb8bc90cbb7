//! Start and stop. May use every other room; nothing outside imports it.
//!
//! - [`config`]: every setting, from flags and environment
//! - [`run`]: wires the parts together, and the graceful stop
//! - [`health`]: the endpoint that shows how it goes

pub(crate) mod config;
pub(crate) mod health;
pub(crate) mod run;
