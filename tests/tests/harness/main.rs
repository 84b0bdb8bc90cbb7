//! Proves the harness itself, so that a suite that fails tells something about pg_reconcile.

mod cluster;
mod leash;
mod left_over;
mod sidecar;
mod simulator;
mod wire;
