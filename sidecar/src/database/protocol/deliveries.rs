//! Owns the SQL functions for sending events, one Rust function each.

use std::time::Duration;

pub(crate) use reconcile_contract::verdict::DeliveryVerdict;
use tokio_postgres::{Row, types::Type};

use super::only;
use crate::database::{connection::Connection, failure::Failure};

/// One delivery that is ours for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DeliveryLease {
    /// The delivery.
    pub(crate) delivery_id: i64,
    /// What proves that it is still ours.
    pub(crate) token: i64,
}

/// A claimed delivery with all that is needed to make it.
#[derive(Debug)]
pub(crate) struct ClaimedDelivery {
    /// The right to make it.
    pub(crate) lease: DeliveryLease,
    /// The endpoint's name.
    pub(crate) endpoint: String,
    /// Where to.
    pub(crate) url: String,
    /// Name of the secret to sign with.
    pub(crate) secret: String,
    /// What the endpoint knows the event by.
    pub(crate) message_id: String,
    /// What is sent, as it is.
    pub(crate) body: String,
    /// For the whole attempt.
    pub(crate) timeout: Duration,
}

/// What came of one attempt, in the protocol's words.
pub(crate) struct Report<'a> {
    /// The right to report.
    pub(crate) lease: DeliveryLease,
    /// None if there was an answer.
    pub(crate) fault: Option<&'static str>,
    /// The answer's status.
    pub(crate) http_status: Option<i32>,
    /// What happened, for people.
    pub(crate) detail: Option<&'a str>,
    /// Of the attempt, in milliseconds.
    pub(crate) duration_ms: i32,
    /// From the answer's headers.
    pub(crate) retry_after_s: Option<i32>,
}

fn verdict(word: &str) -> Result<DeliveryVerdict, Failure> {
    DeliveryVerdict::from_word(word)
        .ok_or_else(|| Failure::Unreadable(format!("unknown verdict {word:?}")))
}

/// Claims at most `free_slots` deliveries.
pub(crate) async fn claim(
    connection: &mut Connection,
    sidecar: i64,
    free_slots: i32,
) -> Result<Vec<ClaimedDelivery>, Failure> {
    let sql = "select delivery_id, token, endpoint, url, secret, message_id, body, timeout_ms \
               from reconcile.sidecar_claim_deliveries($1, $2)";
    let rows = connection
        .query(sql, &[(&sidecar, Type::INT8), (&free_slots, Type::INT4)])
        .await?;
    rows.iter().map(delivery).collect()
}

fn delivery(row: &Row) -> Result<ClaimedDelivery, Failure> {
    let timeout_ms: i32 = row.try_get(7)?;
    Ok(ClaimedDelivery {
        lease: DeliveryLease {
            delivery_id: row.try_get(0)?,
            token: row.try_get(1)?,
        },
        endpoint: row.try_get(2)?,
        url: row.try_get(3)?,
        secret: row.try_get(4)?,
        message_id: row.try_get(5)?,
        body: row.try_get(6)?,
        timeout: Duration::from_millis(timeout_ms.max(0).unsigned_abs().into()),
    })
}

/// The time until something can be claimed; none if nothing is waiting.
pub(crate) async fn next(connection: &mut Connection) -> Result<Option<Duration>, Failure> {
    let rows = connection
        .query("select reconcile.sidecar_next_delivery()", &[])
        .await?;
    let wait_ms: Option<i32> = only(&rows)?.try_get(0)?;
    Ok(wait_ms.map(|ms| Duration::from_millis(ms.max(0).unsigned_abs().into())))
}

/// Hands over what came of attempts; gives what follows from each.
pub(crate) async fn report(
    connection: &mut Connection,
    sidecar: i64,
    reports: &[Report<'_>],
) -> Result<Vec<(i64, DeliveryVerdict)>, Failure> {
    fn column<'a, T>(reports: &'a [Report<'_>], value: impl Fn(&'a Report<'_>) -> T) -> Vec<T> {
        reports.iter().map(value).collect()
    }
    let (delivery_ids, tokens) = keys(reports.iter().map(|report| &report.lease));
    let faults = column(reports, |report| report.fault);
    let statuses = column(reports, |report| report.http_status);
    let details = column(reports, |report| report.detail);
    let durations = column(reports, |report| report.duration_ms);
    let retry_after = column(reports, |report| report.retry_after_s);
    let sql = "select delivery_id, verdict \
               from reconcile.sidecar_report_deliveries($1, $2, $3, $4, $5, $6, $7, $8)";
    let rows = connection
        .query(
            sql,
            &[
                (&sidecar, Type::INT8),
                (&delivery_ids, Type::INT8_ARRAY),
                (&tokens, Type::INT8_ARRAY),
                (&faults, Type::TEXT_ARRAY),
                (&statuses, Type::INT4_ARRAY),
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

/// Puts back deliveries that were claimed and not made; gives how many.
pub(crate) async fn release(
    connection: &mut Connection,
    sidecar: i64,
    leases: &[DeliveryLease],
) -> Result<i32, Failure> {
    let (delivery_ids, tokens) = keys(leases.iter());
    let rows = connection
        .query(
            "select reconcile.sidecar_release_deliveries($1, $2, $3)",
            &[
                (&sidecar, Type::INT8),
                (&delivery_ids, Type::INT8_ARRAY),
                (&tokens, Type::INT8_ARRAY),
            ],
        )
        .await?;
    Ok(only(&rows)?.try_get(0)?)
}

fn keys<'a>(leases: impl Iterator<Item = &'a DeliveryLease>) -> (Vec<i64>, Vec<i64>) {
    leases.map(|lease| (lease.delivery_id, lease.token)).unzip()
}
