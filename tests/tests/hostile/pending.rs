//! What a caller has open or pending when the ledger runs code of others: none of it may run with the ledger's rights, or be stopped or
//! read by somebody else.

use anyhow::{Context, Result, ensure};

use crate::scene::{Scene, failure, run, text};

/// A deferred trigger that notes as whom it runs, and a function for an index that calls the ledger.
const DEFERRED: &str = "
    create table carrier.ran (as_role text);
    grant insert on carrier.ran to public;
    create table carrier.first (nr integer);
    create function carrier.notes() returns trigger language plpgsql as
        $$ begin insert into carrier.ran values (current_user); return null; end $$;
    create constraint trigger notes after insert on carrier.first deferrable initially deferred for each row execute function carrier.notes();
    create table carrier.words (word text);
    insert into carrier.words values ('x');
    create function carrier.calls(word text) returns text language plpgsql immutable as $$ begin
        perform reconcile.record_webhook('vendor', 'event' || clock_timestamp(), '{}', 'P-1'); return word; end $$;";

/// Proves that what is pending when a restricted operation begins, as CREATE INDEX is one, is run as the session at COMMIT, and not as the
/// ledger by a call within that operation.
#[tokio::test]
async fn what_is_pending_never_runs_as_the_ledger() -> Result<()> {
    let scene = Scene::open("hostile_pending", DEFERRED, "").await?;
    let track = "select reconcile.track_order('P-1', 'vendor')";
    run(&scene.dba, track).await?;
    let attack = "begin; insert into carrier.first values (1); create index on carrier.words (carrier.calls(word)); commit";
    run(&scene.owner, attack).await?;
    let ran = text(
        &scene.owner,
        "select string_agg(as_role, ' ') from carrier.ran",
    );
    ensure!(
        ran.await?.as_deref() == Some("carrier_owner"),
        "ran as another role"
    );
    Ok(())
}

/// Proves that the ledger's own role gives no function to a role that the session does not have, or to one of PostgreSQL's own.
#[tokio::test]
async fn the_ledger_gives_away_no_roles() -> Result<()> {
    let scene = Scene::open("hostile_given", "", "").await?;
    run(
        &scene.dba,
        "set session authorization reconcile_owner;
        create function reconcile_doors.mine() returns void language sql as ''",
    )
    .await?;
    for role in [
        "pg_execute_server_program",
        "carrier_heir",
        "postgres",
        "pg_read_all_stats",
    ] {
        let give = format!(
            "select reconcile_internal._give_to('reconcile_doors.mine()'::regprocedure, '{role}'::regrole)"
        );
        let said = failure(&scene.dba, &give).await.unwrap_or_default();
        ensure!(said.starts_with("42501"), "{role}: {said:?}");
    }
    Ok(())
}

/// Proves that nobody's constraints, made with the right to temporary tables alone, stop a call of another session.
#[tokio::test]
async fn constraints_of_one_name_stop_nobody() -> Result<()> {
    let scene = Scene::open("hostile_namesakes", "", "").await?;
    let stranger = scene.database.connect_as("carrier_stranger").await?;
    let tables = "
        create TEMP table one (nr integer, constraint same unique (nr) deferrable initially deferred);
        create TEMP table two (nr integer constraint same check (nr > 1))";
    run(&stranger, &tables.replace("TEMP", "temp")).await?;
    let owned = tables
        .replace("TEMP", "")
        .replace("table ", "table carrier.");
    run(&scene.owner, &owned).await?;
    run(&scene.dba, "select reconcile.track_order('N-1', 'vendor')").await?;
    for call in [
        "select * from reconcile_stale_orders(10)",
        "select reconcile.record_webhook('vendor', 'event', '{}', 'N-1')",
        "select reconcile.resolve_order('N-1', 'succeeded', 'seen')",
    ] {
        run(&scene.dba, call).await?;
    }
    Ok(())
}

