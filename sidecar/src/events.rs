//! One event's way to an endpoint of the application. Uses the database, call and telemetry; knows
//! neither orders nor the process.
//!
//! - [`deliverer`]: claims deliveries, has them made and reports them
//! - [`attempt`]: one delivery that was tried; [`post`]: how it is over HTTP;
//!   [`signature`]: how a receiver knows that it was us
//! - [`endpoints`]: what is counted and logged of each endpoint

mod attempt;
pub(crate) mod deliverer;
mod endpoints;
pub(crate) mod post;
mod signature;
