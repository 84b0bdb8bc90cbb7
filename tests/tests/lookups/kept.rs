//! A dump and a restore keep lookups, hooks and webhooks, with their owners, and the restored database goes on.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use reconcile_tests::cluster::{Cluster, Contents, Database};
use reconcile_tests::shop::{Till, settings};
use tokio::io::AsyncWriteExt;
use tokio::sync::OnceCell;
use tokio_postgres::Client;

async fn dump_and_restore(cluster: &'static Cluster) -> Result<Database<'static>> {
    let dump = cluster
        .command("pg_dump")
        .arg("lookups_dumped")
        .output()
        .await?;
    ensure!(
        dump.status.success(),
        "{}",
        String::from_utf8_lossy(&dump.stderr)
    );
    let restored = cluster
        .database("lookups_restored", Contents::Nothing)
        .await?;
    let mut psql = cluster
        .command("psql")
        .args([
            "-X",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-d",
            "lookups_restored",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    psql.stdin
        .take()
        .context("no standard input")?
        .write_all(&dump.stdout)
        .await?;
    let restoring = psql.wait_with_output().await?;
    ensure!(
        restoring.status.success() && restoring.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&restoring.stderr)
    );
    Ok(restored)
}

/// What is registered, failing and kept, and which functions there are for it, with their owners.
async fn everything(client: &Client) -> Result<String> {
    let all = "
        select string_agg(line, E'\\n' order by line) from (
            select format('%s of %s, definer %s', p.oid::regprocedure, p.proowner::regrole, p.prosecdef) as line
            from pg_proc as p where p.pronamespace = 'reconcile_generated'::regnamespace
            union all select h::text from reconcile.hooks as h
            union all select l::text from reconcile.lookups as l
            union all select f::text from reconcile.failed_effects as f
            union all select w::text from reconcile.webhooks as w
            union all select o.order_number || o.state from reconcile.orders as o
        ) as lines";
    Ok(client.query_one(all, &[]).await?.get(0))
}

/// Proves that what was registered works after a dump and a restore, with the rights of the same role; that what was failing, kept or
/// recorded is there; and that what is registered afterwards gets functions of its own.
#[tokio::test]
async fn a_dump_brings_lookups_hooks_and_webhooks_back() -> Result<()> {
    static OWN: OnceCell<Cluster> = OnceCell::const_new();
    let cluster = OWN
        .get_or_try_init(|| Cluster::start_new(settings()))
        .await?;
    let till = Till::open_in(cluster, "lookups_dumped").await?;
    till.does(
        "create table shop.broken (number text); insert into shop.broken values ('BAD');
         create table shop.orders (order_number text primary key, status text not null default 'pending');
         select reconcile.attach_table('shop.orders', 'ledger', write => '{\"succeeded\": {\"status\": \"CONFIRMED\"}}')",
    )
    .await?;
    till.hook(
        "notes",
        "succeeded",
        "begin
            if exists (select from shop.broken as b where b.number = order_number) then raise 'not yet'; end if;
            insert into shop.told values (order_number, 'told');
        end",
    )
    .await?;
    till.pays("paid", &["A", "BAD", "C"]).await?;
    till.does("insert into shop.orders (order_number) values ('A'), ('BAD')")
        .await?;
    till.settles_all().await?;
    till.run("select reconcile.record_webhook('vendor', 'early', '{\"token\": \"any-SECRETVALUE\"}', 'UNBORN')")
        .await?;
    let before = everything(&till.client).await?;
    assert!(
        before.contains("_hook_1(text,jsonb) of shop_operator, definer t"),
        "{before}"
    );
    assert!(
        before.contains("not yet") && !before.contains("SECRETVALUE"),
        "{before}"
    );

    let restored = dump_and_restore(cluster).await?;
    let client = restored.connect().await?;
    assert_eq!(everything(&client).await?, before);
    client
        .batch_execute(
            "delete from shop.broken;
             insert into shop.orders (order_number) values ('C');
             update reconcile.due_checks set due_at = clock_timestamp();
             select reconcile_stale_orders();
             select reconcile.track_order('UNBORN', 'vendor', 'INV-UNBORN', 0.73, 'USD')",
        )
        .await?;
    let after = "
        select string_agg(o.order_number || ' ' || o.state || coalesce(' ' || t.by, '') || coalesce(' ' || s.status, ''), ', '
            order by o.order_number)
        from reconcile.orders as o left join shop.told as t using (order_number) left join shop.orders as s using (order_number)";
    let after: String = client.query_one(after, &[]).await?.get(0);
    assert_eq!(
        after,
        "A succeeded shop_operator CONFIRMED, BAD succeeded shop_operator CONFIRMED, C succeeded shop_operator CONFIRMED, UNBORN pending"
    );
    let effect = "select effect from reconcile.webhooks where event_id = 'early'";
    let effect: String = client.query_one(effect, &[]).await?.get(0);
    assert_eq!(effect, "asked");
    let owner = restored.connect_as("shop_operator").await?;
    owner
        .batch_execute(
            "select reconcile.add_hook('more', 'failed', 'shop.notes(text, jsonb)', 'ledger');
             select reconcile.alter_provider('ledger', lookup_table => 'shop.payments');
             select reconcile.detach_table('shop.orders');
             select reconcile.remove_hook('notes')",
        )
        .await?;
    let left = "select string_agg(p.proname, ' ' order by p.proname) from pg_proc as p where p.pronamespace = 'reconcile_generated'::regnamespace";
    let left: String = client.query_one(left, &[]).await?.get(0);
    assert_eq!(left, "_hook_2 _lookup_2");
    Ok(())
}
