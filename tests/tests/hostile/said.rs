//! What an error of an application's code says of itself: that somebody has cancelled, that two transactions have collided, that a table
//! is not as it was, and 20 MB of it. It is kept as that code's, and nobody else's work ends by it.

use anyhow::{Context, Result, ensure};
use reconcile_tests::shop::Till;
use reconcile_tests::shop::refusal;

use crate::scene::{Scene, cluster, failure, run, text};

/// Proves that a RAISE is known as one in every language of the server, that an inner frame decides and no text in it, and that a real
/// cancellation is one still.
#[tokio::test]
async fn a_raise_is_one_in_every_language() -> Result<()> {
    let scene = Scene::open("hostile_languages", "", "").await?;
    for (context, is_own) in [
        (
            "PL/pgSQL function shop.f(text,jsonb) line 1 at RAISE",
            false,
        ),
        (
            "PL/pgSQL-Funktion shop.f(text,jsonb) Zeile 1 bei RAISE\nSQL-Anweisung »select 1«",
            false,
        ),
        (
            "fonction PL/pgSQL shop.f(text,jsonb), ligne 1, à ASSERT",
            false,
        ),
        ("PL/pgSQL関数shop.f(text,jsonb)の1行目 - RAISEの場所", false),
        (
            "PL/pgSQL function shop.\"f\nx\"() line 1 at RAISE\nSQL statement \"select 1\"",
            false,
        ),
        ("remote SQL command: select 1", false),
        (
            "while executing query on dblink connection named \"x\"",
            false,
        ),
        ("", true),
        (
            "SQL statement \"select pg_sleep(1) -- at RAISE\"\nPL/pgSQL function shop.f() line 1 at PERFORM",
            true,
        ),
        ("PL/pgSQL function shop.\"RAISE\"() line 1 at PERFORM", true),
        (
            "PL/pgSQL function shop.\" dblink connection\"(text,jsonb) line 1 at PERFORM",
            true,
        ),
        (
            "PL/pgSQL function shop.\"x\nremote SQL command: \"() line 1 at PERFORM",
            true,
        ),
        (
            "PL/pgSQL function shop.f() line 1 at PERFORM\nremote SQL command: select 1",
            true,
        ),
        (
            "PL/pgSQL function shop.f() line 1 at PERFORM\nPL/pgSQL function shop.g() line 1 at RAISE",
            true,
        ),
    ] {
        let own = "select reconcile_internal._is_own_trouble('57014', $1), reconcile_internal._wants_room('53100', $1)";
        let row = scene.dba.query_one(own, &[&context]).await?;
        let (own, wants): (bool, bool) = (row.get(0), row.get(1));
        let remote = context.starts_with("remote") || context.starts_with("while");
        ensure!(
            own == is_own && wants == (is_own || remote),
            "{context}: {own}, {wants}"
        );
    }
    Ok(())
}

/// Proves that a hook and a lookup that raise 40001 fail for their orders alone where transactions are repeatable read, as everywhere.
#[tokio::test]
async fn a_collision_that_is_said_ends_no_run() -> Result<()> {
    let till = Till::open_in(cluster().await?, "hostile_collision").await?;
    till.run(
        "alter database hostile_collision set default_transaction_isolation = 'repeatable read'",
    )
    .await?;
    till.hook(
        "collides",
        "succeeded",
        "begin if order_number = 'BAD' then raise exception 'mine' using errcode = '40001'; end if; end",
    )
    .await?;
    till.does(
        "create function shop.asked(order_number text, reference text) returns jsonb language plpgsql as $$ begin
            if order_number = 'ASKED' then raise exception 'mine' using errcode = '40001'; end if; return '{\"status\": \"paid\"}'; end $$;
         select reconcile.add_provider('asks', kind => 'sql', lookup => 'shop.asked(text, text)', status_path => '$.status',
            status_map => '{\"paid\": \"succeeded\"}')",
    )
    .await?;
    till.sells("paid", &["BAD", "GOOD"]).await?;
    till.track_at("asks", "ASKED", "10 minutes").await?;
    till.track_at("asks", "WELL", "10 minutes").await?;
    let other = till.database.connect().await?;
    other
        .batch_execute("select * from reconcile_stale_orders(1000)")
        .await?;
    assert_eq!(
        till.states().await?,
        [
            "ASKED pending",
            "BAD pending",
            "GOOD succeeded",
            "WELL succeeded"
        ]
    );
    let failure = till.failure("BAD").await?.context("no failure is kept")?;
    assert_eq!((failure.0, failure.1, failure.2.as_str()), (0, 1, "40001"));
    till.is_sound().await
}

