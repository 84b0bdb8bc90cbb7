//! A run of the schedule, in which each application's part is a transaction of its own.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::scene::{Scene, failure, run, text};

/// Order LAST is of a provider that none of what follows has to do with.
const NEIGHBOUR: &str = r#"
    create table public.truth (order_number text primary key, status text);
    insert into public.truth values ('LAST', 'paid');
    select reconcile.add_provider('neighbour', kind => 'sql', lookup_table => 'public.truth', status_path => '$.status',
        status_map => '{"paid": "succeeded"}');
    select reconcile.track_order('LAST', 'neighbour', created_at => now() - interval '1 hour');
    select reconcile.track_order('FIRST', 'by_function', created_at => now() - interval '1 hour')"#;

/// What code of an application does in the way of others.
const TROUBLE: [&str; 3] = [
    "assert false",
    "raise exception using errcode = '57014'",
    "perform pg_sleep(600)",
];

const POLICY: &str = "
    alter table carrier.%T enable row level security; alter table carrier.%T force row level security;
    create policy all_rows on carrier.%T using (carrier.sees())";
const SEES: &str =
    "create function carrier.sees() returns boolean language plpgsql as 'begin return true; end'";

/// Proves that a run settles what has nothing to do with an application whose policy, or whose function that a provider is asked by,
/// raises or sleeps, whoever comes first, within the time limit of one run.
#[tokio::test]
async fn trouble_in_one_part_of_a_run_is_nobody_elses() -> Result<()> {
    let scene = Scene::open("hostile_parts", SEES, POLICY).await?;
    run(&scene.dba, NEIGHBOUR).await?;
    ensure!(
        scene.attach(&scene.owner, false).await.is_none(),
        "nothing is attached"
    );
    run(
        &scene.owner,
        "insert into carrier.orders (number, status) values ('O-1', 'processing')",
    )
    .await?;
    let cron = scene.database.connect_as("reconcile_cron").await?;
    run(&cron, "set statement_timeout = '2s'").await?;
    for trouble in TROUBLE {
        for (policy, lookup) in [(trouble, "null"), ("null", trouble)] {
            run(
                &scene.owner,
                &format!(
                    "create or replace function carrier.sees() returns boolean language plpgsql as $$ begin {policy}; return true; end $$;
                     create or replace function carrier.payment_of(order_number text, reference text) returns jsonb language plpgsql as
                         $$ begin {lookup}; return '{{\"status\": \"waits\"}}'; end $$"
                ),
            )
            .await?;
            run(
                &scene.dba,
                "select reconcile.resolve_order('LAST', 'pending', 'once more') where exists
                    (select from reconcile.orders where order_number = 'LAST' and state <> 'pending');
                 update reconcile.due_checks set due_at = now() - interval '1 minute'",
            )
            .await?;
            failure(&cron, "call reconcile.check_stale_orders()").await;
            let state = "select state from reconcile.orders where order_number = 'LAST'";
            let state = text(&scene.dba, state).await?;
            ensure!(
                state.as_deref() == Some("succeeded"),
                "{policy} | {lookup}: {state:?}"
            );
        }
    }
    Ok(())
}

/// Proves that a hook that sleeps when an order is given up ends its own table's part of a run, and not everybody's.
#[tokio::test]
async fn giving_up_is_nobody_elses_trouble() -> Result<()> {
    let scene = Scene::open("hostile_given_up", "", "").await?;
    run(&scene.dba, NEIGHBOUR).await?;
    run(
        &scene.dba,
        "select reconcile.add_provider('lost', 'http://127.0.0.1:9/{order_number}', status_path => '$.status',
             status_map => '{\"paid\": \"succeeded\"}', deadline => '1 minute');
         select reconcile.track_order('LATE', 'lost', created_at => now() - interval '1 day');
         select reconcile.pause_provider('lost', 'it is gone');
         update reconcile.settings set last_check_within = '1 second';
         update reconcile.tracked_orders set tracked_at = now() - interval '1 day', state_changed_at = now() - interval '1 day'
             where order_number = 'LATE';
         update reconcile.providers set paused_at = now() - interval '1 day' where name = 'lost';
         create schema slow;
         create function slow.hook(text, jsonb) returns void language plpgsql as 'begin perform pg_sleep(600); end';
         select reconcile.add_hook('slow', 'review', 'slow.hook(text, jsonb)', every_provider => true)",
    )
    .await?;
    let cron = scene.database.connect_as("reconcile_cron").await?;
    run(&cron, "set statement_timeout = '2s'").await?;
    run(&cron, "call reconcile.check_stale_orders()").await?;
    let state = "select state from reconcile.orders where order_number = 'LAST'";
    let state = text(&scene.dba, state).await?;
    ensure!(state.as_deref() == Some("succeeded"), "{state:?}");
    let runs = text(&scene.dba, "select count(*)::text from reconcile.runs").await?;
    ensure!(runs.as_deref() == Some("1"), "{runs:?}");
    Ok(())
}

