//! What always holds: each invariant finds its own breach, housekeeping keeps what it found, and a look at a million orders is cheap.

use anyhow::Result;
use reconcile_tests::cluster::{Contents, Database};
use tokio_postgres::Client;

use crate::cluster;

/// Two providers, an open order, a closed one and one in review, an application's table, and a lease.
const LIFE: &str = "
    select reconcile.add_provider('vendor', 'https://v.example/{order_number}', '{\"paid\": \"succeeded\"}');
    select reconcile.add_provider('other', 'https://o.example/{order_number}', '{\"paid\": \"succeeded\"}');
    select reconcile.track_order(number, 'vendor') from unnest('{OPEN,ASKED,CLOSED,HELD,TWICE}'::text[]) as number;
    select reconcile.resolve_order('CLOSED', 'failed', 'said so');
    select reconcile.resolve_order('HELD', 'review', 'odd');
    select reconcile.resolve_order('TWICE', state, 'said so') from unnest('{review,failed}'::text[]) as state;
    create table shop_orders (number text primary key, status text);
    select reconcile.attach_table('shop_orders', 'vendor', order_number => 'number', status => 'status');
    update reconcile.due_checks as d set due_at = clock_timestamp(), urgent = true
    from reconcile.tracked_orders as o where o.order_id = d.order_id and o.order_number = 'ASKED';
    select reconcile.sidecar_start('by hand', '0', 1);
    select reconcile.sidecar_claim(1, 1)";

/// A breach, by the statement that makes it, and which invariant finds it where.
const BREACHES: &[(&str, &str)] = &[
    (
        "delete from reconcile.due_checks where order_id = %OPEN",
        "open_is_queued_or_leased OPEN vendor",
    ),
    (
        "insert into reconcile.due_checks (order_id, provider_id, due_at) values (%ASKED, 1, now())",
        "open_is_queued_or_leased ASKED vendor",
    ),
    (
        "insert into reconcile.due_checks (order_id, provider_id, due_at) values (4711, 1, now())",
        "queue_is_of_orders",
    ),
    (
        "update reconcile.due_checks set provider_id = 2 where order_id = %OPEN",
        "queue_is_of_orders OPEN vendor",
    ),
    (
        "update reconcile.leases set order_id = 4711; update reconcile.tracked_orders set state = 'failed', settled_by = 'operator'
            where order_id = %ASKED; insert into reconcile.transitions (order_id, from_state, to_state, cause, reason)
            values (%ASKED, 'pending', 'failed', 'operator', 'by hand')",
        "queue_is_of_orders",
    ),
    (
        "insert into reconcile.due_checks (order_id, provider_id, due_at) values (%CLOSED, 1, now() + interval '1 hour')",
        "closed_is_watched CLOSED vendor",
    ),
    (
        "update reconcile.transitions set from_state = 'succeeded' where order_id = %CLOSED",
        "one_transition_a_change CLOSED vendor",
    ),
    (
        "insert into reconcile.transitions (order_id, from_state, to_state, cause, reason) values
            (%CLOSED, 'pending', 'failed', 'operator', 'twice')",
        "one_transition_a_change CLOSED vendor",
    ),
    (
        "update reconcile.tracked_orders set state = 'cancelled' where order_id = %CLOSED",
        "state_is_the_last_transitions CLOSED vendor",
    ),
    (
        "update reconcile.tracked_orders set settled_by = 'application' where order_id = %CLOSED",
        "state_is_the_last_transitions CLOSED vendor",
    ),
    (
        "delete from reconcile.transitions where order_id = %CLOSED",
        "state_is_the_last_transitions CLOSED vendor; transition_is_one_event",
    ),
    (
        "insert into reconcile.transitions (order_id, from_state, to_state, cause, reason) values
            (4711, 'pending', 'failed', 'operator', 'of nothing')",
        "transition_has_an_order",
    ),
    (
        "update reconcile.tracked_orders set settled_by = 'provider' where order_id = %CLOSED;
            update reconcile.transitions set cause = 'provider', check_id = 1 where order_id = %CLOSED",
        "transition_has_its_check CLOSED vendor",
    ),
    (
        "insert into reconcile.owed_writes (order_id, attachment_id, transition_id) values (%HELD, 1, 4711)",
        "owed_is_the_last_transition HELD vendor",
    ),
    (
        "update reconcile.tracked_orders set provider_id = 2, attachment_id = 1 where order_id = %CLOSED",
        "row_is_of_its_provider CLOSED other",
    ),
    (
        "update reconcile.provider_traffic set in_flight = in_flight + 1 where provider_id = 2",
        "counts_are_true other",
    ),
    ("update reconcile.event_positions set last_number = last_number + 1", "events_are_dense"),
    ("update reconcile.event_positions set era = 1", "events_are_dense"),
    (
        "update reconcile.event_positions set transition_ids = array(select id from unnest(transition_ids) as id order by id desc)",
        "events_are_in_order TWICE vendor",
    ),
    (
        "update reconcile.event_positions set transition_ids[1] = transition_ids[2]",
        "transition_is_one_event CLOSED vendor; transition_is_one_event HELD vendor",
    ),
    ("delete from reconcile.leases", "counts_are_true vendor; open_is_queued_or_leased ASKED vendor"),
];

