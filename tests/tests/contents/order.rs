//! `sql/contents`: every file of the extension stands there once, after the files that its head requires.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context, Result};

/// Folders of files that are applied by hand, or by an image, after the extension.
const NOT_INSTALLED: [&str; 3] = ["container", "migrations", "recipes"];

/// What is wrong with the order of files, each given by its path and its text.
fn out_of_order<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<String> {
    let mut before: HashSet<&str> = HashSet::new();
    let mut wrong = Vec::new();
    for (path, text) in files {
        let name = path.rsplit('/').next().unwrap_or(path);
        let name = name.strip_suffix(".sql").unwrap_or(name);
        let required = text
            .lines()
            .find_map(|line| line.strip_prefix("-- Requires: ")?.strip_suffix('.'));
        for required in required.into_iter().flat_map(|all| all.split(", ")) {
            if required != "everything" && !before.contains(required) {
                wrong.push(format!(
                    "{path} requires {required}, which does not stand before it"
                ));
            }
        }
        if before.contains("everything") {
            wrong.push(format!("{path} stands after what requires everything"));
        }
        if required == Some("everything") {
            before.insert("everything");
        }
        if required.is_none() && !before.is_empty() {
            wrong.push(format!("{path} does not say what it requires"));
        }
        if !before.insert(name) {
            wrong.push(format!("{path} has the name of a file before it"));
        }
    }
    wrong
}

/// The SQL files below a folder, by their paths from `root`.
fn below(root: &Path, folder: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = match folder {
            "" => name,
            folder => format!("{folder}/{name}"),
        };
        if entry.file_type()?.is_dir() && !NOT_INSTALLED.contains(&path.as_str()) {
            found.extend(below(root, &path)?);
        } else if path.ends_with(".sql") {
            found.push(path);
        }
    }
    Ok(found)
}

/// Proves that no file of the ledger is left out, and none runs before what it needs.
#[test]
fn every_file_is_installed_after_what_it_requires() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sql");
    let contents = std::fs::read_to_string(root.join("contents"))?;
    let listed: Vec<&str> = contents
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let mut all = below(&root, "")?;
    all.sort_unstable();
    let mut sorted = listed.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, all, "sql/contents names each file once");
    let texts: Vec<String> = listed
        .iter()
        .map(|path| {
            std::fs::read_to_string(root.join(path)).with_context(|| format!("{path} of contents"))
        })
        .collect::<Result<_>>()?;
    let files = listed.iter().copied().zip(texts.iter().map(String::as_str));
    assert_eq!(out_of_order(files), Vec::<String>::new());
    Ok(())
}

/// Proves that a file which moved before what it needs, says nothing of that, or follows the last is found.
#[test]
fn each_disorder_is_found() {
    let (schema, tables) = ("-- Makes it.\n", "-- Owns them.\n-- Requires: schema.\n");
    let last = "-- Requires: everything.\n";
    let in_order = [
        ("schema.sql", schema),
        ("core/tables.sql", tables),
        ("rights.sql", last),
    ];
    assert_eq!(out_of_order(in_order), Vec::<String>::new());
    for disorder in [
        [in_order[1], in_order[0], in_order[2]],
        [in_order[0], in_order[2], in_order[1]],
        [in_order[0], ("core/tables.sql", schema), in_order[2]],
        [in_order[0], in_order[1], ("core/tables.sql", tables)],
    ] {
        assert_ne!(out_of_order(disorder), Vec::<String>::new(), "{disorder:?}");
    }
}
