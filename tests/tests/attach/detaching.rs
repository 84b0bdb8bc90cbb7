//! Detaching leaves no trace of the attachment, and attaching again loses nothing.

use anyhow::Result;
use reconcile_tests::shop::Shop;

use crate::hand::Hand;
use crate::store::{
    ATTACHED, ORDERS, PLAIN, alerts, app, as_owner, attach, list, row, take_in, watched, with,
};

/// What an attachment brings into catalogs and registers.
async fn traces(shop: &Shop<'_>) -> Result<Vec<String>> {
    list(
        shop,
        "select format('function %s', oid::regprocedure) from pg_proc where pronamespace = 'reconcile_generated'::regnamespace
         union all select format('trigger %s %s', tgrelid::regclass, tgname) from pg_trigger where not tgisinternal and tgrelid::regclass::text ~ '^store'
         union all select format('rights of %s on %s', a.grantee::regrole, c.name)
            from (
                select nspname as name, nspacl as acl from pg_namespace union all select oid::regprocedure::text, proacl from pg_proc
                union all select oid::regclass::text, relacl from pg_class where relnamespace::regnamespace::text ~ '^reconcile'
            ) as c, lateral aclexplode(c.acl) as a
            where c.name ~ 'reconcile' and a.grantee in ('store_owner'::regrole, 'store_dba'::regrole)
         union all select format('depends on %s: %s', refobjid::regrole, pg_describe_object(classid, objid, 0)) from pg_shdepend
            where refobjid = 'store_owner'::regrole and dbid = (select oid from pg_database where datname = current_database())
              and pg_describe_object(classid, objid, 0) ~ 'reconcile'
         union all select 'row ' || a::text from reconcile.attachments as a union all select 'row ' || a::text from reconcile.attachment_sweeps as a
         union all select 'row ' || a::text from reconcile.arrivals as a union all select 'row ' || a::text from reconcile.refused_rows as a
         order by 1",
    )
    .await
}

/// Proves that nothing of an attachment remains, however much was noted, and that the application's
/// own triggers and rows stay.
#[tokio::test]
async fn detaching_leaves_no_trace() -> Result<()> {
    let shop = with("attach_traces", ORDERS).await?;
    let before = traces(&shop).await?;
    as_owner(
        &shop,
        "create function store.own() returns trigger language plpgsql as $$ begin return null; end $$;
         create trigger own after insert on store.orders for each statement execute function store.own()",
    )
    .await?;
    attach(&shop, ATTACHED).await?;
    let app = app(&shop).await?;
    app.batch_execute(
        "insert into store.orders (number, invoice_id, status, currency) values ('A', 'i', 'processing', null), ('B', 'i', 'processing', 'Dollar');
         insert into store.orders (number, invoice_id, status) select n, 'i', 'processing' from generate_series(1, 200) as n",
    )
    .await?;
    assert!(traces(&shop).await?.len() > before.len() + 8);
    let dba = shop.database.connect_as("store_dba").await?;
    dba.batch_execute("select reconcile.detach_table('store.orders')")
        .await?;
    let own = ["trigger store.orders own".to_owned()];
    assert_eq!(traces(&shop).await?, [before, own.to_vec()].concat());
    assert_eq!(watched(&shop).await?, ["A pending"]);
    app.batch_execute("insert into store.orders (number, invoice_id, status) values ('C', 'i', 'processing'); delete from store.orders where number = '7'")
        .await?;
    assert_eq!(
        (watched(&shop).await?, alerts(&shop).await?),
        (vec!["A pending".to_owned()], vec![])
    );
    as_owner(&shop, "drop table store.orders").await?;
    shop.is_sound().await
}

/// Proves that an owner with two attached tables keeps what the second one needs.
#[tokio::test]
async fn another_table_of_the_owner_stays_attached() -> Result<()> {
    let shop = with("attach_two", ORDERS).await?;
    as_owner(
        &shop,
        "create table store.others (number text primary key, invoice_id text, status text)",
    )
    .await?;
    attach(&shop, PLAIN).await?;
    attach(&shop, "'store.others', 'vendor', track => '{processing}'").await?;
    let dba = shop.database.connect_as("store_dba").await?;
    dba.batch_execute("select reconcile.detach_table('store.orders')")
        .await?;
    app(&shop)
        .await?
        .batch_execute("insert into store.others values ('A', 'i', 'processing')")
        .await?;
    assert_eq!(
        (watched(&shop).await?, alerts(&shop).await?),
        (vec!["A pending".to_owned()], vec![])
    );
    dba.batch_execute("select reconcile.detach_table('store.others')")
        .await?;
    assert_eq!(traces(&shop).await?, Vec::<String>::new());
    shop.is_sound().await
}

/// Proves that after a new attachment every row that is tracked is watched, whatever happened to it in
/// between, with one order for each number and its story in one piece.
#[tokio::test]
async fn attaching_again_loses_nothing() -> Result<()> {
    let shop = with("attach_again", ORDERS).await?;
    attach(&shop, PLAIN).await?;
    let (app, hand) = (app(&shop).await?, Hand::new(&shop).await?);
    app.batch_execute(
        "insert into store.orders (number, invoice_id, status) select n, 'i-' || n, 'processing' from unnest(array['A', 'B', 'C', 'D']) as n",
    )
    .await?;
    hand.say(&shop, &["D"], "succeeded").await?;
    let in_flight = hand.claim(&shop, &["A"]).await?;
    let dba = shop.database.connect_as("store_dba").await?;
    dba.batch_execute("select reconcile.detach_table('store.orders')")
        .await?;
    // Settled while its table was detached: nobody lets it go, and there is no row to write back to.
    assert_eq!(
        hand.report(&in_flight, "succeeded").await?,
        Vec::<String>::new()
    );
    assert_eq!(row(&shop, "A").await?, "processing");
    app.batch_execute(
        "update store.orders set status = 'CANCELLED' where number = 'B'; update store.orders set invoice_id = 'other' where number = 'C';
         insert into store.orders (number, invoice_id, status) values ('E', 'i', 'processing')",
    )
    .await?;
    attach(&shop, PLAIN).await?;
    take_in(&shop).await?;
    assert_eq!(
        watched(&shop).await?,
        [
            "A pending",
            "B failed",
            "C pending",
            "D succeeded",
            "E pending"
        ]
    );
    let reference = "select reference from reconcile.orders where order_number = 'C'";
    assert_eq!(list(&shop, reference).await?, ["other"]);
    assert_eq!(
        shop.history("A").await?,
        [
            "pending -> succeeded by provider",
            "succeeded -> pending by application"
        ]
    );
    hand.say(&shop, &["A", "C", "E"], "succeeded").await?;
    assert_eq!(row(&shop, "A").await?, "CONFIRMED COMPLETED");
    shop.is_sound().await
}
