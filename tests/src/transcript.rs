//! Golden transcripts: a psql script, and what psql printed when somebody last read it and agreed. Owns running and
//! comparing; never knows what a script is about.
//!
//! The scripts are in `tests/golden`, `name.sql` beside `name.out`. `UPDATE_GOLDEN=1` records instead of comparing.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use similar::TextDiff;

use crate::cluster::{Cluster, Database};

/// Says with each error its SQLSTATE, and not where in PL/pgSQL it was raised.
const HABITS: &[&str] = &[
    "--no-psqlrc",
    "--echo-all",
    "--quiet",
    "--set=ON_ERROR_STOP=0",
    "--set=VERBOSITY=verbose",
    "--set=SHOW_CONTEXT=never",
    "--pset=null=NULL",
];

/// Runs `tests/golden/<name>.sql` against a database and compares with `<name>.out`.
///
/// # Errors
/// When they differ: the message is a diff, recorded against printed.
pub async fn compare(cluster: &Cluster, database: Database<'_>, name: &str) -> Result<()> {
    let script = folder().join(format!("{name}.sql"));
    let recorded = script.with_extension("out");
    let printed = run(cluster, database, &script).await?;
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        return std::fs::write(&recorded, printed)
            .with_context(|| format!("{} can't be written", recorded.display()));
    }
    let expected = std::fs::read_to_string(&recorded).unwrap_or_default();
    if printed != expected {
        let diff = TextDiff::from_lines(&expected, &printed);
        let mut diff = diff.unified_diff();
        bail!(
            "tests/golden/{name}.sql answers otherwise than recorded; if it should, UPDATE_GOLDEN=1 records it:\n{}",
            diff.header("recorded", "printed")
        );
    }
    Ok(())
}

/// The names of the scripts in a folder of `tests/golden` (empty for itself), sorted.
///
/// # Errors
/// When the folder can't be read.
pub fn names(within: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder().join(within))? {
        let file = PathBuf::from(entry?.file_name());
        if file.extension().is_some_and(|extension| extension == "sql") {
            names.push(
                Path::new(within)
                    .join(file.with_extension(""))
                    .display()
                    .to_string(),
            );
        }
    }
    names.sort();
    Ok(names)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

async fn run(cluster: &Cluster, database: Database<'_>, script: &Path) -> Result<String> {
    let input =
        File::open(script).with_context(|| format!("{} can't be read", script.display()))?;
    let sentence = std::fs::read_to_string(script)?;
    ensure!(
        sentence.starts_with("-- "),
        "{} does not open with a sentence",
        script.display()
    );
    // One file for both, so that errors stand where they were raised.
    let mut output = tempfile::tempfile()?;
    let status = cluster
        .command("psql")
        .args(HABITS)
        .args(["--dbname", database.name()])
        .stdin(input)
        .stdout(output.try_clone()?)
        .stderr(output.try_clone()?)
        .status()
        .await?;
    let mut text = String::new();
    output.rewind()?;
    output.read_to_string(&mut text)?;
    if !status.success() {
        bail!("psql ended with {status}:\n{text}");
    }
    // Where in PostgreSQL's own source an error was raised.
    Ok(text
        .split_inclusive('\n')
        .filter(|line| !line.starts_with("LOCATION:  "))
        .collect())
}
