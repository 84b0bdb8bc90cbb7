//! A wall clock that a test can step without touching the machine's: libfaketime in the server's process, which reads at every look
//! how far it is off. Owns that file and how the library is loaded; the clocks that don't step are left alone.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// What the server is started with. Its clock begins true, or stays as far off as it was.
pub(crate) fn environment(folder: &Path) -> Result<Vec<(&'static str, PathBuf)>> {
    let file = file(folder);
    if !file.exists() {
        step(folder, 0)?;
    }
    Ok(vec![
        ("LD_PRELOAD", library()?),
        ("FAKETIME_TIMESTAMP_FILE", file),
        ("FAKETIME_NO_CACHE", "1".into()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
        // The name that earlier versions know.
        ("DONT_FAKE_MONOTONIC", "1".into()),
    ])
}

/// Says from now on that the clock is this far off. In one move: half a line would be another time.
pub(crate) fn step(folder: &Path, seconds: i64) -> Result<()> {
    let next = folder.join("clock.next");
    std::fs::write(&next, format!("{seconds:+}"))?;
    std::fs::rename(&next, file(folder))?;
    Ok(())
}

fn file(folder: &Path) -> PathBuf {
    folder.join("clock")
}

/// Where Debian's package puts it.
fn library() -> Result<PathBuf> {
    let found = std::fs::read_dir("/usr/lib")?
        .filter_map(|entry| Some(entry.ok()?.path().join("faketime/libfaketime.so.1")))
        .find(|library| library.is_file());
    found.context("libfaketime is not installed: tests/setup does that")
}
