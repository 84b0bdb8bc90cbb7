//! Owns the SQL functions that the sidecar may call, one Rust function each. This is all that it
//! ever says to the database, besides LISTEN. Those for sending events are in [`deliveries`], those that
//! touch applications' tables in [`backlog`].

pub(crate) mod backlog;
pub(crate) mod deliveries;

use serde_json::Value;
use tokio_postgres::{Row, types::Type};

use crate::{
    database::{failure::Failure, line::Line, uptime::Uptime},
    orders::{profile::Asked, profile::ProviderRow, worker::Finding},
};

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
pub(crate) struct Claimed {
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

/// Why a report was not applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The lease isn't ours any more.
    Stale,
    /// The order's row is locked.
    Busy,
}

/// Makes this process known; gives its id.
pub(crate) async fn start(line: &mut Line, name: &str, slots: i32) -> Result<i64, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    let sql = "select reconcile.sidecar_start($1, $2, $3)";
    let rows = line
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
    line: &mut Line,
    sidecar: i64,
    in_flight: i32,
) -> Result<Heartbeat, Failure> {
    let sql = "select known, wait_ms, backlog, overlong from reconcile.sidecar_heartbeat($1, $2)";
    let rows = line
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
pub(crate) async fn end_overlong_sessions(line: &mut Line) -> Result<i32, Failure> {
    let rows = line
        .query("select reconcile.end_overlong_sessions()", &[])
        .await?;
    Ok(only(&rows)?.try_get(0)?)
}

/// Claims at most `free_slots` orders.
pub(crate) async fn claim(
    line: &mut Line,
    sidecar: i64,
    free_slots: i32,
) -> Result<Vec<Claimed>, Failure> {
    let sql = "select order_id, token, provider, provider_version, url, headers, body, problem, \
               awaited, by_order_number from reconcile.sidecar_claim($1, $2)";
    let asked_at = Uptime::now();
    let rows = line
        .query(sql, &[(&sidecar, Type::INT8), (&free_slots, Type::INT4)])
        .await?;
    rows.iter().map(|row| claimed(row, asked_at)).collect()
}

fn claimed(row: &Row, asked_at: Uptime) -> Result<Claimed, Failure> {
    Ok(Claimed {
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

/// A provider's row; none if there is none of this version any more.
pub(crate) async fn provider(
    line: &mut Line,
    name: &str,
    asked: Asked,
) -> Result<Option<ProviderRow>, Failure> {
    let sql = "select method, headers, auth, timeout_ms, own_headers, own_body, lease_ms \
               from reconcile.sidecar_provider($1, $2, $3)";
    let rows = line
        .query(
            sql,
            &[
                (&name, Type::TEXT),
                (&asked.version, Type::INT4),
                (&asked.by_order_number, Type::BOOL),
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

/// Hands findings over; gives those that were not applied.
pub(crate) async fn report(
    line: &mut Line,
    sidecar: i64,
    findings: &[Finding],
) -> Result<Vec<(i64, Verdict)>, Failure> {
    fn column<'a, T>(findings: &'a [Finding], value: impl Fn(&'a Finding) -> T) -> Vec<T> {
        findings.iter().map(value).collect()
    }
    let order_ids = column(findings, |finding| finding.lease.order_id);
    let tokens = column(findings, |finding| finding.lease.token);
    let faults = column(findings, |finding| {
        finding.answer.fault.map(|fault| fault.as_str())
    });
    let statuses = column(findings, |finding| finding.answer.http_status);
    let bodies = column(findings, |finding| finding.answer.body.as_deref());
    let details = column(findings, |finding| finding.answer.detail.as_deref());
    let durations = column(findings, |finding| finding.answer.duration_ms);
    let retry_after = column(findings, |finding| finding.answer.retry_after_s);
    let sql = "select order_id, verdict \
               from reconcile.sidecar_report($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let rows = line
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
    match word {
        "stale" => Ok(Verdict::Stale),
        "busy" => Ok(Verdict::Busy),
        other => Err(Failure::Unreadable(format!("unknown verdict {other:?}"))),
    }
}

/// Puts back orders that were claimed and not asked; gives how many.
pub(crate) async fn release(
    line: &mut Line,
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
    let rows = line.query(sql, &parameters).await?;
    Ok(only(&rows)?.try_get(0)?)
}

/// Says goodbye.
pub(crate) async fn stop(line: &mut Line, sidecar: i64) -> Result<(), Failure> {
    line.query(
        "select reconcile.sidecar_stop($1)",
        &[(&sidecar, Type::INT8)],
    )
    .await
    .map(drop)
}

fn only(rows: &[Row]) -> Result<&Row, Failure> {
    rows.first()
        .ok_or_else(|| Failure::Unreadable("no row".to_owned()))
}
