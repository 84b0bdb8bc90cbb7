//! Hooks for the orders that they are meant for, and hooks that are called again for transitions that they missed.

use anyhow::Result;
use reconcile_tests::shop::{Till, refusal};
use tokio_postgres::Client;

const NOTES: &str = "begin insert into shop.told values (order_number, (facts ->> 'state') || ' ' || (facts ->> 'transition_id')); end";

/// What `call_hook_again` answers, a line each.
async fn again(client: &Client, arguments: &str) -> Result<Vec<String>> {
    let sql = format!(
        "select concat_ws(' ', order_number, called, problem) from reconcile.call_hook_again({arguments})"
    );
    let rows = client.query(&sql, &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// How often a transition of each order was told of.
async fn told(till: &Till) -> Result<Vec<String>> {
    let sql = "select concat_ws(' ', t.order_number, t.state, t.by) from shop.told as t
        where not exists (select from reconcile.tracked_orders as o join reconcile.transitions as n on n.order_id = o.order_id
            where o.order_number = t.order_number and t.state = n.to_state || ' ' || n.transition_id)";
    let strange = till.client.query(sql, &[]).await?;
    assert!(strange.is_empty(), "a transition that there is not");
    let sql = "select t.order_number || ' ' || count(*) from shop.told as t group by t.order_number order by 1";
    let rows = till.client.query(sql, &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Arguments that say for no orders, or for too many, and what is said of them.
const UNCLEAR: [(&str, &str); 5] = [
    ("", "hook notes: it does not say for which orders"),
    (
        ", every_provider => false",
        "hook notes: it does not say for which orders",
    ),
    (
        ", provider => 'ledger', every_provider => true",
        "hook notes: it is for every provider, and for one",
    ),
    (
        ", relation => 'shop.seen'",
        "hook notes: shop.seen is no table",
    ),
    (
        ", relation => 'shop.payments_pkey'",
        "hook notes: shop.payments_pkey is no table",
    ),
];

/// Proves that a hook says for which orders it is: those of a provider, of a table, or all; that one of a table, which need not be attached
/// yet, is called for that table's orders and for no others of its provider; and that nothing and everything at once is refused.
#[tokio::test]
async fn a_hook_says_for_which_orders_it_is() -> Result<()> {
    let till = Till::open("hooks_meant_for").await?;
    till.does(&format!(
        "create function shop.notes(order_number text, facts jsonb) returns void language plpgsql as $$
         #variable_conflict use_variable
         {NOTES} $$;
         create table shop.orders (order_number text primary key, status text default 'pending');
         create table shop.others (order_number text primary key, status text default 'pending');
         create view shop.seen as select * from shop.orders"
    ))
    .await?;
    for (arguments, says) in UNCLEAR {
        let add = format!(
            "select reconcile.add_hook('notes', 'succeeded', 'shop.notes(text, jsonb)'{arguments})"
        );
        let refused = refusal(&till.owner, &add).await?;
        assert_eq!(
            (refused.code().code(), refused.message()),
            ("RC010", says),
            "{arguments}"
        );
    }
    till.does("select reconcile.add_hook('notes', 'succeeded', 'shop.notes(text, jsonb)', relation => 'shop.orders')")
        .await?;
    for table in ["orders", "others"] {
        let write = r#"'{"succeeded": {"status": "PAID"}}'"#;
        let attach = format!("reconcile.attach_table('shop.{table}', 'ledger', write => {write}");
        let hooks = format!(
            "select string_agg(detail, '; ') from {attach}, dry_run => true) where what = 'hook' or what = 'no hook'"
        );
        let hooks: String = till.owner.query_one(&hooks, &[]).await?.get(0);
        assert_eq!(
            hooks,
            match table {
                "orders" => "notes is called when an order comes to succeeded",
                _ =>
                    "none is called for its orders. Add those that have to be first: orders that are settled before a hook is there don't call it",
            }
        );
        till.does(&format!("select from {attach})")).await?;
    }
    till.pays("paid", &["A", "B", "C"]).await?;
    till.track_at_ledger("C").await?;
    till.does("insert into shop.orders values ('A'); insert into shop.others values ('B')")
        .await?;
    till.settles_all().await?;
    assert_eq!(
        till.states().await?,
        ["A succeeded", "B succeeded", "C succeeded"]
    );
    assert_eq!(told(&till).await?, ["A 1"]);
    let view = "select concat_ws(' ', name, on_state, provider, relation) from reconcile.hooks";
    assert_eq!(
        till.one::<String>(view, &[]).await?,
        "notes succeeded shop.orders"
    );
    till.does("select reconcile.detach_table('shop.orders'); drop table shop.orders cascade")
        .await?;
    let alert = "select format('%s %s', alert, subject) from reconcile.alerts where alert ~ 'hook'";
    assert_eq!(
        till.one::<String>(alert, &[]).await?,
        "hook_table_gone notes"
    );
    till.is_sound().await
}

/// What is on record stays, and a call that can't be made is refused.
async fn nobody_else_calls_or_changes(till: &Till) -> Result<()> {
    for change in [
        "delete from reconcile.recorded_hook_calls",
        "update reconcile.recorded_hook_calls set hook = 'x'",
        "truncate reconcile.recorded_hook_calls",
    ] {
        assert_eq!(refusal(&till.client, change).await?.code().code(), "RC008");
    }
    for (arguments, code) in [
        ("'nobody', '{A}'", "RC010"),
        ("'stock', '{}'", "RC005"),
        ("'stock', null", "RC005"),
        ("null, '{A}'", "RC010"),
    ] {
        let refused = refusal(
            &till.owner,
            &format!("select from reconcile.call_hook_again({arguments})"),
        )
        .await?;
        assert_eq!(refused.code().code(), code, "{arguments}: {refused}");
    }
    let app = till.app().await?;
    let refused = refusal(
        &app,
        "select from reconcile.call_hook_again('stock', '{C}')",
    )
    .await?;
    assert_eq!(refused.code().code(), "42501");
    Ok(())
}

/// Proves that a hook is called for transitions of before it was there, once each, with the facts of those transitions; that it is on record
/// who asked for it; and that orders that have moved on, were decided by the application, are not its or not known are told apart.
#[tokio::test]
async fn a_hook_is_called_for_what_it_missed() -> Result<()> {
    let till = Till::open("hooks_missed").await?;
    till.does(
        "create table shop.orders (order_number text primary key, status text not null default 'pending');
         select from reconcile.attach_table('shop.orders', 'ledger', write => '{\"succeeded\": {\"status\": \"PAID\"}}')",
    )
    .await?;
    till.sells("paid", &["A", "B", "C", "D"]).await?;
    till.sells("open", &["E"]).await?;
    till.does("insert into shop.orders values ('F'); update shop.orders set status = 'PAID' where order_number = 'F'")
        .await?;
    till.settles().await?;
    till.does("select reconcile.resolve_order('D', 'refunded', 'seen')")
        .await?;
    till.hook("stock", "succeeded", NOTES).await?;
    let call = "'stock', '{B,A,D,E,F,G,A}'";
    let answered = [
        "A t",
        "B t",
        "D f it is refunded, and the hook is for succeeded",
        "E f it is pending, and the hook is for succeeded",
        "F f the application decided itself, and hooks are not called for that",
        "G f RC001: there is no order 'G'",
    ];
    till.does("begin").await?;
    assert_eq!(again(&till.owner, call).await?, answered);
    till.does("rollback").await?;
    assert_eq!(told(&till).await?, [""; 0]);
    assert_eq!(again(&till.owner, call).await?, answered);
    assert_eq!(told(&till).await?, ["A 1", "B 1"]);
    let twice = again(&till.owner, "'stock', '{A}'").await?;
    assert!(
        twice[0].starts_with("A f it was called again for this transition at 20"),
        "{twice:?}"
    );
    till.sells("paid", &["H"]).await?;
    till.settles().await?;
    let before = again(&till.owner, "'stock', '{H}'").await?;
    assert_eq!(
        before,
        [
            "H f it was there when the order came to succeeded, and was called: even_called => true calls it once more"
        ]
    );
    till.does("select reconcile.remove_hook('stock'); select reconcile.add_hook('stock', 'succeeded', 'shop.stock(text, jsonb)', 'ledger')")
        .await?;
    assert_eq!(again(&till.owner, "'stock', '{H}'").await?, before);
    assert_eq!(
        again(&till.owner, "'stock', '{A,H}', even_called => true").await?,
        ["A t", "H t"]
    );
    assert_eq!(told(&till).await?, ["A 2", "B 1", "H 2"]);

    let record = "select string_agg(concat_ws(' ', hook, order_number, called_by), '; ' order by called_at) from reconcile.hook_calls";
    let all = ["A", "B", "A", "H"]
        .map(|number| format!("stock {number} shop_operator"))
        .join("; ");
    assert_eq!(till.one::<String>(record, &[]).await?, all);
    let story: String = till.one("select reconcile.explain_order('B')", &[]).await?;
    assert!(
        story.contains("hook stock called again for shop_operator"),
        "{story}"
    );
    nobody_else_calls_or_changes(&till).await?;
    till.is_sound().await
}

/// Proves that an order whose hook fails fails alone; that what is called again runs as it does when an order is settled: with the rights of
/// its function's owner, leaving nothing for COMMIT, with deferred constraints checked, and not at all when it is another function now.
#[tokio::test]
async fn what_is_called_again_is_held_as_ever() -> Result<()> {
    let till = Till::open("hooks_again_held").await?;
    till.does(
        "create table shop.parents (id integer primary key);
         create table shop.children (parent integer references shop.parents deferrable initially deferred)",
    )
    .await?;
    till.sells("paid", &["A", "B", "C", "D", "E"]).await?;
    till.settles().await?;
    till.hook(
        "picky",
        "succeeded",
        "begin
            insert into shop.told values (order_number, current_user);
            if order_number = 'B' then raise exception 'out of stock'; end if;
            if order_number = 'C' then create temporary table left_over (a integer); end if;
            if order_number = 'D' then insert into shop.children values (1); end if;
         end",
    )
    .await?;
    let answered = again(&till.client, "'picky', '{A,B,C,D,E}'").await?;
    assert_eq!(answered[0], "A t");
    assert_eq!(answered[1], "B f P0001: out of stock");
    assert!(answered[2].starts_with("C f 42501: "), "{answered:?}");
    assert!(answered[3].starts_with("D f 23503: "), "{answered:?}");
    assert_eq!(answered[4], "E t");
    assert_eq!(till.told().await?, ["A shop_operator", "E shop_operator"]);

    // What the caller has pending is the caller's own error, and it may go on deferring afterwards.
    till.does("begin; insert into shop.children values (2)")
        .await?;
    let refused = refusal(
        &till.owner,
        "select from reconcile.call_hook_again('picky', '{B}')",
    )
    .await?;
    assert_eq!(refused.code().code(), "23503");
    till.does("rollback").await?;
    till.does(
        "begin; select from reconcile.call_hook_again('picky', '{B}');
         insert into shop.children values (3); insert into shop.parents values (3); commit",
    )
    .await?;

    // Somebody else is settling it: not waited for.
    let holder = till.database.connect().await?;
    holder
        .batch_execute(
            "begin; select from reconcile.tracked_orders where order_number = 'B' for update",
        )
        .await?;
    let waited = again(&till.owner, "'picky', '{B}'").await?;
    assert!(waited[0].starts_with("B f 55P03: "), "{waited:?}");
    holder.batch_execute("rollback").await?;

    till.run("drop function shop.picky(text, jsonb);
        create function shop.picky(order_number text, facts jsonb) returns void language plpgsql as $$ begin insert into shop.told values ('X', 'X'); end $$")
        .await?;
    let replaced = again(&till.owner, "'picky', '{B}'").await?;
    assert!(
        replaced[0].starts_with("B f RC011: hook picky: "),
        "{replaced:?}"
    );
    assert_eq!(till.told().await?, ["A shop_operator", "E shop_operator"]);
    till.is_sound().await
}
