//! What a superuser's session has open that is known by a name or a number, and whoever knows it may use: connections of dblink, large objects,
//! advisory locks, prepared statements.

use anyhow::{Result, ensure};

use crate::scene::{Scene, failure, run, text};

/// What a superuser has open.
const OPENED: &str = "
    create extension dblink schema public;
    select public.dblink_connect(format('host=%s port=%s dbname=%s user=postgres',
        split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port'), current_database()));
    select public.dblink_connect('named', format('host=%s port=%s dbname=%s user=postgres',
        split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port'), current_database()));
    select lo_from_bytea(4711, 'the keys');
    prepare secret as select 'password of prod';
    select pg_advisory_lock(42)";

/// What a hook tries with it, each with whether a session that is no superuser's lets it.
const TRIED: [(&str, bool); 9] = [
    (
        "perform public.dblink_exec('alter role carrier_stranger superuser')",
        false,
    ),
    (
        "perform public.dblink_exec('named', 'alter role carrier_stranger superuser')",
        false,
    ),
    (
        "perform * from public.dblink('named', 'select passwd from pg_shadow') as s (word text)",
        false,
    ),
    ("perform public.dblink_disconnect('named')", false),
    ("perform pg_advisory_unlock_all()", true),
    ("perform pg_try_advisory_lock(7)", true),
    ("perform loread(0, 100)", false),
    ("perform lowrite(0, 'overwritten')", false),
    ("perform * from pg_prepared_statements", true),
];

/// Proves that no hook of somebody else uses what a superuser's session has open, or leaves a lock in it, however it is called; and that the
/// same hook is called in other sessions, and a superuser's own in his.
#[tokio::test]
async fn nobody_uses_what_a_superuser_has_open() -> Result<()> {
    let scene = Scene::open("hostile_reached", "", "").await?;
    run(
        &scene.dba,
        "select reconcile.track_order('R-' || nr, 'vendor') from generate_series(1, 99) as nr",
    )
    .await?;
    run(&scene.dba, OPENED).await?;
    let mut order = 0;
    for (tries, elsewhere) in TRIED {
        run(
            &scene.owner,
            &format!(
                "create or replace function carrier.on_paid(order_number text, facts jsonb) returns void language plpgsql as
                     $$ begin {tries}; end $$"
            ),
        )
        .await?;
        order += 1;
        let resolve = |order| {
            format!(
                "begin; select lo_open(4711, 393216); select reconcile.resolve_order('R-{order}', 'succeeded', 'seen')"
            )
        };
        let said = failure(&scene.dba, &resolve(order)).await;
        run(&scene.dba, "rollback").await?;
        ensure!(
            said.as_ref().is_some_and(|said| said.starts_with("42501")),
            "{tries}: {said:?}"
        );
        let call = format!("select reconcile.resolve_order('R-{order}', 'succeeded', 'seen')");
        let said = failure(&scene.owner, &call).await;
        ensure!(said.is_none() == elsewhere, "elsewhere {tries}: {said:?}");
    }
    let left = "select (select rolsuper from pg_roles where rolname = 'carrier_stranger')::text
        || ' ' || (select count(*) from pg_locks where pid = pg_backend_pid() and locktype = 'advisory')
        || ' ' || convert_from(lo_get(4711), 'UTF8')";
    let left = text(&scene.dba, left).await?;
    ensure!(left.as_deref() == Some("false 1 the keys"), "{left:?}");
    run(
        &scene.dba,
        "create function public.own(order_number text, facts jsonb) returns void language plpgsql as
             $$ begin perform pg_try_advisory_lock(8), pg_advisory_unlock(8), public.dblink_exec('named', 'set application_name = own'); end $$;
         set role carrier_owner; select reconcile.remove_hook('on_paid'); reset role;
         select reconcile.add_hook('own', 'succeeded', 'public.own(text, jsonb)', every_provider => true);
         select reconcile.resolve_order('R-99', 'succeeded', 'seen')",
    )
    .await
}
