//! Owns the SQL functions for orders that are ours for a while, one Rust function each.

pub(crate) use reconcile_contract::verdict::Verdict;
use serde_json::Value;
use tokio_postgres::{Row, types::Type};

use super::only;
use crate::database::{connection::Connection, failure::Failure, uptime::Uptime};

/// One order that is ours for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lease {
    /// The order.
    pub(crate) order_id: i64,
    /// What proves that the lease is still ours.
    pub(crate) token: i64,
}

/// A claimed order with all that is needed to ask about it.
#[derive(Debug)]
pub(crate) struct ClaimedOrder {
    /// The right to ask.
    pub(crate) lease: Lease,
    /// The provider's name.
    pub(crate) provider: String,
    /// The version of the provider's row.
    pub(crate) provider_version: i32,
    /// None if it could not be written for this order.
    pub(crate) url: Option<String>,
    /// Headers for this order alone.
    pub(crate) headers: Option<Value>,
    /// The request's body.
    pub(crate) body: Option<String>,
    /// Why this order can't be asked about, if it can't.
    pub(crate) problem: Option<String>,
    /// Whether a person waits for the answer.
    pub(crate) awaited: bool,
    /// Whether it is asked the second way, which has a profile of its own.
    pub(crate) by_order_number: bool,
    /// A moment before the lease began: when it was asked for.
    pub(crate) asked_at: Uptime,
}

/// What came of one call, in the protocol's words.
pub(crate) struct Report<'a> {
    /// The right to report.
    pub(crate) lease: Lease,
    /// None if there was an answer.
    pub(crate) fault: Option<&'static str>,
    /// The answer's status.
    pub(crate) http_status: Option<i32>,
    /// The answer's body.
    pub(crate) body: Option<&'a str>,
    /// What happened, for people.
    pub(crate) detail: Option<&'a str>,
    /// Of the call, in milliseconds.
    pub(crate) duration_ms: i32,
    /// From the answer's headers.
    pub(crate) retry_after_s: Option<i32>,
}

/// Claims at most `free_slots` orders.
pub(crate) async fn claim(
    connection: &mut Connection,
    sidecar: i64,
    free_slots: i32,
) -> Result<Vec<ClaimedOrder>, Failure> {
    let sql = "select order_id, token, provider, provider_version, url, headers, body, problem, \
               awaited, by_order_number from reconcile.sidecar_claim($1, $2)";
    let asked_at = Uptime::now();
    let rows = connection
        .query(sql, &[(&sidecar, Type::INT8), (&free_slots, Type::INT4)])
        .await?;
    rows.iter().map(|row| claimed(row, asked_at)).collect()
}

fn claimed(row: &Row, asked_at: Uptime) -> Result<ClaimedOrder, Failure> {
    Ok(ClaimedOrder {
        lease: Lease {
            order_id: row.try_get(0)?,
            token: row.try_get(1)?,
        },
        provider: row.try_get(2)?,
        provider_version: row.try_get(3)?,
        url: row.try_get(4)?,
        headers: row.try_get(5)?,
        body: row.try_get(6)?,
        problem: row.try_get(7)?,
        awaited: row.try_get::<_, Option<bool>>(8)?.unwrap_or(false),
        by_order_number: row.try_get::<_, Option<bool>>(9)?.unwrap_or(false),
        asked_at,
    })
}

/// Hands over what came of calls; gives those that were not applied.
pub(crate) async fn report(
    connection: &mut Connection,
    sidecar: i64,
    reports: &[Report<'_>],
) -> Result<Vec<(i64, Verdict)>, Failure> {
    fn column<'a, T>(reports: &'a [Report<'_>], value: impl Fn(&'a Report<'_>) -> T) -> Vec<T> {
        reports.iter().map(value).collect()
    }
    let order_ids = column(reports, |report| report.lease.order_id);
    let tokens = column(reports, |report| report.lease.token);
    let faults = column(reports, |report| report.fault);
    let statuses = column(reports, |report| report.http_status);
    let bodies = column(reports, |report| report.body);
    let details = column(reports, |report| report.detail);
    let durations = column(reports, |report| report.duration_ms);
    let retry_after = column(reports, |report| report.retry_after_s);
    let sql = "select order_id, verdict \
               from reconcile.sidecar_report($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let rows = connection
        .query(
            sql,
            &[
                (&sidecar, Type::INT8),
                (&order_ids, Type::INT8_ARRAY),
                (&tokens, Type::INT8_ARRAY),
                (&faults, Type::TEXT_ARRAY),
                (&statuses, Type::INT4_ARRAY),
                (&bodies, Type::TEXT_ARRAY),
                (&details, Type::TEXT_ARRAY),
                (&durations, Type::INT4_ARRAY),
                (&retry_after, Type::INT4_ARRAY),
            ],
        )
        .await?;
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, verdict(row.try_get(1)?)?)))
        .collect()
}

fn verdict(word: &str) -> Result<Verdict, Failure> {
    Verdict::from_word(word).ok_or_else(|| Failure::Unreadable(format!("unknown verdict {word:?}")))
}

/// Puts back orders that were claimed and not asked; gives how many.
pub(crate) async fn release(
    connection: &mut Connection,
    sidecar: i64,
    leases: &[Lease],
) -> Result<i32, Failure> {
    let order_ids: Vec<i64> = leases.iter().map(|lease| lease.order_id).collect();
    let tokens: Vec<i64> = leases.iter().map(|lease| lease.token).collect();
    let sql = "select reconcile.sidecar_release($1, $2, $3)";
    let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 3] = [
        (&sidecar, Type::INT8),
        (&order_ids, Type::INT8_ARRAY),
        (&tokens, Type::INT8_ARRAY),
    ];
    let rows = connection.query(sql, &parameters).await?;
    Ok(only(&rows)?.try_get(0)?)
}
