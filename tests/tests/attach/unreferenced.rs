//! Rows without the reference that their provider asks by, as a crash between taking the money and saving the reference leaves them:
//! they are known, counted, shown and told of, and watched as soon as they have one.

use anyhow::Result;
use reconcile_tests::shop::{Shop, refusal};

use crate::store::{
    ORDERS, PLAIN, alerts, app, as_owner, attach, attached, list, take_in, watched, with,
};

/// The notes of rows that wait, each as `number problem`.
async fn waiting(shop: &Shop<'_>) -> Result<Vec<String>> {
    let sql = "select format('%s %s', u.order_number, regexp_replace(u.problem, 'since .*', 'since')) || case when u.waits_since is null
        then ' never' else '' end from reconcile.unwatched_rows as u order by 1";
    list(shop, sql).await
}

async fn counted(shop: &Shop<'_>) -> Result<i64> {
    let sql = "select waiting_for_reference from reconcile.attached_tables";
    shop.one(sql, &[]).await
}

/// Runs SQL while no trigger is fired.
async fn unnoticed(shop: &Shop<'_>, sql: &str) -> Result<()> {
    shop.run(&format!(
        "set session_replication_role = replica; {sql}; reset session_replication_role"
    ))
    .await
}

/// Proves that a row without a reference is counted, shown, explained and answered for, that it is told of when it has waited for
/// `stuck_after` since it was created, and that nothing of it is left when its reference comes, when it leaves or when it goes.
#[tokio::test]
async fn rows_without_a_reference_wait_and_are_told_of() -> Result<()> {
    let shop = attached("attach_unreferenced").await?;
    let app = app(&shop).await?;
    app.batch_execute(
        "insert into store.orders (number, status) values ('A', 'processing');
         insert into store.orders (number, invoice_id, status) values ('B', '', 'processing'), ('C', 'i-C', 'processing')",
    )
    .await?;
    assert_eq!(watched(&shop).await?, ["C pending"]);
    let both = [
        "A waits for a reference since",
        "B waits for a reference since",
    ];
    assert_eq!(waiting(&shop).await?, both);
    assert_eq!(counted(&shop).await?, 2);
    assert_eq!(alerts(&shop).await?, [""; 0]);

    let explained: String = shop.one("select reconcile.explain_order('A')", &[]).await?;
    for says in [
        "Order A is not watched: it waits for a reference since 20",
        ": column invoice_id of store.orders is empty, and provider vendor asks by reference",
        "It is asked about as soon as that is mended.",
    ] {
        assert!(explained.contains(says), "{explained}");
    }
    let asked = shop.app().await?;
    let answer = asked
        .query_one(
            "select order_number, state, updated, message from reconcile_order('A')",
            &[],
        )
        .await?;
    assert_eq!(answer.get::<_, String>(0), "A");
    assert_eq!(answer.get::<_, Option<String>>(1), None);
    assert!(!answer.get::<_, bool>(2));
    assert!(
        answer
            .get::<_, String>(3)
            .starts_with("it waits for a reference since 20")
    );
    let refused = refusal(&asked, "select order_details('A')").await?;
    assert_eq!(refused.code().code(), "RC001");
    assert!(
        refused.message().contains("waits for a reference since 20"),
        "{refused}"
    );

    app.batch_execute(
        "insert into store.orders (number, status, created_at) values ('D', 'processing', now() - interval '61 minutes')",
    )
    .await?;
    assert_eq!(
        alerts(&shop).await?,
        [
            "rows_waiting_for_reference store.orders: 1 row has waited for a reference for longer than settings.stuck_after, 'D' the longest: \
          money may have been taken for it; see reconcile.unwatched_rows"
        ]
    );
    app.batch_execute("update store.orders set invoice_id = 'i' where number in ('A', 'D')")
        .await?;
    assert_eq!(
        watched(&shop).await?,
        ["A pending", "C pending", "D pending"]
    );
    assert_eq!(waiting(&shop).await?, both[1..]);
    assert_eq!(alerts(&shop).await?, [""; 0]);
    app.batch_execute("update store.orders set status = 'CANCELLED' where number = 'B'")
        .await?;
    assert_eq!(counted(&shop).await?, 0);
    app.batch_execute(
        "insert into store.orders (number, status) values ('E', 'processing'); delete from store.orders where number = 'E'",
    )
    .await?;
    crate::hand::Hand::new(&shop).await?.beat().await?;
    assert_eq!(counted(&shop).await?, 0);
    shop.is_sound().await
}

