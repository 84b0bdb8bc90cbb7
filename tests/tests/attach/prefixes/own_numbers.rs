//! Where a row's own number, without its prefix, is searched, named and handed on.

use anyhow::Result;
use reconcile_tests::shop::refusal;
use reconcile_tests::simulator::Fate;

use super::{TABLES, WRITE, both, rows};
use crate::store::{app, as_owner, attach, list, watched, with};

/// Proves that an order is found by its number in the ledger and by its row's own where that stands in one table, also when nobody told of
/// it yet, and that a number that stands in two tables, watched or not, is an error that names both.
#[tokio::test]
async fn an_order_is_found_by_its_rows_own_number() -> Result<()> {
    let shop = both("attach_prefix_found").await?;
    shop.run(
        "set session_replication_role = replica;
         insert into store.orders values (1, 'i', 'processing'), (2, 'i', 'processing'), (5, 'i', 'processing');
         insert into store.others values (1, 'i', 'processing'), (5, 'i', 'CONFIRMED'), (6, '', 'processing');
         reset session_replication_role;
         grant select on store.orders, store.others to shop_app, shop_operator",
    )
    .await?;
    shop.vendor.set_fate("A-2", Fate::status("succeeded"));
    let _sidecar = shop.sidecar().await?;
    let client = shop.app().await?;
    client
        .batch_execute("select reconcile_order('2', wait => '0')")
        .await?;
    shop.becomes("A-2", "succeeded").await?;
    assert_eq!(shop.vendor.count("2"), 0);
    let found = "select order_number || ' ' || state from reconcile_order('2')";
    assert_eq!(
        client.query_one(found, &[]).await?.get::<_, String>(0),
        "A-2 succeeded"
    );
    let story: String = shop.one("select reconcile.explain_order('2')", &[]).await?;
    assert!(story.starts_with("Order A-2 is succeeded"), "{story}");
    let waits: String = shop
        .one("select message from reconcile_order('6')", &[])
        .await?;
    assert!(
        waits.starts_with("it waits for a reference since"),
        "{waits}"
    );
    for (number, names) in [
        ("1", ["'A-1' (store.orders)", "'B-1' (store.others)"]),
        ("5", ["'A-5' (store.orders)", "'B-5' (store.others)"]),
    ] {
        for call in [
            format!("select reconcile_order('{number}')"),
            format!("select order_details('{number}')"),
        ] {
            let refused = refusal(&client, &call).await?;
            assert_eq!(refused.code().code(), "RC016", "{refused}");
            assert!(
                names.iter().all(|name| refused.message().contains(name)),
                "{refused}"
            );
        }
    }
    let decide = "select reconcile.resolve_order('1', 'failed', 'seen')";
    let operator = shop.database.connect_as("shop_operator").await?;
    assert_eq!(refusal(&operator, decide).await?.code().code(), "RC016");
    let unknown = refusal(&client, "select reconcile_order('7')").await?;
    assert_eq!(unknown.code().code(), "RC001");
    let not_one = refusal(&client, "select reconcile_order('A-x')").await?;
    assert_eq!(not_one.code().code(), "RC001");
    shop.is_sound().await
}

/// Proves that a plain number is the order that has it in the ledger, whatever stands in a table with a prefix.
#[tokio::test]
async fn a_number_of_the_ledger_comes_first() -> Result<()> {
    let shop = with("attach_prefix_first", TABLES).await?;
    attach(&shop, &format!("'store.orders', 'vendor', {WRITE}")).await?;
    attach(
        &shop,
        &format!("'store.others', 'vendor', {WRITE}, order_number_prefix => 'B-'"),
    )
    .await?;
    app(&shop)
        .await?
        .batch_execute("insert into store.orders values (1, 'i', 'processing'); insert into store.others values (1, 'i', 'processing')")
        .await?;
    assert_eq!(watched(&shop).await?, ["1 pending", "B-1 pending"]);
    let operator = shop.database.connect_as("shop_operator").await?;
    operator
        .batch_execute("select reconcile.resolve_order('1', 'failed', 'seen')")
        .await?;
    assert_eq!(watched(&shop).await?, ["1 failed", "B-1 pending"]);
    shop.is_sound().await
}

