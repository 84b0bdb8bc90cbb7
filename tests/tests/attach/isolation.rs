//! The application's transactions, of whatever isolation and length: none fails or waits because its
//! table is attached.

use anyhow::Result;
use reconcile_tests::shop::Shop;
use tokio_postgres::Client;

use crate::hand::Hand;
use crate::store::{app, attached, list, row, take_in, watched};

const INSERT: &str = "insert into store.orders (number, invoice_id, status) values";

/// As many sessions of the application, each in a transaction that would be cancelled if it waited.
async fn sessions<const N: usize>(shop: &Shop<'_>, isolation: &str) -> Result<[Client; N]> {
    let mut clients = Vec::new();
    for _ in 0..N {
        let client = app(shop).await?;
        client
            .batch_execute(&format!("set statement_timeout = '20s'; begin isolation level {isolation}; select count(*) from store.orders where number = ''"))
            .await?;
        clients.push(client);
    }
    clients
        .try_into()
        .map_err(|_| anyhow::anyhow!("not {N} sessions"))
}

/// Proves that transactions with a fixed snapshot that enter, move and leave rows of their own at one
/// time all commit, and that each row is followed afterwards.
#[tokio::test]
async fn fixed_snapshots_never_fail() -> Result<()> {
    for (name, isolation) in [
        ("attach_repeatable", "repeatable read"),
        ("attach_serializable", "serializable"),
    ] {
        let shop = attached(name).await?;
        app(&shop).await?.batch_execute(&format!("{INSERT} ('A', 'i', 'processing'), ('B', 'i', 'processing'), ('C', 'i', 'processing')")).await?;
        // They read nothing that another of them writes: what fails is the attachment's doing.
        let mut clients = Vec::new();
        for _ in 0..4 {
            let client = app(&shop).await?;
            client
                .batch_execute(&format!("begin isolation level {isolation}; select 1"))
                .await?;
            clients.push(client);
        }
        let touches = [
            (0, format!("{INSERT} ('D', 'i', 'processing')")),
            (
                1,
                "update store.orders set status = 'CANCELLED' where number = 'A'".to_owned(),
            ),
            (2, "delete from store.orders where number = 'B'".to_owned()),
            (
                3,
                format!("{INSERT} ('E', 'i', 'processing') on conflict do nothing"),
            ),
            (0, format!("{INSERT} ('F', 'i', 'processing')")),
            (
                1,
                "update store.orders set invoice_id = 'j' where number = 'C'".to_owned(),
            ),
        ];
        for (who, sql) in touches {
            clients[who].batch_execute(&sql).await?;
        }
        for client in &clients {
            client.batch_execute("commit").await?;
        }
        take_in(&shop).await?;
        assert_eq!(
            watched(&shop).await?,
            [
                "A failed",
                "B cancelled",
                "C pending",
                "D pending",
                "E pending",
                "F pending"
            ],
            "{isolation}"
        );
        assert_eq!(
            list(
                &shop,
                "select reference from reconcile.orders where order_number = 'C'"
            )
            .await?,
            ["j"]
        );
        shop.is_sound().await?;
    }
    Ok(())
}

/// Proves that two serializable transactions whose triggers can't tell which rows have changed both
/// commit: neither read what the other wrote.
#[tokio::test]
async fn two_serializable_truncates_commit() -> Result<()> {
    let shop = attached("attach_truncates").await?;
    crate::store::as_owner(
        &shop,
        "create table store.others (number text primary key, invoice_id text, status text)",
    )
    .await?;
    crate::store::attach(&shop, "'store.others', 'vendor', track => '{processing}'").await?;
    let (one, two) = (app(&shop).await?, app(&shop).await?);
    for client in [&one, &two] {
        client
            .batch_execute("begin isolation level serializable; select 1")
            .await?;
    }
    one.batch_execute("truncate store.orders").await?;
    two.batch_execute("truncate store.others").await?;
    one.batch_execute("commit").await?;
    two.batch_execute("commit").await?;
    Ok(())
}

