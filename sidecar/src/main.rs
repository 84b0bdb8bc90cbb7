//! reconcile-sidecar: the hands of pg_reconcile.
//!
//! It claims due orders from PostgreSQL, asks their providers over HTTP, and reports what happened
//! on the wire. It never decides what a payment status means and never writes a table: all it may
//! do in the database is to call the protocol functions.
//!
//! # Rooms
//!
//! Each uses those below it, and none that stand above or beside it; `tests/seam` keeps that.
//!
//! - [`process`]: settings, start and stop, health
//! - [`orders`]: one order's way: claimed, asked about, reported; beside it
//!   [`events`]: one event's way to the application's endpoints
//! - [`sign`]: how a call proves who it is, a module for each way
//! - [`call`]: the way out: HTTP, where it may lead, how it can fail, by which secrets; beside it
//!   [`database`]: sessions with PostgreSQL and the functions that are called there
//! - [`telemetry`]: logs and numbers

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod call;
mod database;
mod events;
mod orders;
mod process;
mod sign;
mod telemetry;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let settings = process::Settings::parse();
    telemetry::start(&settings.log_level);
    match process::start(settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the sidecar can't start");
            ExitCode::FAILURE
        }
    }
}
