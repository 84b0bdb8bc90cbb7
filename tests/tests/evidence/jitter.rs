//! Decision 8: jitter comes from the order and the attempt, not from a random source.

use anyhow::Result;
use reconcile_tests::shop::Shop;
use reconcile_tests::simulator::Fate;

/// The delays after the first four answers about these orders, in whole milliseconds.
async fn delays(name: &'static str, order_numbers: &[&str]) -> Result<Vec<Vec<i64>>> {
    let shop = Shop::open(name).await?;
    shop.alter_provider("vendor", "schedule => '1m, 100m x9'")
        .await?;
    let _sidecar = shop.sidecar().await?;
    shop.vendor.set_default(Fate::status("pending"));
    let mut all = Vec::new();
    for order_number in order_numbers {
        shop.track(order_number).await?;
        let mut delays = Vec::new();
        for _ in 0..4 {
            shop.next_check(order_number).await?;
        }
        let kept = "select round(extract(epoch from next_check_at - answered_at) * 1000)::bigint
            from reconcile.checks where order_number = $1 order by check_id";
        for row in shop.client.query(kept, &[order_number]).await? {
            delays.push(row.get::<_, i64>(0));
        }
        all.push(delays);
    }
    Ok(all)
}

/// Proves that an order of the same number has the same delays in another database, up to the moment
/// that passes between two readings of the clock; that no delay is shorter than the schedule says or
/// more than a tenth longer; and that orders and attempts differ.
#[tokio::test]
async fn the_same_order_has_the_same_delays() -> Result<()> {
    let order_numbers = ["ORD-1765360649-0E184E02", "ORD-2", "ORD-3", "ORD-4"];
    let here = delays("jitter_here", &order_numbers).await?;
    let there = delays("jitter_there", &order_numbers).await?;
    for (one, other) in here.iter().flatten().zip(there.iter().flatten()) {
        assert!((one - other).abs() <= 20, "{here:?} and {there:?}");
        assert!((6_000_000..=6_600_020).contains(one), "{one}");
    }
    let mut different: Vec<i64> = here.iter().flatten().map(|delay| delay / 1000).collect();
    different.sort_unstable();
    different.dedup();
    assert!(
        different.len() >= 12,
        "sixteen delays, and few differ: {different:?}"
    );
    Ok(())
}