/// Proves that a dry run counts rows whose numbers are other orders, says whose and what would do, and counts them no longer under a
/// prefix; and that it tells of plain ids before any of them has met.
#[tokio::test]
async fn a_dry_run_tells_of_numbers_that_collide() -> Result<()> {
    let shop = with("attach_prefix_dry", TABLES).await?;
    let about = async |arguments: &str| -> Result<Vec<String>> {
        let lines = attach(
            &shop,
            &format!("'store.others', 'vendor', {WRITE}, {arguments} dry_run => true"),
        )
        .await?;
        Ok(lines
            .into_iter()
            .filter(|line| line.contains("rows: ") || line.starts_with("order numbers"))
            .collect())
    };
    attach(&shop, &format!("'store.orders', 'vendor', {WRITE}")).await?;
    assert_eq!(
        about("").await?,
        [
            "rows: 0 rows are to be watched now",
            "order numbers: those of store.orders are plain numbers, too, and an order number is one order's: tell them apart, as by order_number_prefix => 'O-'"
        ]
    );
    app(&shop)
        .await?
        .batch_execute(
            "insert into store.orders select n, 'i', 'processing' from generate_series(1, 30) as n;
             insert into store.others select n, 'i', 'processing' from generate_series(11, 60) as n",
        )
        .await?;
    shop.run("select reconcile.track_order('60', 'vendor', 'i'), reconcile.resolve_order('60', 'failed', 'test')").await?;
    assert_eq!(
        about("").await?,
        [
            "rows: 30 rows are to be watched now",
            "order numbers: 20 rows have the number of an order of store.orders, '11' for one, and can't be watched: tell them apart, as by \
             order_number_prefix => 'O-'"
        ]
    );
    assert_eq!(
        about("order_number_prefix => 'B-',").await?,
        ["rows: 50 rows are to be watched now"]
    );
    shop.is_sound().await
}

/// Proves that a webhook which names an order by its row's own number reaches it, before and after it is known, that a reference tells two
/// of one number apart, and that one that could be of either has both asked about.
#[tokio::test]
async fn a_webhook_may_name_the_rows_own_number() -> Result<()> {
    let shop = both("attach_prefix_webhooks").await?;
    let app = app(&shop).await?;
    let ring = async |event: &str, number: &str, reference: &str| -> Result<String> {
        let record =
            "select reconcile.record_webhook('vendor', $1, order_number => $2, reference => $3)";
        shop.one(record, &[&event, &number, &reference]).await
    };
    assert_eq!(ring("e-1", "1", "").await?, "kept");
    assert_eq!(ring("e-2", "2", "i-B2").await?, "kept");
    app.batch_execute(
        "insert into store.orders values (1, 'i-A1', 'processing'), (2, 'i-A2', 'processing');
         insert into store.others values (2, 'i-B2', 'processing')",
    )
    .await?;
    let taken = "select format('%s %s %s', event_id, order_number, effect) from reconcile.webhooks order by 1";
    assert_eq!(
        list(&shop, taken).await?,
        ["e-1 A-1 asked", "e-2 B-2 asked"]
    );
    assert_eq!(ring("e-3", "1", "").await?, "asked");
    assert_eq!(ring("e-4", "2", "i-A2").await?, "asked");
    assert_eq!(ring("e-5", "B-2", "").await?, "asked");
    assert_eq!(ring("e-6", "2", "").await?, "asked");
    let both = "select array_to_string(array[order_number] || others, ' ') from reconcile.webhooks where event_id = 'e-6'";
    assert_eq!(list(&shop, both).await?, ["A-2 B-2"]);
    assert_eq!(
        list(&shop, taken).await?[2..],
        [
            "e-3 A-1 asked",
            "e-4 A-2 asked",
            "e-5 B-2 asked",
            "e-6 A-2 asked"
        ]
    );
    shop.is_sound().await
}

