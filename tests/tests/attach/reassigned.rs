//! Everything that the tables' owner has is given to somebody who has never heard of the ledger.

use anyhow::Result;

use crate::hand::Hand;
use crate::store::{attached, row, watched};

/// Proves that after REASSIGN OWNED the application writes to its table as before, that the schedule finds what could not be told
/// and has the new owner told of from then on, and that states are written back by the new owner's rights.
#[tokio::test]
async fn an_heir_goes_on_as_before() -> Result<()> {
    let shop = attached("attach_reassigned").await?;
    shop.run("create role store_heir login; reassign owned by store_owner to store_heir")
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
    assert_eq!(watched(&shop).await?, ["A pending"]);
    insert("B").await?;
    assert_eq!(watched(&shop).await?, ["A pending", "B pending"]);
    let hand = Hand::new(&shop).await?;
    hand.say(&shop, &["A"], "succeeded").await?;
    assert_eq!(row(&shop, "A").await?, "CONFIRMED COMPLETED");
    shop.is_sound().await
}
