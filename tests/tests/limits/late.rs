//! Checks that are due and were committed after later ones were claimed: a bulk load, a long transaction.

use anyhow::Result;
use reconcile_tests::shop::Shop;

/// Proves that such checks are claimed as soon as they are found, one claim after the other and in the order in which they were due, and
/// before newer ones.
#[tokio::test]
async fn late_checks_are_claimed_in_their_order() -> Result<()> {
    let shop = Shop::open("limits_late").await?;
    shop.alter_provider("vendor", "concurrency => 100").await?;
    let bulk = shop.database.connect().await?;
    let track = "select reconcile.track_order(format('%PREFIX-%s', lpad(n::text, 2, '0')), 'vendor', reference => 'R',
        created_at => clock_timestamp() - interval '10 minutes') from generate_series(%FROM, %TO) as n";
    let track = |prefix: &str, from: u32, to: u32| {
        track
            .replace("%PREFIX", prefix)
            .replace("%FROM", &from.to_string())
            .replace("%TO", &to.to_string())
    };
    bulk.batch_execute(&format!("begin; {}", track("LATE", 0, 39)))
        .await?;
    shop.run(&track("NEW", 0, 9)).await?;
    let sidecar: i64 = shop
        .one("select reconcile.sidecar_start('by hand', '1', 10)", &[])
        .await?;
    let claim = "select coalesce(string_agg(o.order_number, ' ' order by o.order_number), '')
        from reconcile.sidecar_claim($1, 10) as c join reconcile.tracked_orders as o on o.order_id = c.order_id";
    let ten = |prefix: &str, tens: usize| {
        let numbers: Vec<_> = (tens * 10..tens * 10 + 10)
            .map(|n| format!("{prefix}-{n:02}"))
            .collect();
        numbers.join(" ")
    };
    let first: String = shop.one(claim, &[&sidecar]).await?;
    assert_eq!(first, ten("NEW", 0));
    bulk.batch_execute("commit").await?;
    shop.run(&track("NEW", 10, 19)).await?;
    // The next look from the beginning is due.
    shop.run(
        "update reconcile.provider_traffic set swept_at = clock_timestamp() - interval '6 seconds'",
    )
    .await?;
    for tens in 0..4 {
        let next: String = shop.one(claim, &[&sidecar]).await?;
        assert_eq!(next, ten("LATE", tens));
    }
    let last: String = shop.one(claim, &[&sidecar]).await?;
    assert_eq!(last, ten("NEW", 1));
    Ok(())
}

/// Proves that checks which are made later than a minute after they are due are told of, and those of a provider that is paused, which
/// has an alert of its own, are not.
#[tokio::test]
async fn late_checks_are_told_of() -> Result<()> {
    let shop = Shop::open("limits_late_alert").await?;
    let told = "select coalesce(string_agg(subject, ' '), '') from reconcile.alerts where alert = 'checks_late'";
    shop.track_aged("O-1", "10 minutes").await?;
    shop.run("update reconcile.due_checks set due_at = clock_timestamp() - interval '50 seconds'")
        .await?;
    assert_eq!(shop.one::<String>(told, &[]).await?, "");
    shop.run("update reconcile.due_checks set due_at = clock_timestamp() - interval '70 seconds'")
        .await?;
    assert_eq!(shop.one::<String>(told, &[]).await?, "vendor");
    shop.run("select reconcile.pause_provider('vendor', 'closed')")
        .await?;
    assert_eq!(shop.one::<String>(told, &[]).await?, "");
    Ok(())
}
