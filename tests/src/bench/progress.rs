//! How far the benchmark is: a bar on a terminal, a line for each step elsewhere. On standard error,
//! so that standard output is the table alone.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// See the module.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    began: Instant,
}

impl Progress {
    /// Nothing of so many parts is done.
    pub(crate) fn new(parts: usize) -> Self {
        let bar = stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(parts as u64);
            if let Ok(style) = ProgressStyle::with_template(
                "{elapsed_precise} {bar:20} part {pos} of {len}  {msg}",
            ) {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(250));
            bar
        });
        Self {
            bar,
            began: Instant::now(),
        }
    }

    /// What is being done from now on.
    pub(crate) fn step(&self, what: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(what.to_owned()),
            None => eprintln!("{:>4} s  {what}", self.began.elapsed().as_secs()),
        }
    }

    /// Another part is done.
    pub(crate) fn part_done(&self) {
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
    }

    /// Clears the bar away.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
