//! A hook that fails or takes too long, in a sidecar's batch and in a run: the others go on.

use anyhow::{Context, Result};
use reconcile_tests::shop::{Till, refusal};
use reconcile_tests::simulator::Fate;

use crate::failing;

/// Proves that with a real sidecar a hook that fails for some orders of a batch stops none of the others: all are settled, and the
/// failing ones end in review, with nothing lost.
#[tokio::test]
async fn a_sidecars_batch_goes_on_without_the_failing_ones() -> Result<()> {
    let till = failing::open("hooks_batch").await?;
    till.run("update reconcile.settings set effect_tries = 1")
        .await?;
    for (place, code) in ["P0001", "P0004", "57014", "53100", "XX000"]
        .iter()
        .enumerate()
    {
        till.owner
            .execute(
                "insert into shop.broken values ($1, $2, 'no')",
                &[&format!("ORD-{:02}", place * 9), code],
            )
            .await?;
    }
    till.vendor.set_default(Fate::status("succeeded"));
    for place in 0..45 {
        till.track_aged(&format!("ORD-{place:02}"), "10 minutes")
            .await?;
    }
    let _sidecar = till.sidecar().await?;
    till.signal().await?;
    for place in 0..45 {
        let state = if place % 9 == 0 {
            "review"
        } else {
            "succeeded"
        };
        till.becomes(&format!("ORD-{place:02}"), state).await?;
    }
    assert_eq!(till.told().await?.len(), 40);
    till.is_sound().await
}

/// Proves that a hook that takes longer than the server lets a statement run is a failure of its order, and that the others of the
/// report are settled.
#[tokio::test]
async fn a_hook_that_takes_too_long_is_a_failing_one() -> Result<()> {
    let till = Till::open("hooks_slow").await?;
    till.run("alter role shop_sidecar in database hooks_slow set statement_timeout = '700ms'")
        .await?;
    till.hook(
        "slow",
        "succeeded",
        "begin if order_number = 'SLOW' then perform pg_sleep(3600); end if; end",
    )
    .await?;
    for number in ["A", "B", "SLOW", "C"] {
        till.track_aged(number, "10 minutes").await?;
    }
    let _sidecar = till.sidecar().await?;
    till.signal().await?;
    for number in ["A", "B", "C"] {
        till.becomes(number, "succeeded").await?;
    }
    let check = till.check("SLOW", 0).await?;
    assert_eq!(
        (check.outcome.as_str(), check.to_state.as_str()),
        ("succeeded", "pending")
    );
    let (failures, _, code, _) = till
        .failure("SLOW")
        .await?
        .context("nothing was recorded")?;
    assert_eq!((failures, code.as_str()), (1, "57014"));
    till.run("select reconcile.remove_hook('slow')").await?;
    till.make_due("SLOW").await?;
    till.becomes("SLOW", "succeeded").await?;
    till.is_sound().await
}

/// Proves that a run that a person or a timeout cancels while a hook takes its time is cancelled, and leaves everything as it was.
#[tokio::test]
async fn a_run_can_be_cancelled_during_a_hook() -> Result<()> {
    let till = Till::open("hooks_cancelled").await?;
    let slow = "begin if order_number = 'SLOW' then perform pg_sleep(3600); end if; end";
    till.hook("slow", "succeeded", slow).await?;
    till.sells("paid", &["A", "SLOW"]).await?;
    till.does("set statement_timeout = '500ms'").await?;
    let cancelled = refusal(&till.owner, "select reconcile_stale_orders()").await?;
    assert_eq!(cancelled.code().code(), "57014");
    assert_eq!(till.states().await?, ["A pending", "SLOW pending"]);
    assert_eq!(till.failure("SLOW").await?, None);
    till.is_sound().await
}
