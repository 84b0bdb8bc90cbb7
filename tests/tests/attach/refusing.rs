//! What attach_table refuses, each with the column or the value that is wrong; and the dry run.

use anyhow::Result;
use reconcile_tests::shop::Shop;

use crate::store::{ORDERS, PLAIN, as_owner, attach, list, refusal, with};

const TABLE: &str = "
    create table store.orders (
        number text primary key, invoice_id text, status text, total integer, made text generated always as (number || '!') stored,
        serial integer generated always as identity, doc jsonb, at timestamptz);
    create type store.status as enum ('processing', 'CONFIRMED');
    create table store.strict (number text primary key, invoice_id text, status store.status);
    create table store.keyless (number text, invoice_id text, status text);
    create table store.unindexed (id serial primary key, number text, invoice_id text, status text);
    create table store.nameless (a text primary key, b text);
    create table store.epoch (number text primary key, invoice_id text, status text, created_at bigint);
    create view store.seen as select * from store.orders";

/// Arguments, and what the message says.
const REFUSED: [(&str, &str); 27] = [
    ("'store.keyless', 'vendor'", "it has no key"),
    (
        "'store.unindexed', 'vendor'",
        "no index begins with its order number, so writing back would read the whole table: create index on store.unindexed (number)",
    ),
    (
        "'store.nameless', 'vendor'",
        "it has no column with a usual name for order_number",
    ),
    (
        "'store.nameless', 'vendor', order_number => 'a'",
        "it has no column with a usual name for status",
    ),
    ("'store.seen', 'vendor'", "only tables can be attached"),
    (
        "'reconcile.tracked_orders', 'vendor'",
        "neither temporary tables nor pg_reconcile's own can be attached",
    ),
    (
        "'pg_catalog.pg_class', 'vendor', order_number => 'oid', status => 'relkind'",
        "pg_class",
    ),
    ("'store.orders', 'nobody'", "there is no provider 'nobody'"),
    ("'store.orders', null", "there is no provider"),
    ("null, 'vendor'", "attach_table needs a table"),
    (
        "'store.orders', 'vendor', status => 'missing'",
        "there is no column missing (status)",
    ),
    (
        "'store.orders', 'vendor', amount => 'missing'",
        "there is no column missing (amount)",
    ),
    (
        "'store.orders', 'vendor', reference => ''",
        "provider vendor asks by reference",
    ),
    (
        "'store.orders', 'vendor', track => '{}'",
        "track has to name the statuses",
    ),
    (
        "'store.orders', 'vendor', track => '{processing,null}'",
        "track has to name the statuses",
    ),
    (
        "'store.strict', 'vendor', track => '{processing,waiting}'",
        "invalid input value for enum store.status: \"waiting\"",
    ),
    (
        "'store.epoch', 'vendor'",
        "column created_at is bigint and no time",
    ),
    (
        "'store.orders', 'vendor', amount_unit => 'cents'",
        "amount_unit is 'cents': use major or minor",
    ),
    (
        r#"'store.orders', 'vendor', write => '[]'"#,
        "write is not an object",
    ),
    (
        r#"'store.orders', 'vendor', write => '{"paid": {"status": "x"}}'"#,
        "write: 'paid' is not a state",
    ),
    (
        r#"'store.orders', 'vendor', write => '{"succeeded": "CONFIRMED"}'"#,
        "write: succeeded is not an object of columns",
    ),
    (
        r#"'store.orders', 'vendor', write => '{"succeeded": {"status": "pending"}}'"#,
        "write: succeeded sets the status 'pending', which is tracked",
    ),
    (
        r#"'store.orders', 'vendor', write => '{"succeeded": {"missing": 1}}'"#,
        "write: there is no column missing",
    ),
    (
        r#"'store.orders', 'vendor', write => '{"succeeded": {"made": "x"}}'"#,
        "write: column made is generated",
    ),
    (
        r#"'store.orders', 'vendor', write => '{"succeeded": {"total": "many"}}'"#,
        "invalid input syntax for type integer: \"many\"",
    ),
    (
        r#"'store.orders', 'vendor', write => '{"succeeded": {"total": {"a": 1}}}'"#,
        "write: column total takes no object",
    ),
    (
        r#"'store.orders', 'vendor', write => '{"succeeded": {"status": "OK"}, "failed": {"status": "OK"}}'"#,
        "both set the status 'OK', and only one of them is paid",
    ),
];

