//! What arrives: a message by the Standard Webhooks specification, with an event's facts.

use anyhow::{Context, Result};
use reconcile_tests::shop::Shop;
use serde_json::json;
use standardwebhooks::Webhook;

use crate::receiver::{Message, Receiver};
use crate::{KEY, add_endpoint, all_delivered, event, settings, sidecar};
use reconcile_tests::sidecar::Sidecar;

/// Checks a message as a receiver would, with the specification's own library.
fn verify(message: &Message, key: &str) -> Result<()> {
    let webhook = Webhook::new(key)?;
    webhook.verify(&message.body, &message.headers)?;
    // And to the last character, which that library leaves open.
    let timestamp = message.header("webhook-timestamp").parse()?;
    let expected = webhook.sign(message.id(), timestamp, &message.body)?;
    let mut signatures = message.header("webhook-signature").split(' ');
    assert!(signatures.any(|signature| signature == expected));
    Ok(())
}

/// Proves that an order which the provider settles is told to the application's endpoint: once,
/// signed, with its facts, and without what is sensitive; and that the books say so.
#[tokio::test]
async fn a_settled_order_is_told_signed_and_with_its_facts() -> Result<()> {
    let shop = Shop::open("delivery_signed").await?;
    let receiver = Receiver::start().await?;
    shop.alter_provider(
        "vendor",
        r#"captures => '{"pin": {"path": "$.data.pin", "sensitive": true}, "word": {"path": "$.data.status"}}'"#,
    )
    .await?;
    add_endpoint(&shop, "shop", &receiver, "").await?;
    let sidecar = sidecar(&shop, &[&receiver]).await?;
    shop.track_aged("ORD-1", "10 minutes").await?;
    shop.run(
        r#"update reconcile.tracked_orders set captured = '{"pin": "4711"}', details = '{"customer": {"id": 7, "note": null}}'"#,
    )
    .await?;
    shop.signal().await?;
    let messages = receiver.received(1).await?;
    let message = &messages[0];
    assert_eq!(
        (message.method.as_str(), message.path.as_str()),
        ("POST", "/hooks")
    );
    assert_eq!(message.header("content-type"), "application/json");
    verify(message, KEY)?;
    assert!(
        verify(
            message,
            "whsec_YW5vdGhlciBrZXkgYWx0b2dldGhlciwgYnV0IGxvbmc="
        )
        .is_err()
    );

    let row = shop
        .client
        .query_one(
            "select t.transition_id, to_char(t.changed_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), t.reason,
                 o.transaction_id
             from reconcile.transitions as t join reconcile.tracked_orders as o using (order_id)",
            &[],
        )
        .await?;
    let event_id: i64 = row.get(0);
    assert!(message.id().starts_with(&format!("evt_{event_id}_")));
    let expected = json!({
        "type": "order.succeeded",
        "timestamp": row.get::<_, String>(1),
        "data": {
            "event_id": event_id, "order_number": "ORD-1", "own_number": "ORD-1", "state": "succeeded", "previous_state": "pending",
            "cause": "provider", "reason": row.get::<_, String>(2), "provider": "vendor", "reference": "INV-ORD-1",
            "transaction_id": row.get::<_, Option<String>>(3), "amount": "0.73", "currency": "USD",
            "details": {"customer": {"id": 7, "note": null}}, "captured": {"word": "succeeded"}
        }
    });
    assert_eq!(message.json()?, expected);

    all_delivered(&shop).await?;
    let health = "select format('%s %s %s %s', health, delivered, faults, last_success_at is not null) from reconcile.endpoints";
    assert_eq!(shop.one::<String>(health, &[]).await?, "ok 1 0 t");
    let counted = sidecar
        .metric("reconcile_deliveries_total", "result=\"delivered\"")
        .await?;
    assert!((counted - 1.0).abs() < f64::EPSILON);
    assert_eq!(receiver.messages().len(), 1);
    assert!(
        !sidecar.stderr().contains("c2V2ZW50eS1ma"),
        "no key is logged"
    );
    Ok(())
}

/// Proves that a secret may hold two keys, as while one is replaced by the other: receivers that know
/// either of them accept the message.
#[tokio::test]
async fn both_keys_sign_while_one_replaces_the_other() -> Result<()> {
    let shop = Shop::open("delivery_rotation").await?;
    let receiver = Receiver::start().await?;
    let other = "whsec_dGhlIGtleSB0aGF0IHdpbGwgYmUgdXNlZCBmcm9tIG5vdyBvbg==";
    let mut settings = settings(&shop, &[&receiver]);
    let secret = settings.secrets.last_mut().context("the key")?;
    secret.1 = format!("{KEY} {other}");
    add_endpoint(&shop, "shop", &receiver, "").await?;
    let _sidecar = Sidecar::start_ready(&settings).await?;
    event(&shop, "A", "failed").await?;
    let messages = receiver.received(1).await?;
    verify(&messages[0], KEY)?;
    verify(&messages[0], other)
}
