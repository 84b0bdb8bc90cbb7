//! reconcile_stale_orders where this database knows the truth: many orders, several runs at a time, its filters.

use anyhow::Result;
use reconcile_tests::shop::{Shop, Till};
use tokio_postgres::Client;

const MANY: &str = "
    insert into shop.payments (order_number, status) select 'ORD-' || n, 'paid' from generate_series(1, 1000) as n;
    select reconcile.track_order('ORD-' || n, 'ledger', amount => 0.73, currency => 'USD', created_at => now() - interval '10 minutes')
    from generate_series(1, 1000) as n";

async fn run(client: &Client, arguments: &str) -> Result<(i32, i32)> {
    let run = format!("select selected, closed from reconcile_stale_orders({arguments})");
    let row = client.query_one(&run, &[]).await?;
    Ok((row.get(0), row.get(1)))
}

/// Proves that a thousand orders are settled by overlapping runs of several sessions with exactly one check and one transition each,
/// that no run waits for another, and that nothing is left for a sidecar.
#[tokio::test]
async fn overlapping_runs_settle_each_order_once() -> Result<()> {
    let till = Till::open("lookups_overlap").await?;
    till.run(MANY).await?;
    let mut sessions = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let client = till.database.connect().await?;
        sessions.spawn(async move {
            let mut closed = 0;
            for _ in 0..4 {
                closed += run(&client, "300").await?.1;
            }
            anyhow::Ok(closed)
        });
    }
    let mut closed = 0;
    for each in sessions.join_all().await {
        closed += each?;
    }
    // What two runs have selected is settled by the first of them.
    closed += run(&till.client, "1000").await?.1;
    assert_eq!(closed, 1000);
    let count = async |sql: &str| till.one::<i64>(sql, &[]).await;
    assert_eq!(
        count("select count(*) from reconcile.orders where state = 'succeeded'").await?,
        1000
    );
    assert_eq!(
        count("select count(*) from reconcile.transitions").await?,
        1000
    );
    assert_eq!(
        count("select count(*) from reconcile.recorded_checks").await?,
        1000
    );
    assert_eq!(count("select count(*) from reconcile.due_checks").await?, 0);
    till.is_sound().await
}

/// Proves that a run that holds its orders in an open transaction is passed by another one, which settles the rest and waits for nobody,
/// nor for the search of an attached table that the first is in.
#[tokio::test]
async fn a_run_passes_by_what_another_holds() -> Result<()> {
    let till = Till::open("lookups_held").await?;
    till.does(
        "create table shop.orders (order_number text primary key, status text);
         select reconcile.attach_table('shop.orders', 'ledger')",
    )
    .await?;
    till.sells("paid", &["A", "B", "C"]).await?;
    till.owner.batch_execute("begin").await?;
    assert_eq!(run(&till.owner, "1").await?, (1, 1));
    let other = till.database.connect().await?;
    // It would be cancelled if it waited.
    other.batch_execute("set statement_timeout = '30s'").await?;
    assert_eq!(run(&other, "10").await?.1, 2);
    till.owner.batch_execute("rollback").await?;
    assert_eq!(
        till.states().await?,
        ["A pending", "B succeeded", "C succeeded"]
    );
    assert_eq!(run(&other, "10").await?, (1, 1));
    till.is_sound().await
}

/// Proves that max_orders, provider, created_after, created_before and older_than select what they say, oldest first, and that a run is
/// recorded with its arguments and what it did.
#[tokio::test]
async fn filters_select_what_they_say() -> Result<()> {
    let till = Till::open("lookups_filters").await?;
    till.does("select reconcile.add_provider('other', kind => 'sql', lookup_table => 'shop.payments', status_map => '{\"paid\": \"succeeded\"}')")
        .await?;
    let ages = [
        ("A", "ledger", "4 hours"),
        ("B", "ledger", "3 hours"),
        ("C", "other", "2 hours"),
        ("D", "ledger", "1 hour"),
        ("E", "ledger", "0"),
    ];
    for (number, provider, age) in ages {
        till.pays("paid", &[number]).await?;
        let track =
            "select reconcile.track_order($1, $2, created_at => now() - $3::text::interval)";
        till.client
            .execute(track, &[&number, &provider, &age])
            .await?;
    }
    let owner = &till.owner;
    assert_eq!(run(owner, "created_before => now() - interval '90 minutes', created_after => now() - interval '150 minutes'").await?, (1, 1));
    assert_eq!(till.order("C").await?.state, "succeeded");
    assert_eq!(run(owner, "provider => 'other'").await?, (0, 0));
    assert_eq!(
        run(owner, "older_than => '10 minutes', max_orders => 1").await?,
        (1, 1)
    );
    assert_eq!(till.order("A").await?.state, "succeeded", "the oldest");
    assert_eq!(run(owner, "older_than => '150 minutes'").await?, (1, 1));
    assert_eq!(till.order("B").await?.state, "succeeded");
    assert_eq!(run(owner, "provider => 'ledger'").await?, (1, 1));
    assert_eq!(
        till.states().await?,
        [
            "A succeeded",
            "B succeeded",
            "C succeeded",
            "D succeeded",
            "E pending"
        ]
    );
    assert_eq!(run(owner, "older_than => '0'").await?, (1, 1));
    let runs = "select string_agg(format('%s/%s', selected, closed), ' ' order by run_id) from reconcile.runs";
    assert_eq!(
        till.one::<String>(runs, &[]).await?,
        "1/1 0/0 1/1 1/1 1/1 1/1"
    );
    till.is_sound().await
}

/// Proves that a paused provider of kind sql is not asked, neither by the schedule nor by a person, and is when it is resumed; and that
/// a sidecar leaves its orders alone.
#[tokio::test]
async fn a_paused_one_is_not_asked_and_no_sidecar_asks() -> Result<()> {
    let till = Till::open("lookups_paused").await?;
    till.does("select reconcile.pause_provider('ledger', 'closing the books')")
        .await?;
    till.sells("paid", &["A"]).await?;
    assert_eq!(till.settles().await?, 0);
    let message: String = till
        .one("select message from reconcile_order('A', '1 s')", &[])
        .await?;
    assert!(
        message.contains("paused") || message.contains("no sidecar"),
        "{message}"
    );
    let _sidecar = till.sidecar().await?;
    let shop: &Shop<'_> = &till;
    shop.track_aged("WITNESS", "10 minutes").await?;
    shop.signal().await?;
    shop.becomes("WITNESS", "succeeded").await?;
    assert!(till.checks("A").await?.is_empty());
    till.does("select reconcile.resume_provider('ledger')")
        .await?;
    shop.track_aged("WITNESS-2", "10 minutes").await?;
    till.run("notify reconcile_due").await?;
    shop.becomes("WITNESS-2", "succeeded").await?;
    assert!(till.checks("A").await?.is_empty(), "a sidecar has asked");
    assert_eq!(till.settles().await?, 1);
    till.is_sound().await
}