/// Proves that the dry run counts rows that will wait apart from those that will be watched, and leaves out those that are too old; and
/// that rows of before are known to wait once the table is taken in, however often it is searched.
#[tokio::test]
async fn rows_of_before_are_counted_as_what_they_are() -> Result<()> {
    let shop = with("attach_unreferenced_before", ORDERS).await?;
    as_owner(
        &shop,
        "insert into store.orders (number, invoice_id, status, created_at)
         select 'N-' || n, case when n <= 20 then null else 'i-' || n end, 'processing', now() - make_interval(days => n) from generate_series(1, 30) as n",
    )
    .await?;
    let arguments = format!("{PLAIN}, created_after => now() - interval '28 days 1 hour'");
    let lines = attach(&shop, &format!("{arguments}, dry_run => true")).await?;
    assert_eq!(
        lines[lines.len() - 2..],
        [
            "rows: 8 rows are to be watched now",
            "rows without a reference: 20 rows wait for a reference in invoice_id, by which provider vendor asks: they are watched as soon as they have one",
        ]
    );
    attach(&shop, &arguments).await?;
    take_in(&shop).await?;
    take_in(&shop).await?;
    assert_eq!(watched(&shop).await?.len(), 8);
    assert_eq!(counted(&shop).await?, 20);
    let since = "select max(u.waits_since) < now() - interval '23 hours' from reconcile.unwatched_rows as u";
    assert!(shop.one::<bool>(since, &[]).await?);
    shop.is_sound().await
}

/// Proves that the search finds what no trigger told of: a row that has no reference, one whose reference has come, one that has left and
/// one that is gone.
#[tokio::test]
async fn the_search_finds_references_that_no_trigger_told_of() -> Result<()> {
    let shop = attached("attach_unreferenced_search").await?;
    unnoticed(
        &shop,
        "insert into store.orders (number, status) select n, 'processing' from unnest('{A,B,C,D}'::text[]) as n",
    )
    .await?;
    shop.signal().await?;
    assert_eq!(counted(&shop).await?, 4);
    unnoticed(
        &shop,
        "update store.orders set invoice_id = 'i' where number = 'A'; update store.orders set status = 'CANCELLED' where number = 'B';
         delete from store.orders where number = 'C'",
    )
    .await?;
    shop.signal().await?;
    assert_eq!(watched(&shop).await?, ["A pending"]);
    assert_eq!(waiting(&shop).await?, ["D waits for a reference since"]);
    shop.is_sound().await
}

/// Proves that rows without a reference, and with an empty one, are watched where the provider is asked by the order number alone, also
/// where it comes to be asked so later.
#[tokio::test]
async fn a_provider_that_asks_by_number_needs_none() -> Result<()> {
    let shop = attached("attach_unreferenced_number").await?;
    let app = app(&shop).await?;
    app.batch_execute("insert into store.orders (number, invoice_id, status) values ('A', '', 'processing'), ('B', null, 'processing')")
        .await?;
    assert_eq!(counted(&shop).await?, 2);
    let url = shop.vendor.url("/orders/{order_number}");
    shop.run(&format!(
        "select reconcile.alter_provider('vendor', url => '{url}')"
    ))
    .await?;
    app.batch_execute(
        "insert into store.orders (number, invoice_id, status) values ('C', '', 'processing')",
    )
    .await?;
    assert_eq!(watched(&shop).await?, ["C pending"]);
    shop.signal().await?;
    assert_eq!(
        watched(&shop).await?,
        ["A pending", "B pending", "C pending"]
    );
    assert_eq!(waiting(&shop).await?, [""; 0]);
    shop.is_sound().await
}
