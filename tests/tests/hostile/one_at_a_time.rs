//! Calls that make or drop functions for several roles at the same time: what they grant and revoke stands in one row of the catalog.

use anyhow::{Result, ensure};
use tokio::task::JoinSet;

use crate::scene::{Scene, failure, run, text};

const OWNERS: [&str; 4] = [
    "carrier_owner",
    "carrier_app",
    "carrier_heir",
    "carrier_stranger",
];

/// A table and a function of each owner's.
fn things(owner: &str) -> String {
    format!(
        "create schema of_{owner} authorization {owner};
         set session authorization {owner};
         create table of_{owner}.orders (number text primary key, status text);
         create function of_{owner}.told(text, jsonb) returns void language plpgsql as 'begin end';
         reset session authorization"
    )
}

fn calls(owner: &str) -> [String; 4] {
    [
        format!(
            "select * from reconcile.attach_table('of_{owner}.orders', 'vendor', track => '{{processing}}')"
        ),
        format!(
            "select reconcile.add_hook('hook_{owner}', 'succeeded', 'of_{owner}.told(text, jsonb)', every_provider => true)"
        ),
        format!("select reconcile.detach_table('of_{owner}.orders')"),
        format!("select reconcile.remove_hook('hook_{owner}')"),
    ]
}

/// Proves that tables and hooks of several owners are attached, added, detached and removed at the same time, and none of it fails.
#[tokio::test]
async fn what_is_made_at_the_same_time_is_made() -> Result<()> {
    let scene = Scene::open("hostile_at_once", "", "").await?;
    let mut sessions = JoinSet::new();
    for owner in OWNERS {
        run(&scene.dba, &things(owner)).await?;
        let session = scene.database.connect().await?;
        sessions.spawn(async move {
            let mut failures = Vec::new();
            for _ in 0..6 {
                for call in calls(owner) {
                    if let Some(error) = failure(&session, &call).await {
                        failures.push(format!("{call}: {error}"));
                    }
                }
            }
            failures
        });
    }
    let failures: Vec<String> = sessions.join_all().await.into_iter().flatten().collect();
    ensure!(
        failures.is_empty(),
        "{} failures, as in {:?}",
        failures.len(),
        failures.first()
    );
    let left = "select count(*) from reconcile.attachments";
    ensure!(
        text(&scene.dba, left).await?.as_deref() == Some("0"),
        "something is left"
    );
    Ok(())
}

/// Proves that a call that comes while another's transaction is open is refused with RC009 after a while, and that an owner who is attached
/// in that transaction keeps the way to the ledger.
#[tokio::test]
async fn a_detach_takes_nothing_from_who_is_just_attaching() -> Result<()> {
    let scene = Scene::open("hostile_attaching", "", "").await?;
    for owner in ["carrier_heir", "carrier_stranger"] {
        run(&scene.dba, &things(owner)).await?;
    }
    let [attach, add, detach, _] = calls("carrier_heir");
    run(&scene.dba, &attach).await?;
    let other = scene.database.connect().await?;
    run(&other, &format!("begin; {}", calls("carrier_stranger")[0])).await?;
    for call in [&detach, &add] {
        let refused = failure(&scene.dba, call).await.unwrap_or_default();
        ensure!(refused.starts_with("RC009"), "{call}: {refused:?}");
    }
    run(&other, "commit").await?;
    run(&scene.dba, &detach).await?;
    let stranger = scene.database.connect_as("carrier_stranger").await?;
    run(
        &stranger,
        "insert into of_carrier_stranger.orders values ('A', 'processing')",
    )
    .await?;
    let order = "select state from reconcile.orders where order_number = 'A'";
    ensure!(
        text(&scene.dba, order).await?.as_deref() == Some("pending"),
        "the row was not noted"
    );
    Ok(())
}
