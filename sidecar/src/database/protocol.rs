//! Owns the SQL functions that the sidecar may call, one Rust function each. This is all that it
//! ever says to the database, besides LISTEN.
//!
//! - [`registration`]: that this process lives
//! - [`leases`]: orders, claimed, reported and released; [`providers`]: how to ask about them
//! - [`deliveries`]: the same for events
//! - [`backlog`]: what touches applications' tables

pub(crate) mod backlog;
pub(crate) mod deliveries;
pub(crate) mod leases;
pub(crate) mod providers;
pub(crate) mod registration;

use tokio_postgres::Row;

use crate::database::failure::Failure;

fn only(rows: &[Row]) -> Result<&Row, Failure> {
    rows.first()
        .ok_or_else(|| Failure::Unreadable("no row".to_owned()))
}
