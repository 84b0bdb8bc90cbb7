//! Owns the SQL function that says how a provider is asked.

use serde_json::Value;
use tokio_postgres::types::Type;

use crate::database::{connection::Connection, failure::Failure};

/// Which of a provider's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProviderVersion {
    /// The version of its row.
    pub(crate) version: i32,
    /// Whether the second way, for an order without a reference.
    pub(crate) by_order_number: bool,
}

/// A provider's row as the database gives it.
#[derive(Debug)]
pub(crate) struct ProviderRow {
    /// GET if absent.
    pub(crate) method: Option<String>,
    /// An object of texts.
    pub(crate) headers: Option<Value>,
    /// How requests are signed.
    pub(crate) auth: Option<Value>,
    /// For the whole call, in milliseconds.
    pub(crate) timeout_ms: Option<i32>,
    /// From the claim on, in milliseconds.
    pub(crate) lease_ms: Option<i32>,
    /// Whether each order has headers of its own; those of the row are templates then.
    pub(crate) own_headers: bool,
    /// Whether each order has a body of its own.
    pub(crate) own_body: bool,
}

/// A provider's row; none if there is none of this version any more.
pub(crate) async fn fetch(
    connection: &mut Connection,
    name: &str,
    version: ProviderVersion,
) -> Result<Option<ProviderRow>, Failure> {
    let sql = "select method, headers, auth, timeout_ms, own_headers, own_body, lease_ms \
               from reconcile.sidecar_provider($1, $2, $3)";
    let rows = connection
        .query(
            sql,
            &[
                (&name, Type::TEXT),
                (&version.version, Type::INT4),
                (&version.by_order_number, Type::BOOL),
            ],
        )
        .await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    Ok(Some(ProviderRow {
        method: row.try_get(0)?,
        headers: row.try_get(1)?,
        auth: row.try_get(2)?,
        timeout_ms: row.try_get(3)?,
        own_headers: row.try_get::<_, Option<bool>>(4)?.unwrap_or(false),
        own_body: row.try_get::<_, Option<bool>>(5)?.unwrap_or(false),
        lease_ms: row.try_get(6)?,
    }))
}
