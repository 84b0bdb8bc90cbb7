//! A dump and a restore bring an attachment back, with its triggers, functions and their owners.

use std::io::{Seek, Write};
use std::process::Stdio;

use anyhow::{Result, ensure};
use reconcile_tests::cluster::{Cluster, Contents};
use reconcile_tests::shop::{self, Shop};

use crate::hand::Hand;
use crate::store::{ATTACHED, ORDERS};

/// Everything about attachments that a restore has to bring back, by name and not by oid.
const SHAPE: &str = "
    select format('%s of %s, %s, %s, %s', p.oid::regprocedure, p.proowner::regrole, p.prosecdef, p.proacl, p.proconfig) as line
    from pg_proc as p where p.pronamespace in ('reconcile_generated'::regnamespace, 'reconcile_doors'::regnamespace)
    union all select pg_get_triggerdef(t.oid) from pg_trigger as t where not t.tgisinternal and t.tgrelid::regclass::text ~ '^store'
    union all select 'row ' || a::text from reconcile.attachments as a
    union all select 'sweep ' || a::text from reconcile.attachment_sweeps as a
    union all select 'note ' || a::text from reconcile.arrivals as a
    union all select 'refused ' || a::text from reconcile.refused_rows as a
    union all select format('right %s', n.nspacl) from pg_namespace as n where n.nspname = 'reconcile_doors'
    order by 1";

/// Proves that a restored database has the attachment whole, that it works on at once, and that the
/// original is left alone.
#[tokio::test]
async fn a_restored_attachment_works_on() -> Result<()> {
    let cluster = Cluster::start_new(shop::settings()).await?;
    let shop = Shop::open_in(&cluster, "dumped").await?;
    crate::store::furnish(&shop).await?;
    crate::store::as_owner(&shop, ORDERS).await?;
    crate::store::attach(&shop, ATTACHED).await?;
    let app = crate::store::app(&shop).await?;
    app.batch_execute(
        "insert into store.orders (number, invoice_id, status) values ('A', 'i', 'processing'), ('B', 'i', 'processing');
         insert into store.orders (number, invoice_id, status, currency) values ('C', 'i', 'processing', 'Dollar');
         insert into store.orders (number, invoice_id, status) select 'N-' || n, 'i', 'processing' from generate_series(1, 150) as n",
    )
    .await?;
    let before = crate::store::list(&shop, SHAPE).await?;

    let dumped = cluster.command("pg_dump").arg("dumped").output().await?;
    ensure!(
        dumped.status.success(),
        "{}",
        String::from_utf8_lossy(&dumped.stderr)
    );
    let database = cluster.database("restored", Contents::Nothing).await?;
    let mut file = tempfile::tempfile()?;
    file.write_all(&dumped.stdout)?;
    file.rewind()?;
    let restored = cluster
        .command("psql")
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", "restored"])
        .stdin(Stdio::from(file))
        .output()
        .await?;
    let complaints = String::from_utf8_lossy(&restored.stderr);
    ensure!(
        restored.status.success() && complaints.is_empty(),
        "{complaints}"
    );

    let other = Shop::found_in(database).await?;
    assert_eq!(crate::store::list(&other, SHAPE).await?, before);
    let app = crate::store::app(&other).await?;
    app.batch_execute(
        "insert into store.orders (number, invoice_id, status) values ('D', 'i', 'processing');
         update store.orders set status = 'CANCELLED' where number = 'B'",
    )
    .await?;
    let hand = Hand::new(&other).await?;
    hand.beat().await?;
    hand.say(&other, &["A", "D"], "succeeded").await?;
    let states = "select state || ' ' || count(*) from reconcile.orders group by state order by 1";
    assert_eq!(
        crate::store::list(&other, states).await?,
        ["failed 1", "pending 150", "succeeded 2"]
    );
    assert_eq!(crate::store::row(&other, "A").await?, "CONFIRMED TXN-1");
    let dba = other.database.connect_as("store_dba").await?;
    dba.batch_execute("select reconcile.detach_table('store.orders')")
        .await?;
    other.is_sound().await?;
    assert_eq!(crate::store::list(&shop, SHAPE).await?, before);
    Ok(())
}
