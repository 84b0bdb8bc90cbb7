//! How values of a column are compared: by the operator of its own type, whatever else is called `=`.

use anyhow::Result;
use reconcile_tests::shop::Shop;

use crate::hand::Hand;
use crate::store::{app, as_owner, attach, list, row, take_in, watched, with};

const WRITE: &str = r#"'store.orders', 'vendor', track => '{processing}', write => '{"succeeded": {"status": "CONFIRMED"}}'"#;

/// As many rows as the search reads at once, and ten that come after them by citext and before them by text.
const MIXED_CASE: &str = "
    insert into store.orders select 'b-' || lpad(n::text, 4, '0'), 'i', 'processing' from generate_series(1, 2000) as n;
    insert into store.orders select 'C-' || n, 'i', 'processing' from generate_series(1, 10) as n;
    create index on store.orders (status, number);
    analyze store.orders";

async fn citext(name: &'static str) -> Result<Shop<'static>> {
    let shop = with(name, "select 1").await?;
    shop.run("create extension citext").await?;
    as_owner(
        &shop,
        "create table store.orders (number public.citext primary key, invoice_id text, status text)",
    )
    .await?;
    as_owner(&shop, MIXED_CASE).await?;
    attach(&shop, WRITE).await?;
    Ok(shop)
}

/// Proves that the search of a table whose numbers are citext goes on where the page before ended, in citext's order, and skips none.
#[tokio::test]
async fn a_search_by_citext_skips_no_row() -> Result<()> {
    let shop = citext("attach_citext_search").await?;
    take_in(&shop).await?;
    assert_eq!(watched(&shop).await?.len(), 2010);
    shop.is_sound().await
}

/// Proves that one row of a table whose numbers are citext is read and written by its index, and not by reading them all.
#[tokio::test]
async fn one_row_by_citext_is_found_by_its_index() -> Result<()> {
    let shop = citext("attach_citext_row").await?;
    take_in(&shop).await?;
    // A session of its own, whose counters have nothing else in them.
    let asks = shop.database.connect().await?;
    asks.batch_execute(
        "begin;
         select reconcile_internal._rows_of(a, '{b-0007}') from reconcile.attachments as a;
         select reconcile.resolve_order('b-0007', 'succeeded', 'seen')",
    )
    .await?;
    let read = "select seq_tup_read + idx_tup_fetch from pg_stat_xact_user_tables where relid = 'store.orders'::regclass";
    let read: i64 = asks.query_one(read, &[]).await?.get(0);
    asks.batch_execute("commit").await?;
    assert!((1..20).contains(&read), "{read} rows were read");
    let status = "select status from store.orders where number = 'b-0007'";
    assert_eq!(list(&shop, status).await?, ["CONFIRMED"]);
    shop.is_sound().await
}

/// Proves that an operator which somebody else has put into the table's schema, and which fits its columns better than the built-in one,
/// is not called with the owner's rights when a state is written back.
#[tokio::test]
async fn an_operator_of_somebody_else_is_not_called() -> Result<()> {
    let shop = with(
        "attach_operator",
        "create table store.orders (number varchar(40) primary key, invoice_id text, status varchar(20), payment text);
         grant create on schema store to store_other",
    )
    .await?;
    let other = shop.database.connect_as("store_other").await?;
    other
        .batch_execute(
            "create table store.caught (who text);
             grant insert on store.caught to public;
             create function store.same(a varchar, b varchar) returns boolean language plpgsql as $$
             begin
                 insert into store.caught values (current_user);
                 return a operator(pg_catalog.=) b;
             end $$;
             create operator store.= (leftarg = varchar, rightarg = varchar, function = store.same)",
        )
        .await?;
    attach(&shop, WRITE).await?;
    app(&shop)
        .await?
        .batch_execute(
            "insert into store.orders (number, invoice_id, status) values ('A', 'i', 'processing')",
        )
        .await?;
    Hand::new(&shop)
        .await?
        .say(&shop, &["A"], "succeeded")
        .await?;
    shop.signal().await?;
    assert_eq!(
        list(&shop, "select who from store.caught").await?,
        Vec::<String>::new()
    );
    assert_eq!(row(&shop, "A").await?, "CONFIRMED");
    shop.is_sound().await
}
