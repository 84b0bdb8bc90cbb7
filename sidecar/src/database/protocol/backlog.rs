//! Owns the SQL functions for what touches the applications' own tables, one Rust function each.

use std::{fmt, future::Future, time::Duration};

use tokio_postgres::{Row, types::Type};

use super::only;
use crate::database::{
    connection::Connection,
    failure::{Failure, Remedy},
    sidecar_id::SidecarId,
};

/// One thing to work on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Item {
    /// An attached table with rows that were noted.
    Attachment(i32),
    /// A provider with webhooks that were kept.
    Provider(i32),
}

impl fmt::Display for Item {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attachment(id) => write!(formatter, "attachment {id}"),
            Self::Provider(id) => write!(formatter, "webhooks of provider {id}"),
        }
    }
}

/// Where the backlog is.
pub(crate) trait Backlog: Send {
    /// Waits until it can be asked.
    fn ready(&mut self) -> impl Future<Output = ()> + Send;
    /// Waits until it can't be asked any more; for ever if it can't now.
    fn lost(&mut self) -> impl Future<Output = ()> + Send;
    /// What there is to work on.
    fn items(&mut self) -> impl Future<Output = Result<Vec<Item>, Failure>> + Send;
    /// Works on one item, for no longer than `limit`; gives how many orders changed.
    fn work(
        &mut self,
        item: Item,
        limit: Duration,
    ) -> impl Future<Output = Result<i32, Failure>> + Send;
    /// Cancels what is under way, and closes the connection.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// The database's.
pub(crate) struct DatabaseBacklog {
    /// Its connection.
    pub(crate) connection: Connection,
    /// Who says so.
    pub(crate) sidecar: SidecarId,
}

impl Backlog for DatabaseBacklog {
    async fn ready(&mut self) {
        self.connection.ready().await;
    }

    async fn lost(&mut self) {
        self.connection.closed().await;
    }

    async fn items(&mut self) -> Result<Vec<Item>, Failure> {
        let sidecar = self.sidecar.given().await?;
        let sql = "select attachment_id, provider_id from reconcile.sidecar_backlog($1)";
        let rows = self.connection.query(sql, &[(&sidecar, Type::INT8)]).await;
        let items = rows.and_then(|rows| rows.iter().map(item).collect());
        // After a loss the connection pauses by itself.
        if matches!(&items, Err(failure) if failure.remedy() != Remedy::Reconnect) {
            self.connection.pause();
        }
        items
    }

    async fn work(&mut self, item: Item, limit: Duration) -> Result<i32, Failure> {
        let sidecar = self.sidecar.given().await?;
        let (sql, id) = match item {
            Item::Attachment(id) => ("select reconcile.sidecar_follow($1, $2)", id),
            Item::Provider(id) => ("select reconcile.sidecar_settle_webhooks($1, $2)", id),
        };
        let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 2] =
            [(&sidecar, Type::INT8), (&id, Type::INT4)];
        let rows = self
            .connection
            .query_within(limit, sql, &parameters)
            .await?;
        Ok(only(&rows)?.try_get::<_, Option<i32>>(0)?.unwrap_or(0))
    }

    async fn close(self) {
        self.connection.cancel_and_close().await;
    }
}

fn item(row: &Row) -> Result<Item, Failure> {
    match (row.try_get(0)?, row.try_get(1)?) {
        (Some(attachment), None) => Ok(Item::Attachment(attachment)),
        (None, Some(provider)) => Ok(Item::Provider(provider)),
        _ => Err(Failure::Unreadable(
            "an item that is neither an attachment nor a provider".to_owned(),
        )),
    }
}
