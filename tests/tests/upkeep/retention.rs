//! Housekeeping: months ahead, months too old, and what ought not to happen but is mended.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use reconcile_tests::cluster::Contents;
use reconcile_tests::wait;
use tokio_postgres::Client;

use crate::cluster;

async fn client(database: &'static str) -> Result<Client> {
    cluster()
        .await?
        .database(database, Contents::Extension)
        .await?
        .connect()
        .await
}

/// What housekeeping did, by task; what it did nothing about is left out.
async fn housekeep(client: &Client) -> Result<BTreeMap<String, i64>> {
    let rows = client
        .query("select task, done from reconcile.housekeep()", &[])
        .await?;
    assert!(rows.len() > 5);
    Ok(rows
        .iter()
        .map(|row| (row.get(0), row.get(1)))
        .filter(|(_, done)| *done != 0)
        .collect())
}

fn only(task: &str, done: i64) -> BTreeMap<String, i64> {
    BTreeMap::from([(task.to_owned(), done)])
}

/// The months that have a partition, counted from this one.
async fn months(client: &Client) -> Result<Vec<i32>> {
    let rows = client
        .query(
            "select (extract(year from month) * 12 + extract(month from month)
                 - extract(year from now() at time zone 'UTC') * 12 - extract(month from now() at time zone 'UTC'))::int
             from (select to_date(substr(relname, 17), 'YYYY_MM') as month from pg_class
                   where relname ~ '^recorded_checks_[0-9]{4}_[0-9]{2}$') as partition order by 1",
            &[],
        )
        .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Makes the partition of a month as housekeeping would have made it then, with a check in it.
async fn month_of_checks(client: &Client, months_ago: i32) -> Result<()> {
    client
        .batch_execute(&format!(
            "do $$
             declare
                 v_from timestamptz := (date_trunc('month', now() at time zone 'UTC') - interval '{months_ago} months') at time zone 'UTC';
             begin
                 execute format('create table reconcile.%I (like reconcile.recorded_checks including defaults, primary key (order_id, check_id))',
                     'recorded_checks_' || to_char(v_from at time zone 'UTC', 'YYYY_MM'));
                 execute format('alter table reconcile.recorded_checks attach partition reconcile.%I for values from (%L) to (%L)',
                     'recorded_checks_' || to_char(v_from at time zone 'UTC', 'YYYY_MM'), v_from,
                     (v_from at time zone 'UTC' + interval '1 month') at time zone 'UTC');
                 insert into reconcile.recorded_checks (order_id, check_id, answered_at, claimed_at, provider_id, provider_version,
                     sidecar_id, token, outcome, from_state, from_attempt, from_tries, from_faults, to_state, reason)
                 values (1, {months_ago}, v_from, v_from, 1, 1, 1, 1, 'pending', 'pending', 0, 0, 0, 'pending', 'long ago');
             end $$"
        ))
        .await?;
    Ok(())
}

#[tokio::test]
async fn partitions_are_made_for_three_months_once() -> Result<()> {
    let client = client("months_ahead").await?;
    assert_eq!(months(&client).await?, [0; 0]);
    assert_eq!(housekeep(&client).await?, only("partitions made", 3));
    assert_eq!(months(&client).await?, [0, 1, 2]);
    assert_eq!(housekeep(&client).await?, BTreeMap::new());
    let keys = client
        .query(
            "select pg_get_constraintdef(oid) from pg_constraint where contype = 'p' and conrelid in (
                 select inhrelid from pg_inherits where inhparent = 'reconcile.recorded_checks'::regclass)",
            &[],
        )
        .await?;
    let keys: Vec<String> = keys.iter().map(|row| row.get(0)).collect();
    assert_eq!(keys, ["PRIMARY KEY (order_id, check_id)"; 4]);
    Ok(())
}

#[tokio::test]
async fn a_month_that_began_in_the_default_partition_stays_there() -> Result<()> {
    let client = client("months_late").await?;
    client
        .batch_execute(
            "insert into reconcile.recorded_checks (order_id, check_id, claimed_at, provider_id, provider_version,
                 sidecar_id, token, outcome, from_state, from_attempt, from_tries, from_faults, to_state, reason)
             values (1, 1, now(), 1, 1, 1, 1, 'pending', 'pending', 0, 0, 0, 'pending', 'before there was a partition')",
        )
        .await?;
    assert_eq!(housekeep(&client).await?, only("partitions made", 2));
    assert_eq!(months(&client).await?, [1, 2]);
    Ok(())
}

#[tokio::test]
async fn months_older_than_the_setting_are_dropped_and_no_others() -> Result<()> {
    let client = client("months_old").await?;
    housekeep(&client).await?;
    for months_ago in [20, 15, 13, 3, 1] {
        month_of_checks(&client, months_ago).await?;
    }
    // 400 days: the months that ended before then.
    assert_eq!(housekeep(&client).await?, only("partitions dropped", 2));
    assert_eq!(months(&client).await?, [-13, -3, -1, 0, 1, 2]);
    client
        .batch_execute("update reconcile.settings set checks_kept = '45 days'")
        .await?;
    assert_eq!(housekeep(&client).await?, only("partitions dropped", 2));
    assert_eq!(months(&client).await?, [-1, 0, 1, 2]);
    let left = client
        .query_one(
            "select array_agg(check_id::int) from reconcile.recorded_checks",
            &[],
        )
        .await?;
    assert_eq!(left.get::<_, Vec<i32>>(0), [1]);
    assert!(
        client
            .batch_execute("update reconcile.settings set checks_kept = '-1 day'")
            .await
            .is_err()
    );
    Ok(())
}

