//! What was looked at when it was registered, and is something else when it is called: a function that is dropped for a more general one,
//! an operator under the application's own search_path, a table that becomes a view while its lock is waited for.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reconcile_tests::wait;

use crate::probe::{self, Mark};
use crate::scene::{Scene, failure, run, text};

/// A superuser's own functions in the application's schema, registered by him. Whether he may is not the question here.
const TRUSTED: [&str; 4] = [
    "create function carrier.trusted(order_number text, facts jsonb) returns void language plpgsql as 'begin end'",
    r#"create function carrier.answers(order_number text, reference text) returns jsonb language plpgsql as
        $$ begin return '{"status": "paid"}'; end $$"#,
    "select reconcile.add_hook('trusted', 'succeeded', 'carrier.trusted(text, jsonb)', every_provider => true)",
    r#"select reconcile.add_provider('trusted', kind => 'sql', lookup => 'carrier.answers(text, text)', status_map => '{"paid": "succeeded"}')"#,
];

/// A scene with these, and orders that are due: those of the superuser's lookup, and those that call his hook.
async fn trusting(name: &'static str) -> Result<Scene> {
    let scene = Scene::open(name, "", "").await?;
    for sql in TRUSTED {
        // One that a superuser may not say is one that does no harm.
        failure(&scene.dba, sql).await;
    }
    for (number, provider) in [("A", "trusted"), ("B", "by_function"), ("C", "by_table")] {
        let track = format!(
            "select reconcile.track_order('{number}', '{provider}', created_at => now() - interval '1 hour')"
        );
        failure(&scene.dba, &track).await;
    }
    run(
        &scene.owner,
        "insert into carrier.payments values ('C', 'paid')",
    )
    .await?;
    Ok(scene)
}

fn contained(scene: &Scene, mark: Mark) -> Result<()> {
    let runs = probe::runs_since(scene.cluster, mark, scene.database.name())?;
    let wrong: BTreeSet<String> = runs
        .iter()
        .filter(|run| !run.is_contained(None))
        .map(probe::Run::says)
        .collect();
    ensure!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}

/// Proves that a superuser's hook and lookup whose functions are dropped by the schema's owner for ones that take anything are not called
/// with his rights: a check that finds nothing refuses.
#[tokio::test]
async fn a_function_that_takes_anything_is_not_the_one_that_was_registered() -> Result<()> {
    let scene = trusting("hostile_anyelement").await?;
    let again = "
        drop function if exists carrier.trusted(text, jsonb), carrier.answers(text, text);
        create function carrier.trusted(anyelement, jsonb) returns void language plpgsql as $$ begin perform carrier.probe('hook'); end $$;
        create function carrier.answers(anyelement, anyelement) returns jsonb language plpgsql as
            $$ begin perform carrier.probe('lookup'); return '{\"status\": \"paid\"}'; end $$";
    run(&scene.owner, again).await?;
    let mark = probe::mark(scene.cluster)?;
    let cron = scene.database.connect_as("reconcile_cron").await?;
    run(&cron, "select * from reconcile_stale_orders(1000)").await?;
    contained(&scene, mark)
}

/// Proves that no operator of the application's schema is found by what looks at its functions before they are called: not for `=` of any
/// two types that the catalog compares by conversion.
#[tokio::test]
async fn no_operator_of_the_applications_schema_is_found_before_its_code_is_called() -> Result<()> {
    let scene = trusting("hostile_equals").await?;
    let pairs = [
        "oid, regprocedure",
        "regprocedure, oid",
        "oid, regclass",
        "regclass, oid",
        "oid, regproc",
        "oid, integer",
        "name, text",
        "text, name",
        "name, regrole",
        "oid, regrole",
        "regrole, oid",
        "text, varchar",
        "name, varchar",
    ];
    for (nr, types) in pairs.iter().enumerate() {
        let (left, right) = types.split_once(", ").unwrap_or((types, types));
        let operator = format!(
            "create function carrier.same_{nr}({types}) returns boolean language plpgsql as
                $$ begin perform carrier.probe('operator = {types}'); raise exception 'found'; end $$;
             create operator carrier.= (leftarg = {left}, rightarg = {right}, function = carrier.same_{nr})"
        );
        // What the catalog has already is no way in.
        failure(&scene.owner, &operator).await;
    }
    let mark = probe::mark(scene.cluster)?;
    let cron = scene.database.connect_as("reconcile_cron").await?;
    run(&cron, "select * from reconcile_stale_orders(1000)").await?;
    contained(&scene, mark)
}

/// Who reads an attached table: by its page, and by an order number that nobody has told of.
const READERS: [&str; 2] = [
    "select * from reconcile.take_in('carrier.orders', 1)",
    "select * from reconcile_order('V', '0')",
];

/// Proves that a table which the owner of its schema swaps for a view of his, while its lock is waited for, is not read with the rights of
/// the table's owner: neither a superuser's nor another role's.
#[tokio::test]
async fn a_table_swapped_for_a_view_under_its_lock_is_not_read() -> Result<()> {
    for (nth, owner) in ["postgres", "carrier_heir"].into_iter().enumerate() {
        for (reader, read) in READERS.into_iter().enumerate() {
            let name: &'static str = format!("hostile_swapped_{nth}_{reader}").leak();
            let scene = Scene::open(name, "", "").await?;
            run(
                &scene.dba,
                &format!("alter table carrier.orders owner to {owner}"),
            )
            .await?;
            if scene.attach(&scene.dba, false).await.is_none() {
                swap_under(&scene, read)
                    .await
                    .with_context(|| format!("{owner}: {read}"))?;
            }
        }
    }
    Ok(())
}

/// Has a superuser read while the table is being swapped.
async fn swap_under(scene: &Scene, read: &'static str) -> Result<()> {
    let swap = "begin; drop table carrier.orders;
        create view carrier.orders as
            select 'V'::text as number, 'processing'::text as status, 1 as amount, ''::text as note, now() as created_at where carrier.probe('view')";
    run(&scene.owner, swap).await?;
    let mark = probe::mark(scene.cluster)?;
    let reader = scene.database.connect().await?;
    let reading = tokio::spawn(async move { failure(&reader, read).await });
    let blocked = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    // A reader who doesn't wait for it has passed by, which is just as well.
    wait::until(
        Duration::from_secs(20),
        "a reader that waits or is done",
        async || {
            reading.is_finished()
                || text(&scene.dba, blocked)
                    .await
                    .is_ok_and(|count| count.as_deref() == Some("1"))
        },
    )
    .await?;
    run(&scene.owner, "commit").await?;
    reading.await?;
    failure(&scene.dba, "select * from reconcile_stale_orders(1000)").await;
    contained(scene, mark)
}
