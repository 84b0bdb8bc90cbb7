//! Decision 6: a success that comes after an order was closed without it is money taken, and is never
//! dropped.

use anyhow::Result;
use reconcile_tests::shop::Shop;
use reconcile_tests::simulator::{Fate, Step};

/// An order that was given up, whose late watch is told `word` the next time.
async fn given_up(shop: &Shop<'_>, order_number: &str, policy: &str, late: Step) -> Result<()> {
    shop.alter_provider(
        "vendor",
        &format!("gives_up_as => '{policy}', deadline => '1 hour'"),
    )
    .await?;
    shop.vendor
        .set_fate(order_number, Fate::of([Step::status("pending"), late]));
    shop.track_known(order_number, "2 hours").await?;
    assert_eq!(shop.next_check(order_number).await?.to_state, policy);
    Ok(())
}

/// Proves both policies on orders that were given up as failed and as cancelled.
#[tokio::test]
async fn a_late_success_revives_the_order_or_goes_to_review() -> Result<()> {
    let shop = Shop::open("a_late_success").await?;
    let _sidecar = shop.sidecar().await?;
    for (policy, state) in [("revive", "succeeded"), ("review", "review")] {
        shop.alter_provider("vendor", &format!("late_success => '{policy}'"))
            .await?;
        for closed in ["failed", "cancelled"] {
            let number = format!("{policy}-{closed}");
            given_up(&shop, &number, closed, Step::status("succeeded")).await?;
            assert_eq!(shop.next_check(&number).await?.to_state, state);
            assert_eq!(
                shop.history(&number).await?,
                [
                    format!("pending -> {closed} by giving_up"),
                    format!("{closed} -> {state} by provider")
                ]
            );
            assert_eq!(
                shop.order(&number).await?.transaction_id,
                Some(format!("TXN-{number}"))
            );
            assert_eq!(shop.order(&number).await?.next_check_s, None);
        }
    }
    shop.is_sound().await
}

/// Proves that a late success of other money goes to review under either policy.
#[tokio::test]
async fn a_late_success_of_other_money_goes_to_review() -> Result<()> {
    let shop = Shop::open("late_other_money").await?;
    let _sidecar = shop.sidecar().await?;
    for policy in ["revive", "review"] {
        shop.alter_provider("vendor", &format!("late_success => '{policy}'"))
            .await?;
        let other = Step::status("succeeded").paid("1.73", "USD");
        given_up(&shop, policy, "cancelled", other).await?;
        let check = shop.next_check(policy).await?;
        assert_eq!(
            (check.outcome.as_str(), check.to_state.as_str()),
            ("mismatch", "review")
        );
    }
    shop.is_sound().await
}

/// Proves that an order that was given up into review is settled by the watch.
#[tokio::test]
async fn a_late_word_settles_what_was_given_up_into_review() -> Result<()> {
    let shop = Shop::open("late_review").await?;
    let _sidecar = shop.sidecar().await?;
    for word in ["succeeded", "failed", "cancelled", "refunded"] {
        given_up(&shop, word, "review", Step::status(word)).await?;
        assert_eq!(shop.next_check(word).await?.to_state, word);
    }
    shop.is_sound().await
}

/// Proves that the watch goes on through faults, and ends with the provider's confirmation.
#[tokio::test]
async fn the_watch_outlasts_faults_and_ends_with_a_confirmation() -> Result<()> {
    let shop = Shop::open("the_watch").await?;
    let _sidecar = shop.sidecar().await?;
    given_up(&shop, "A", "cancelled", Step::http(500, "")).await?;
    for _ in 0..8 {
        let check = shop.next_check("A").await?;
        assert_eq!(
            (check.outcome.as_str(), check.to_state.as_str()),
            ("provider_error", "cancelled")
        );
        assert!(check.next_check_s.is_some());
    }
    shop.vendor.set_fate("A", Fate::status("cancelled"));
    let check = shop.next_check("A").await?;
    assert_eq!(
        (check.to_state.as_str(), check.next_check_s),
        ("cancelled", None)
    );
    assert_eq!(
        shop.history("A").await?,
        ["pending -> cancelled by giving_up"]
    );
    shop.is_sound().await
}
