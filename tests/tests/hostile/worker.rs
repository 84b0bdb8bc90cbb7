//! The worker behind the waiting call: a session that nobody sees, with the rights of the ledger's owner.

use anyhow::{Context, Result};
use reconcile_tests::cluster::Cluster;
use reconcile_tests::shop::{self, Shop};
use reconcile_tests::simulator::Fate;

use crate::probe;
use crate::scene::{Scene, run, text};

/// An operator that fits better than what the catalog has for a number and an interval.
const TIMES: &str = "
    create function %S.times(bigint, interval) returns interval language plpgsql as
        $$ begin perform carrier.probe('operator *'); return '0'; end $$;
    create operator %S.* (leftarg = bigint, rightarg = interval, function = %S.times)";

/// Proves that whoever may create in `public`, or a schema that is called like the ledger's owner, has no operator of his found by the
/// worker that a waiting call starts.
#[tokio::test]
async fn no_operator_of_others_is_found_by_the_request_worker() -> Result<()> {
    let scene = Scene::open("hostile_worker", "", "").await?;
    let owner = "select pg_get_userbyid(proowner) from pg_proc where proname = 'reconcile_order' order by pronargs limit 1";
    let owner = text(&scene.dba, owner)
        .await?
        .context("there is no reconcile_order")?;
    run(
        &scene.owner,
        &format!("create schema if not exists {owner}"),
    )
    .await?;
    for schema in ["public", owner.as_str()] {
        run(&scene.owner, &TIMES.replace("%S", schema)).await?;
    }
    let app = scene.database.connect_as("shop_app").await?;
    run(&app, "select reconcile.track_order('A', 'vendor')").await?;
    let mark = probe::mark(scene.cluster)?;
    run(&app, "select * from reconcile_order('A', '0.5 s')").await?;
    run(
        &scene.owner,
        "select * from reconcile.test_provider('vendor', 'A')",
    )
    .await?;
    let runs = probe::runs_since(scene.cluster, mark, scene.database.name())?;
    assert!(
        runs.is_empty(),
        "{:#?}",
        runs.iter().map(probe::Run::says).collect::<Vec<_>>()
    );
    Ok(())
}

/// Proves that the waiting call works where the role that owns the ledger can't log in, and neither caller nor sidecar is a superuser.
#[tokio::test]
async fn the_waiting_call_works_when_the_ledgers_owner_cant_log_in() -> Result<()> {
    let cluster: &'static Cluster =
        Box::leak(Box::new(Cluster::start_new(shop::settings()).await?));
    let shop = Shop::open_in(cluster, "no_login").await?;
    let owner =
        "select pg_get_userbyid(proowner)::text from pg_proc where proname = 'reconcile_order'";
    let owner: String = shop.one(owner, &[]).await?;
    shop.vendor.set_default(Fate::status("succeeded"));
    shop.track("A").await?;
    let (app, _sidecar) = (shop.app().await?, shop.sidecar().await?);
    shop.run(&format!("alter role {owner} nologin")).await?;
    let asked = app
        .query_one(
            "select state, message from reconcile_order('A', '20 s')",
            &[],
        )
        .await;
    shop.run(&format!("alter role {owner} login")).await?;
    let asked = asked?;
    assert_eq!(
        asked.get::<_, &str>(0),
        "succeeded",
        "{}",
        asked.get::<_, &str>(1)
    );
    Ok(())
}
