//! One event's way to an endpoint of the application.
//!
//! - [`courier`]: claims, posts and reports what the endpoints are to be told

pub(crate) mod courier;
