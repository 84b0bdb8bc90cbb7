//! `make demo`: orders whose answer got lost are settled, from an empty folder to a summary that adds
//! up. Owns the order of events and the exit code, and no decision about an order.
//!
//! # Layout
//! - [`stage`]: a server of its own, the simulated vendor and the sidecar, put up and taken down
//! - [`fates`]: what the vendor will say about each order, and where that has to lead
//! - [`orders`]: handing the orders over, and reading where they stand
//! - [`watch`]: showing their states change
//! - [`tour`]: SQL as a person types it
//! - [`summary`]: where each order stands, against what the vendor was told to say
//! - [`screen`]: a terminal, or lines for a file

mod fates;
mod orders;
mod screen;
mod stage;
mod summary;
mod tour;
mod watch;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use tokio::signal::unix::{Signal, SignalKind, signal};

use screen::Screen;
use stage::Stage;

/// Watch 300 orders whose answer got lost being settled.
///
/// Starts a PostgreSQL server of its own, a simulated vendor and the sidecar; ends with nothing left
/// running, after about 15 seconds.
#[derive(Debug, Parser)]
struct Arguments {
    /// Stay up until Ctrl-C, to look around with psql
    #[arg(long)]
    keep: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments, &Screen::new()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments, screen: &Screen) -> Result<ExitCode> {
    let mut interruption = Interruption::listen()?;
    let (stage, stands) = tokio::select! {
        shown = show(screen) => shown?,
        code = interruption.comes() => {
            // Past what was being drawn. Dropping what has been put up so far has taken it down.
            screen.line("")?;
            return Ok(code);
        }
    };
    let code = match stands {
        Ok(()) => ExitCode::SUCCESS,
        Err(complaint) => {
            eprintln!("\ndemo: not every order stands where it should:\n{complaint}");
            ExitCode::FAILURE
        }
    };
    if arguments.keep {
        tour::invite(screen, &stage)?;
        interruption.comes().await;
        // Past the ^C that the terminal has shown.
        screen.line("")?;
    }
    stage.take_down(screen).await?;
    Ok(code)
}

/// Everything up to the summary. The stage is still up afterwards, for a look around.
async fn show(screen: &Screen) -> Result<(Stage, Result<(), String>)> {
    screen.title("pg_reconcile: 300 orders, and nobody knows what became of them")?;
    let stage = Stage::put_up(screen).await?;
    tour::describe_the_vendor(screen, &stage).await?;
    let plan = fates::plan();
    orders::hand_over(screen, &stage, &plan).await?;
    watch::until_settled(screen, &stage, &plan).await?;
    tour::ask(screen, &stage, &plan).await?;
    let stands = summary::show(screen, &stage, &plan).await?;
    Ok((stage, stands))
}

/// SIGINT and SIGTERM, listened for from the beginning, so that neither leaves anything running.
struct Interruption {
    interrupt: Signal,
    terminate: Signal,
}

impl Interruption {
    fn listen() -> Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for one of them and gives the exit code that a shell expects after it.
    async fn comes(&mut self) -> ExitCode {
        tokio::select! {
            _ = self.interrupt.recv() => ExitCode::from(130),
            _ = self.terminate.recv() => ExitCode::from(143),
        }
    }
}
