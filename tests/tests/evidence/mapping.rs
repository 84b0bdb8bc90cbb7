//! The vendor's words and what they do to an order: the table of the system that this project comes
//! from.

use anyhow::Result;
use reconcile_tests::shop::Shop;
use reconcile_tests::simulator::Fate;

/// Proves every row of the vendor's table: `succeeded` succeeds, `failed` and `cancelled` fail,
/// `processing` and `pending` leave the order processing and have it asked about again.
#[tokio::test]
async fn the_vendors_words_do_what_its_table_says() -> Result<()> {
    let shop = Shop::open("the_vendors_words").await?;
    shop.alter_provider(
        "vendor",
        r#"status_map => '{"succeeded": "succeeded", "failed": "failed", "cancelled": "failed",
            "processing": "pending", "pending": "pending"}'"#,
    )
    .await?;
    let _sidecar = shop.sidecar().await?;
    let table = [
        ("succeeded", "succeeded"),
        ("failed", "failed"),
        ("cancelled", "failed"),
        ("processing", "processing"),
        ("pending", "processing"),
    ];
    for (word, _) in table {
        shop.vendor.set_fate(word, Fate::status(word));
        let track =
            "select reconcile.track_order($1, 'vendor', 'INV', 0.73, 'USD', state => 'processing',
            created_at => clock_timestamp() - interval '10 minutes')";
        shop.client.execute(track, &[&word]).await?;
    }
    shop.signal().await?;
    for (word, state) in table {
        let check = shop.check(word, 0).await?;
        assert_eq!(
            (check.from_state.as_str(), check.to_state.as_str()),
            ("processing", state),
            "{word}"
        );
        assert_eq!(check.provider_status.as_deref(), Some(word));
        let order = shop.order(word).await?;
        assert_eq!(order.state, state, "{word}");
        let moved = [format!("processing -> {state} by provider")];
        if state == "processing" {
            assert_eq!(shop.history(word).await?, [""; 0]);
            assert!(
                order.next_check_s.is_some() && order.tries == 1,
                "{word}: {order:?}"
            );
        } else {
            assert_eq!(shop.history(word).await?, moved);
            assert!(order.next_check_s.is_none(), "{word}: {order:?}");
        }
    }
    shop.is_sound().await
}

/// Proves that every outcome that a status map may name does what it says.
#[tokio::test]
async fn every_final_word_closes_an_order() -> Result<()> {
    let shop = Shop::open("every_final_word").await?;
    let _sidecar = shop.sidecar().await?;
    for word in ["succeeded", "failed", "cancelled", "refunded"] {
        shop.vendor.set_fate(word, Fate::status(word));
        shop.track_aged(word, "10 minutes").await?;
        shop.signal().await?;
        shop.becomes(word, word).await?;
        let order = shop.order(word).await?;
        assert_eq!(order.settled_by.as_deref(), Some("provider"));
        assert_eq!(order.transaction_id, Some(format!("TXN-{word}")));
    }
    shop.is_sound().await
}