/// Proves that each is refused with a message that names it, in a dry run as in earnest, and that
/// nothing of it remains.
#[tokio::test]
async fn what_cannot_work_is_refused_at_once() -> Result<()> {
    let shop = with("attach_refused", TABLE).await?;
    shop.run("grant store_owner to store_dba; grant usage on schema store to store_dba")
        .await?;
    let dba = shop.database.connect_as("store_dba").await?;
    let before = everything(&shop).await?;
    for (arguments, wanted) in REFUSED {
        for dry_run in ["false", "true"] {
            let refused = refusal(
                &dba,
                &format!("select from reconcile.attach_table({arguments}, dry_run => {dry_run})"),
            )
            .await?;
            assert!(
                refused.starts_with("RC0") && refused.contains(wanted),
                "{arguments}: {refused}"
            );
        }
        // Whoever tries it out is not told to try it out.
        let dry = format!("select from reconcile.attach_table({arguments}, dry_run => true)");
        let refused = dba.query(&dry, &[]).await.err();
        let hint = refused
            .as_ref()
            .and_then(|refused| refused.as_db_error()?.hint());
        assert!(
            hint.is_none_or(|hint| !hint.contains("dry_run")),
            "{arguments}: {hint:?}"
        );
    }
    for arguments in [
        r#"'store.orders', 'vendor', write => '{"succeeded": {"number": "x"}}'"#,
        r#"'store.orders', 'vendor', write => '{"succeeded": {"serial": 1}}'"#,
        r#"'store.orders', 'vendor', capture => '{"pin": "missing"}'"#,
        r#"'store.orders', 'vendor', capture => '{"pin": "doc"}', write => '{"succeeded": {"doc": {}}}'"#,
        r#"'store.orders', 'vendor', capture => '[1]'"#,
    ] {
        let refused = refusal(
            &dba,
            &format!("select from reconcile.attach_table({arguments})"),
        )
        .await?;
        assert!(
            refused.starts_with("RC009 attach store.orders: "),
            "{arguments}: {refused}"
        );
    }
    assert_eq!(everything(&shop).await?, before);
    Ok(())
}

/// Whatever attaching could change: catalogs, rights, rows of the ledger.
async fn everything(shop: &Shop<'_>) -> Result<Vec<String>> {
    list(
        shop,
        "select format('function %s %s %s', oid::regprocedure, proowner::regrole, proacl) from pg_proc where pronamespace::regnamespace::text ~ '^(reconcile|store)'
         union all select format('trigger %s %s', tgrelid::regclass, tgname) from pg_trigger where not tgisinternal
         union all select format('schema %s %s', nspname, nspacl) from pg_namespace where nspname !~ '^pg_'
         union all select format('relation %s %s', oid::regclass, relacl) from pg_class where relnamespace::regnamespace::text ~ '^(reconcile|store)'
         union all select format('depends %s %s', classid::regclass, objid) from pg_shdepend where dbid = (select oid from pg_database where datname = current_database())
         union all select 'row ' || a::text from reconcile.attachments as a union all select 'row ' || a::text from reconcile.attachment_sweeps as a
         union all select 'row ' || a::text from reconcile.arrivals as a union all select 'row ' || o::text from reconcile.tracked_orders as o
         union all select 'row ' || o::text from reconcile.refused_rows as o union all select 'row ' || o::text from reconcile.transitions as o
         order by 1",
    )
    .await
}

/// Proves that a dry run says what would be watched and written, to how many rows, and changes nothing
/// at all.
#[tokio::test]
async fn a_dry_run_says_all_and_changes_nothing() -> Result<()> {
    let shop = with("attach_dry_run", ORDERS).await?;
    as_owner(&shop, "insert into store.orders (number, invoice_id, status) select n, 'i', 'processing' from generate_series(1, 42) as n").await?;
    let before = everything(&shop).await?;
    let lines = attach(&shop, &format!("{PLAIN}, dry_run => true")).await?;
    assert_eq!(
        lines,
        [
            "watch: rows of store.orders whose status is one of: processing; by order number number, reference invoice_id, amount price in major units, \
             currency currency, created at created_at",
            "write: failed: status = \"CANCELLED\"",
            "write: succeeded: status = \"CONFIRMED\", payment = \"COMPLETED\"",
            "no hook: none is called for its orders. Add those that have to be first: orders that are settled before a hook is there don't call it",
            "triggers: reconcile_note_insert, _update, _delete and _truncate on store.orders",
            "rows: 42 rows are to be watched now",
        ]
    );
    assert_eq!(everything(&shop).await?, before);
    // It takes no lock that a writer would wait for either: one who writes all the while is not noticed.
    let writer = crate::store::app(&shop).await?;
    writer
        .batch_execute("begin; update store.orders set payment = 'x'")
        .await?;
    attach(&shop, &format!("{PLAIN}, dry_run => true")).await?;
    writer.batch_execute("commit").await?;
    Ok(())
}

/// Proves that attaching waits for no more than 5 s for a table that is in use, since all its writers
/// would wait behind it, says so, and leaves nothing.
#[tokio::test]
async fn a_table_in_use_is_not_waited_for_long() -> Result<()> {
    let shop = with("attach_in_use", ORDERS).await?;
    let before = everything(&shop).await?;
    let writer = crate::store::app(&shop).await?;
    writer
        .batch_execute("begin; insert into store.orders (number, status) values ('A', 'NEW')")
        .await?;
    let dba = shop.database.connect_as("store_dba").await?;
    assert_eq!(
        refusal(
            &dba,
            &format!("select from reconcile.attach_table({PLAIN})")
        )
        .await?,
        "RC009 attach store.orders: the table is in use by a transaction that has not ended for 5 s"
    );
    writer.batch_execute("commit").await?;
    assert_eq!(everything(&shop).await?, before);
    attach(&shop, PLAIN).await?;
    writer
        .batch_execute("begin; insert into store.orders (number, status) values ('B', 'NEW')")
        .await?;
    assert_eq!(
        refusal(&dba, "select from reconcile.detach_table('store.orders')").await?,
        "RC009 detach store.orders: the table is in use by a transaction that has not ended for 5 s"
    );
    writer.batch_execute("commit").await?;
    Ok(())
}
