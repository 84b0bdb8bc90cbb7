//! Decision 7: what is known already changes nothing, and the same answer twice makes one transition.

use anyhow::Result;
use reconcile_tests::shop::{SOON, Shop};
use reconcile_tests::simulator::{Fate, Step};

/// Proves that a report that is sent twice, as after a connection that broke at the wrong moment, is
/// applied once; whether in two calls or in one, and whatever the second says.
#[tokio::test]
async fn the_same_report_twice_makes_one_transition() -> Result<()> {
    let shop = Shop::open("the_same_report_twice").await?;
    let hands = shop.database.connect_as("shop_sidecar").await?;
    let id: i64 = hands
        .query_one("select reconcile.sidecar_start('by hand', '0', 10)", &[])
        .await?
        .get(0);
    shop.track_aged("A", "10 minutes").await?;
    shop.track_aged("B", "10 minutes").await?;
    let claimed = hands
        .query(
            "select order_id, token from reconcile.sidecar_claim($1, 10)",
            &[&id],
        )
        .await?;
    let leases: Vec<(i64, i64)> = claimed.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(leases.len(), 2);
    let report = "
        select order_id, verdict from reconcile.sidecar_report($1, array[$2, $2]::bigint[], array[$3, $3]::bigint[],
            array[null, null], array[200, 200], array[$4::text, $4], array[null, null], array[1, 1], array[null, null]::int[])";
    let said = |word: &str, number: &str| {
        format!(
            r#"{{"data": {{"status": "{word}", "invoiceId": "INV-{number}", "retailPrice": "0.73", "currency": "USD"}}}}"#
        )
    };
    for ((order_id, token), number) in leases.iter().zip(["A", "B"]) {
        for word in ["succeeded", "succeeded", "failed"] {
            hands
                .query(report, &[&id, order_id, token, &said(word, number)])
                .await?;
        }
        assert_eq!(shop.order(number).await?.state, "succeeded");
        assert_eq!(
            shop.history(number).await?,
            ["pending -> succeeded by provider"]
        );
        assert_eq!(shop.checks(number).await?.len(), 1);
    }
    shop.is_sound().await
}

/// Proves that an order that was asked about twice, since its first sidecar was too slow, and got the
/// same answer twice, makes one transition.
#[tokio::test]
async fn the_same_answer_from_two_sidecars_makes_one_transition() -> Result<()> {
    let shop = Shop::open("the_same_answer").await?;
    let slow = shop.sidecar().await?;
    let gate = shop.vendor.hold("A");
    shop.track_aged("A", "10 minutes").await?;
    shop.signal().await?;
    shop.vendor.arrived("A", 1, SOON).await?;
    slow.freeze().await?;
    shop.expire_leases().await?;
    let _other = shop.sidecar().await?;
    shop.vendor.arrived("A", 2, SOON).await?;
    slow.thaw()?;
    gate.open();
    shop.becomes("A", "succeeded").await?;
    slow.stop().await?;
    assert_eq!(
        shop.history("A").await?,
        ["pending -> succeeded by provider"]
    );
    shop.is_sound().await
}

/// Proves that each final state stays when a watch or a person asks again and hears what is known.
#[tokio::test]
async fn a_terminal_state_stays_at_a_repeat() -> Result<()> {
    let shop = Shop::open("a_terminal_state").await?;
    let _sidecar = shop.sidecar().await?;
    for (closed, word) in [
        ("failed", "failed"),
        ("failed", "cancelled"),
        ("failed", "pending"),
        ("cancelled", "cancelled"),
        ("cancelled", "unheard of"),
        ("cancelled", "a new word"),
    ] {
        let number = format!("{closed} and {word}");
        shop.alter_provider(
            "vendor",
            &format!("gives_up_as => '{closed}', deadline => '1 hour'"),
        )
        .await?;
        shop.vendor.set_fate(
            &number,
            Fate::of([Step::status("pending"), Step::status(word)]),
        );
        shop.track_known(&number, "2 hours").await?;
        shop.next_check(&number).await?;
        let again = shop.next_check(&number).await?;
        assert_eq!(
            (again.from_state.as_str(), again.to_state.as_str()),
            (closed, closed),
            "{again:?}"
        );
        assert_eq!(shop.history(&number).await?.len(), 1);
    }
    shop.is_sound().await
}

/// Proves that every decision that was recorded follows again from the row that recorded it: the same
/// state, the same reason, the same time of the next check.
#[tokio::test]
async fn every_recorded_decision_can_be_replayed() -> Result<()> {
    let shop = Shop::open("replayed").await?;
    shop.alter_provider(
        "vendor",
        "gives_up_as => 'cancelled', late_success => 'revive', max_tries => 3",
    )
    .await?;
    let _sidecar = shop.sidecar().await?;
    let steps = [
        "pending",
        "a new word",
        "unheard of",
        "pending",
        "succeeded",
    ]
    .map(Step::status);
    let faults = [
        Step::http(503, ""),
        Step::http(429, "").header("Retry-After", "60"),
    ];
    shop.vendor
        .set_fate("A", Fate::of(faults.into_iter().chain(steps)));
    shop.track("A").await?;
    shop.alter_provider("vendor", "schedule => '3m, then 7m'")
        .await?;
    for _ in 0..7 {
        shop.next_check("A").await?;
    }
    assert_eq!(shop.order("A").await?.state, "succeeded");
    // Whatever decide takes: what is not of the check or the order is of the provider's row, as it was.
    let arguments = "
        select string_agg(case
            when name in ('outcome', 'retry_after_ms') then format('c.%I', name)
            when name in ('state', 'settled_by', 'attempt', 'tries', 'faults') then format('c.%I', 'from_' || name)
            when name = 'order_number' then 'o.order_number'
            when name = 'age_ms' then '(extract(epoch from c.claimed_at - o.created_at) * 1000)::bigint'
            when name = 'known_ms' then '(extract(epoch from c.claimed_at - greatest(o.created_at, o.tracked_at)) * 1000)::bigint'
            when name like '%\\_ms' then format(
                '(extract(epoch from (v.settings ->> %L)::interval) * 1000)::bigint', regexp_replace(name, '_ms$', ''))
            else format('(v.settings ->> %L)::%s', name, format_type(type, null))
        end, ', ' order by place)
        from pg_proc as p
        cross join unnest(p.proargtypes::oid[], p.proargnames[1:p.pronargs]) with ordinality as argument (type, name, place)
        where p.oid = (select oid from pg_proc where proname = 'decide' and pronamespace = 'reconcile'::regnamespace)";
    let arguments: String = shop.one(arguments, &[]).await?;
    let replay = format!(
        "with replayed as (
            select d.*, c.to_state as kept_state, c.reason as kept_reason,
                round(extract(epoch from c.next_check_at - c.answered_at) * 1000) as kept_delay_ms
            from reconcile.recorded_checks as c
            join reconcile.tracked_orders as o using (order_id)
            join reconcile.provider_versions as v on v.provider_id = c.provider_id and v.version = c.provider_version
            cross join reconcile.decide({arguments}) as d
        )
        select count(*), count(*) filter (
            where (to_state, reason) is distinct from (kept_state, kept_reason)
               or abs(coalesce(next_delay_ms, -99) - coalesce(kept_delay_ms, -99)) > 5
        ) from replayed"
    );
    let row = shop.client.query_one(&replay, &[]).await?;
    assert_eq!(
        (row.get::<_, i64>(0), row.get::<_, i64>(1)),
        (7, 0),
        "checks, and those that differ"
    );
    shop.is_sound().await
}
