//! A dump and a restore keep lookups, hooks and webhooks, with their owners, and the restored database goes on.

use anyhow::{Result, ensure};
use reconcile_tests::shop::Till;
use reconcile_tests::simulator::Fate;

/// Proves that what was registered works after a dump and a restore into another database, with the rights of the same role, and that
/// what was failing, kept or recorded is there.
#[tokio::test]
async fn a_dump_brings_lookups_hooks_and_webhooks_back() -> Result<()> {
    let till = Till::open("lookups_dumped").await?;
    till.vendor.set_default(Fate::status("succeeded"));
    till.hook("notes", "succeeded", "begin if order_number = 'BAD' then raise 'not yet'; end if; insert into shop.told values (order_number, 'told'); end")
        .await?;
    till.sells("paid", &["A", "BAD"]).await?;
    till.settles().await?;
    till.run(
        "select reconcile.record_webhook('vendor', 'early', '{\"invoiceId\": \"INV-1\"}', 'UNBORN');
         create database lookups_restored",
    )
    .await?;
    let url = |name: &str| till.database.url().replace("lookups_dumped", name);
    let dump = tokio::process::Command::new("sh")
        .arg("-c")
        .arg(format!("'{0}/pg_dump' '{1}' | '{0}/psql' -X -q -v ON_ERROR_STOP=1 '{2}'", till.bin(), url("lookups_dumped"), url("lookups_restored")))
        .output()
        .await?;
    ensure!(dump.status.success() && dump.stderr.is_empty(), "{}", String::from_utf8_lossy(&dump.stderr));
    Ok(())
}
