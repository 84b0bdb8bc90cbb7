//! The orders in the database: handed over as an application does, and read as a DBA does.

use std::collections::HashMap;

use anyhow::{Result, ensure};
use tokio_postgres::Client;

use crate::fates::Order;
use crate::screen::Screen;
use crate::stage::{APPLICATION, Stage};

/// Every state, in the order in which they are shown.
pub(crate) const STATES: [&str; 7] = [
    "pending",
    "processing",
    "succeeded",
    "failed",
    "cancelled",
    "refunded",
    "review",
];

/// Where an order stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Its state.
    pub(crate) state: String,
    /// What its latest check meant; none before the first.
    pub(crate) outcome: Option<String>,
}

/// All orders by number.
pub(crate) type Standings = HashMap<String, Standing>;

impl Order {
    /// Whether it stands where its fate says.
    pub(crate) fn is_where_it_should_be(&self, standings: &Standings) -> bool {
        standings.get(&self.number).is_some_and(|standing| {
            standing.state == self.kind.state
                && standing.outcome.as_deref() == Some(self.kind.outcome)
        })
    }
}

/// Tells the vendor what to say, and then starts watching.
pub(crate) async fn hand_over(screen: &Screen, stage: &Stage, plan: &[Order]) -> Result<()> {
    screen.line("")?;
    let handing_over = async {
        for order in plan {
            stage
                .simulator()
                .set_fate(&order.number, order.fate.clone());
        }
        let application = stage.database().connect_as(APPLICATION).await?;
        let tracked = track(&application, plan).await?;
        ensure!(
            tracked == plan.len(),
            "{tracked} of {} orders are new",
            plan.len()
        );
        Ok(((), format!("{tracked} tracked, as role {APPLICATION}")))
    };
    screen.step("Orders", handing_over).await
}

async fn track(application: &Client, plan: &[Order]) -> Result<usize> {
    let sql = "select reconcile.track_order(o.number, o.provider, o.reference, o.amount::numeric, 'USD')
        from unnest($1::text[], $2::text[], $3::text[], $4::text[]) as o (number, provider, reference, amount)";
    let column = |field: fn(&Order) -> &str| plan.iter().map(field).collect::<Vec<_>>();
    let rows = application
        .query(
            sql,
            &[
                &column(|order| &order.number),
                &column(|order| order.kind.provider),
                &column(|order| &order.reference),
                &column(|order| &order.amount),
            ],
        )
        .await?;
    Ok(rows.iter().filter(|row| row.get::<_, bool>(0)).count())
}

/// Where all of them stand at this moment.
pub(crate) async fn standings(client: &Client) -> Result<Standings> {
    let sql = "select order_number, state, last_outcome from reconcile.orders";
    let rows = client.query(sql, &[]).await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let standing = Standing {
                state: row.get(1),
                outcome: row.get(2),
            };
            (row.get(0), standing)
        })
        .collect())
}
