//! Owns the SQL functions by which this process is known to the database, one Rust function each.

use tokio_postgres::types::Type;

use super::only;
use crate::database::{connection::Connection, failure::Failure};

/// What a heartbeat says back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Heartbeat {
    /// Whether the database still knows this sidecar.
    pub(crate) known: bool,
    /// Milliseconds until something can be claimed; none if nothing is waiting.
    pub(crate) wait_ms: Option<i32>,
    /// Whether something waits that touches applications' tables.
    pub(crate) backlog: bool,
    /// Whether a session of this role goes on that no time limit has ended.
    pub(crate) overlong: bool,
}

/// Makes this process known; gives its id.
pub(crate) async fn start(
    connection: &mut Connection,
    name: &str,
    slots: i32,
) -> Result<i64, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    let sql = "select reconcile.sidecar_start($1, $2, $3)";
    let rows = connection
        .query(
            sql,
            &[
                (&name, Type::TEXT),
                (&version, Type::TEXT),
                (&slots, Type::INT4),
            ],
        )
        .await?;
    Ok(only(&rows)?.try_get(0)?)
}

/// Says that this process lives, and asks when there will be work.
pub(crate) async fn heartbeat(
    connection: &mut Connection,
    sidecar: i64,
    in_flight: i32,
) -> Result<Heartbeat, Failure> {
    let sql = "select known, wait_ms, backlog, overlong from reconcile.sidecar_heartbeat($1, $2)";
    let rows = connection
        .query(sql, &[(&sidecar, Type::INT8), (&in_flight, Type::INT4)])
        .await?;
    let row = only(&rows)?;
    Ok(Heartbeat {
        known: row.try_get(0)?,
        wait_ms: row.try_get(1)?,
        backlog: row.try_get::<_, Option<bool>>(2)?.unwrap_or(false),
        overlong: row.try_get::<_, Option<bool>>(3)?.unwrap_or(false),
    })
}

/// Ends the sessions of this role that no time limit has ended; gives how many.
pub(crate) async fn end_overlong_sessions(connection: &mut Connection) -> Result<i32, Failure> {
    let rows = connection
        .query("select reconcile.end_overlong_sessions()", &[])
        .await?;
    Ok(only(&rows)?.try_get(0)?)
}

/// Tells the end of this process.
pub(crate) async fn stop(connection: &mut Connection, sidecar: i64) -> Result<(), Failure> {
    connection
        .query(
            "select reconcile.sidecar_stop($1)",
            &[(&sidecar, Type::INT8)],
        )
        .await
        .map(drop)
}
