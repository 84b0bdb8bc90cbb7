//! The provider simulator as a program, for the demo and the benchmark. Its first line of output is
//! the address it listens on; it runs until SIGINT or SIGTERM. What an order's fate may be and how
//! to set it: see `reconcile_tests::simulator`.

use std::net::SocketAddr;

use anyhow::Result;
use clap::Parser;
use reconcile_tests::simulator::{Fate, Recording, Simulator, Step};
use tokio::signal::unix::{SignalKind, signal};

/// A payment provider that says what it is told to.
#[derive(Debug, Parser)]
struct Arguments {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    address: SocketAddr,
    /// Milliseconds that each answer takes
    #[arg(long, default_value_t = 0)]
    latency_ms: u64,
    /// What is said about an order, one word a call; the last one repeats
    #[arg(long, value_delimiter = ',', default_value = "succeeded")]
    statuses: Vec<String>,
    /// The amount that every order was paid with
    #[arg(long, default_value = "0.73")]
    amount: String,
    /// Its currency
    #[arg(long, default_value = "USD")]
    currency: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut fate = Fate::of(arguments.statuses.into_iter().map(Step::status))
        .paid(&arguments.amount, &arguments.currency);
    fate.latency_ms = Some(arguments.latency_ms);
    let mut terminated = signal(SignalKind::terminate())?;
    let simulator = Simulator::start_with(arguments.address, fate, Recording::Counts)?;
    println!("{}", simulator.address());
    tokio::select! {
        _ = terminated.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    Ok(())
}
