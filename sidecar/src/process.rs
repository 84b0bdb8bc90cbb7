//! Start and stop. Uses every other room, and is used by `main` alone.
//!
//! - [`config`]: every setting, from flags and environment
//! - [`start`]: threads and signals; [`run`]: from the first connection to the graceful stop;
//!   [`parts`]: who gets what
//! - [`health`]: the endpoint that shows how it goes

mod config;
mod health;
mod parts;
mod run;
mod start;

pub(crate) use self::{config::Settings, start::start};
