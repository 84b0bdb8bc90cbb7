//! Decision 3: a word that the status map does not have changes nothing, is seen, and is asked again.

use anyhow::Result;
use reconcile_tests::shop::Shop;
use reconcile_tests::simulator::{Fate, Step};
use serde_json::json;

/// Proves that an unknown word leaves the order where it is, is kept with its word, and that the
/// order settles when the provider says one that is known; letter case counts.
#[tokio::test]
async fn an_unknown_word_changes_nothing() -> Result<()> {
    let shop = Shop::open("an_unknown_word").await?;
    let _sidecar = shop.sidecar().await?;
    shop.track("A").await?;
    let words = [
        json!("Succeeded"),
        json!("shipped"),
        json!(" succeeded"),
        json!(""),
        json!(7),
        json!(true),
    ];
    let steps = words
        .iter()
        .cloned()
        .chain([json!("succeeded")])
        .map(Step::status);
    shop.vendor.set_fate("A", Fate::of(steps));
    for word in &words {
        let word = word
            .as_str()
            .map_or_else(|| word.to_string(), str::to_owned);
        let check = shop.next_check("A").await?;
        assert_eq!(
            (check.outcome.as_str(), check.to_state.as_str()),
            ("unknown_status", "pending"),
            "{word:?}"
        );
        assert_eq!(check.provider_status.as_deref(), Some(word.as_str()));
        assert_eq!(
            check.detail,
            Some(format!("the status map does not have '{word}'"))
        );
        let order = shop.order("A").await?;
        assert_eq!(order.provider_status.as_deref(), Some(word.as_str()));
        assert!(order.next_check_s.is_some(), "{order:?}");
    }
    assert_eq!(shop.next_check("A").await?.to_state, "succeeded");
    assert_eq!(shop.history("A").await?.len(), 1);
    shop.is_sound().await
}

/// Proves that a DBA who adds the word to the map has the order settled by its next check, and that
/// the check before names the map that it was read by.
#[tokio::test]
async fn a_word_that_is_added_to_the_map_is_known() -> Result<()> {
    let shop = Shop::open("a_word_is_added").await?;
    let _sidecar = shop.sidecar().await?;
    shop.track("A").await?;
    shop.vendor.set_fate("A", Fate::status("shipped"));
    assert_eq!(shop.next_check("A").await?.outcome, "unknown_status");
    shop.alter_provider("vendor", r#"status_map => '{"shipped": "succeeded"}'"#)
        .await?;
    assert_eq!(shop.next_check("A").await?.to_state, "succeeded");
    let versions = "select array_agg(provider_version order by check_id) from reconcile.checks";
    assert_eq!(shop.one::<Vec<i32>>(versions, &[]).await?, [1, 2]);
    shop.is_sound().await
}

/// Proves that an unknown word at the last check is for a person: it is neither called off nor
/// forgotten.
#[tokio::test]
async fn an_unknown_word_at_the_last_check_goes_to_review() -> Result<()> {
    let shop = Shop::open("an_unknown_last_word").await?;
    shop.alter_provider("vendor", "gives_up_as => 'cancelled', deadline => '1 hour'")
        .await?;
    let _sidecar = shop.sidecar().await?;
    shop.vendor.set_fate("A", Fate::status("shipped"));
    shop.track_known("A", "2 hours").await?;
    let check = shop.next_check("A").await?;
    assert_eq!(
        (check.outcome.as_str(), check.to_state.as_str()),
        ("unknown_status", "review")
    );
    assert_eq!(shop.history("A").await?, ["pending -> review by giving_up"]);
    shop.is_sound().await
}
