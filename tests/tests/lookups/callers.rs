//! reconcile_order where this database knows the truth: asked here and now, in the caller's transaction.

use anyhow::Result;
use reconcile_tests::shop::Till;
use tokio_postgres::IsolationLevel;

const ASK: &str = "select state, previous_state, updated, outcome, provider_status, message from reconcile_order('A', '0')";

/// Proves that reconcile_order settles an order of kind sql at once, without a sidecar and without waiting; sees what its own
/// transaction has written; and that nothing of it remains when that is rolled back.
#[tokio::test]
async fn the_answer_is_part_of_the_callers_transaction() -> Result<()> {
    let mut till = Till::open("lookups_caller").await?;
    let transaction = till.owner.transaction().await?;
    transaction
        .batch_execute(
            "insert into shop.payments values ('A', 'paid');
             select reconcile.track_order('A', 'ledger', amount => 0.73, currency => 'USD')",
        )
        .await?;
    let row = transaction.query_one(ASK, &[]).await?;
    let texts: Vec<&str> = [0, 1, 3, 4].map(|place| row.get(place)).into();
    assert_eq!(texts, ["succeeded", "pending", "succeeded", "paid"]);
    assert!(row.get::<_, bool>(2));
    transaction.rollback().await?;
    assert!(till.states().await?.is_empty());
    let left = "select (select count(*) from reconcile.recorded_checks) + (select count(*) from reconcile.transitions)
        + (select count(*) from reconcile.leases)";
    assert_eq!(till.one::<i64>(left, &[]).await?, 0);

    till.sells("paid", &["A"]).await?;
    till.does("begin; select reconcile_order('A'); rollback")
        .await?;
    assert_eq!(till.order("A").await?.state, "pending");
    assert!(till.order("A").await?.next_check_s.is_some());
    till.does("begin; select reconcile_order('A'); commit")
        .await?;
    assert_eq!(
        till.history("A").await?,
        ["pending -> succeeded by provider"]
    );
    till.is_sound().await
}

/// Proves that a REPEATABLE READ and a SERIALIZABLE caller get the answer too, since nobody else has to commit it.
#[tokio::test]
async fn a_fixed_snapshot_is_no_hindrance() -> Result<()> {
    let mut till = Till::open("lookups_snapshot").await?;
    for (number, level) in [
        ("A", IsolationLevel::RepeatableRead),
        ("B", IsolationLevel::Serializable),
    ] {
        till.sells("paid", &[number]).await?;
        let transaction = till
            .owner
            .build_transaction()
            .isolation_level(level)
            .start()
            .await?;
        let ask = format!("select state from reconcile_order('{number}')");
        let state: String = transaction.query_one(&ask, &[]).await?.get(0);
        assert_eq!(state, "succeeded");
        transaction.commit().await?;
        assert_eq!(till.order(number).await?.state, "succeeded");
    }
    till.is_sound().await
}

/// Proves that an order that another transaction is settling is not waited for: the caller is told, and it is settled once.
#[tokio::test]
async fn an_order_that_is_being_settled_is_not_waited_for() -> Result<()> {
    let till = Till::open("lookups_locked").await?;
    till.sells("paid", &["A"]).await?;
    till.does("begin; select reconcile_order('A')").await?;
    let row = till.client.query_one(ASK, &[]).await?;
    assert_eq!(row.get::<_, &str>(0), "pending");
    assert!(
        row.get::<_, &str>(5)
            .contains("locked by a transaction that has not ended"),
        "{}",
        row.get::<_, &str>(5)
    );
    till.does("commit").await?;
    let row = till.client.query_one(ASK, &[]).await?;
    assert_eq!(
        (row.get::<_, &str>(0), row.get::<_, bool>(2)),
        ("succeeded", false)
    );
    assert_eq!(till.checks("A").await?.len(), 1);
    till.is_sound().await
}

/// Proves that an order that is not settled by its answer says so, that order_details shows it, and that a lookup which fails is an
/// outcome for the caller and no error.
#[tokio::test]
async fn what_settles_nothing_is_said() -> Result<()> {
    let till = Till::open("lookups_said").await?;
    till.sells("open", &["A"]).await?;
    let row = till.client.query_one(ASK, &[]).await?;
    assert_eq!(
        (
            row.get::<_, &str>(0),
            row.get::<_, &str>(3),
            row.get::<_, bool>(2)
        ),
        ("pending", "pending", false)
    );
    till.does("drop table shop.payments").await?;
    let row = till.client.query_one(ASK, &[]).await?;
    assert_eq!(
        (row.get::<_, &str>(0), row.get::<_, &str>(3)),
        ("pending", "provider_error")
    );
    let details = "select order_details('A') #>> '{order,state}'";
    let state: Option<String> = till.one(details, &[]).await?;
    assert_eq!(state.as_deref(), Some("pending"));
    till.is_sound().await
}

/// Proves that test_provider asks a provider of kind sql without a sidecar, shows what answers, the answer and what it would mean, and
/// changes no order.
#[tokio::test]
async fn test_provider_asks_here() -> Result<()> {
    let till = Till::open("lookups_tested").await?;
    till.pays("paid", &["A"]).await?;
    let test = async |arguments: &str| -> Result<[Option<String>; 5]> {
        let test = format!(
            "select request, response ->> 'status', outcome, decision, message from reconcile.test_provider('ledger', {arguments})"
        );
        let row = till.owner.query_one(&test, &[]).await?;
        Ok([0, 1, 2, 3, 4].map(|place| row.get(place)))
    };
    let expected = [
        "shop.payments {\"order_number\": \"order_number\"}",
        "paid",
        "succeeded",
        "pending -> succeeded",
    ];
    let tested = test("order_number => 'A'").await?;
    assert_eq!(tested[..4], expected.map(|text| Some(text.to_owned())));
    let mismatch = test("order_number => 'A', amount => 1").await?;
    assert_eq!(
        mismatch[3].as_deref(),
        Some("pending -> review"),
        "{mismatch:?}"
    );
    let missing = test("order_number => 'B'").await?;
    assert_eq!(
        (missing[1].as_deref(), missing[2].as_deref()),
        (None, Some("not_found")),
        "{missing:?}"
    );
    till.does("drop table shop.payments").await?;
    let broken = test("order_number => 'A'").await?;
    assert_eq!(broken[2].as_deref(), Some("provider_error"));
    assert!(
        broken[4]
            .as_deref()
            .is_some_and(|message| message.contains("RC011: shop.payments: it is gone")),
        "{broken:?}"
    );
    assert!(till.states().await?.is_empty());
    till.is_sound().await
}
