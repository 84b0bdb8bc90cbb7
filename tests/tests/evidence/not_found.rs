//! Decision 4: an order that the provider does not know is pending within a grace after its creation,
//! and what the provider's row says after it.

use anyhow::Result;
use reconcile_tests::shop::Shop;
use reconcile_tests::simulator::{Fate, Step};

/// Both ways to say it: by an HTTP status, and by a word.
fn unknown_to_it() -> [Fate; 2] {
    [
        Fate::of([Step::http(404, r#"{"message": "no such order"}"#)]),
        Fate::status("unheard of"),
    ]
}

/// Proves that within the grace an order that is not found stays open, whatever the policy is.
#[tokio::test]
async fn within_the_grace_it_stays_open() -> Result<()> {
    let shop = Shop::open("within_the_grace").await?;
    let _sidecar = shop.sidecar().await?;
    for policy in ["pending", "failed", "cancelled", "review"] {
        shop.alter_provider(
            "vendor",
            &format!("not_found_as => '{policy}', not_found_grace => '15 minutes'"),
        )
        .await?;
        for (way, fate) in unknown_to_it().into_iter().enumerate() {
            let number = format!("{policy}-{way}");
            shop.vendor.set_fate(&number, fate);
            shop.track_aged(&number, "14 minutes").await?;
            let check = shop.next_check(&number).await?;
            assert_eq!(
                (check.outcome.as_str(), check.to_state.as_str()),
                ("not_found", "pending")
            );
            assert_eq!(check.reason, "the provider does not know it yet");
            assert!(check.next_check_s.is_some());
        }
    }
    shop.is_sound().await
}

/// Proves that after the grace it goes where the policy says; `pending` asks on.
#[tokio::test]
async fn after_the_grace_the_policy_decides() -> Result<()> {
    let shop = Shop::open("after_the_grace").await?;
    let _sidecar = shop.sidecar().await?;
    for policy in ["pending", "failed", "cancelled", "review"] {
        shop.alter_provider(
            "vendor",
            &format!("not_found_as => '{policy}', not_found_grace => '15 minutes'"),
        )
        .await?;
        for (way, fate) in unknown_to_it().into_iter().enumerate() {
            let number = format!("{policy}-{way}");
            shop.vendor.set_fate(&number, fate);
            shop.track_aged(&number, "16 minutes").await?;
            let check = shop.next_check(&number).await?;
            assert_eq!(
                (check.outcome.as_str(), check.to_state.as_str()),
                ("not_found", policy)
            );
            assert_eq!(check.next_check_s.is_some(), policy == "pending");
            let moved = if policy == "pending" {
                vec![]
            } else {
                vec![format!("pending -> {policy} by provider")]
            };
            assert_eq!(shop.history(&number).await?, moved);
        }
    }
    shop.is_sound().await
}

/// Proves that an order that turns up within its grace is settled as if nothing had been.
#[tokio::test]
async fn an_order_that_turns_up_is_settled() -> Result<()> {
    let shop = Shop::open("it_turns_up").await?;
    shop.alter_provider("vendor", "not_found_as => 'cancelled'")
        .await?;
    let _sidecar = shop.sidecar().await?;
    shop.vendor.set_fate(
        "A",
        Fate::of([
            Step::http(404, ""),
            Step::http(410, ""),
            Step::status("succeeded"),
        ]),
    );
    shop.track("A").await?;
    for outcome in ["not_found", "not_found", "succeeded"] {
        assert_eq!(shop.next_check("A").await?.outcome, outcome);
    }
    assert_eq!(
        shop.history("A").await?,
        ["pending -> succeeded by provider"]
    );
    shop.is_sound().await
}
