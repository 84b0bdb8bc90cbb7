//! Everything that the tables' owner has is given to somebody who has never heard of the ledger.

use anyhow::Result;

use crate::hand::Hand;
use crate::store::{PLAIN, alerts, attached, row, watched};

/// Proves that after REASSIGN OWNED the application writes to its table as before, that nothing runs with the new owner's
/// rights until the new owner attaches the table, which an alert asks for, and that then what was missed is found.
#[tokio::test]
async fn an_heir_attaches_anew() -> Result<()> {
    let shop = attached("attach_reassigned").await?;
    shop.run("create role store_heir login in role reconcile_operator; reassign owned by store_owner to store_heir")
        .await?;
    let heir = shop.database.connect_as("store_heir").await?;
    let insert = async |number: &str| -> Result<()> {
        heir.batch_execute(&format!(
            "insert into store.orders (number, invoice_id, status) values ('{number}', 'i', 'NEW');
             update store.orders set status = 'processing' where number = '{number}'"
        ))
        .await?;
        Ok(())
    };
    heir.batch_execute("create index on store.orders (status, number)")
        .await?;
    insert("A").await?;
    shop.signal().await?;
    assert_eq!(watched(&shop).await?, [""; 0]);
    let alert = alerts(&shop).await?;
    assert!(
        alert
            .iter()
            .any(|alert| alert.contains("it belongs to store_heir now, and did to store_owner")),
        "{alert:?}"
    );
    heir.batch_execute(&format!(
        "select reconcile.detach_table('store.orders'); select reconcile.attach_table({PLAIN})"
    ))
    .await?;
    insert("B").await?;
    shop.signal().await?;
    assert_eq!(watched(&shop).await?, ["A pending", "B pending"]);
    let hand = Hand::new(&shop).await?;
    hand.say(&shop, &["A"], "succeeded").await?;
    assert_eq!(row(&shop, "A").await?, "CONFIRMED COMPLETED");
    shop.is_sound().await
}
