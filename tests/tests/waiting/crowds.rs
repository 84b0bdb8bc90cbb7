//! Many callers at a time.

use anyhow::Result;
use reconcile_tests::cluster::Cluster;
use reconcile_tests::shop::{SOON, Shop, settings};
use reconcile_tests::simulator::Fate;
use reconcile_tests::wait;
use tokio::task::JoinSet;

use crate::asked::{Asked, ask};

async fn asked_by_many(
    shop: &Shop<'_>,
    order_numbers: impl Iterator<Item = String>,
) -> Result<JoinSet<Result<Asked>>> {
    let mut callers = JoinSet::new();
    for order_number in order_numbers {
        let app = shop.app().await?;
        callers.spawn(async move { Ok(ask(&app, &order_number, Some("60 s")).await?) });
    }
    Ok(callers)
}

/// Proves that one call to the provider serves a hundred callers who ask about one order, also when
/// its answer leaves the order open.
#[tokio::test]
async fn a_hundred_callers_cost_one_call() -> Result<()> {
    let shop = Shop::open("a_hundred_callers").await?;
    let _sidecar = shop.sidecar().await?;
    shop.track("A").await?;
    for (word, round) in [("processing", 1), ("succeeded", 2)] {
        shop.vendor.set_fate("A", Fate::status(word));
        let gate = shop.vendor.hold("A");
        let callers = asked_by_many(&shop, (0..100).map(|_| "A".to_owned())).await?;
        shop.vendor.arrived("A", round, SOON).await?;
        wait::until(SOON, "a hundred callers who wait", async || {
            let waiting = "select count(*) from pg_stat_activity
                where datname = current_database() and usename = 'shop_app' and wait_event = 'PgSleep'";
            shop.one::<i64>(waiting, &[]).await.is_ok_and(|waiting| waiting == 100)
        })
        .await?;
        gate.open();
        for asked in callers.join_all().await {
            let asked = asked?;
            assert_eq!(asked.provider_status.as_deref(), Some(word), "{asked:?}");
            assert_eq!(asked.updated, word == "succeeded", "{asked:?}");
        }
        assert_eq!(shop.vendor.count("A"), round);
    }
    assert_eq!(
        shop.history("A").await?,
        ["pending -> succeeded by provider"]
    );
    shop.is_sound().await
}

/// Proves that forty callers with forty orders get each their own answer, by one call each.
#[tokio::test]
async fn many_callers_with_many_orders_get_their_own_answers() -> Result<()> {
    let shop = Shop::open("many_callers").await?;
    let _sidecar = shop.sidecar().await?;
    let states = ["succeeded", "failed", "cancelled", "refunded"];
    let number = |place: usize| format!("{}-{place}", states[place % 4]);
    for place in 0..40 {
        shop.track(&number(place)).await?;
        shop.vendor
            .set_fate(&number(place), Fate::status(states[place % 4]));
    }
    let callers = asked_by_many(&shop, (0..40).map(number)).await?;
    let mut told: Vec<_> = callers
        .join_all()
        .await
        .into_iter()
        .collect::<Result<_>>()?;
    told.sort_by(|one, other| one.transaction_id.cmp(&other.transaction_id));
    assert_eq!(told.len(), 40);
    for asked in told {
        let transaction = asked.transaction_id.clone().unwrap_or_default();
        assert!(
            asked.updated && transaction.contains(&asked.state),
            "{asked:?}"
        );
    }
    assert_eq!(shop.vendor.totals().calls, 40);
    shop.is_sound().await
}

/// Proves that callers who share a single worker slot take turns: each gets an answer.
#[tokio::test]
async fn callers_take_turns_at_one_worker_slot() -> Result<()> {
    // The launcher of logical replication takes one of the two.
    let cluster = Cluster::start_new(settings().parameter("max_worker_processes", "2")).await?;
    let shop = Shop::open_in(&cluster, "one_worker_slot").await?;
    let _sidecar = shop.sidecar().await?;
    for place in 0..12 {
        shop.track(&format!("ORD-{place}")).await?;
    }
    let callers = asked_by_many(&shop, (0..12).map(|place| format!("ORD-{place}"))).await?;
    for asked in callers.join_all().await {
        let asked = asked?;
        assert!(asked.updated, "{asked:?}");
    }
    assert_eq!(shop.vendor.totals().calls, 12);
    shop.is_sound().await
}
