//! The benchmark runs from beginning to end and says what it should. No number is looked at: a test
//! that hangs on the machine's speed fails on a slow one.

use std::process::{Command, Output};

use anyhow::Result;

/// One row or more of each part, by its beginning.
const ROWS: [&str; 27] = [
    "settled, bare loop",
    "settled, pg_reconcile ",
    "pg_reconcile of the bare loop",
    "settled, pg_reconcile, roomy",
    "roomy of the bare loop",
    "processor time, bare loop",
    "processor time, pg_reconcile",
    "WAL, bare loop",
    "WAL, pg_reconcile",
    "statements, pg_reconcile",
    "claim of 50, 1000 waiting",
    "claim of 50, 2000 waiting",
    "claim of 50, 4000 waiting",
    "claim of 50, 4000 waiting, far apart",
    "claim of 50, old snapshot, fresh statistics",
    "claim of 5, old snapshot, fresh statistics",
    "claim of 5, old snapshot, young statistics",
    "sidecar's peak memory, 100 slots",
    "idle load",
    "reconcile_order adds, 1 caller ",
    "reconcile_order adds, 4 callers",
    "bulk load of 500 rows, attached to plain",
    "taken in after bulk loads",
    "one-row inserts, plain",
    "one-row inserts, attached",
    "claimed beside a table locked for 2 s",
    "settled beside a table locked for 2 s",
];

fn bench(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Output> {
    let program = env!("CARGO_BIN_EXE_bench");
    let mut command = Command::new(program);
    command.args(arguments).envs(environment.iter().copied());
    Ok(command.output()?)
}

/// A quick run measures every part and prints one table, each number of which has met its aim,
/// missed it, or has none.
#[test]
fn a_quick_run_prints_one_table_of_every_part() -> Result<()> {
    let output = bench(&["--quick"], &[])?;
    let said = String::from_utf8(output.stdout)?;
    let progress = String::from_utf8(output.stderr)?;
    assert!(output.status.success(), "{progress}");
    assert!(!progress.contains('\x1b'), "no terminal: {progress}");
    for heading in [
        "Machine:  ",
        "Versions: PostgreSQL ",
        "Settings: shared_buffers 512MB",
    ] {
        let lines = said.lines().filter(|line| line.starts_with(heading));
        assert_eq!(lines.count(), 1, "{heading}{said}");
    }
    let rows: Vec<Vec<&str>> = said
        .lines()
        .filter(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').collect())
        .collect();
    for name in ROWS {
        let found = rows
            .iter()
            .filter(|row| row[0].trim_start().starts_with(name));
        assert!(found.count() > 0, "no row for {name}:\n{said}");
    }
    for row in &rows[2..] {
        let [what, measured, _, aim, verdict] = row.as_slice() else {
            panic!("not five columns: {row:?}");
        };
        assert!(
            measured.contains(|digit: char| digit.is_ascii_digit()),
            "{what}: {measured}"
        );
        let verdicts: &[&str] = if aim.trim().is_empty() {
            &[""]
        } else {
            &["met", "MISSED"]
        };
        assert!(verdicts.contains(&verdict.trim()), "{what}: {verdict}");
    }
    Ok(())
}

/// A run that can't measure, for want of a sidecar that runs, says so, fails, and makes up no number.
#[test]
fn a_run_without_a_sidecar_fails() -> Result<()> {
    let arguments = ["--quick", "--only", "footprint"];
    let output = bench(&arguments, &[("RECONCILE_SIDECAR", "/bin/false")])?;
    assert!(!output.status.success());
    let said = String::from_utf8(output.stdout)?;
    assert!(said.contains("Versions: PostgreSQL "), "{said}");
    assert!(!said.contains("peak memory"), "{said}");
    let progress = String::from_utf8(output.stderr)?;
    assert!(progress.contains("the sidecar ended with 1"), "{progress}");
    Ok(())
}
