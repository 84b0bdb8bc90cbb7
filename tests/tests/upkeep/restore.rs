//! A dump and a restore bring everything back, and the restored database goes on where the old one stood.

use std::collections::BTreeMap;
use std::io::{Seek, Write};
use std::process::Stdio;

use anyhow::{Result, ensure};
use reconcile_tests::cluster::{Cluster, Contents, Database, Settings};
use tokio::process::Command;
use tokio_postgres::{Client, Row};

use crate::cluster;
use crate::migrations::RIGHTS;

/// Rows of every table by name, as a hash; sequences, rights and triggers beside them. The sidecars' register is left
/// out: it starts anew; and so is the sequencer, since a restored database begins an era.
async fn everything(client: &Client) -> Result<BTreeMap<String, String>> {
    let relations = client
        .query(
            "select oid::regclass::text, case when relkind = 'S' then 'last_value, is_called' else '*' end from pg_class
             where relnamespace = 'reconcile'::regnamespace and relkind in ('r', 'S') and relname not in ('registered_sidecars', 'event_sequencer')",
            &[],
        )
        .await?;
    let mut all = BTreeMap::new();
    for relation in &relations {
        let (name, columns): (String, &str) = (relation.get(0), relation.get(1));
        let rows = client
            .query_one(
                &format!("select format('%s rows %s', count(*), md5(string_agg(t::text, E'\\n' order by t::text))) from (select {columns} from {name}) as t"),
                &[],
            )
            .await?;
        all.insert(name, rows.get(0));
    }
    let shape = "select coalesce(string_agg(line, E'\\n' order by line), '') from (
            select pg_get_triggerdef(oid) as line from pg_trigger where not tgisinternal
            union all select indexdef from pg_indexes where schemaname = 'reconcile'
            union all select format('%s %s', oid::regclass, pg_get_expr(relpartbound, oid)) from pg_class where relispartition
        ) as shape";
    for (name, query) in [("rights", RIGHTS), ("shape", shape)] {
        all.insert(name.to_owned(), client.query_one(query, &[]).await?.get(0));
    }
    Ok(all)
}

pub(crate) async fn dump(cluster: &Cluster, program: &str, arguments: &[&str]) -> Result<Vec<u8>> {
    let output = cluster.command(program).args(arguments).output().await?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output.stdout)
}

/// Feeds a dump to psql or pg_restore, which may not complain.
pub(crate) async fn restore(command: &mut Command, dump: &[u8]) -> Result<()> {
    let mut input = tempfile::tempfile()?;
    input.write_all(dump)?;
    input.rewind()?;
    let output = command.stdin(Stdio::from(input)).output().await?;
    let complaints = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success() && complaints.is_empty(),
        "{complaints}"
    );
    Ok(())
}

async fn number(client: &Client, query: &str) -> Result<i64> {
    Ok(client.query_one(query, &[]).await?.get(0))
}

/// That each order was declined.
const REPORT: &str = "select verdict from reconcile.sidecar_report($1, $2, $3, null, array_fill(200, array[cardinality($2::bigint[])]),
        array_fill('{\"status\": \"declined\"}'::text, array[cardinality($2::bigint[])]), null, null, null)";

/// Reports about what was leased come too late.
async fn are_stale(client: &Client, leased: &[Row]) -> Result<()> {
    for row in leased {
        let stale = client
            .query_one(
                REPORT,
                &[
                    &row.get::<_, i64>(2),
                    &vec![row.get::<_, i64>(0)],
                    &vec![row.get::<_, i64>(1)],
                ],
            )
            .await?;
        assert_eq!(stale.get::<_, &str>(0), "stale");
    }
    Ok(())
}

/// The audit is as closed as it was, in every partition.
async fn audit_is_closed(client: &Client) -> Result<()> {
    for row in client.query("select inhrelid::regclass::text from pg_inherits where inhparent = 'reconcile.recorded_checks'::regclass", &[]).await? {
        let partition: String = row.get(0);
        for change in ["truncate %", "delete from %", "update % set outcome = 'failed'"] {
            let rows = number(client, &format!("select count(*) from {partition}")).await?;
            let error = client.batch_execute(&change.replace('%', &partition)).await.err();
            let code = error.and_then(|error| error.code().map(|code| code.code().to_owned()));
            // A change of no row is no change.
            let refused = rows > 0 || change.starts_with("truncate");
            assert_eq!(code.as_deref(), refused.then_some("RC008"), "{change}: {partition}");
        }
    }
    Ok(())
}

