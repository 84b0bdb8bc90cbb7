//! Deadlines, grace, refunds and the replay of decisions: the same rules as over HTTP.

use anyhow::Result;
use reconcile_tests::shop::Till;

async fn track(till: &Till, number: &str, age: &str) -> Result<()> {
    let track = "select reconcile.track_order($1, 'ledger', amount => 0.73, currency => 'USD', created_at => now() - $2::text::interval)";
    till.client.execute(track, &[&number, &age]).await?;
    till.run("update reconcile.tracked_orders set tracked_at = created_at")
        .await
}

/// Proves that a missing row is pending within its grace and what not_found_as says after it; that a deadline makes one last check; that
/// a broken lookup closes nothing; and that an order that was given up is asked about on its late watch and comes back.
#[tokio::test]
async fn deadlines_and_grace_hold_here_too() -> Result<()> {
    let till = Till::open("lookups_deadlines").await?;
    till.does(
        "select reconcile.alter_provider('ledger', not_found_grace => '1 hour', not_found_as => 'cancelled', deadline => '2 hours',
            gives_up_as => 'failed', late_success => 'revive', late_watch => '1h, 1d')",
    )
    .await?;
    track(&till, "YOUNG", "30 minutes").await?;
    track(&till, "OLD", "90 minutes").await?;
    till.pays("open", &["LATE"]).await?;
    track(&till, "LATE", "3 hours").await?;
    till.settles().await?;
    assert_eq!(
        till.states().await?,
        ["LATE failed", "OLD cancelled", "YOUNG pending"]
    );
    assert_eq!(
        till.order("LATE").await?.settled_by.as_deref(),
        Some("giving_up")
    );
    till.pays("paid", &["LATE"]).await?;
    till.settles_all().await?;
    assert_eq!(
        till.history("LATE").await?,
        [
            "pending -> failed by giving_up",
            "failed -> succeeded by provider"
        ]
    );

    track(&till, "BROKEN", "3 hours").await?;
    till.does("alter table shop.payments rename to renamed")
        .await?;
    till.settles_all().await?;
    let order = till.order("BROKEN").await?;
    assert_eq!(
        (order.state.as_str(), order.last_outcome.as_deref()),
        ("pending", Some("provider_error"))
    );
    till.does("alter table shop.renamed rename to payments")
        .await?;
    till.settles_all().await?;
    // One last answer, and it is not there.
    assert_eq!(till.order("BROKEN").await?.state, "cancelled");
    till.is_sound().await
}

/// Proves that an order that has succeeded is watched for a refund, in part and as a whole.
#[tokio::test]
async fn refunds_are_watched_here_too() -> Result<()> {
    let till = Till::open("lookups_refunds").await?;
    till.does(
        "alter table shop.payments add refunded numeric;
         select reconcile.alter_provider('ledger', refunded_path => '$.refunded', refund_watch => '1d, 6d')",
    )
    .await?;
    till.sells("paid", &["A"]).await?;
    till.settles().await?;
    let next = till.order("A").await?.next_check_s.unwrap_or_default() / 86_400.0;
    assert!((0.99..=1.11).contains(&next), "{next} days");
    till.does("update shop.payments set refunded = 0.30")
        .await?;
    till.settles_all().await?;
    let refunded = "select refunded_amount::text from reconcile.orders";
    assert_eq!(till.one::<String>(refunded, &[]).await?, "0.30");
    assert_eq!(till.order("A").await?.state, "succeeded");
    till.does("update shop.payments set refunded = 0.73")
        .await?;
    till.settles_all().await?;
    assert_eq!(till.order("A").await?.state, "refunded");
    till.is_sound().await
}

/// Proves that every decision about an order of kind sql can be replayed from its audit row, by the provider's row as it was then.
#[tokio::test]
async fn every_decision_can_be_replayed() -> Result<()> {
    let till = Till::open("lookups_replay").await?;
    for status in ["open", "on hold", "open", "declined"] {
        till.pays(status, &["A"]).await?;
        if till.states().await?.is_empty() {
            till.track_at_ledger("A").await?;
            till.track_at_ledger("MISSING").await?;
        }
        till.settles_all().await?;
        till.does("select reconcile.alter_provider('ledger', schedule => '3m, then 7m', not_found_grace => '1 minute', not_found_as => 'failed')")
            .await?;
    }
    let replay = "
        select count(*), count(*) filter (
            where (d.to_state, d.reason) is distinct from (c.to_state, c.reason)
               or abs(coalesce(d.next_delay_ms, -99) - coalesce(round(extract(epoch from c.next_check_at - c.answered_at) * 1000), -99)) > 5)
        from reconcile.recorded_checks as c
        join reconcile.tracked_orders as o using (order_id)
        join reconcile.provider_versions as v on v.provider_id = c.provider_id and v.version = c.provider_version
        cross join jsonb_populate_record(null::reconcile.providers, v.settings) as p
        cross join reconcile.decide(
            c.from_state, c.from_settled_by, c.from_attempt, c.from_tries, c.from_faults,
            (extract(epoch from c.claimed_at - o.created_at) * 1000)::bigint,
            (extract(epoch from c.claimed_at - greatest(o.created_at, o.tracked_at)) * 1000)::bigint, o.order_number, c.outcome, c.retry_after_ms,
            p.schedule, p.max_tries, (extract(epoch from p.deadline) * 1000)::bigint, (extract(epoch from p.not_found_grace) * 1000)::bigint,
            p.not_found_as, p.gives_up_as, p.late_success, p.late_watch, p.refund_watch) as d
        where c.problem is null";
    let row = till.client.query_one(replay, &[]).await?;
    assert_eq!(
        (row.get::<_, i64>(0), row.get::<_, i64>(1)),
        (6, 0),
        "checks, and those that differ"
    );
    till.is_sound().await
}