#[tokio::test]
async fn checks_without_a_month_of_their_own_go_when_they_are_old_and_not_before() -> Result<()> {
    let client = client("months_otherwise").await?;
    client
        .batch_execute(
            "insert into reconcile.recorded_checks (order_id, check_id, answered_at, claimed_at, provider_id, provider_version,
                 sidecar_id, token, outcome, from_state, from_attempt, from_tries, from_faults, to_state, reason)
             select 1, age, now() - age * interval '1 day', now(), 1, 1, 1, 1, 'pending', 'pending', 0, 0, 0, 'pending', 'astray'
             from unnest(array[399, 401, 10000]) as age",
        )
        .await?;
    let left = async || -> Result<Vec<i32>> {
        let rows = client
            .query(
                "select check_id::int from reconcile.recorded_checks order by 1",
                &[],
            )
            .await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    };
    for change in [
        "update %t set outcome = 'failed'",
        "truncate %t",
        "delete from %t where check_id = 399",
    ] {
        let change = change.replace("%t", "reconcile.recorded_checks_otherwise");
        let error = client.batch_execute(&change).await.err();
        let code = error.and_then(|error| error.code().map(|code| code.code().to_owned()));
        assert_eq!(code.as_deref(), Some("RC008"), "{change}");
    }
    housekeep(&client).await?;
    assert_eq!(left().await?, [399]);
    Ok(())
}

#[tokio::test]
async fn what_ought_not_to_happen_is_mended() -> Result<()> {
    let client = client("mended").await?;
    client
        .batch_execute(
            "select reconcile.add_provider('vendor', 'https://v.example/{order_number}', '{\"paid\": \"succeeded\"}');
             select reconcile.track_order('ORD-' || n, 'vendor', created_at => now() - interval '1 hour') from generate_series(1, 4) as n;
             select reconcile.resolve_order('ORD-4', 'succeeded', 'by hand');
             select reconcile.sidecar_start('gone', '1', 1);
             select * from reconcile.sidecar_claim(1, 1)",
        )
        .await?;
    assert_eq!(housekeep(&client).await?, BTreeMap::new());
    // An open order in neither place; a lease whose sidecar is gone; a count that is off; old runs and old sidecars.
    client
        .batch_execute("delete from reconcile.due_checks where order_id = 3")
        .await?;
    // What it mends it has found before.
    let and_found =
        |task: &str| BTreeMap::from([(task.to_owned(), 1), ("violations found".to_owned(), 1)]);
    assert_eq!(
        housekeep(&client).await?,
        and_found("orders found outside the queue")
    );
    client
        .batch_execute("update reconcile.leases set expires_at = now() - interval '1 s'")
        .await?;
    assert_eq!(housekeep(&client).await?, only("leases put back", 1));
    let due = client
        .query_one("select count(*) from reconcile.stale_orders", &[])
        .await?;
    assert_eq!(due.get::<_, i64>(0), 3);
    client
        .batch_execute("update reconcile.provider_traffic set in_flight = in_flight + 7")
        .await?;
    assert_eq!(housekeep(&client).await?, and_found("counts mended"));
    client
        .batch_execute(
            "select reconcile_stale_orders(); select reconcile_stale_orders();
             update reconcile.recorded_runs set started_at = started_at - interval '31 days' where run_id = 1;
             select reconcile.sidecar_start('new', '1', 1);
             update reconcile.registered_sidecars set heartbeat_at = heartbeat_at - interval '8 days' where name = 'gone'",
        )
        .await?;
    let expected = BTreeMap::from([
        ("runs deleted".to_owned(), 1),
        ("sidecars forgotten".to_owned(), 1),
    ]);
    assert_eq!(housekeep(&client).await?, expected);
    assert_eq!(housekeep(&client).await?, BTreeMap::new());
    Ok(())
}

#[tokio::test]
async fn housekeeping_at_the_same_time_as_itself_does_the_work_once() -> Result<()> {
    let database = cluster()
        .await?
        .database("housekeep_twice", Contents::Extension)
        .await?;
    let mut first = database.connect().await?;
    first
        .batch_execute("select reconcile.add_provider('vendor', 'https://v.example/{order_number}', '{\"paid\": \"succeeded\"}')")
        .await?;
    month_of_checks(&first, 20).await?;
    let transaction = first.transaction().await?;
    let did = transaction
        .query("select task from reconcile.housekeep() where done > 0", &[])
        .await?;
    assert_eq!(did.len(), 1);
    let second = database.connect().await?;
    let other = database.connect().await?;
    let both_done = async {
        wait::until(Duration::from_secs(10), "the second to wait for the first", async || {
            let waiting = "select count(*) from pg_stat_activity where datname = 'housekeep_twice' and wait_event_type = 'Lock'";
            other.query_one(waiting, &[]).await.is_ok_and(|row| row.get::<_, i64>(0) == 1)
        })
        .await?;
        Ok(transaction.commit().await?)
    };
    let (also, ()) = tokio::try_join!(housekeep(&second), both_done)?;
    assert_eq!(also, BTreeMap::new());
    assert_eq!(months(&second).await?, [0, 1, 2]);
    Ok(())
}
