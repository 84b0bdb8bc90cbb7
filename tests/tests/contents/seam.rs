//! `tests/seam` itself: it passes the tree as it is, and finds what crosses the seam.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

/// The script's exit code and what it printed, looking into a folder.
fn seam(folder: &Path) -> Result<(Option<i32>, String)> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("seam");
    let output = Command::new("sh").arg(script).arg(folder).output()?;
    assert_eq!(String::from_utf8(output.stderr)?, "");
    Ok((output.status.code(), String::from_utf8(output.stdout)?))
}

#[test]
fn the_tree_keeps_the_seam() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    assert_eq!(seam(&root)?, (Some(0), String::new()));
    Ok(())
}

/// Files, and lines in them that cross a seam.
const CROSSINGS: [(&str, &str); 18] = [
    (
        "extension/src/judge/deciding.rs",
        "    Spi::get_one::<i64>(QUERY)?;",
    ),
    (
        "extension/src/server/er.rs",
        "    let n = pg_sys::SPI_exec(query, 0);",
    ),
    (
        "extension/judge/src/money.rs",
        "    \"SELECT exponent FROM currencies\"",
    ),
    (
        "extension/judge/src/redact.rs",
        "    update reconcile.settings set checks_kept",
    ),
    (
        "sidecar/src/orders/claimer.rs",
        "    client.execute(\"insert into reconcile.leases values ($1)\", &[]);",
    ),
    (
        "extension/judge/src/schedule.rs",
        "use std::time::SystemTime;",
    ),
    ("extension/judge/src/request.rs", "    body: pgrx::JsonB,"),
    (
        "extension/src/judge/times.rs",
        "    unsafe { pg_sys::GetCurrentTimestamp() }",
    ),
    ("extension/contract/src/secret.rs", "use std::env;"),
    ("sidecar/src/process/run.rs", "    \"Delete  From x\""),
    (
        "sidecar/src/orders/batch.rs",
        "    let sql = \"select state from reconcile.orders\";",
    ),
    (
        "sidecar/src/call/http.rs",
        "    if status == \"succeeded\" {",
    ),
    (
        "sidecar/src/call/deep/er.rs",
        "use crate::{\n    call::fault::Fault,\n    orders::{\n        slots::Slots,\n    },\n};",
    ),
    ("sidecar/src/database.rs", "use crate::process::Settings;"),
    (
        "sidecar/src/telemetry/metrics.rs",
        "    pub(crate) use crate::{telemetry::Labels, call::fault::Fault};",
    ),
    (
        "sidecar/src/events/post.rs",
        "    crate::orders::slots::Slots::new(1);",
    ),
    (
        "sql/people/tracking.sql",
        "    delete from reconcile.due_checks as d where d.order_id = v_order_id;",
    ),
    (
        "sql/core/queue.sql",
        "    insert into reconcile.transitions (order_id) select 1;",
    ),
];

/// Files, and lines in them that cross none.
const ALLOWED: [(&str, &str); 10] = [
    (
        "extension/src/server/wake.rs",
        "    Spi::run(\"select reconcile_internal._request_check($1)\")",
    ),
    (
        "extension/src/lib.rs",
        "    // Spi:: is for wake.rs: insert into nothing",
    ),
    (
        "extension/judge/src/lib.rs",
        "    // pgrx is the extension's; SystemTime nobody's",
    ),
    (
        "extension/src/judge/masking.rs",
        "    redacted(body, &also)",
    ),
    ("extension/contract/src/lib.rs", "    // No pgrx here."),
    (
        "sidecar/src/database/protocol.rs",
        "    \"select order_id from reconcile.sidecar_claim($1, $2)\"",
    ),
    (
        "sidecar/src/orders.rs",
        "use std::{fs, process::Command};\nuse crate::{\n    call::fault::Fault,\n    sign::Auth,\n};",
    ),
    (
        "sidecar/src/process.rs",
        "use crate::{call, events, orders::slots::Slots, telemetry};",
    ),
    (
        "sidecar/src/main.rs",
        "    /// The name in reconcile.sidecars, from which nothing is read; \"failed\" is a word.",
    ),
    (
        "sql/core/leases.sql",
        "    update reconcile.leases as l set rung = true;",
    ),
];

#[test]
fn each_crossing_is_found_with_its_file_and_line() -> Result<()> {
    for (file, line) in CROSSINGS {
        let folder = tempfile::tempdir()?;
        for (path, line) in ALLOWED.iter().chain([&(file, line)]) {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap_or(folder.path()))?;
            std::fs::write(path, format!("//! Fine.\n{line}\n"))?;
        }
        let (code, printed) = seam(folder.path())?;
        let (found, others): (Vec<&str>, Vec<&str>) = printed
            .lines()
            .partition(|line| line.starts_with(&format!("{file}:2:")));
        assert_eq!(
            (code, !found.is_empty()),
            (Some(1), true),
            "{file}: {printed}"
        );
        assert!(
            others.iter().all(|line| line.starts_with("the ")),
            "{printed}"
        );
    }
    Ok(())
}
