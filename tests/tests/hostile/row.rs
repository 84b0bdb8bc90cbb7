//! One row of the matrix while it is made: a carrier in its database, and what is seen at each moment.

use std::collections::BTreeMap;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use reconcile_tests::cluster::{Contents, Database};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio_postgres::Client;

use crate::moments::{Moment, ORDERS, ROWS, WRITER};
use crate::probe::{self, Mark, Run};
use crate::scene::{Scene, failure, left_over};

/// What PostgreSQL itself runs with a superuser's rights while he restores a dump, whoever made the table: no extension can keep it from
/// that. What is called afterwards in the restored database is another moment, and nothing is excepted there.
const BY_RESTORING: [(&str, &str); 5] = [
    ("generated column", "COPY computes it"),
    ("domain check", "COPY looks at values"),
    ("check constraint", "COPY looks at rows"),
    ("table with a parent's child", "COPY looks at rows"),
    (
        "index expression",
        "CREATE INDEX computes it as the table's owner, who is the superuser in a restore without owners",
    ),
];

/// What a session may be left with: an advisory lock is nobody's right, and no operation is restricted from taking one.
const LEAVES: &str = "advisory lock";

/// One row of the matrix while it is made.
pub(crate) struct Row {
    pub(crate) carrier: &'static str,
    pub(crate) scene: Scene,
    pub(crate) runs: usize,
    /// Moment and what was wrong, with how often.
    pub(crate) wrong: BTreeMap<(String, String), usize>,
    /// Moment and the SQL error that it ended with.
    pub(crate) errors: Vec<String>,
}

impl Row {
    pub(crate) fn note(&mut self, moment: &str, what: String) {
        *self.wrong.entry((moment.to_owned(), what)).or_default() += 1;
    }

    pub(crate) fn judge(&mut self, moment: &str, runs: &[Run]) {
        self.runs += runs.len();
        let excepted = moment.starts_with("restored")
            && BY_RESTORING.iter().any(|each| each.0 == self.carrier);
        let writer = (moment == "note").then_some(WRITER);
        for run in runs.iter().filter(|run| !run.is_contained(writer)) {
            if !(excepted && run.user == "postgres") {
                self.note(moment, run.says());
            }
        }
    }

    pub(crate) fn since(&self, mark: Mark, database: &str) -> Result<Vec<Run>> {
        probe::runs_since(self.scene.cluster, mark, database)
    }

    /// Rows and orders for a moment; a carrier that is in the way of them is in its own way.
    async fn prepare(&self, number: usize) -> Result<()> {
        let number = number.to_string();
        failure(&self.scene.owner, &ROWS.replace("%N", &number)).await;
        let app = self.scene.database.connect_as("shop_app").await?;
        for (order, provider) in ORDERS {
            let track = format!(
                "select reconcile.track_order('{}', '{provider}', created_at => now() - interval '1 hour')",
                order.replace("%N", &number)
            );
            failure(&app, &track).await;
        }
        Ok(())
    }

    pub(crate) async fn live(&mut self, moment: &Moment, number: usize) -> Result<()> {
        self.prepare(number).await?;
        let session = self.scene.database.connect_as(moment.by).await?;
        let before = left_over(&session).await?;
        let mark = probe::mark(self.scene.cluster)?;
        for call in moment.calls {
            let call = call.replace("%N", &number.to_string());
            if let Some(error) = failure(&session, &call).await {
                self.errors
                    .push(format!("{}: {call}: {error}", moment.name));
            }
        }
        if moment.name == "report"
            && let Err(error) = report(&session).await
        {
            self.errors.push(format!("report: {error:#}"));
        }
        failure(&session, "rollback").await;
        // A report by hand is prepared by its driver, and a writer's session is the application's own.
        if !matches!(moment.name, "report" | "note") {
            let after = left_over(&session).await?;
            if let Some(changed) = changed(&before, &after)?
                && self.carrier != LEAVES
            {
                self.note(moment.name, changed);
            }
        }
        let runs = self.since(mark, self.scene.database.name())?;
        self.judge(moment.name, &runs);
        Ok(())
    }

    /// A dump that is restored by a superuser, and a run in what came of it.
    pub(crate) async fn restore(
        &mut self,
        moment: &str,
        arguments: &[&str],
        number: usize,
    ) -> Result<()> {
        self.prepare(number).await?;
        let name = self.scene.database.name();
        let dump = self
            .scene
            .cluster
            .command("pg_dump")
            .args(arguments)
            .arg(name)
            .output()
            .await?;
        ensure!(
            dump.status.success(),
            "{}",
            String::from_utf8_lossy(&dump.stderr)
        );
        let restored: &'static str = format!("{name}_{number}").leak();
        let restored: Database<'static> = self
            .scene
            .cluster
            .database(restored, Contents::Nothing)
            .await?;
        let mark = probe::mark(self.scene.cluster)?;
        let mut psql = self.scene.cluster.command("psql");
        psql.args(["-X", "-q", "-d", restored.name()]);
        let mut psql = psql
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut input = psql.stdin.take().context("no standard input")?;
        let feed = async move { input.write_all(&dump.stdout).await };
        let (fed, output) = tokio::join!(feed, psql.wait_with_output());
        fed?;
        let complaints = String::from_utf8_lossy(&output?.stderr).into_owned();
        if let Some(complaint) = complaints.lines().find(|line| line.contains("ERROR")) {
            self.errors.push(format!("{moment}: {complaint}"));
        }
        let runs = self.since(mark, restored.name())?;
        self.judge(moment, &runs);
        let mark = probe::mark(self.scene.cluster)?;
        let dba = restored.connect().await?;
        if let Some(error) =
            failure(&dba, "select * from public.reconcile_stale_orders(1000)").await
        {
            self.errors.push(format!("{moment}: {error}"));
        }
        let runs = self.since(mark, restored.name())?;
        self.judge(&format!("run where it was {moment}"), &runs);
        Ok(())
    }
}

/// What is not as it was in a session.
pub(crate) fn changed(before: &str, after: &str) -> Result<Option<String>> {
    let (before, after): (Value, Value) =
        (serde_json::from_str(before)?, serde_json::from_str(after)?);
    let keys = before.as_object().context("no object")?.keys();
    let changed: Vec<String> = keys
        .filter(|key| before[key.as_str()] != after[key.as_str()])
        .map(|key| {
            format!(
                "the session's {key} were {} and are {}",
                before[key.as_str()],
                after[key.as_str()]
            )
        })
        .collect();
    Ok((!changed.is_empty()).then(|| changed.join("; ")))
}

/// Claims what is due, and reports that all of it is paid.
async fn report(sidecar: &Client) -> Result<()> {
    let id: i64 = sidecar
        .query_one("select reconcile.sidecar_start('by hand', '1', 1000)", &[])
        .await?
        .get(0);
    let claimed = sidecar
        .query(
            "select order_id, token from reconcile.sidecar_claim($1, 1000)",
            &[&id],
        )
        .await?;
    let orders: Vec<i64> = claimed.iter().map(|row| row.get(0)).collect();
    let tokens: Vec<i64> = claimed.iter().map(|row| row.get(1)).collect();
    let (statuses, bodies) = (
        vec![200; orders.len()],
        vec![r#"{"status": "paid"}"#; orders.len()],
    );
    let report =
        "select * from reconcile.sidecar_report($1, $2, $3, null, $4, $5, null, null, null)";
    sidecar
        .query(report, &[&id, &orders, &tokens, &statuses, &bodies])
        .await?;
    Ok(())
}
