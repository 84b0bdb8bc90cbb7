//! SQL as a person types it, and what psql answers. Decides nothing: the summary looks at what came
//! of it.

use anyhow::{Context, Result};
use console::style;

use crate::fates::Order;
use crate::screen::Screen;
use crate::stage::{SECRET_NAME, Stage};

/// The vendor becomes a row: once with a schedule that the demo has time for, once with a real one.
pub(crate) async fn describe_the_vendor(screen: &Screen, stage: &Stage) -> Result<()> {
    screen.announce(
        "A vendor is a row: where to ask, and how to read the answer.\n\
         Its schedule is in seconds because this is a demo; a real one is in minutes.",
    )?;
    let url = stage
        .simulator()
        .url("/orders/{order_number}?invoice={reference}");
    let vendor = |name: &str, pace: &str| {
        format!(
            r#"select reconcile.add_provider(
  name => '{name}',
  url => '{url}',
  auth => '{{"kind": "bearer", "secret": "{SECRET_NAME}"}}',
  status_path => '$.data.status',
  status_map => '{{"succeeded": "succeeded", "failed": "failed",
                  "cancelled": "failed",
                  "processing": "pending", "pending": "pending"}}',
  transaction_id_path => '$.data.transactionId',
  amount_path => '$.data.retailPrice',
  currency_path => '$.data.currency',
  reference_path => '$.data.invoiceId',
  {pace});"#
        )
    };
    let quick = "schedule => '1s, 1s, then 2s', timeout => '3 s',
  rate_limit => 80, rate_interval => '1 s', concurrency => 40";
    typed(screen, stage, &vendor("vendor", quick)).await?;
    let patient = vendor("patient_vendor", "schedule => '5m, then 10m'");
    stage
        .database()
        .psql(&STOP_AT_ERRORS, &patient)
        .await?
        .ok()?;
    Ok(())
}

/// What a DBA, a person on call and an auditor ask.
pub(crate) async fn ask(screen: &Screen, stage: &Stage, plan: &[Order]) -> Result<()> {
    let of = |wanted: fn(&Order) -> bool| {
        let found = plan.iter().find(|order| wanted(order));
        found
            .map(|order| order.number.as_str())
            .context("no such order in the plan")
    };
    screen
        .announce("One order is on a real schedule, due in 5 minutes. Who can't wait asks now:")?;
    let held_back = of(|order| order.kind.is_held_back())?;
    typed(
        screen,
        stage,
        &format!("select * from reconcile_order('{held_back}') \\gx"),
    )
    .await?;

    screen.announce("The vendor says this one succeeded, but it went to review. Why?")?;
    let disputed = of(|order| order.kind.state == "review")?;
    let explain = format!(
        "select reconcile.explain_order('{disputed}')\n  \\g (format=unaligned tuples_only=on)"
    );
    typed(screen, stage, &explain).await?;

    screen
        .announce("Open orders that were not asked about for a second, ahead of their schedule:")?;
    let stale = "select * from reconcile_stale_orders(300, older_than => '1 s');";
    typed(screen, stage, stale).await?;

    screen.announce("What a person on call has to know:")?;
    typed(screen, stage, "table reconcile.alerts \\gx").await?;

    screen.announce("And with nobody at the keyboard, pg_cron sees to it:")?;
    typed(screen, stage, "select jobname, schedule from cron.job;").await
}

/// How to look around while it stays up.
pub(crate) fn invite(screen: &Screen, stage: &Stage) -> Result<()> {
    let fate = r#"{"steps": [{"reply": {"answer": {"status": "failed"}}}]}"#;
    screen.announce("It stays up until Ctrl-C. To look around, in another terminal:")?;
    screen.line(format!("  psql {}", stage.database().url()))?;
    screen.announce("An order of your own: tell the vendor what to say, hand it over, ask.")?;
    let vendor = stage.simulator().url("/_fates/ORD-1");
    screen.line(format!("  curl -X PUT {vendor} \\\n    -d '{fate}'"))?;
    screen.line("  select reconcile.track_order('ORD-1', 'vendor', 'INV-1', 0.73, 'USD');")?;
    screen.line("  select * from reconcile_order('ORD-1');")?;
    Ok(())
}

const STOP_AT_ERRORS: [&str; 2] = ["-v", "ON_ERROR_STOP=1"];

/// Shows the SQL behind psql's prompt, runs it, and shows what psql prints, wrapped as wide as the
/// screen. Without the prompts of continued lines, so that it can be copied.
async fn typed(screen: &Screen, stage: &Stage, sql: &str) -> Result<()> {
    let database = stage.database();
    let prompt = format!("{}=#", database.name());
    screen.line(format!("{} {}", style(prompt).dim(), style(sql).bold()))?;
    let columns = format!("columns={}", screen.columns());
    let mut arguments = STOP_AT_ERRORS.to_vec();
    arguments.extend(["-P", "format=wrapped", "-P", &columns]);
    let answer = database.psql(&arguments, sql).await?.ok()?;
    screen.line(answer.trim_end())?;
    Ok(())
}
