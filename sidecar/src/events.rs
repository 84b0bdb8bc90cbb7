//! One event's way to an endpoint of the application. Uses the database, call and telemetry; knows
//! neither orders nor the process.
//!
//! - [`courier`]: claims, posts and reports what the endpoints are to be told

pub(crate) mod courier;
