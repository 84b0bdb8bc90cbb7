//! Who may hand events over.

use anyhow::Result;
use reconcile_tests::shop::{Shop, refusal};

use crate::record;

/// Proves that the application's role and the operator's may hand events over and the others may not, that nobody can write them by
/// hand, and that who did is kept.
#[tokio::test]
async fn the_application_hands_events_over_and_others_do_not() -> Result<()> {
    let shop = Shop::open("webhooks_rights").await?;
    for role in ["app", "operator"] {
        let client = shop.database.connect_as(&format!("shop_{role}")).await?;
        assert_eq!(record(&client, role, "{}", Some("A")).await?, "kept");
    }
    for role in ["reader", "sidecar"] {
        let client = shop.database.connect_as(&format!("shop_{role}")).await?;
        let refused = refusal(
            &client,
            "select reconcile.record_webhook('vendor', 'e1', '{}', 'A')",
        )
        .await?;
        assert_eq!(refused.code().code(), "42501", "{role}");
    }
    for role in ["app", "operator", "reader", "sidecar"] {
        let client = shop.database.connect_as(&format!("shop_{role}")).await?;
        for attempt in [
            "insert into reconcile.received_webhooks (provider_id, event_id, payload, effect) values (1, 'x', '{}', 'kept')",
            "update reconcile.received_webhooks set effect = 'kept', order_id = null",
            "delete from reconcile.received_webhooks",
            "select reconcile_internal._take_as_evidence(1, '{}', 'x', true)",
            "select reconcile_internal._ring('{1}')",
        ] {
            assert_eq!(
                refusal(&client, attempt).await?.code().code(),
                "42501",
                "{role}: {attempt}"
            );
        }
    }
    let from = "select string_agg(received_from, ', ' order by event_id) from reconcile.webhooks";
    assert_eq!(
        shop.one::<String>(from, &[]).await?,
        "shop_app, shop_operator"
    );
    Ok(())
}