/// The restored database works on, and nothing of before is given out a second time.
async fn goes_on(client: &Client) -> Result<()> {
    let ids = "select greatest((select max(order_id) from reconcile.tracked_orders), (select max(token) from reconcile.leases),
        (select max(check_id) from reconcile.recorded_checks), (select max(transition_id) from reconcile.transitions))";
    let (orders, checks) = (
        number(client, "select max(order_id) from reconcile.tracked_orders").await?,
        number(
            client,
            "select max(check_id) from reconcile.recorded_checks",
        )
        .await?,
    );
    let transitions = number(
        client,
        "select max(transition_id) from reconcile.transitions",
    )
    .await?;
    let tokens = number(client, "select max(token) from reconcile.leases").await?;
    assert!(number(client, ids).await? > 1000);

    let mended = number(
        client,
        "select sum(done)::bigint from reconcile.housekeep()",
    )
    .await?;
    assert_eq!(mended, 0, "there is nothing to mend");

    // The leases of before run out, their orders are asked about again, and the answers of before are too late.
    let leased = client
        .query(
            "select order_id, token, sidecar_id from reconcile.leases",
            &[],
        )
        .await?;
    assert_eq!(leased.len(), 2);
    client
        .batch_execute("update reconcile.leases set expires_at = now() - interval '1 s'")
        .await?;
    let id = number(
        client,
        "select reconcile.sidecar_start('the second life', '1', 100)",
    )
    .await?;
    assert!(leased.iter().all(|row| row.get::<_, i64>(2) < id));
    client
        .execute("select reconcile.sidecar_heartbeat($1, 0)", &[&id])
        .await?;
    are_stale(client, &leased).await?;
    client
        .batch_execute(
            "select reconcile.track_order('NEW', 'vendor', 'inv', created_at => now() - interval '1 day');
             select reconcile_stale_orders(older_than => '0')",
        )
        .await?;
    assert!(
        number(
            client,
            "select order_id from reconcile.tracked_orders where order_number = 'NEW'"
        )
        .await?
            > orders
    );
    let claimed = client
        .query(
            "select order_id, token from reconcile.sidecar_claim($1, 100)",
            &[&id],
        )
        .await?;
    let (order_ids, new_tokens): (Vec<i64>, Vec<i64>) = claimed
        .iter()
        .map(|row| (row.get::<_, i64>(0), row.get::<_, i64>(1)))
        .unzip();
    assert!(leased.iter().all(|row| order_ids.contains(&row.get(0))));
    assert!(new_tokens.iter().all(|token| *token > tokens));
    assert_eq!(
        client
            .query(REPORT, &[&id, &order_ids, &new_tokens])
            .await?
            .len(),
        0
    );
    let settled = number(client, "select count(*) from reconcile.orders where state in ('pending', 'processing') and provider = 'vendor'").await?;
    assert_eq!(
        settled, 1,
        "all but LATER, which is to be asked about tomorrow, and was pulled by nobody"
    );
    assert!(number(client, "select min(check_id) from reconcile.recorded_checks where sidecar_id = (select max(sidecar_id) from reconcile.recorded_checks)").await? > checks);
    assert!(
        number(
            client,
            "select max(transition_id) from reconcile.transitions"
        )
        .await?
            > transitions
    );

    audit_is_closed(client).await?;
    client.batch_execute("set role reconcile_reader; table reconcile.orders; select reconcile.explain_order('ORD-12'); reset role").await?;
    Ok(())
}

async fn alive(name: &'static str) -> Result<(Database<'static>, BTreeMap<String, String>)> {
    let database = cluster().await?.database(name, Contents::Extension).await?;
    let client = database.connect().await?;
    client.batch_execute(include_str!("life.sql")).await?;
    let states = client
        .query_one(
            "select string_agg(distinct state, ' ' order by state) from reconcile.orders",
            &[],
        )
        .await?;
    assert_eq!(
        states.get::<_, &str>(0),
        "cancelled failed pending processing refunded review succeeded"
    );
    let events =
        "select count(*) from reconcile.deliveries where attempts = 1 or token is not null";
    assert_eq!(number(&client, events).await?, 2, "events on their way");
    let all = everything(&client).await?;
    Ok((database, all))
}

#[tokio::test]
async fn a_plain_dump_is_restored_beside_its_original() -> Result<()> {
    let (original, before) = alive("dumped_plain").await?;
    let cluster = cluster().await?;
    let plain = dump(cluster, "pg_dump", &["dumped_plain"]).await?;
    let restored = cluster
        .database("restored_plain", Contents::Nothing)
        .await?;
    let mut psql = cluster.command("psql");
    psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", "restored_plain"])
        .stdout(Stdio::null());
    restore(&mut psql, &plain).await?;
    let client = restored.connect().await?;
    assert_eq!(everything(&client).await?, before);
    goes_on(&client).await?;
    assert_eq!(
        everything(&original.connect().await?).await?,
        before,
        "the original is as it was"
    );
    Ok(())
}

#[tokio::test]
async fn a_compressed_dump_is_restored_into_another_cluster() -> Result<()> {
    let (_, before) = alive("dumped_fc").await?;
    let compressed = dump(cluster().await?, "pg_dump", &["-Fc", "dumped_fc"]).await?;
    let roles = dump(cluster().await?, "pg_dumpall", &["--roles-only"]).await?;

    let other = Cluster::start_new(Settings::default()).await?;
    let restored = other.database("restored_fc", Contents::Nothing).await?;
    // The role that made the cluster is there already.
    let roles = String::from_utf8(roles)?.replace("CREATE ROLE postgres;", "");
    let mut psql = other.command("psql");
    restore(
        psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", "postgres"]),
        roles.as_bytes(),
    )
    .await?;
    let mut pg_restore = other.command("pg_restore");
    restore(
        pg_restore.args(["--exit-on-error", "-d", "restored_fc"]),
        &compressed,
    )
    .await?;
    let client = restored.connect().await?;
    assert_eq!(everything(&client).await?, before);
    goes_on(&client).await?;
    Ok(())
}
