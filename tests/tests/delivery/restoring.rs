//! Cursors outlive the cluster: a dump that is restored where transaction ids are lower than before.

use std::io::{Seek, Write};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use reconcile_tests::cluster::{Cluster, Contents};
use reconcile_tests::shop::{self, Shop};
use tokio_postgres::Client;

use crate::event;

/// Uses up transaction ids: subtransactions that write have one each.
const AGE: &str = "
    create table burnt (n integer);
    do $$
    begin
        for n in 1 .. 20000 loop
            begin
                insert into burnt values (n);
            exception when others then
                raise;
            end;
        end loop;
    end
    $$";

async fn orders(client: &Client, after: i64) -> Result<Vec<String>> {
    let read = "select order_number from reconcile.read_events($1)";
    let rows = client.query(read, &[&after]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

async fn dump(cluster: &Cluster, database: &str) -> Result<Vec<u8>> {
    let output = cluster.command("pg_dump").arg(database).output().await?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output.stdout)
}

async fn restore(cluster: &Cluster, database: &str, dump: &[u8]) -> Result<()> {
    let mut input = tempfile::tempfile()?;
    input.write_all(dump)?;
    input.rewind()?;
    let mut psql = cluster.command("psql");
    psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", database])
        .stdin(Stdio::from(input))
        .stdout(Stdio::null());
    let output = psql.output().await?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// Proves that a reader's cursor and an endpoint's stay valid in a restored database: what was not
/// read comes, with the ids of before, then what happens from there on, and nothing twice; that an event which had no
/// position in the dump gets one; and that a cursor of what the original did after the dump is refused, and told where
/// to go on.
#[tokio::test]
async fn cursors_stay_valid_in_a_restored_database() -> Result<()> {
    let old = Cluster::start_new(shop::settings()).await?;
    let shop = Shop::open_in(&old, "life").await?;
    shop.run(AGE).await?;
    let read = event(&shop, "READ", "succeeded").await?;
    let since = format!(
        "select reconcile.add_endpoint('shop', 'https://shop.example/', 'SHOP_EVENTS', since_event => {read})"
    );
    shop.run(&since).await?;
    event(&shop, "UNREAD", "failed").await?;
    assert_eq!(orders(&shop.client, read).await?, ["UNREAD"]);
    let message = "select reconcile_internal._message_id(t) from reconcile.transitions as t order by t.transition_id desc limit 1";
    let message: String = shop.one(message, &[]).await?;
    shop.track("UNNUMBERED").await?;
    shop.run("select reconcile.resolve_order('UNNUMBERED', 'failed', 'nobody has looked')")
        .await?;

    // The roles come with the other database.
    let new = Cluster::start_new(shop::settings()).await?;
    let other = Shop::open_in(&new, "other").await?;
    let restored = new.database("restored", Contents::Nothing).await?;
    restore(&new, "restored", &dump(&old, "life").await?).await?;
    let lost = event(&shop, "AFTERWARDS", "failed").await?;
    assert_eq!(orders(&shop.client, read).await?.len(), 3);
    let client = restored.connect().await?;
    let lower = "select pg_current_xact_id()::text::bigint < (select min(written_in) from reconcile.transitions)";
    assert!(
        client.query_one(lower, &[]).await?.get::<_, bool>(0),
        "the new cluster is younger"
    );
    client
        .batch_execute("select reconcile.track_order('NEW', 'vendor', 'inv'); select reconcile.resolve_order('NEW', 'failed', 'x')")
        .await?;
    assert_eq!(
        orders(&client, read).await?,
        ["UNREAD", "UNNUMBERED", "NEW"]
    );
    let claimed = client
        .query("select message_id, body::json #>> '{data,order_number}' from reconcile.sidecar_claim_deliveries(1, 10)", &[])
        .await?;
    let claimed: Vec<(String, String)> =
        claimed.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(
        (claimed.len(), claimed[0].clone()),
        (3, (message, "UNREAD".to_owned()))
    );
    assert_eq!(claimed[2].1, "NEW");

    let refused = orders(&client, lost).await;
    let refused = refused.err().context("a lost cursor was taken")?;
    let refused = refused
        .downcast_ref::<tokio_postgres::Error>()
        .and_then(tokio_postgres::Error::as_db_error)
        .context("no error of the server's")?;
    assert_eq!(refused.code().code(), "RC017", "{refused}");
    let from = format!("Read on after {}:", read + 1);
    assert!(refused.hint().is_some_and(|hint| hint.starts_with(&from)));
    assert_eq!(orders(&client, read + 1).await?, ["UNNUMBERED", "NEW"]);
    drop(other);
    Ok(())
}
