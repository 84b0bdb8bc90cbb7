//! `make bench`: one table of what pg_reconcile does on this machine. Progress goes to standard
//! error, the table to standard output. What is measured, and how: see `reconcile_tests::bench`.

use anyhow::Result;
use clap::Parser;
use reconcile_tests::bench::{self, Part, Plan};

/// Measures pg_reconcile on this machine and prints one table.
#[derive(Debug, Parser)]
struct Arguments {
    /// Some seconds in place of some minutes: shows that it works, and no number worth quoting
    #[arg(long)]
    quick: bool,
    /// Only this part; may be given more than once
    #[arg(long, value_enum)]
    only: Vec<Part>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut plan = if arguments.quick {
        Plan::quick()
    } else {
        Plan::full()
    };
    if !arguments.only.is_empty() {
        plan.parts.retain(|part| arguments.only.contains(part));
    }
    let outcome = bench::run(&plan).await?;
    println!("{}", outcome.text);
    outcome.failure.map_or(Ok(()), Err)
}
