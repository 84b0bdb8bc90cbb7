//! A statement that really was cancelled, in code of an application whose names are those of other errors.

use anyhow::{Result, ensure};

use crate::scene::{Scene, failure, run, text};

/// A hook of each name, and what it does: none of them raises anything.
const SLEEPING: [(&str, &str); 6] = [
    (" dblink connection", "perform pg_sleep(60)"),
    ("remote SQL command: ", "perform pg_sleep(60)"),
    ("a\nremote SQL command: select", "perform pg_sleep(60)"),
    ("named", "perform pg_sleep(60) as \" RAISE \""),
    ("noted", "perform 1, pg_sleep(60) /* \" at RAISE */"),
    ("f line 1 at RAISE", "perform pg_sleep(60)"),
];

const ORDER: &str = r#"
    create table public.truth (order_number text primary key, status text);
    insert into public.truth values ('ONE', 'paid');
    select reconcile.add_provider('truth', kind => 'sql', lookup_table => 'public.truth', status_path => '$.status',
        status_map => '{"paid": "succeeded"}');
    select reconcile.track_order('ONE', 'truth', created_at => now() - interval '1 hour')"#;

/// Proves that the end of a statement's time limit is taken for just that, whatever the code that was running calls its functions and
/// columns.
#[tokio::test]
async fn no_name_hides_a_cancellation() -> Result<()> {
    let scene = Scene::open("hostile_cancelled", "", "").await?;
    run(&scene.dba, ORDER).await?;
    let app = scene.database.connect_as("shop_app").await?;
    run(&app, "set statement_timeout = '500ms'").await?;
    for (name, statement) in SLEEPING {
        run(
            &scene.owner,
            &format!(
                "create function carrier.\"{name}\"(text, jsonb) returns void language plpgsql as $$ begin {statement}; end $$;
                 select reconcile.add_hook('sleeps', 'succeeded', 'carrier.\"{name}\"(text, jsonb)', provider => 'truth')"
            ),
        )
        .await?;
        let said = failure(&app, "select * from reconcile_order('ONE')").await;
        ensure!(
            said.as_deref() == Some("57014 canceling statement due to statement timeout"),
            "{name} | {statement}: {said:?}"
        );
        run(&scene.owner, "select reconcile.remove_hook('sleeps')").await?;
    }
    Ok(())
}

/// Proves that a cancellation which code of an application catches and answers with an error of its own is that error, and that one
/// which it passes on is the cancellation.
#[tokio::test]
async fn what_is_caught_is_what_it_is_raised_as() -> Result<()> {
    let scene = Scene::open("hostile_caught", "", "").await?;
    run(&scene.dba, ORDER).await?;
    let app = scene.database.connect_as("shop_app").await?;
    run(&app, "set statement_timeout = '500ms'").await?;
    for (answer, expected) in [
        (
            "raise",
            Some("57014 canceling statement due to statement timeout"),
        ),
        (
            "raise exception using errcode = '57014', message = 'canceling statement due to statement timeout'",
            None,
        ),
    ] {
        run(
            &scene.owner,
            &format!(
                "create or replace function carrier.on_paid(order_number text, facts jsonb) returns void language plpgsql as
                     $$ begin perform pg_sleep(60); exception when query_canceled then {answer}; end $$"
            ),
        )
        .await?;
        let said = failure(&app, "select * from reconcile_order('ONE')").await;
        ensure!(said.as_deref() == expected, "{answer}: {said:?}");
    }
    let kept = "select failures::text from reconcile.recorded_failures";
    let kept = text(&scene.dba, kept).await?;
    ensure!(kept.as_deref() == Some("1"), "{kept:?}");
    Ok(())
}
