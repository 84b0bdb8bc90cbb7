//! What the demo is seen on. Owns spinners, bars and colours on a terminal, and their absence where
//! there is none; never what is said.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use console::{Term, style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Room for what a step is called.
const STEP_WIDTH: usize = 19;
/// Room for what came of it.
const RESULT_WIDTH: usize = 48;

/// Standard output.
pub(crate) struct Screen {
    live: bool,
}

impl Screen {
    /// Looks at standard output and at NO_COLOR.
    pub(crate) fn new() -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if no_color || !io::stdout().is_terminal() {
            console::set_colors_enabled(false);
        }
        Self {
            live: !ProgressDrawTarget::stdout().is_hidden(),
        }
    }

    /// Whether what is shown can be drawn over.
    pub(crate) fn is_live(&self) -> bool {
        self.live
    }

    /// Its width in characters; that of a wide page when it is not a terminal.
    pub(crate) fn columns(&self) -> u16 {
        Term::stdout()
            .size_checked()
            .map_or(100, |(_rows, columns)| columns)
    }

    /// A line, or several.
    pub(crate) fn line(&self, text: impl Display) -> io::Result<()> {
        // Not println!, which panics when nobody reads on (`demo | head`).
        writeln!(io::stdout(), "{text}")
    }

    /// The first line.
    pub(crate) fn title(&self, text: &str) -> io::Result<()> {
        self.line(format!("{}\n", style(text).bold()))
    }

    /// What comes next, in a sentence, after an empty line.
    pub(crate) fn announce(&self, text: impl Display) -> io::Result<()> {
        self.line(format!("\n{}\n", style(text).cyan()))
    }

    /// A step that takes a while: what it is called, and when it is done what came of it and how
    /// long it took.
    pub(crate) async fn step<T>(
        &self,
        what: &str,
        work: impl Future<Output = Result<(T, String)>>,
    ) -> Result<T> {
        let began = Instant::now();
        let spinner = self.live.then(|| spinner(what));
        let ended = work.await;
        if let Some(spinner) = spinner {
            spinner.finish_and_clear();
        }
        let (value, result) = ended.with_context(|| what.to_owned())?;
        let seconds = format!("{:5.1} s", began.elapsed().as_secs_f64());
        self.line(format!(
            "  {what:STEP_WIDTH$} {result:RESULT_WIDTH$} {}",
            style(seconds).dim()
        ))?;
        Ok(value)
    }
}

fn spinner(what: &str) -> ProgressBar {
    let spinner = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout());
    let look = format!("{{spinner:.cyan}} {{msg:{STEP_WIDTH}}} {{elapsed:.dim}}");
    spinner
        .set_style(ProgressStyle::with_template(&look).unwrap_or(ProgressStyle::default_spinner()));
    spinner.set_message(what.to_owned());
    spinner.enable_steady_tick(Duration::from_millis(80));
    spinner
}
