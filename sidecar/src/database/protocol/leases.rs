//! Owns the SQL functions for what is ours to ask for a while: orders, and questions of test_provider.

pub(crate) use reconcile_contract::verdict::Verdict;
use serde_json::Value;
use tokio_postgres::{
    Row,
    types::{ToSql, Type},
};

use super::only;
use crate::database::{connection::Connection, failure::Failure, uptime::Uptime};

/// What is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    /// An order, by its id in the ledger.
    Order(i64),
    /// A question of test_provider, by its own id: it is about no order.
    Test(i64),
}

impl Subject {
    /// The order; none for a test.
    pub(crate) fn order_id(self) -> Option<i64> {
        match self {
            Self::Order(id) => Some(id),
            Self::Test(_) => None,
        }
    }
}

/// The right to ask, for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lease {
    /// What about.
    pub(crate) subject: Subject,
    /// What proves that the lease is still ours; no two have the same.
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
               awaited, by_order_number, test_id from reconcile.sidecar_claim($1, $2)";
    let asked_at = Uptime::now();
    let rows = connection
        .query(sql, &[(&sidecar, Type::INT8), (&free_slots, Type::INT4)])
        .await?;
    rows.iter().map(|row| claimed(row, asked_at)).collect()
}

fn claimed(row: &Row, asked_at: Uptime) -> Result<ClaimedOrder, Failure> {
    let subject = match (row.try_get(0)?, row.try_get(10)?) {
        (Some(order_id), None) => Subject::Order(order_id),
        (None, Some(test_id)) => Subject::Test(test_id),
        both => {
            return Err(Failure::Unreadable(format!(
                "a claim is of an order or of a test, and this one of {both:?}"
            )));
        }
    };
    Ok(ClaimedOrder {
        lease: Lease {
            subject,
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

/// What a batch of reports says, a column each.
struct Columns<'a> {
    ids: Vec<i64>,
    tokens: Vec<i64>,
    faults: Vec<Option<&'static str>>,
    http_statuses: Vec<Option<i32>>,
    bodies: Vec<Option<&'a str>>,
    details: Vec<Option<&'a str>>,
    durations_ms: Vec<i32>,
    retry_after_s: Vec<Option<i32>>,
}

impl<'a> Columns<'a> {
    fn of(reports: &[(i64, &'a Report<'a>)]) -> Self {
        fn column<'a, T>(
            reports: &[(i64, &'a Report<'a>)],
            value: impl Fn(&'a Report<'a>) -> T,
        ) -> Vec<T> {
            reports.iter().map(|(_, report)| value(report)).collect()
        }
        Self {
            ids: reports.iter().map(|(id, _)| *id).collect(),
            tokens: column(reports, |report| report.lease.token),
            faults: column(reports, |report| report.fault),
            http_statuses: column(reports, |report| report.http_status),
            bodies: column(reports, |report| report.body),
            details: column(reports, |report| report.detail),
            durations_ms: column(reports, |report| report.duration_ms),
            retry_after_s: column(reports, |report| report.retry_after_s),
        }
    }

    /// All but the last, which tests don't have.
    fn parameters<'b>(&'b self, sidecar: &'b i64) -> Vec<Parameter<'b>> {
        vec![
            (sidecar, Type::INT8),
            (&self.ids, Type::INT8_ARRAY),
            (&self.tokens, Type::INT8_ARRAY),
            (&self.faults, Type::TEXT_ARRAY),
            (&self.http_statuses, Type::INT4_ARRAY),
            (&self.bodies, Type::TEXT_ARRAY),
            (&self.details, Type::TEXT_ARRAY),
            (&self.durations_ms, Type::INT4_ARRAY),
        ]
    }
}

type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// Hands over what came of calls; gives the tokens of those that were not applied.
pub(crate) async fn report(
    connection: &mut Connection,
    sidecar: i64,
    reports: &[Report<'_>],
) -> Result<Vec<(i64, Verdict)>, Failure> {
    let (mut orders, mut tests) = (Vec::new(), Vec::new());
    for report in reports {
        match report.lease.subject {
            Subject::Order(id) => orders.push((id, report)),
            Subject::Test(id) => tests.push((id, report)),
        }
    }
    if !tests.is_empty() {
        let columns = Columns::of(&tests);
        let sql = "select reconcile.sidecar_report_tests($1, $2, $3, $4, $5, $6, $7, $8)";
        connection.query(sql, &columns.parameters(&sidecar)).await?;
    }
    if orders.is_empty() {
        return Ok(Vec::new());
    }
    let columns = Columns::of(&orders);
    let mut parameters = columns.parameters(&sidecar);
    parameters.push((&columns.retry_after_s, Type::INT4_ARRAY));
    let sql = "select order_id, verdict \
               from reconcile.sidecar_report($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let rows = connection.query(sql, &parameters).await?;
    let mut refused = Vec::new();
    for row in &rows {
        let (order_id, verdict): (i64, Verdict) = (row.try_get(0)?, verdict(row.try_get(1)?)?);
        refused.extend(
            orders
                .iter()
                .filter(|(id, _)| *id == order_id)
                .map(|(_, report)| (report.lease.token, verdict)),
        );
    }
    Ok(refused)
}

fn verdict(word: &str) -> Result<Verdict, Failure> {
    Verdict::from_word(word).ok_or_else(|| Failure::Unreadable(format!("unknown verdict {word:?}")))
}

/// Gives up what was claimed and not asked: orders are put back, and who waits for a test is told. Gives how many.
pub(crate) async fn release(
    connection: &mut Connection,
    sidecar: i64,
    leases: &[Lease],
) -> Result<i64, Failure> {
    let (mut orders, mut tests) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
    for lease in leases {
        let (ids, tokens, id) = match lease.subject {
            Subject::Order(id) => (&mut orders.0, &mut orders.1, id),
            Subject::Test(id) => (&mut tests.0, &mut tests.1, id),
        };
        ids.push(id);
        tokens.push(lease.token);
    }
    let mut released = 0;
    for (sql, (ids, tokens)) in [
        (
            "select reconcile.sidecar_release($1, $2, $3)::bigint",
            orders,
        ),
        ("select reconcile.sidecar_release_tests($1, $2, $3)", tests),
    ] {
        if ids.is_empty() {
            continue;
        }
        let parameters: [Parameter<'_>; 3] = [
            (&sidecar, Type::INT8),
            (&ids, Type::INT8_ARRAY),
            (&tokens, Type::INT8_ARRAY),
        ];
        let rows = connection.query(sql, &parameters).await?;
        released += only(&rows)?.try_get::<_, i64>(0)?;
    }
    Ok(released)
}
