//! What the ledger says: an order, its checks, its transitions, and what has to hold for all orders
//! together whenever nobody is asking. Reads only.

use anyhow::{Result, ensure};
use serde_json::Value;

use super::{LEASE_OVER, Shop};
use crate::wait;

/// Where an order stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// Its state.
    pub state: String,
    /// By whose word; none while it is open.
    pub settled_by: Option<String>,
    /// What the latest check meant.
    pub last_outcome: Option<String>,
    /// The provider's latest word.
    pub provider_status: Option<String>,
    /// The provider's id of the payment.
    pub transaction_id: Option<String>,
    /// Answers without a final word.
    pub tries: i32,
    /// Checks in a row without an answer.
    pub faults: i32,
    /// Seconds until it is asked about next; none when it is not in the queue.
    pub next_check_s: Option<f64>,
    /// Whether the queue has it as urgent: somebody asked for it.
    pub urgent: bool,
    /// Whether it is being asked about.
    pub in_flight: bool,
}

/// A recorded check.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// What it meant.
    pub outcome: String,
    /// What went wrong on the wire.
    pub fault: Option<String>,
    /// The answer's HTTP status.
    pub http_status: Option<i32>,
    /// For people.
    pub detail: Option<String>,
    /// The provider's word.
    pub provider_status: Option<String>,
    /// The provider's answer as it was kept.
    pub response: Option<Value>,
    /// The order's state before.
    pub from_state: String,
    /// The order's state after.
    pub to_state: String,
    /// Why.
    pub reason: String,
    /// Seconds between the answer and the next check; none when there is none.
    pub next_check_s: Option<f64>,
}

/// Each row is something wrong.
const UNSOUND: &str = "
    with last as (
        select distinct on (t.order_id) t.order_id, t.to_state
        from reconcile.transitions as t order by t.order_id, t.transition_id desc
    ),
    chained as (
        select t.*, lag(t.to_state) over (partition by t.order_id order by t.transition_id) as before
        from reconcile.transitions as t
    )
    select o.order_number || ' is open, and neither waits nor is asked about' as wrong
    from reconcile.tracked_orders as o
    where o.state in ('pending', 'processing')
      and not exists (select from reconcile.due_checks as d where d.order_id = o.order_id)
      and not exists (select from reconcile.leases as l where l.order_id = o.order_id)
    union all
    select o.order_number || ' waits and is asked about at once'
    from reconcile.tracked_orders as o
    join reconcile.due_checks as d using (order_id) join reconcile.leases as l using (order_id)
    union all
    select o.order_number || ' is settled by ' || o.settled_by || ' and is in the queue'
    from reconcile.tracked_orders as o join reconcile.due_checks as d using (order_id)
    where o.settled_by <> 'giving_up' and not d.urgent and (o.settled_by <> 'application' or o.state not in ('failed', 'cancelled'))
    union all
    select format('%s is %s, and its last transition went to %s', o.order_number, o.state, last.to_state)
    from reconcile.tracked_orders as o join last using (order_id) where last.to_state <> o.state
    union all
    select format('%s is %s without a transition', o.order_number, o.state)
    from reconcile.tracked_orders as o
    where o.state not in ('pending', 'processing') and not exists (select from last where last.order_id = o.order_id)
    union all
    select format('transition %s leaves %s, which order %s was not in', c.transition_id, c.from_state, c.order_id)
    from chained as c where c.before <> c.from_state
    union all
    select format('transition %s by the provider has no check with its states', t.transition_id)
    from reconcile.transitions as t
    where t.cause = 'provider' and not exists (
        select from reconcile.recorded_checks as c
        where c.order_id = t.order_id and c.check_id = t.check_id
          and (c.from_state, c.to_state) = (t.from_state, t.to_state)
    )
    union all
    select format('%s calls count as in flight for provider %s, and %s leases are out', h.in_flight, h.name, counted.leases)
    from reconcile.provider_health as h
    join reconcile.providers as p using (name)
    cross join lateral (select count(*) as leases from reconcile.leases as l where l.provider_id = p.provider_id) as counted
    where h.in_flight <> counted.leases
";

impl Shop<'_> {
    /// An order as it stands.
    ///
    /// # Errors
    /// When there is none.
    pub async fn order(&self, order_number: &str) -> Result<Order> {
        let sql = "
            select o.state, o.settled_by, o.last_outcome, o.provider_status, o.transaction_id, o.tries, o.faults,
                extract(epoch from o.next_check_at - clock_timestamp())::float8, o.in_flight,
                exists (
                    select from reconcile.due_checks as d join reconcile.tracked_orders as t using (order_id)
                    where t.order_number = o.order_number and d.urgent
                )
            from reconcile.orders as o where o.order_number = $1";
        let row = self.client.query_one(sql, &[&order_number]).await?;
        Ok(Order {
            state: row.get(0),
            settled_by: row.get(1),
            last_outcome: row.get(2),
            provider_status: row.get(3),
            transaction_id: row.get(4),
            tries: row.get(5),
            faults: row.get(6),
            next_check_s: row.get(7),
            in_flight: row.get(8),
            urgent: row.get(9),
        })
    }

    /// An order's checks, in the order in which they were recorded.
    ///
    /// # Errors
    /// When the database is not there.
    pub async fn checks(&self, order_number: &str) -> Result<Vec<Check>> {
        let sql = "
            select outcome, fault, http_status, detail, provider_status, response, from_state, to_state, reason,
                extract(epoch from next_check_at - answered_at)::float8
            from reconcile.checks where order_number = $1 order by check_id";
        let rows = self.client.query(sql, &[&order_number]).await?;
        let check = |row: &tokio_postgres::Row| Check {
            outcome: row.get(0),
            fault: row.get(1),
            http_status: row.get(2),
            detail: row.get(3),
            provider_status: row.get(4),
            response: row.get(5),
            from_state: row.get(6),
            to_state: row.get(7),
            reason: row.get(8),
            next_check_s: row.get(9),
        };
        Ok(rows.iter().map(check).collect())
    }

    /// An order's transitions, each as `pending -> succeeded by provider`.
    ///
    /// # Errors
    /// When the database is not there.
    pub async fn history(&self, order_number: &str) -> Result<Vec<String>> {
        let sql = "
            select format('%s -> %s by %s', h.from_state, h.to_state, h.cause)
            from reconcile.order_history as h
            where h.order_number = $1 order by h.changed_at";
        let rows = self.client.query(sql, &[&order_number]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Waits until no lease is out, and looks whether the ledger is sound: every open order waits in
    /// the queue, no settled one does, every state was reached by its transitions, and nothing
    /// counts as in flight.
    ///
    /// # Errors
    /// With all that is wrong.
    pub async fn is_sound(&self) -> Result<()> {
        wait::until(LEASE_OVER, "the last lease to end", async || {
            let leases = self.one::<i64>("select count(*) from reconcile.leases", &[]);
            leases.await.is_ok_and(|leases| leases == 0)
        })
        .await?;
        let rows = self.client.query(UNSOUND, &[]).await?;
        let wrong: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        ensure!(wrong.is_empty(), "the ledger is unsound: {wrong:#?}");
        Ok(())
    }
}