const FOUND: &str =
    "select coalesce(string_agg(concat_ws(' ', v.invariant, v.order_number, v.provider), '; '
    order by v.invariant, v.order_number), 'nothing') from reconcile.violations as v";

async fn alive(name: &'static str) -> Result<(Database<'static>, Client)> {
    let database = cluster().await?.database(name, Contents::Extension).await?;
    let client = database.connect().await?;
    client.batch_execute(LIFE).await?;
    client
        .batch_execute("select from reconcile.read_events()")
        .await?;
    Ok((database, client))
}

async fn one(client: &Client, sql: &str) -> Result<String> {
    Ok(client.query_one(sql, &[]).await?.get(0))
}

/// Proves that the view is empty where nothing is wrong, and that each invariant finds its own breach and no other.
#[tokio::test]
async fn each_invariant_finds_its_own_breach() -> Result<()> {
    let (_database, client) = alive("violations_each").await?;
    assert_eq!(one(&client, FOUND).await?, "nothing");
    let numbers = client
        .query(
            "select order_number, order_id from reconcile.tracked_orders",
            &[],
        )
        .await?;
    for (breach, wanted) in BREACHES {
        let mut breach = (*breach).to_owned();
        for number in &numbers {
            let (name, id) = (number.get::<_, String>(0), number.get::<_, i64>(1));
            breach = breach.replace(&format!("%{name}"), &id.to_string());
        }
        client
            .batch_execute(&format!(
                "begin; set local session_replication_role = replica; {breach}"
            ))
            .await?;
        assert_eq!(one(&client, FOUND).await?, *wanted, "{breach}");
        client.batch_execute("rollback").await?;
    }
    let known = "select string_agg(distinct found[1], ' ') from (
        select pg_get_viewdef(c.oid) as text from pg_class as c where c.relnamespace in ('reconcile'::regnamespace, 'reconcile_internal'::regnamespace)
            and c.relname in ('violations', '_broken_chains', '_broken_queue', '_broken_records', '_broken_events')
        ) as v cross join regexp_matches(v.text, '''([a-z]+(?:_[a-z]+){2,})''', 'g') as found";
    for invariant in one(&client, known).await?.split(' ') {
        let is_tried = BREACHES
            .iter()
            .any(|(_, wanted)| wanted.contains(invariant));
        assert!(is_tried, "no breach of {invariant} is tried");
    }
    Ok(())
}

/// Proves that housekeeping keeps what it finds, that the alert reads that and not the view, says since when, and goes with the breach.
#[tokio::test]
async fn what_housekeeping_finds_is_an_alert_until_it_is_gone() -> Result<()> {
    let (_database, client) = alive("violations_kept").await?;
    let told = "select coalesce(string_agg(concat_ws(' ', a.severity, a.subject, a.since is not null), '; '), 'nothing')
        from reconcile.alerts as a where a.alert = 'violation'";
    let look = "select done::text from reconcile.housekeep() where task = 'violations found'";
    client
        .batch_execute("update reconcile.provider_traffic set in_flight = 7 where provider_id = 2")
        .await?;
    assert_eq!(one(&client, told).await?, "nothing");
    assert_eq!(one(&client, look).await?, "1");
    assert_eq!(
        one(&client, told).await?,
        "critical counts_are_true other t"
    );
    // It was mended in the same run, which the next one sees.
    assert_eq!(one(&client, look).await?, "0");
    assert_eq!(one(&client, told).await?, "nothing");
    Ok(())
}

/// Proves that the harness looks at the end of a test.
#[tokio::test]
async fn a_test_that_leaves_a_breach_fails() -> Result<()> {
    let (database, client) = alive("violations_left").await?;
    client
        .batch_execute("update reconcile.provider_traffic set in_flight = 7 where provider_id = 2")
        .await?;
    let left = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || drop(database)));
    let said = left.err().and_then(|said| said.downcast::<String>().ok());
    let said = *said.expect("it was not noticed");
    assert!(said.contains("counts_are_true other"), "{said}");
    Ok(())
}
