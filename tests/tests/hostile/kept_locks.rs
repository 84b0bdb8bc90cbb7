//! Advisory locks that code of an application leaves to the session of a sidecar, which lasts as long as its connection.

use anyhow::{Result, ensure};

use crate::scene::{Scene, failure, run, text};

const HELD: &str =
    "select count(*) from pg_locks where pid = pg_backend_pid() and locktype = 'advisory'";

/// Proves that a sidecar's session keeps no lock that code of an application took in a call that failed, once it makes the next call of
/// any kind that may run such code, be that refused; and none that was taken in this one.
#[tokio::test]
async fn a_sidecar_keeps_no_lock_of_others() -> Result<()> {
    let scene = Scene::open("hostile_kept_locks", "", "").await?;
    ensure!(
        scene.attach(&scene.owner, false).await.is_none(),
        "nothing is attached"
    );
    run(
        &scene.owner,
        "create function carrier.takes() returns boolean language plpgsql as $$ begin perform pg_advisory_lock(7); return true; end $$;
         alter table carrier.orders enable row level security;
         alter table carrier.orders force row level security;
         create policy takes on carrier.orders using (carrier.takes())",
    )
    .await?;
    let attachment = "select attachment_id from reconcile.attachments where relation = 'carrier.orders'::regclass";
    let attachment = text(&scene.dba, attachment).await?.unwrap_or_default();
    let provider = "select provider_id from reconcile.providers where name = 'vendor'";
    let provider = text(&scene.dba, provider).await?.unwrap_or_default();
    let sidecar = scene.database.connect_as("shop_sidecar").await?;
    for (call, is_refused) in [
        ("select * from reconcile.sidecar_report(0, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}')".to_owned(), true),
        (format!("select reconcile.sidecar_follow(1, {attachment})"), false),
        (format!("select reconcile.sidecar_settle_webhooks(1, {provider})"), false),
    ] {
        run(&scene.dba, "insert into reconcile.arrivals (attachment_id, order_numbers) select attachment_id, '{A}' from reconcile.attachments").await?;
        run(&sidecar, "select pg_advisory_lock(1)").await?;
        let refused = failure(&sidecar, &call).await;
        ensure!(refused.is_some() == is_refused, "{call}: {refused:?}");
        let held = text(&sidecar, HELD).await?.unwrap_or_default();
        ensure!(held == "0", "{call}: {held} locks are left");
    }
    Ok(())
}