/// Proves that a policy that says it was cancelled, where the row is looked at because the application has moved it, has its own order
/// put off and recorded, and that the rest of its batch is settled.
#[tokio::test]
async fn a_policy_that_cancels_puts_its_own_order_off() -> Result<()> {
    let scene = Scene::open("hostile_policy", "", "").await?;
    ensure!(
        scene.attach(&scene.owner, false).await.is_none(),
        "nothing is attached"
    );
    run(
        &scene.owner,
        "insert into carrier.orders values ('MOVED', 'processing');
         alter table carrier.orders disable trigger all;
         update carrier.orders set status = 'mine';
         alter table carrier.orders enable trigger all;
         create function carrier.cancels() returns boolean language plpgsql as $$ declare v_context text; begin
            get diagnostics v_context = pg_context;
            if v_context ~ '_yield_to' then raise exception 'no' using errcode = '57014'; end if; return true; end $$;
         alter table carrier.orders enable row level security;
         alter table carrier.orders force row level security;
         create policy cancels on carrier.orders using (carrier.cancels())",
    )
    .await?;
    run(
        &scene.dba,
        "select reconcile.track_order('OTHER', 'vendor', created_at => now() - interval '1 hour')",
    )
    .await?;
    run(&scene.dba, "update reconcile.due_checks set due_at = now()").await?;
    let report = "do $$ declare v_id bigint := reconcile.sidecar_start('by hand', '1', 10); begin
        create temporary table claimed as select c.order_id, c.token from reconcile.sidecar_claim(v_id, 10) as c;
        perform from reconcile.sidecar_report(v_id, (select array_agg(order_id) from claimed), (select array_agg(token) from claimed), null,
            (select array_agg(200) from claimed), (select array_agg('{\"status\": \"paid\"}'::text) from claimed), null, null, null); end $$";
    ensure!(
        failure(&scene.dba, report).await.is_none(),
        "the report failed: {:?}",
        failure(&scene.dba, report).await
    );
    let states = "select string_agg(order_number || ' ' || state, ', ' order by order_number) from reconcile.orders";
    let states = text(&scene.dba, states).await?.unwrap_or_default();
    ensure!(states == "MOVED pending, OTHER succeeded", "{states}");
    let failed =
        "select string_agg(order_number || ' ' || sqlstate, ', ') from reconcile.failed_effects";
    let failed = text(&scene.dba, failed).await?.unwrap_or_default();
    ensure!(failed == "MOVED RC013", "{failed}");
    let next = "select next_check_at > now() from reconcile.orders where order_number = 'MOVED'";
    ensure!(
        text(&scene.dba, next).await?.as_deref() == Some("t"),
        "it is not asked about again"
    );
    Ok(())
}

/// Proves that what a statement trigger raises is the write-back's failure, whatever class it is of and whatever mark it wears, that the
/// trigger is not run a second time to find out, and that a column that is really gone is waited out and named.
#[tokio::test]
async fn a_trigger_can_not_say_that_the_table_has_changed() -> Result<()> {
    let scene = Scene::open("hostile_changed", "", "").await?;
    ensure!(
        scene.attach(&scene.owner, false).await.is_none(),
        "nothing is attached"
    );
    run(
        &scene.owner,
        "create sequence carrier.runs;
         create function carrier.says() returns trigger language plpgsql as $$ begin
            perform nextval('carrier.runs');
            raise exception 'no such table' using errcode = '42P01', schema = 'hook on_paid', table = 'waits'; end $$;
         create trigger says before update on carrier.orders for each statement execute function carrier.says();
         insert into carrier.orders values ('A', 'processing')",
    )
    .await?;
    let resolve = "select reconcile.resolve_order('A', 'succeeded', 'seen')";
    let refused = failure(&scene.dba, resolve).await.unwrap_or_default();
    ensure!(refused == "42P01 no such table", "{refused}");
    let runs = text(&scene.dba, "select last_value from carrier.runs").await?;
    ensure!(runs.as_deref() == Some("1"), "it was run {runs:?} times");
    let review = "select reconcile.resolve_order('A', 'review', 'seen')";
    ensure!(
        failure(&scene.dba, review).await.is_none(),
        "review is refused"
    );
    run(&scene.owner, "drop trigger says on carrier.orders; alter table carrier.orders rename column note to remark").await?;
    let refused = failure(&scene.dba, resolve).await.unwrap_or_default();
    ensure!(
        refused
            .starts_with("RC011 carrier.orders is not as it was attached: it has no column note"),
        "{refused}"
    );
    Ok(())
}

/// Proves that of a hook's message, detail and hint of 20 MB only the beginning is looked at and handed on.
#[tokio::test]
async fn a_long_message_is_cut_where_it_is_caught() -> Result<()> {
    let till = Till::open_in(cluster().await?, "hostile_long").await?;
    till.hook(
        "long",
        "succeeded",
        "begin raise exception using message = repeat('x 4', 7000000), detail = repeat('d', 20000000), hint = repeat('h', 20000000); end",
    )
    .await?;
    till.sells("paid", &["A"]).await?;
    let refused = refusal(
        &till.owner,
        "select reconcile.resolve_order('A', 'succeeded', 'seen')",
    )
    .await?;
    let lengths = (
        refused.message().len(),
        refused.detail().map_or(0, str::len),
        refused.hint().map_or(0, str::len),
    );
    ensure!(
        lengths.0 <= 4000 && lengths.1 <= 4100 && lengths.2 <= 1000,
        "{lengths:?}"
    );
    till.settles().await?;
    let failure = till.failure("A").await?.context("no failure is kept")?;
    ensure!(failure.0 == 1 && failure.3.len() <= 1000, "{failure:?}");
    till.is_sound().await
}
