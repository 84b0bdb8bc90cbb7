//! Shows the orders' states change: a bar a state on a terminal, a line when something has changed
//! otherwise. Only looks.

use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::fates::Order;
use crate::orders::{Standings, standings};
use crate::screen::Screen;
use crate::stage::Stage;

/// The states that the demo's orders come to, with the colour of each.
const BARS: [(&str, &str); 4] = [
    ("pending", "yellow"),
    ("succeeded", "green"),
    ("failed", "red"),
    ("review", "magenta"),
];
/// Until then every order has to be where its fate leads; a slow machine has to make it.
const PATIENCE: Duration = Duration::from_secs(45);
/// Between two looks on a terminal.
const FRAME: Duration = Duration::from_millis(100);
/// Between two looks where each change costs a line.
const LINE: Duration = Duration::from_millis(500);

/// Watches until every order that is asked about by schedule is where its fate leads. Comes back
/// without an error when some never are: the summary says which.
pub(crate) async fn until_settled(screen: &Screen, stage: &Stage, plan: &[Order]) -> Result<()> {
    screen.announce("Their states, as the sidecar asks and the database decides:")?;
    let client = stage.database().connect().await?;
    let began = Instant::now();
    let mut display = Display::new(screen, plan.len());
    let mut looks = tokio::time::interval(if screen.is_live() { FRAME } else { LINE });
    loop {
        looks.tick().await;
        let standings = standings(&client).await?;
        display.show(began.elapsed(), &counts(&standings))?;
        let settled = plan
            .iter()
            .filter(|order| !order.kind.is_held_back())
            .all(|order| order.is_where_it_should_be(&standings));
        if settled || began.elapsed() > PATIENCE {
            return display.end(screen);
        }
    }
}

type Counts = [usize; BARS.len()];

fn counts(standings: &Standings) -> Counts {
    BARS.map(|(state, _)| {
        standings
            .values()
            .filter(|order| order.state == state)
            .count()
    })
}

enum Display<'screen> {
    Bars(MultiProgress, Vec<ProgressBar>),
    Lines(&'screen Screen, Option<Counts>),
}

impl<'screen> Display<'screen> {
    fn new(screen: &'screen Screen, orders: usize) -> Self {
        if !screen.is_live() {
            return Self::Lines(screen, None);
        }
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stdout());
        let bars = BARS.map(|(state, color)| {
            let look = format!("  {{msg:10}} {{bar:50.{color}/dim}} {{pos:>4}}");
            let look = ProgressStyle::with_template(&look).unwrap_or(ProgressStyle::default_bar());
            let bar = all.add(ProgressBar::new(orders as u64));
            bar.set_style(look.progress_chars("█▉▊▋▌▍▎▏ "));
            bar.set_message(state);
            bar
        });
        Self::Bars(all, bars.into())
    }

    fn show(&mut self, elapsed: Duration, counts: &Counts) -> Result<()> {
        match self {
            Self::Bars(_, bars) => {
                for (bar, count) in bars.iter().zip(counts) {
                    bar.set_position(*count as u64);
                    bar.tick();
                }
            }
            Self::Lines(_, Some(last)) if last == counts => {}
            Self::Lines(screen, last) => {
                let words = BARS.iter().zip(counts);
                let words = words.map(|((state, _), count)| format!("  {state} {count:3}"));
                let seconds = elapsed.as_secs_f64();
                screen.line(format!("  {seconds:5.1} s{}", words.collect::<String>()))?;
                *last = Some(*counts);
            }
        }
        Ok(())
    }

    /// Leaves the bars where they stand.
    fn end(self, screen: &Screen) -> Result<()> {
        if let Self::Bars(_all, bars) = self {
            bars.iter().for_each(ProgressBar::abandon);
            screen.line("")?;
        }
        Ok(())
    }
}