/// Proves that no query of the ledger is open while a hook or a trigger runs, which could read on in its portal and so take orders away.
#[tokio::test]
async fn no_portal_of_the_ledger_is_open() -> Result<()> {
    let code = "
        create table carrier.portals (seen text);
        grant insert on carrier.portals to public;
        create function carrier.looks() returns void language sql as
            $$ insert into carrier.portals select c.statement from pg_cursors as c where c.statement ~ 'reconcile' $$;
        create or replace function carrier.on_paid(order_number text, facts jsonb) returns void language plpgsql as
            $$ begin perform carrier.looks(); end $$;
        create or replace function carrier.payment_of(order_number text, reference text) returns jsonb language plpgsql as
            $$ begin perform carrier.looks(); return '{\"status\": \"paid\"}'; end $$;
        create function carrier.row_looks() returns trigger language plpgsql as $$ begin perform carrier.looks(); return new; end $$";
    let shape = "create trigger looks before update on carrier.%T for each row execute function carrier.row_looks()";
    let scene = Scene::open("hostile_portals", code, shape).await?;
    ensure!(
        scene.attach(&scene.owner, false).await.is_none(),
        "nothing is attached"
    );
    run(
        &scene.dba,
        "select reconcile.track_order('S-' || nr, 'by_function', created_at => now() - interval '1 hour') from generate_series(1, 30) as nr",
    )
    .await?;
    run(
        &scene.owner,
        "insert into carrier.orders (number, status) select 'O-' || nr, 'processing' from generate_series(1, 30) as nr;
        select reconcile.record_webhook('vendor', 'event' || nr, '{\"status\": \"paid\"}', 'O-' || nr) from generate_series(1, 30) as nr",
    )
    .await?;
    run(&scene.dba, "select * from reconcile_stale_orders(1000)").await?;
    let settled = "select count(*) from reconcile.orders where state = 'succeeded'";
    let settled = text(&scene.dba, settled).await?.context("no count")?;
    ensure!(settled.parse::<i64>()? >= 30, "only {settled} were settled");
    let seen = text(
        &scene.dba,
        "select string_agg(distinct left(seen, 200), '; ') from carrier.portals",
    );
    let seen = seen.await?;
    ensure!(seen.is_none(), "open: {seen:?}");
    Ok(())
}

/// Proves that a login of the sidecar settles nothing by the ids that are the ledger's own, of which one has no effects.
#[tokio::test]
async fn only_a_sidecars_id_reports() -> Result<()> {
    let scene = Scene::open("hostile_ids", "", "").await?;
    for id in ["-1", "0", "null"] {
        let claim = format!("select * from reconcile.sidecar_claim({id}, 10)");
        let report = format!(
            "select * from reconcile.sidecar_report({id}, '{{1}}', '{{1}}', '{{null}}', '{{200}}', '{{x}}', '{{x}}', '{{1}}', '{{null}}')"
        );
        for call in [claim, report] {
            let said = failure(&scene.dba, &call).await.unwrap_or_default();
            ensure!(said.starts_with("RC005"), "{call}: {said:?}");
        }
    }
    Ok(())
}

/// Proves that a declaration can't be written that no dump could read, and that its id is nobody's to choose.
#[tokio::test]
async fn a_declaration_can_be_dumped() -> Result<()> {
    let scene = Scene::open("hostile_declared", "", "").await?;
    let wide = "insert into reconcile.declarations (what, arguments)
        select 'x', jsonb_build_object('a', (select jsonb_agg(1e131071::numeric) from generate_series(1, 20)))";
    let chosen = "insert into reconcile.declarations (declaration_id, what, arguments) values (99, 'x', '{}')";
    for (sql, code) in [(wide, "23514"), (chosen, "42501")] {
        let said = failure(&scene.owner, sql).await.unwrap_or_default();
        ensure!(said.starts_with(code), "{said:?}");
    }
    Ok(())
}

/// Proves that an operator's open transaction keeps no heartbeat waiting.
#[tokio::test]
async fn a_heartbeat_waits_for_nobody() -> Result<()> {
    let scene = Scene::open("hostile_heartbeat", "", "").await?;
    run(
        &scene.dba,
        "select reconcile.track_order('H-1', 'by_table', created_at => now() - interval '1 hour');
        insert into reconcile.ended_calls (provider_id, calls, faults, answered) select provider_id, 0, 0, true from reconcile.providers",
    )
    .await?;
    run(
        &scene.owner,
        "begin; select reconcile.alter_provider('vendor', timeout => '5 s')",
    )
    .await?;
    let beat = "set statement_timeout = '5s';
        select reconcile.sidecar_heartbeat(reconcile.sidecar_start('one', '0.1.0', 10), 0)";
    run(&scene.dba, beat).await?;
    run(&scene.owner, "rollback").await
}

/// Proves that the owner of a database, whose `public` is, can't put a function of his in the place of what the schedule calls.
#[tokio::test]
async fn the_schedule_calls_the_extensions_own() -> Result<()> {
    let scene = Scene::open("hostile_renamed", "", "").await?;
    run(
        &scene.dba,
        "alter schema public rename to before; create schema public;
        create function public.reconcile_stale_orders(integer, interval, text, timestamptz, timestamptz)
        returns table (run_id bigint, selected integer, closed integer, given_up integer) language plpgsql as
            $$ begin raise exception 'not the one'; end $$",
    )
    .await?;
    let cron = scene.database.connect_as("reconcile_cron").await?;
    run(&cron, "call reconcile.check_stale_orders()").await?;
    let runs = text(&scene.dba, "select count(*) from reconcile.runs").await?;
    ensure!(runs.as_deref() == Some("1"), "{runs:?} runs");
    Ok(())
}
