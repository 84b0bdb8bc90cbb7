//! An application that commits in two phases, and events that were there before its orders.

use anyhow::Result;
use reconcile_tests::cluster::Cluster;
use reconcile_tests::shop::{Shop, settings};

use crate::{effects, record, said};

/// Proves that a transaction which brings an order whose event is there already, a doorbell or evidence, can be prepared, which NOTIFY
/// would forbid; and that the doorbell has made its order due, and the evidence settles its order in the next run.
#[tokio::test]
async fn an_early_event_does_not_keep_a_transaction_from_being_prepared() -> Result<()> {
    let settings = settings().parameter("max_prepared_transactions", "5");
    let cluster = Cluster::start_new(settings).await?;
    let shop = Shop::open_in(&cluster, "webhooks_two_phase").await?;
    shop.run(
        "create table public.orders (number text primary key, status text, reference text);
         select from reconcile.attach_table('public.orders', 'vendor', track => '{open}', write => '{\"succeeded\": {\"status\": \"paid\"}}')",
    )
    .await?;
    let app = shop.app().await?;
    for (number, evidence) in [("DOORBELL", false), ("EVIDENCE", true)] {
        let webhook = format!(
            "webhook => '{{\"evidence\": {evidence}, \"order_number_path\": \"$.data.reference\"}}'"
        );
        shop.alter_provider("vendor", &webhook).await?;
        let payload = said("succeeded", number, "0.73");
        assert_eq!(record(&app, number, &payload, None).await?, "kept");
        let insert = format!(
            "begin; insert into public.orders values ('{number}', 'open', 'INV-{number}'); prepare transaction '{number}'"
        );
        shop.run(&insert).await?;
        shop.run(&format!("commit prepared '{number}'")).await?;
    }
    assert_eq!(effects(&shop).await?, ["DOORBELL asked", "EVIDENCE kept"]);
    let due = shop.order("DOORBELL").await?.next_check_s;
    assert!(due.is_some_and(|due| due <= 0.0), "due in {due:?} s");
    shop.signal().await?;
    assert_eq!(
        effects(&shop).await?,
        ["DOORBELL asked", "EVIDENCE applied"]
    );
    let status = "select status from public.orders where number = 'EVIDENCE'";
    assert_eq!(shop.one::<String>(status, &[]).await?, "paid");
    shop.is_sound().await
}
