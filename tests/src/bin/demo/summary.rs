//! Where the orders stand in the end: counted for people, and each held against what the vendor was
//! told to say about it. Owns the verdict; changes nothing.

use std::time::Duration;

use anyhow::Result;
use comfy_table::{CellAlignment, LineStyle, Table, presets};
use reconcile_tests::wait;

use crate::fates::{KINDS, Order};
use crate::orders::{STATES, Standings, standings};
use crate::screen::Screen;
use crate::stage::Stage;

/// Orders that a complaint names; the rest are counted.
const MOST_NAMED: usize = 10;
/// A call that a busy machine made too late is made good by the next one.
const PATIENCE: Duration = Duration::from_secs(8);

/// Shows the table. The inner error says what stands where it should not.
pub(crate) async fn show(
    screen: &Screen,
    stage: &Stage,
    plan: &[Order],
) -> Result<Result<(), String>> {
    let client = stage.database().connect().await?;
    let settled = async || {
        let now = standings(&client).await;
        now.is_ok_and(|now| misplaced(plan, &now).is_empty())
    };
    // In vain or not, it is shown what is.
    wait::until(PATIENCE, "every order", settled).await.ok();
    let standings = standings(&client).await?;
    let sql = "select count(*), count(distinct order_number) from reconcile.order_history";
    let history = client.query_one(sql, &[]).await?;
    let (changes, changed): (i64, i64) = (history.get(0), history.get(1));
    let asked = stage.simulator().totals();

    screen.announce("What the vendor was told to say, and where its orders stand:")?;
    screen.line(table(plan, &standings).trim_fmt())?;
    screen.line(format!(
        "\n{} orders, {} calls to the vendor, {changes} changes of state.",
        standings.len(),
        asked.calls
    ))?;
    let mut complaints = misplaced(plan, &standings);
    if asked.orders != plan.len() {
        let (asked, all) = (asked.orders, plan.len());
        complaints.push(format!(
            "the vendor was asked about {asked} orders of {all}"
        ));
    }
    if changes != changed {
        complaints.push(format!(
            "{changed} orders changed their state {changes} times"
        ));
    }
    if !complaints.is_empty() {
        return Ok(Err(complaints.join("\n")));
    }
    screen.line("Every order stands where it should.")?;
    Ok(Ok(()))
}

/// Orders of every fate in every state that occurs, with totals both ways.
fn table(plan: &[Order], standings: &Standings) -> Table {
    let mut states = STATES.to_vec();
    states.retain(|state| standings.values().any(|standing| standing.state == *state));
    let mut table = Table::new();
    let line = LineStyle::none().fill('─').junction('─');
    table.load_style(presets::NOTHING.header_separator(line));
    let mut header = vec!["vendor's answer", "outcome"];
    header.extend(&states);
    header.push("all");
    table.set_header(header);
    for kind in &KINDS {
        let these = plan.iter().filter(|order| order.kind.name == kind.name);
        table.add_row(row(
            kind.name,
            kind.outcome,
            &counts(these, &states, standings),
        ));
    }
    table.add_row(row("total", "", &counts(plan.iter(), &states, standings)));
    for (nth, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 1));
        if nth >= 2 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// How many of the orders are in each of the states, and then the sum.
fn counts<'plan>(
    orders: impl Iterator<Item = &'plan Order>,
    states: &[&str],
    standings: &Standings,
) -> Vec<usize> {
    let found: Vec<_> = orders
        .filter_map(|order| standings.get(&order.number))
        .collect();
    let in_state = |state: &&str| {
        found
            .iter()
            .filter(|standing| standing.state == *state)
            .count()
    };
    let mut counts: Vec<_> = states.iter().map(in_state).collect();
    counts.push(counts.iter().sum());
    counts
}

fn row(name: &str, outcome: &str, counts: &[usize]) -> Vec<String> {
    let counts = counts.iter().map(|count| match count {
        0 => "·".to_owned(),
        count => count.to_string(),
    });
    [name.to_owned(), outcome.to_owned()]
        .into_iter()
        .chain(counts)
        .collect()
}

/// A line for each order that is not where its fate leads.
fn misplaced(plan: &[Order], standings: &Standings) -> Vec<String> {
    let wrong = plan
        .iter()
        .filter(|order| !order.is_where_it_should_be(standings));
    let mut complaints: Vec<_> = wrong
        .map(|order| {
            let (number, kind) = (&order.number, order.kind);
            let stands = match standings.get(number) {
                None => "not there".to_owned(),
                Some(found) => {
                    let outcome = found.outcome.as_deref().unwrap_or("never asked");
                    format!("{} ({outcome})", found.state)
                }
            };
            let (name, state, outcome) = (kind.name, kind.state, kind.outcome);
            format!("{number} [{name}] has to be {state} ({outcome}), and is {stands}")
        })
        .collect();
    if complaints.len() > MOST_NAMED {
        let more = complaints.split_off(MOST_NAMED).len();
        complaints.push(format!("and {more} more like these"));
    }
    if standings.len() != plan.len() {
        let (handed_over, there) = (plan.len(), standings.len());
        complaints.push(format!(
            "{handed_over} orders were handed over, and {there} are there"
        ));
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fates::plan;
    use crate::orders::Standing;

    fn as_planned(plan: &[Order]) -> Standings {
        let planned = plan.iter().map(|order| {
            let standing = Standing {
                state: order.kind.state.to_owned(),
                outcome: Some(order.kind.outcome.to_owned()),
            };
            (order.number.clone(), standing)
        });
        planned.collect()
    }

    /// The table's last row is its total, and an order that nobody knows is not in it.
    #[test]
    fn the_total_is_of_the_orders_that_are_there() {
        let plan = plan();
        assert_eq!(plan.len(), 300);
        let mut standings = as_planned(&plan);
        assert!(misplaced(&plan, &standings).is_empty());
        let total = |standings: &Standings| {
            let text = table(&plan, standings).trim_fmt();
            let last = text.lines().last().unwrap_or_default().to_owned();
            last.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(total(&standings), ["total", "74", "161", "60", "5", "300"]);
        standings.remove(&plan[0].number);
        assert_eq!(total(&standings), ["total", "74", "160", "60", "5", "299"]);
        assert_eq!(misplaced(&plan, &standings).len(), 2);
    }

    /// One order in a state, or with an outcome, that its fate does not lead to is named.
    #[test]
    fn an_order_that_stands_elsewhere_is_named() {
        let plan = plan();
        for (state, outcome) in [("failed", "succeeded"), ("succeeded", "pending")] {
            let mut standings = as_planned(&plan);
            let found = standings.get_mut(&plan[0].number).expect("it is there");
            (found.state, found.outcome) = (state.to_owned(), Some(outcome.to_owned()));
            let complaints = misplaced(&plan, &standings);
            assert_eq!(complaints.len(), 1, "{complaints:?}");
            assert!(complaints[0].contains(&plan[0].number), "{complaints:?}");
            assert!(
                complaints[0].ends_with(&format!("is {state} ({outcome})")),
                "{complaints:?}"
            );
        }
    }

    /// Many are counted, not listed.
    #[test]
    fn a_complaint_stays_short() {
        let plan = plan();
        let mut standings = as_planned(&plan);
        for standing in standings.values_mut() {
            standing.outcome = None;
        }
        let complaints = misplaced(&plan, &standings);
        assert_eq!(complaints.len(), MOST_NAMED + 1);
        assert_eq!(complaints[MOST_NAMED], "and 290 more like these");
    }
}
