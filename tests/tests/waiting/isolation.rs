//! Transactions that can't see what others commit while they last.

use anyhow::Result;
use reconcile_tests::shop::Shop;

use crate::asked::{ask, ask_at_once};

/// Proves that under REPEATABLE READ and SERIALIZABLE the call says at once that it can't see the
/// answer, that the provider is asked all the same while the transaction is open, and that the next
/// transaction sees what it said.
#[tokio::test]
async fn a_frozen_snapshot_is_told_that_it_cannot_see_the_answer() -> Result<()> {
    let shop = Shop::open("a_frozen_snapshot").await?;
    let _sidecar = shop.sidecar().await?;
    for level in ["repeatable read", "serializable"] {
        shop.track(level).await?;
        let app = shop.app().await?;
        app.batch_execute(&format!("begin isolation level {level}"))
            .await?;
        let asked = ask_at_once(&app, level).await?;
        asked.unchanged_because(&format!(
            "a {level} transaction can't see the answer; the check is queued"
        ))?;
        shop.becomes(level, "succeeded").await?;
        let asked = ask_at_once(&app, level).await?;
        asked.unchanged_because("can't see the answer")?;
        app.batch_execute("commit").await?;
        assert_eq!(ask(&app, level, Some("0")).await?.state, "succeeded");
        assert_eq!(shop.vendor.count(level), 1);
    }
    shop.is_sound().await
}

/// Proves that a default_transaction_isolation of the role is noticed as well as a BEGIN that says it.
#[tokio::test]
async fn a_default_isolation_level_counts_too() -> Result<()> {
    let shop = Shop::open("a_default_isolation_level").await?;
    let _sidecar = shop.sidecar().await?;
    shop.track("A").await?;
    let app = shop.app().await?;
    app.batch_execute("set default_transaction_isolation = 'serializable'")
        .await?;
    ask_at_once(&app, "A")
        .await?
        .unchanged_because("a serializable transaction can't see the answer")?;
    shop.becomes("A", "succeeded").await
}