/// Proves that an application that holds its row, and touches it again while a report about it runs,
/// neither waits nor is part of a deadlock, and that its decision stands.
#[tokio::test]
async fn a_report_about_a_row_that_is_held_is_no_deadlock() -> Result<()> {
    let shop = attached("attach_no_deadlock").await?;
    app(&shop)
        .await?
        .batch_execute(&format!(
            "{INSERT} ('A', 'i', 'processing'), ('B', 'i', 'processing')"
        ))
        .await?;
    let hand = Hand::new(&shop).await?;
    let claimed = hand.claim(&shop, &["A", "B"]).await?;
    let [holder] = sessions(&shop, "read committed").await?;
    holder
        .batch_execute("select from store.orders where number = 'A' for update")
        .await?;
    hand.begin().await?;
    assert_eq!(
        hand.report(&claimed, "succeeded").await?,
        Vec::<String>::new()
    );
    // The report has A's order, the application has A's row; B's row is the report's.
    holder.batch_execute("update store.orders set payment = 'mine' where number = 'A'; update store.orders set status = 'CANCELLED' where number = 'A'")
        .await?;
    hand.commit().await?;
    holder.batch_execute("commit").await?;
    hand.beat().await?;
    assert_eq!(
        (watched(&shop).await?, row(&shop, "A").await?),
        (
            vec!["A failed".to_owned(), "B succeeded".to_owned()],
            "CANCELLED mine".to_owned()
        )
    );
    shop.is_sound().await
}

/// Proves that an application that touches a row which an open transaction is just taking in waits for
/// no more than a moment, and that what it did is followed afterwards.
#[tokio::test]
async fn taking_in_holds_up_nobody() -> Result<()> {
    let shop = attached("attach_take_in_open").await?;
    shop.run(&format!("set session_replication_role = replica; {INSERT} ('A', 'i', 'processing'), ('B', 'i', 'processing'); reset session_replication_role"))
        .await?;
    let dba = shop.database.connect_as("store_dba").await?;
    dba.batch_execute("begin; select from reconcile.take_in('store.orders', 5)")
        .await?;
    let [app] = sessions(&shop, "read committed").await?;
    app.batch_execute("update store.orders set invoice_id = 'j' where number = 'A'; update store.orders set status = 'CANCELLED' where number = 'B'; commit")
        .await?;
    dba.batch_execute("commit").await?;
    let hand = Hand::new(&shop).await?;
    hand.beat().await?;
    assert_eq!(
        list(
            &shop,
            "select concat_ws(' ', order_number, state, reference) from reconcile.orders order by 1"
        )
        .await?,
        ["A pending j", "B failed i"]
    );
    shop.is_sound().await
}

/// Proves that writers of different rows don't wait for each other because their table is attached.
#[tokio::test]
async fn writers_share_no_lock() -> Result<()> {
    let shop = attached("attach_writers").await?;
    let clients = sessions::<3>(&shop, "read committed").await?;
    for (client, number) in clients.iter().zip(["A", "B", "C"]) {
        client
            .batch_execute(&format!("{INSERT} ('{number}', 'i', 'processing')"))
            .await?;
    }
    for (client, number) in clients.iter().zip(["A", "B", "C"]) {
        client
            .batch_execute(&format!(
                "update store.orders set status = 'CANCELLED' where number = '{number}';
                 insert into store.orders (number, invoice_id, status) select '{number}-' || n, 'i', 'processing' from generate_series(1, 200) as n"
            ))
            .await?;
    }
    for client in &clients {
        client.batch_execute("commit").await?;
    }
    take_in(&shop).await?;
    let states = "select state || ' ' || count(*) from reconcile.orders group by state order by 1";
    assert_eq!(list(&shop, states).await?, ["failed 3", "pending 600"]);
    shop.is_sound().await
}
