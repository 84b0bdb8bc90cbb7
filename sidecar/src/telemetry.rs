//! Owns how log lines leave the process: to stderr, for people when it is a terminal and as JSON
//! when it is not. What may be logged is decided where it is logged: never a secret, a response
//! body, a signed header or a full URL. Knows no other room.
//!
//! - [`log_limit`]: how often the same is logged
//! - [`metrics`]: the numbers

pub(crate) mod log_limit;
pub(crate) mod metrics;

use std::io::{IsTerminal, stderr};

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// Starts logging. `level` is in the syntax of tracing's `EnvFilter`; what can't be read of it is
/// left out.
pub(crate) fn start(level: &str) {
    let filter = EnvFilter::builder().parse_lossy(level);
    let terminal = stderr().is_terminal();
    tracing_subscriber::registry()
        .with(filter)
        .with(terminal.then(|| fmt::layer().with_target(false).with_writer(stderr)))
        .with((!terminal).then(|| fmt::layer().json().flatten_event(true).with_writer(stderr)))
        .init();
}
