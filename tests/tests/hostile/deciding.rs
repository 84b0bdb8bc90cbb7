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
