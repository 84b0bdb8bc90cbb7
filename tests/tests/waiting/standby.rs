//! A standby: it can't ask, says so, and shows what it has.

use anyhow::{Context, Result};
use reconcile_tests::cluster::Cluster;
use reconcile_tests::shop::{SOON, Shop, settings};
use reconcile_tests::wait;
use serde_json::Value;

use crate::asked::ask;

/// Proves that a standby refuses to ask with RC007 and a hint, and still answers the details of an
/// order as it has them.
#[tokio::test]
async fn a_standby_refuses_to_ask_and_shows_what_it_has() -> Result<()> {
    let primary = Cluster::start_new(settings()).await?;
    let shop = Shop::open_in(&primary, "shop").await?;
    shop.track("A").await?;
    let standby = Cluster::standby_of(&primary, settings()).await?;
    shop.track("B").await?;
    let there = standby.existing("shop").connect_as("shop_app").await?;
    let details = "select order_details('B')";
    let told = wait::value(SOON, "the order to be replicated", async || {
        Ok(Some(
            there.query_one(details, &[]).await?.get::<_, Value>(0),
        ))
    });
    assert_eq!(told.await?["order"]["state"], "pending");

    let refused = ask(&there, "A", Some("5 s")).await;
    let refused = refused.err().context("a standby has asked")?;
    let error = refused.as_db_error().context("no error of the server's")?;
    assert_eq!(error.code().code(), "RC007", "{error}");
    assert!(
        error.hint().is_some_and(|hint| hint.contains("primary")),
        "{error:?}"
    );

    let views = standby.existing("shop").connect_as("shop_reader").await?;
    let seen = views
        .query_one("select count(*) from reconcile.orders", &[])
        .await?;
    assert_eq!(seen.get::<_, i64>(0), 2);
    views
        .query(
            "select reconcile.explain_order('A'), * from reconcile.alerts",
            &[],
        )
        .await?;
    Ok(())
}
