//! The table that everything ends in: a row for each number, with its aim and whether it is met.

use std::fmt;

use comfy_table::{CellAlignment, ContentArrangement, presets};

/// What a number should be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Aim {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
    /// Nothing: it is there to be known.
    None,
}

impl Aim {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
            Self::None => true,
        }
    }
}

/// The rows so far.
#[derive(Debug, Default)]
pub(crate) struct Table(Vec<[String; 5]>);

impl Table {
    /// Adds a number: `unit` is `%` or a word; `detail` is its spread, or what it is made of.
    pub(crate) fn add(&mut self, what: &str, value: f64, unit: &str, detail: &str, aim: Aim) {
        let (aimed, verdict) = match aim {
            Aim::AtLeast(least) => (format!("at least {}", with_unit(least, unit)), "met"),
            Aim::AtMost(most) => (format!("at most {}", with_unit(most, unit)), "met"),
            Aim::None => (String::new(), ""),
        };
        let verdict = if aim.is_met(value) { verdict } else { "MISSED" };
        let value = with_unit(value, unit);
        self.0
            .push([what, &value, detail, &aimed, verdict].map(str::to_owned));
    }
}

/// With as many decimals as tell something: three digits, more for what is large.
fn with_unit(value: f64, unit: &str) -> String {
    let decimals = match value.abs() {
        small if small < 0.995 => 3,
        small if small < 9.95 => 2,
        small if small < 99.5 => 1,
        _ => 0,
    };
    let number = format!("{value:.decimals$}");
    let number = match number.contains('.') {
        true => number.trim_end_matches('0').trim_end_matches('.'),
        false => &number,
    };
    match unit {
        "" => number.to_owned(),
        "%" => format!("{number} %"),
        word => format!("{number} {word}"),
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = comfy_table::Table::new();
        table
            .load_style(presets::ASCII_MARKDOWN)
            .set_content_arrangement(ContentArrangement::Disabled)
            .set_header(["what", "measured", "spread, or made of", "aim", ""])
            .add_rows(&self.0);
        if let Some(measured) = table.column_mut(1) {
            measured.set_cell_alignment(CellAlignment::Right);
        }
        table.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_misses_its_aim_says_so() {
        let mut table = Table::default();
        table.add("speed", 59.9, "%", "", Aim::AtLeast(60.0));
        table.add("memory", 63.2, "MB", "peak", Aim::AtMost(64.0));
        table.add("load", 12345.6, "a minute", "", Aim::None);
        let text = table.to_string();
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert!(lines[0].contains("59.9 %") && lines[0].contains("at least 60 %"));
        assert!(lines[0].ends_with("| MISSED |"), "{text}");
        assert!(lines[1].ends_with("| met    |"), "{text}");
        assert!(lines[2].contains("12346 a minute") && lines[2].ends_with("|        |"));
    }
}