/// Proves that a lookup is asked by the row's own number, as the application's tables have it, that hooks and messages are told both
/// numbers, and that a second table under another prefix is refused where the answer could be the other one's.
#[tokio::test]
async fn lookups_and_hooks_get_the_rows_own_number() -> Result<()> {
    let shop = with("attach_prefix_lookups", TABLES).await?;
    as_owner(
        &shop,
        "create table store.payments (order_id bigint primary key, status text);
         create table store.told (line text);
         create function store.told(order_number text, facts jsonb) returns void language plpgsql as $$
            begin insert into store.told values (order_number || ' ' || (facts ->> 'own_number') || ' ' || (facts ->> 'relation')); end $$",
    )
    .await?;
    let dba = shop.database.connect_as("store_dba").await?;
    dba.batch_execute(
        r#"select reconcile.add_provider('payments', kind => 'sql', lookup_table => 'store.payments',
            lookup_columns => '{"order_number": "order_id"}', status_map => '{"paid": "succeeded"}');
           select reconcile.add_hook('told', 'succeeded', 'store.told(text, jsonb)', 'payments')"#,
    )
    .await?;
    attach(
        &shop,
        &format!(
            "'store.orders', 'payments', {WRITE}, reference => '', order_number_prefix => 'A-'"
        ),
    )
    .await?;
    let second = format!(
        "select from reconcile.attach_table('store.others', 'payments', {WRITE}, order_number_prefix => 'B-')"
    );
    let refused = refusal(&dba, &second).await?;
    assert_eq!(
        refused.message(),
        "attach store.others: provider payments is asked by the row's own number, and by that of store.orders as well: an answer could be about \
         either"
    );
    app(&shop)
        .await?
        .batch_execute("insert into store.orders (id, status) values (1, 'processing')")
        .await?;
    as_owner(&shop, "insert into store.payments values (1, 'paid')").await?;
    shop.run("select from reconcile_order('1')").await?;
    assert_eq!(rows(&shop).await?, ["orders 1 CONFIRMED"]);
    assert_eq!(
        list(&shop, "select line from store.told").await?,
        ["A-1 1 store.orders"]
    );
    let message = "select concat_ws(' ', m -> 'data' ->> 'order_number', m -> 'data' ->> 'own_number')
        from reconcile.transitions as t, lateral (select reconcile_internal._message(t, 1)::jsonb) as message (m)";
    assert_eq!(list(&shop, message).await?, ["A-1 1"]);
    shop.is_sound().await
}

/// Proves that a provider which knows the row's own number is asked by it where its template says so, and that two tables under two
/// prefixes are then one too many.
#[tokio::test]
async fn a_template_may_name_the_rows_own_number() -> Result<()> {
    let shop = with("attach_prefix_template", TABLES).await?;
    let url = shop.vendor.url("/orders/{own_number}");
    shop.run(&format!(
        "select reconcile.alter_provider('vendor', url => '{url}', clear => '{{reference_path}}')"
    ))
    .await?;
    attach(
        &shop,
        &format!("'store.orders', 'vendor', {WRITE}, order_number_prefix => 'A-'"),
    )
    .await?;
    let dba = shop.database.connect_as("store_dba").await?;
    let second = format!(
        "select from reconcile.attach_table('store.others', 'vendor', {WRITE}, order_number_prefix => 'B-')"
    );
    assert_eq!(refusal(&dba, &second).await?.code().code(), "RC009");
    app(&shop)
        .await?
        .batch_execute("insert into store.orders (id, status) values (1, 'processing')")
        .await?;
    shop.run("select reconcile.track_order('T-1', 'vendor')")
        .await?;
    let _sidecar = shop.sidecar().await?;
    shop.vendor.set_default(Fate::status("succeeded"));
    shop.run("update reconcile.due_checks set due_at = clock_timestamp()")
        .await?;
    shop.becomes("A-1", "succeeded").await?;
    shop.becomes("T-1", "succeeded").await?;
    assert_eq!((shop.vendor.count("1"), shop.vendor.count("T-1")), (1, 1));
    shop.is_sound().await
}
