//! Events leave the database: none is skipped by a reader, and each reaches each endpoint, signed, at least once.

mod claims;
mod cursor;
mod endpoints;
mod held;
mod meaning;
mod numbering;
mod receiver;
mod refusals;
mod restoring;
mod retries;
mod sharing;
mod signed;
mod unwritable;

use anyhow::Result;
use receiver::Receiver;
use reconcile_tests::shop::{SOON, Shop};
use reconcile_tests::sidecar::{Settings, Sidecar};
use reconcile_tests::wait;

/// The key that endpoints of this suite are signed to with, by the name `SHOP_EVENTS`.
const KEY: &str = "whsec_c2V2ZW50eS1maXZlLWtub3RzLW9mLXRhcnJlZC1yb3Bl";

/// A sidecar that may ask the vendor and post to these receivers.
fn settings(shop: &Shop<'_>, receivers: &[&Receiver]) -> Settings {
    let mut settings = shop.sidecar_settings();
    let hosts = receivers
        .iter()
        .map(|receiver| receiver.address.to_string());
    settings.allow_hosts.extend(hosts);
    settings
        .secrets
        .push(("SHOP_EVENTS".to_owned(), KEY.to_owned()));
    settings
}

async fn sidecar(shop: &Shop<'_>, receivers: &[&Receiver]) -> Result<Sidecar> {
    Sidecar::start_ready(&settings(shop, receivers)).await
}

/// Has events posted to a receiver; `more` are further named arguments, none when empty.
async fn add_endpoint(shop: &Shop<'_>, name: &str, at: &Receiver, more: &str) -> Result<()> {
    let url = at.url("/hooks");
    let more = if more.is_empty() {
        String::new()
    } else {
        format!(", {more}")
    };
    shop.run(&format!(
        "select reconcile.add_endpoint('{name}', '{url}', 'SHOP_EVENTS'{more})"
    ))
    .await
}

/// Tracks an order and decides about it, which makes an event; the listeners are told.
async fn event(shop: &Shop<'_>, order_number: &str, state: &str) -> Result<i64> {
    shop.track(order_number).await?;
    decide(shop, order_number, state).await
}

/// Decides about an order; the event's id.
async fn decide(shop: &Shop<'_>, order_number: &str, state: &str) -> Result<i64> {
    let resolve = "select reconcile.resolve_order($1, $2, 'for the test')";
    shop.client
        .execute(resolve, &[&order_number, &state])
        .await?;
    shop.run("notify reconcile_events").await?;
    // A sidecar may be giving it its position this very moment, and then nobody else does.
    let id = "select max(event_id) from reconcile.read_events(0, 10000) where order_number = $1";
    wait::value(SOON, "the event to be readable", async || {
        shop.one(id, &[&order_number]).await
    })
    .await
}

/// Lets the time of every next attempt come, and wakes the sidecars.
async fn make_due(shop: &Shop<'_>) -> Result<()> {
    shop.run(
        "update reconcile.deliveries set due_at = clock_timestamp() where token is null and parked_at is null;
         update reconcile.event_endpoints set rests_until = null;
         notify reconcile_events",
    )
    .await
}

/// Waits until a query about deliveries or endpoints holds.
async fn holds(shop: &Shop<'_>, what: &str, query: &str) -> Result<()> {
    let held = wait::until(SOON, what, async || {
        let held = shop.one::<bool>(query, &[]).await;
        held.is_ok_and(|held| held)
    });
    if let Err(error) = held.await {
        let story: String = shop
            .one(
                "select format('%s %s', (select json_agg(e) from reconcile.endpoints as e), (select json_agg(d) from reconcile.deliveries as d))",
                &[],
            )
            .await?;
        return Err(error.context(story));
    }
    Ok(())
}

/// Waits until every delivery was made.
async fn all_delivered(shop: &Shop<'_>) -> Result<()> {
    holds(
        shop,
        "every event to be delivered",
        "select not exists (select from reconcile.deliveries)
            and not exists (select from reconcile.endpoints where unread_up_to_10000 > 0)",
    )
    .await
}
