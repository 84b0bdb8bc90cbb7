//! An endpoint that a person's open transaction holds, and the deliveries to others.

use anyhow::{Context, Result};
use reconcile_tests::shop::{SOON, Shop};
use reconcile_tests::wait;
use tokio_postgres::{Client, SimpleQueryMessage};

async fn run(client: &Client, sql: &str) -> Result<()> {
    client
        .batch_execute(sql)
        .await
        .with_context(|| sql.to_owned())
}

/// The first column of the first row, as text.
async fn text(client: &Client, sql: &str) -> Result<Option<String>> {
    let answer = client.simple_query(sql).await;
    let answer = answer.with_context(|| sql.to_owned())?;
    Ok(answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    }))
}

/// As [`claim_once`], as soon as there is something: events wait for older transactions of other databases, too.
async fn claim(sidecar: &Client, id: &str) -> Result<Vec<(String, String, String)>> {
    wait::value(SOON, "deliveries", async || {
        let claimed = claim_once(sidecar, id).await?;
        Ok((!claimed.is_empty()).then_some(claimed))
    })
    .await
}

/// A claim of deliveries by hand: each one's endpoint, number and token.
async fn claim_once(sidecar: &Client, id: &str) -> Result<Vec<(String, String, String)>> {
    let claim = format!(
        "select string_agg(concat_ws(' ', endpoint, delivery_id, token), ',' order by endpoint) from reconcile.sidecar_claim_deliveries({id}, 10)"
    );
    let claimed = text(sidecar, &claim).await?.unwrap_or_default();
    let mut each = vec![];
    for delivery in claimed.split(',').filter(|claimed| !claimed.is_empty()) {
        let mut parts = delivery.split(' ').map(str::to_owned);
        let part = parts.next().zip(parts.next()).zip(parts.next());
        let ((endpoint, number), token) = part.context("a delivery in three parts")?;
        each.push((endpoint, number, token));
    }
    Ok(each)
}

/// Reports that these were answered by these statuses; what follows, by the deliveries' numbers.
async fn report(
    sidecar: &Client,
    id: &str,
    deliveries: &[(String, String, String)],
    statuses: &[u16],
) -> Result<String> {
    let list = |part: fn(&(String, String, String)) -> &str| {
        deliveries.iter().map(part).collect::<Vec<_>>().join(", ")
    };
    let statuses: Vec<String> = statuses.iter().map(u16::to_string).collect();
    let report = format!(
        "select coalesce(string_agg(verdict, ' ' order by delivery_id), '') from reconcile.sidecar_report_deliveries({id}, array[{}]::bigint[],
            array[{}]::bigint[], array_fill(null::text, array[{count}]), array[{}], array_fill(null::text, array[{count}]),
            array_fill(1, array[{count}]), array_fill(null::integer, array[{count}]))",
        list(|delivery| &delivery.1),
        list(|delivery| &delivery.2),
        statuses.join(", "),
        count = deliveries.len(),
    );
    Ok(text(sidecar, &report).await?.unwrap_or_default())
}

/// What is counted on both endpoints, each as `a delivered 1 faults 0`.
async fn counted(dba: &Client) -> Result<String> {
    let counted = "select string_agg(format('%s delivered %s faults %s%s', name, delivered, faults,
            case when disabled_at is not null then ' disabled' end), ', ' order by name) from reconcile.event_endpoints";
    Ok(text(dba, counted).await?.unwrap_or_default())
}

/// Proves that an open transaction in which an endpoint was paused, or one in which an event of it is sent again, keeps no report from
/// being taken, of its own deliveries and of another's in the same batch; and that what they came to is counted when it has ended.
#[tokio::test]
async fn a_held_endpoint_delays_no_report() -> Result<()> {
    let shop = Shop::open("delivery_held").await?;
    let (database, dba) = (&shop.database, &shop.client);
    let operator = database.connect_as("shop_operator").await?;
    let sidecar = database.connect_as("shop_sidecar").await?;
    run(&sidecar, "set statement_timeout = '10s'").await?;
    run(
        dba,
        r#"select reconcile.add_endpoint('a', 'https://a.example/h', 'SECRET'), reconcile.add_endpoint('b', 'https://b.example/h', 'SECRET')"#,
    )
    .await?;
    let id = text(
        &sidecar,
        "select reconcile.sidecar_start('by hand', '1', 10)",
    )
    .await?
    .context("no id")?;
    let happens = |nr: usize| {
        format!(
            "select reconcile.track_order('O-{nr}', 'vendor', 'INV-{nr}'); select reconcile.resolve_order('O-{nr}', 'succeeded', 'x')"
        )
    };

    run(dba, &happens(1)).await?;
    let deliveries = claim(&sidecar, &id).await?;
    assert_eq!(deliveries.len(), 2);
    run(
        &operator,
        "begin; select reconcile.pause_endpoint('a', 'a look at it')",
    )
    .await?;
    assert_eq!(
        report(&sidecar, &id, &deliveries, &[200, 200]).await?,
        "delivered delivered"
    );
    assert_eq!(
        counted(dba).await?,
        "a delivered 0 faults 0, b delivered 1 faults 0"
    );
    run(&operator, "rollback").await?;

    run(dba, &happens(2)).await?;
    let deliveries = claim(&sidecar, &id).await?;
    assert_eq!(deliveries.len(), 2);
    assert_eq!(
        counted(dba).await?,
        "a delivered 1 faults 0, b delivered 1 faults 0"
    );
    run(&operator, "begin; select reconcile.resume_endpoint('a')").await?;
    assert_eq!(
        report(&sidecar, &id, &deliveries, &[500, 200]).await?,
        "retry delivered"
    );
    run(&operator, "rollback").await?;

    run(dba, &happens(3)).await?;
    let deliveries = claim(&sidecar, &id).await?;
    assert_eq!(
        counted(dba).await?,
        "a delivered 1 faults 1, b delivered 2 faults 0"
    );
    run(
        &operator,
        "begin; select reconcile.pause_endpoint('a', 'a look at it')",
    )
    .await?;
    assert_eq!(
        report(&sidecar, &id, &deliveries, &[410, 200]).await?,
        "disabled delivered"
    );
    run(&operator, "rollback").await?;
    run(dba, &happens(4)).await?;
    let deliveries = claim(&sidecar, &id).await?;
    assert_eq!(
        counted(dba).await?,
        "a delivered 1 faults 2 disabled, b delivered 3 faults 0"
    );
    assert!(
        deliveries.iter().all(|(endpoint, ..)| endpoint == "b"),
        "{deliveries:?}"
    );
    let event = "select max(event_id) from reconcile.read_events(0, 100)";
    let event = text(dba, event).await?.context("no event")?;
    run(
        &operator,
        &format!("begin; select reconcile.replay_events('b', array[{event}::bigint])"),
    )
    .await?;
    let verdict = report(&sidecar, &id, &deliveries, &[200]).await?;
    assert!(
        ["delivered", "stale"].contains(&verdict.as_str()),
        "{verdict}"
    );
    run(&operator, "commit").await?;
    Ok(())
}
