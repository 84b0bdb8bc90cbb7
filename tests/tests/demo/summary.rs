//! What the demo says: on the way, and in the end.

use anyhow::{Context, Result};
use tokio::sync::OnceCell;

use crate::run::{Demo, Ended};

/// One run for all that only read what it said.
async fn a_run() -> Result<&'static Ended> {
    static RUN: OnceCell<Ended> = OnceCell::const_new();
    RUN.get_or_try_init(async || Demo::start(&[])?.ended().await)
        .await
}

/// The numbers at the end of a line of the table.
fn counts(line: &str) -> Vec<u32> {
    let words = line.split_whitespace().rev();
    let words = words.map(|word| if word == "·" { "0" } else { word });
    let mut counts: Vec<_> = words.map_while(|word| word.parse().ok()).collect();
    counts.reverse();
    counts
}

/// The demo ends with code 0, a table whose rows and columns add up to all of its orders, and its
/// verdict; as plain text, since nobody looks at it on a terminal.
#[tokio::test]
async fn it_ends_well_with_a_summary_that_adds_up() -> Result<()> {
    let Ended {
        code,
        stdout: text,
        stderr,
    } = a_run().await?;
    assert_eq!((*code, stderr.as_str()), (0, ""), "{text}");
    assert!(
        text.contains("\nEvery order stands where it should.\n"),
        "{text}"
    );
    assert!(!text.contains('\x1b'), "{text}");

    let table = text
        .lines()
        .skip_while(|line| !line.starts_with("vendor's answer"));
    let rows = table
        .skip(2)
        .take_while(|line| !line.is_empty())
        .map(counts);
    let mut rows: Vec<_> = rows.collect();
    let total = rows.pop().context("there is no table")?;
    assert_eq!(rows.len(), 14, "{text}");
    for (column, expected) in total.iter().enumerate() {
        let sum: u32 = rows.iter().map(|row| row[column]).sum();
        assert_eq!(sum, *expected, "{text}");
    }
    let (all, states) = total.split_last().context("the total is empty")?;
    assert_eq!((*all, states.iter().sum::<u32>()), (300, 300), "{text}");
    assert!(text.contains("\n300 orders, "), "{text}");
    Ok(())
}

/// It shows, in this order, what is put up, how the states change until all that can be settled is,
/// and the SQL that it promises with what that answers.
#[tokio::test]
async fn it_shows_the_way_there() -> Result<()> {
    let Ended { stdout: text, .. } = a_run().await?;
    let mut rest = text.as_str();
    for part in [
        "\n  pg_cron ",
        "reconcile.add_provider(",
        "300 tracked",
        " s  pending ",
        " s  pending  75  succeeded 160  failed  60  review   5\n",
        "select * from reconcile_order(",
        "previous_state  | pending",
        "the provider says succeeded",
        "select reconcile.explain_order(",
        "-> mismatch",
        "select * from reconcile_stale_orders(",
        "table reconcile.alerts",
        "orders_in_review",
        "select jobname, schedule from cron.job",
        "pg_reconcile stale orders in shop ",
        "| */3 * * * *",
        "\nvendor's answer ",
        "\n  Stopped and removed ",
    ] {
        let found = rest.find(part);
        let found = found.with_context(|| format!("no {part:?} in its place:\n{text}"))?;
        rest = &rest[found + part.len()..];
    }
    Ok(())
}