/// Proves that the time limit of a run ends each of its parts that sleeps, and not the first alone.
#[tokio::test]
async fn each_part_of_a_run_has_its_time_limit() -> Result<()> {
    let scene = Scene::open("hostile_limits", "", "").await?;
    run(&scene.dba, NEIGHBOUR).await?;
    run(
        &scene.owner,
        "create function carrier.sleeps(text, text) returns jsonb language plpgsql as
             $$ begin perform pg_sleep(600); return null; end $$;
         select reconcile.add_provider('slow' || i, kind => 'sql', lookup => 'carrier.sleeps(text, text)', status_map => '{\"paid\": \"succeeded\"}')
             from generate_series(1, 3) as i",
    )
    .await?;
    run(
        &scene.dba,
        "select reconcile.track_order('S-' || i, 'slow' || i, created_at => now() - interval '1 hour') from generate_series(1, 3) as i;
         select setval('reconcile.scheduled_turns', cardinality(reconcile_doors.parts_of_run()) - 1)",
    )
    .await?;
    let cron = scene.database.connect_as("reconcile_cron").await?;
    run(&cron, "set statement_timeout = '1s'").await?;
    let call = failure(&cron, "call reconcile.check_stale_orders()");
    let said = tokio::time::timeout(Duration::from_secs(30), call).await;
    ensure!(said == Ok(None), "the run does not end: {said:?}");
    let state = "select state from reconcile.orders where order_number = 'LAST'";
    let state = text(&scene.dba, state).await?;
    ensure!(state.as_deref() == Some("succeeded"), "{state:?}");
    Ok(())
}

/// Proves that what a run warns of has its secrets masked as everything that is kept.
#[tokio::test]
async fn a_runs_warnings_are_masked() -> Result<()> {
    let scene = Scene::open("hostile_warned", "", "").await?;
    let cron = scene.database.connect_as("reconcile_cron").await?;
    let note = "select reconcile_doors.note_trouble('57014', 'cancelled with password=hunter2secret', 'a provider')";
    let said = failure(&cron, note).await;
    ensure!(
        said.as_deref() == Some("57014 cancelled with password=[redacted]"),
        "{said:?}"
    );
    Ok(())
}

/// Proves that each part of a run comes first once in as many runs as there are parts, whatever their number.
#[tokio::test]
async fn each_part_of_a_run_comes_first_in_turn() -> Result<()> {
    let scene = Scene::open("hostile_turns", "", "").await?;
    let parts = "select cardinality(reconcile_doors.parts_of_run())::text";
    let parts = text(&scene.dba, parts).await?.unwrap_or_default();
    let firsts = format!(
        "select count(distinct (p[1]).provider_id)::text
         from (select reconcile_doors.parts_of_run() as p from generate_series(1, {parts})) as run"
    );
    let firsts = text(&scene.dba, &firsts).await?.unwrap_or_default();
    ensure!(firsts == parts, "{firsts} of {parts} come first");
    Ok(())
}

/// Proves that an application that raises what a cancellation is called, from a function whose signature is as long as a page, ends its
/// own part of a run.
#[tokio::test]
async fn no_long_name_passes_an_error_off_as_a_cancellation() -> Result<()> {
    let scene = Scene::open("hostile_long_name", "", "").await?;
    run(&scene.dba, NEIGHBOUR).await?;
    let domain = format!("carrier.\"{}\"", "d".repeat(61));
    let arguments = vec![domain.as_str(); 90].join(", ");
    let nulls = vec!["null"; 90].join(", ");
    run(
        &scene.owner,
        &format!(
            "create domain {domain} as integer;
             create function carrier.boom({arguments}) returns void language plpgsql as
                 $$ begin raise 'cancelled, really' using errcode = '57014'; end $$;
             create or replace function carrier.payment_of(order_number text, reference text) returns jsonb language plpgsql as
                 $$ begin perform carrier.boom({nulls}); return null; end $$"
        ),
    )
    .await?;
    let cron = scene.database.connect_as("reconcile_cron").await?;
    run(&cron, "call reconcile.check_stale_orders()").await?;
    let state = "select state from reconcile.orders where order_number = 'LAST'";
    let state = text(&scene.dba, state).await?;
    ensure!(state.as_deref() == Some("succeeded"), "{state:?}");
    Ok(())
}

/// Proves that a run doesn't wait for an index that somebody rebuilds.
#[tokio::test]
async fn a_run_waits_for_no_index() -> Result<()> {
    let scene = Scene::open("hostile_reindexed", "", "").await?;
    run(&scene.dba, NEIGHBOUR).await?;
    ensure!(
        scene.attach(&scene.owner, false).await.is_none(),
        "nothing is attached"
    );
    run(
        &scene.owner,
        "insert into carrier.orders (number, status) values ('O-1', 'processing'); begin; reindex index carrier.orders_pkey",
    )
    .await?;
    let cron = scene.database.connect_as("reconcile_cron").await?;
    run(&cron, "set statement_timeout = '20s'").await?;
    run(&cron, "call reconcile.check_stale_orders()").await?;
    let state = "select state from reconcile.orders where order_number = 'LAST'";
    let state = text(&scene.dba, state).await?;
    ensure!(state.as_deref() == Some("succeeded"), "{state:?}");
    run(&scene.owner, "rollback").await
}

/// Proves that who asks for an order that nobody knows meets no code of a table that he may not read.
#[tokio::test]
async fn an_unknown_number_runs_no_strangers_code() -> Result<()> {
    let scene = Scene::open("hostile_unknown_number", SEES, POLICY).await?;
    ensure!(
        scene.attach(&scene.owner, false).await.is_none(),
        "nothing is attached"
    );
    run(
        &scene.owner,
        "insert into carrier.orders (number, status) values ('O-1', 'processing');
         create or replace function carrier.sees() returns boolean language plpgsql as $$ begin perform pg_sleep(600); return true; end $$",
    )
    .await?;
    let app = scene.database.connect_as("shop_app").await?;
    let asked = "set statement_timeout = '10s'; select * from reconcile_order('NOBODYS', '0')";
    let said = failure(&app, asked).await.unwrap_or_default();
    ensure!(said.starts_with("RC001"), "{said}");
    Ok(())
}
