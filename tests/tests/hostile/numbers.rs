//! Numbers that are short to say and long to write: `1e131071` is eight characters, and 131,072 digits in every text that is made of it.
//! What holds a few thousands of them can be stored, and never be read or dumped again.

use anyhow::{Result, ensure};

use crate::scene::{Scene, failure, run};

/// jsonb with so many of them, as SQL.
fn many(count: u32) -> String {
    format!(
        "(select jsonb_build_object('n', jsonb_agg('1e131071'::numeric)) from generate_series(1, {count}))"
    )
}

async fn is_dumped(scene: &Scene) -> Result<()> {
    let mut dump = scene.cluster.command("pg_dump");
    let output = dump
        .args(["-f", "/dev/null", scene.database.name()])
        .output()
        .await?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for read in [
        "table reconcile.orders",
        "table reconcile.checks",
        "table reconcile.webhooks",
        "select * from reconcile.read_events(0, 100)",
    ] {
        let read = format!(
            "select count(*) from ({}) as t where t::text is null",
            read.replace("table", "select * from")
        );
        run(&scene.dba, &read).await?;
    }
    Ok(())
}

/// Proves that details and payloads which could not be written out again are refused with RC005, whoever hands them over, that the
/// longest ones that are taken can be read and dumped, and that everything else goes on.
#[tokio::test]
async fn what_cant_be_written_out_again_is_refused() -> Result<()> {
    let scene = Scene::open("hostile_numbers", "", "").await?;
    let app = scene.database.connect_as("shop_app").await?;
    run(
        &app,
        "select reconcile.track_order('GOOD', 'vendor', details => '{\"n\": 1.50}')",
    )
    .await?;
    let mut taken = Vec::new();
    for call in [
        format!(
            "select reconcile.track_order('A', 'vendor', details => {})",
            many(9000)
        ),
        format!(
            "select reconcile.record_webhook('vendor', 'evt-1', {}, 'GOOD')",
            many(9000)
        ),
        "select reconcile.track_order('B', 'vendor', amount => 1e131071)".to_owned(),
    ] {
        let answer = failure(&app, &call).await;
        if !answer
            .as_deref()
            .is_some_and(|answer| answer.starts_with("RC005"))
        {
            taken.push(format!(
                "{}: {answer:?}",
                call.chars().take(60).collect::<String>()
            ));
        }
    }
    assert!(taken.is_empty(), "not refused with RC005: {taken:#?}");
    is_dumped(&scene).await
}

/// Proves that a provider which answers with such numbers, where something is captured, can't have stored what is never read again.
#[tokio::test]
async fn an_answer_full_of_them_harms_nobody() -> Result<()> {
    let scene = Scene::open("hostile_answers", "", "").await?;
    let captures = "select reconcile.alter_provider('vendor', captures => '{\"all\": {\"path\": \"$.all\"}, \"again\": {\"path\": \"$.all\"}}')";
    run(&scene.dba, captures).await?;
    let app = scene.database.connect_as("shop_app").await?;
    run(
        &app,
        "select reconcile.track_order('A', 'vendor', created_at => now() - interval '1 hour')",
    )
    .await?;
    let sidecar = scene.database.connect_as("shop_sidecar").await?;
    run(
        &sidecar,
        "do $$
        declare
            v_id bigint := reconcile.sidecar_start('by hand', '1', 10);
            v_claimed record;
        begin
            select c.order_id, c.token into strict v_claimed from reconcile.sidecar_claim(v_id, 10) as c;
            perform reconcile.sidecar_report(v_id, array[v_claimed.order_id], array[v_claimed.token], null, '{200}',
                array['{\"status\": \"paid\", \"all\": [' || repeat('1e131071,', 6000) || '1]}'], null, null, null);
        end $$",
    )
    .await?;
    is_dumped(&scene).await
}

/// Proves that what is nested deeper than anybody reads is refused with RC005, before it is written out once for each level, and that 128
/// levels are taken.
#[tokio::test]
async fn what_is_nested_too_deeply_is_refused() -> Result<()> {
    let scene = Scene::open("hostile_nested", "", "").await?;
    let nested =
        |depth: u32| format!("(repeat('[', {depth}) || '1.5' || repeat(']', {depth}))::jsonb");
    let written = "select temp_bytes from pg_stat_database where datname = current_database()";
    run(
        &scene.dba,
        "select reconcile.track_order('GOOD', 'vendor'); set log_temp_files = 0; set temp_file_limit = '1MB'",
    )
    .await?;
    for (depth, is_taken) in [(3000, false), (129, false), (127, true)] {
        for call in [
            format!(
                "select reconcile.track_order('D{depth}', 'vendor', details => {})",
                nested(depth).replace("(repeat", "jsonb_build_object('n', (repeat") + ")"
            ),
            format!(
                "select reconcile.record_webhook('vendor', 'D{depth}', {}, 'GOOD')",
                nested(depth)
            ),
        ] {
            let refused = failure(&scene.dba, &call).await;
            ensure!(
                refused
                    .as_deref()
                    .is_none_or(|said| said.starts_with("RC005"))
                    && refused.is_none() == is_taken,
                "{depth}: {refused:?}"
            );
        }
    }
    let written = crate::scene::text(&scene.dba, written).await?;
    ensure!(
        written.as_deref() == Some("0"),
        "{written:?} bytes in temporary files"
    );
    is_dumped(&scene).await
}
