//! What an application can do to orders that are not its own, by rows of its own table.

use anyhow::{Result, ensure};

use crate::scene::{Scene, failure, run, text};

const STATES: &str = "select string_agg(order_number || ' ' || state, ', ' order by order_number) from reconcile.orders";

/// Proves that a row takes over an order that was tracked by hand before its table was attached, and none that was tracked after: that one
/// is not cancelled with the row, and reconcile.unwatched_rows says whose the number is.
#[tokio::test]
async fn a_row_takes_no_later_order_over() -> Result<()> {
    let scene = Scene::open("hostile_taken_over", "", "").await?;
    run(
        &scene.dba,
        "select reconcile.track_order('EARLIER', 'vendor')",
    )
    .await?;
    ensure!(
        scene.attach(&scene.owner, false).await.is_none(),
        "nothing is attached"
    );
    run(
        &scene.dba,
        "select reconcile.track_order('LATER', 'vendor')",
    )
    .await?;
    let rows = "insert into carrier.orders (number, status) values ('EARLIER', 'processing'), ('LATER', 'processing')";
    run(&scene.owner, rows).await?;
    let why = "select problem from reconcile.unwatched_rows where order_number = 'LATER'";
    let why = text(&scene.dba, why).await?.unwrap_or_default();
    ensure!(why.contains("tracked by hand"), "{why:?}");
    run(&scene.owner, "delete from carrier.orders").await?;
    run(
        &scene.dba,
        "select * from reconcile.take_in('carrier.orders')",
    )
    .await?;
    let states = text(&scene.dba, STATES).await?.unwrap_or_default();
    ensure!(states == "EARLIER cancelled, LATER pending", "{states}");
    Ok(())
}

/// Proves that orders of a detached table are not taken over by another owner's, and that nobody's orders are locked by numbers that
/// somebody writes into his own table and keeps his transaction open.
#[tokio::test]
async fn a_detached_tables_orders_stay_its_own() -> Result<()> {
    let scene = Scene::open("hostile_detached", "", "").await?;
    ensure!(
        scene.attach(&scene.owner, false).await.is_none(),
        "nothing is attached"
    );
    run(
        &scene.owner,
        "insert into carrier.orders (number, status) values ('MINE', 'processing'), ('ALSO', 'processing')",
    )
    .await?;
    run(
        &scene.dba,
        "grant create on schema carrier to carrier_heir; grant reconcile_operator to carrier_heir;
         create table carrier.other (number text primary key, status text);
         alter table carrier.other owner to carrier_heir",
    )
    .await?;
    let heir = scene.database.connect_as("carrier_heir").await?;
    run(
        &heir,
        "select * from reconcile.attach_table('carrier.other', 'vendor', track => '{processing}')",
    )
    .await?;
    run(
        &heir,
        "begin; insert into carrier.other values ('ALSO', 'processing'), ('MINE', 'processing')",
    )
    .await?;
    let decide = "set lock_timeout = '2s'; select reconcile.resolve_order('ALSO', 'succeeded', 'nobody holds it')";
    run(&scene.dba, decide).await?;
    run(&heir, "rollback").await?;
    run(
        &scene.owner,
        "select reconcile.detach_table('carrier.orders')",
    )
    .await?;
    run(
        &heir,
        "insert into carrier.other values ('MINE', 'processing'); update carrier.other set status = 'gone'; delete from carrier.other",
    )
    .await?;
    run(
        &scene.dba,
        "select * from reconcile.take_in('carrier.other')",
    )
    .await
    .ok();
    let states = text(&scene.dba, STATES).await?.unwrap_or_default();
    ensure!(states == "ALSO succeeded, MINE pending", "{states}");
    Ok(())
}

/// Proves that the owner of one attached table can't say anything of another's rows.
#[tokio::test]
async fn nobody_notes_rows_of_anothers_table() -> Result<()> {
    let scene = Scene::open("hostile_noted", "", "").await?;
    ensure!(
        scene.attach(&scene.owner, false).await.is_none(),
        "nothing is attached"
    );
    run(
        &scene.dba,
        "grant create on schema carrier to carrier_heir; grant reconcile_operator to carrier_heir;
         create table carrier.other (number text primary key, status text);
         alter table carrier.other owner to carrier_heir",
    )
    .await?;
    let heir = scene.database.connect_as("carrier_heir").await?;
    run(
        &heir,
        "select * from reconcile.attach_table('carrier.other', 'vendor', track => '{processing}')",
    )
    .await?;
    let doors = "select string_agg(format('select %s(array[''X'', ''Y''])', p.oid::regproc), ';' order by p.oid) from pg_proc as p
        where p.pronamespace = 'reconcile_doors'::regnamespace and p.proname ~ '^note_rows_of_[0-9]+$'";
    let doors = text(&scene.dba, doors).await?.unwrap_or_default();
    let mut refused = 0;
    for door in doors.split(';') {
        match failure(&heir, door).await {
            Some(failure) if failure.starts_with("42501") => refused += 1,
            Some(failure) => anyhow::bail!("{door}: {failure}"),
            None => {}
        }
    }
    ensure!(
        doors.split(';').count() == 3 && refused == 2,
        "{doors}: {refused} refused"
    );
    Ok(())
}
