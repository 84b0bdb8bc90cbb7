//! The README's table of states, against the judge.

use anyhow::{Context, Result, ensure};
use reconcile_tests::cluster::{Contents, shared};

use crate::blocks::page;

/// The columns of the table; the last stands for four outcomes.
const COLUMNS: [&str; 9] = [
    "succeeded",
    "failed",
    "cancelled",
    "refunded",
    "pending",
    "not_found",
    "unknown_status",
    "mismatch",
    "a fault",
];
const FAULTS: &str = "throttled, provider_error, unreachable, refused";

/// Where an order in a state goes by an outcome, with the defaults of a provider's row; all that it can
/// be, whoever settled it. An order that was given up is another matter, which the README says below.
const DECIDED: &str = "
    select array_agg(distinct d.to_state)
    from reconcile.providers as p
    cross join unnest(
        case when $1 in ('pending', 'processing') then array[null] else array['provider', 'operator', 'application'] end
    ) as settled_by
    cross join unnest(string_to_array($2, ', ')) as outcome
    cross join lateral reconcile.decide(
        $1, settled_by, 0, 0, 0, 60000, 60000, 'ORD-1', outcome, null, p.schedule, p.max_tries,
        (extract(epoch from p.deadline) * 1000)::bigint, (extract(epoch from p.not_found_grace) * 1000)::bigint,
        p.not_found_as, p.gives_up_as, p.late_success, p.late_watch, p.refund_watch
    ) as d";

/// Proves that the table between the markers is what the judge decides, for every state and every
/// outcome, with the defaults of a provider's row.
#[tokio::test]
async fn the_table_of_states_is_the_judges() -> Result<()> {
    let database = shared().await?;
    let database = database.database("readme_states", Contents::Extension);
    let client = database.await?.connect().await?;
    client
        .batch_execute("select reconcile.add_provider('vendor', 'https://v.example/{order_number}', '{\"paid\": \"succeeded\"}')")
        .await?;
    let late = "select late_success from reconcile.providers";
    assert_eq!(
        client.query_one(late, &[]).await?.get::<_, String>(0),
        "review"
    );
    let states = "
        select array_agg(found[1] order by place)
        from pg_constraint as c
        cross join regexp_matches(pg_get_constraintdef(c.oid), '''([a-z_]+)''::text', 'g') with ordinality as m (found, place)
        where c.conname = 'tracked_orders_state_check'";
    let states: Vec<String> = client.query_one(states, &[]).await?.get(0);

    let mut table = vec![
        format!("| from \\ outcome | {} |", COLUMNS.join(" | ")),
        format!("|{}", "---|".repeat(COLUMNS.len() + 1)),
    ];
    for state in &states {
        let mut row = format!("| {state} |");
        for column in COLUMNS {
            let outcomes = if column == "a fault" { FAULTS } else { column };
            let decided = client.query_one(DECIDED, &[state, &outcomes]).await?;
            let decided: Vec<String> = decided.get(0);
            ensure!(
                decided.len() == 1,
                "the judge is of several minds about {state} by {column}: {decided:?}"
            );
            let shown = if decided[0] == *state {
                "·"
            } else {
                &decided[0]
            };
            row += &format!(" {shown} |");
        }
        table.push(row);
    }
    let page = page("README.md")?;
    let shown = page
        .split_once("<!-- states: ")
        .and_then(|(_, rest)| rest.split_once(" -->"))
        .and_then(|(_, rest)| rest.split_once("<!-- end of states -->"))
        .context("the README has no table of states")?;
    let table = table.join("\n");
    assert_eq!(shown.0.trim(), table, "the judge's table is:\n{table}");
    Ok(())
}
