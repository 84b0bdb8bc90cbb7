//! reconcile-sidecar: the hands of pg_reconcile.
//!
//! It claims due orders from PostgreSQL, asks their providers over HTTP, and reports what happened
//! on the wire. It never decides what a payment status means and never writes a table: all it may
//! do in the database is to call the protocol functions.
//!
//! # Layout
//!
//! Start and stop
//! - [`config`]: every setting, from flags and environment
//! - [`run`]: wires the parts together, and the graceful stop
//! - [`telemetry`], [`log_limit`], [`instruments`], [`health`]: logs, how often the same is logged,
//!   numbers, and the endpoint that shows them
//!
//! The database
//! - [`database_url`], [`tls`]: where it is and how the way there is protected
//! - [`database`]: one session; [`line`]: a session that comes back; [`failure`]: what can go wrong
//! - [`protocol`]: the SQL functions, one Rust function each
//! - [`listener`]: the wake-up call
//!
//! One order's way
//! - [`claimer`]: takes what is due, as much as there are free [`slots`], at its own [`pace`]
//! - [`profile`]: what all orders of one provider share
//! - [`work`]: runs one claimed order as a task
//! - [`http`]: one call; [`fault`]: how it can fail; [`exhaustion`]: when it is this machine that
//!   fails; [`retry_after`]: what the provider wishes
//! - [`transport`]: the way out; [`guard`], [`special_purpose`], [`resolver`]: where it may lead
//! - [`sign`]: how a call proves who it is, a module for each way; [`secrets`]: by which secrets;
//!   [`mask`]: which never come back with an answer
//! - [`reporter`], [`batch`]: hands the findings back, one provider's at a time on each of its lines
//!
//! The applications' tables
//! - [`follower`]: has noted rows followed and kept webhooks settled, where nobody waits for it
//!
//! One event's way
//! - [`courier`]: claims, posts and reports what the application's endpoints are to be told

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod batch;
mod claimer;
mod config;
mod courier;
mod database;
mod database_url;
mod distrust;
mod exhaustion;
mod failure;
mod fault;
mod follower;
mod guard;
mod health;
mod http;
mod instruments;
mod line;
mod listener;
mod log_limit;
mod mask;
mod pace;
mod profile;
mod protocol;
mod reporter;
mod resolver;
mod retry_after;
mod run;
mod secrets;
mod sign;
mod slots;
mod special_purpose;
mod telemetry;
mod tls;
mod transport;
mod uptime;
#[cfg(test)]
mod wire;
mod work;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let settings = config::Settings::parse();
    telemetry::start(&settings.log_level);
    match run::start(settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the sidecar can't start");
            ExitCode::FAILURE
        }
    }
}
