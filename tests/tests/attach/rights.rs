//! By whose rights: a table is attached by its owner, who is an operator, and what is done to its rows
//! is done with the owner's rights and not with more.

use anyhow::Result;

use crate::hand::Hand;
use crate::store::{
    ORDERS, PLAIN, alerts, app, as_owner, attach, attached, list, refusal, row, watched, with,
};

/// Proves that an operator who has not the owner's role can't attach a table, and neither can its owner
/// who is no operator, nor somebody else; not in a dry run, and not by writing the registers himself.
#[tokio::test]
async fn only_an_owner_who_is_operator_may_attach() -> Result<()> {
    let shop = with("attach_who", ORDERS).await?;
    let call = format!("select reconcile.attach_table({PLAIN}, dry_run => true)");
    let other = shop.database.connect_as("store_other").await?;
    assert_eq!(
        refusal(&other, &call).await?,
        "RC009 attach store.orders: it belongs to store_owner, and store_other has not that role"
    );
    for role in ["store_owner", "store_app"] {
        let client = shop.database.connect_as(role).await?;
        assert_eq!(
            refusal(&client, &call).await?,
            "42501 permission denied for schema reconcile",
            "{role}"
        );
    }
    for write in [
        "insert into reconcile.attachments (relation) values ('store.orders')",
        "update reconcile.attachments set provider_id = 1",
        "delete from reconcile.attachments",
        "insert into reconcile.arrivals (attachment_id) values (1)",
        "create function reconcile_generated.f() returns void language sql as ''",
    ] {
        assert!(
            refusal(&other, write).await?.starts_with("42501 "),
            "{write}"
        );
    }
    attach(&shop, PLAIN).await?;
    let again = format!("select reconcile.attach_table({PLAIN})");
    let dba = shop.database.connect_as("store_dba").await?;
    assert_eq!(
        refusal(&dba, &again).await?,
        "RC009 attach store.orders: it is attached already"
    );
    Ok(())
}

/// Proves that the owner's trigger sees the owner as current_user and finds what stands in the table's
/// own schema, when a state is written back as well as when the application writes.
#[tokio::test]
async fn the_owners_trigger_runs_as_its_owner_and_at_home() -> Result<()> {
    let shop = attached("attach_own_trigger").await?;
    as_owner(
        &shop,
        "create table store.log (who text, number text);
         create function store.log_it() returns trigger language plpgsql as
            $$ begin insert into log values (current_user, new.number); return new; end $$;
         create trigger log_it before update on store.orders for each row execute function store.log_it()",
    )
    .await?;
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
    assert_eq!(row(&shop, "A").await?, "CONFIRMED COMPLETED");
    assert_eq!(
        list(&shop, "select concat_ws(' ', who, number) from store.log").await?,
        ["store_owner A"]
    );
    shop.is_sound().await
}

/// Everything that the extension's owner may and the table's owner may not.
const REACHES: [&str; 7] = [
    "perform count(*) from pg_authid",
    "update reconcile.tracked_orders set state = 'succeeded'",
    "set local role postgres",
    "set local session authorization postgres",
    "create table reconcile.mine (i integer)",
    "perform pg_read_file('/etc/passwd')",
    "alter role store_owner superuser",
];

/// Proves that code of the owner that runs with a write-back, in a trigger and in a cast, reaches
/// nothing that the owner may not, and that each attempt is recorded and leaves the row alone.
#[tokio::test]
async fn the_owners_code_reaches_no_further_than_the_owner() -> Result<()> {
    let shop = attached("attach_reaching").await?;
    app(&shop)
        .await?
        .batch_execute(
            "insert into store.orders (number, invoice_id, status) values ('A', 'i', 'processing')",
        )
        .await?;
    let hand = Hand::new(&shop).await?;
    for reach in REACHES {
        as_owner(
            &shop,
            &format!(
                "create or replace function store.reach() returns trigger language plpgsql as $$ begin {reach}; return new; end $$;
                 drop trigger if exists reach on store.orders;
                 create trigger reach before update on store.orders for each row execute function store.reach()"
            ),
        )
        .await?;
        hand.say(&shop, &["A"], "succeeded").await?;
        let state = list(&shop, "select sqlstate from reconcile.failed_effects").await?;
        assert!(
            state == ["42501"] || state == ["42704"] || state == ["0A000"] || state == ["42P17"],
            "{reach}: {state:?}"
        );
        assert_eq!(
            (row(&shop, "A").await?, watched(&shop).await?),
            ("processing".to_owned(), vec!["A pending".to_owned()]),
            "{reach}"
        );
    }
    as_owner(&shop, "drop trigger reach on store.orders").await?;
    hand.say(&shop, &["A"], "succeeded").await?;
    assert_eq!(row(&shop, "A").await?, "CONFIRMED COMPLETED");
    shop.is_sound().await
}

/// Proves that an owner who takes SECURITY DEFINER from the functions that were made for him gains
/// nothing by it: he can't even name them.
#[tokio::test]
async fn the_generated_functions_cannot_be_turned() -> Result<()> {
    let shop = attached("attach_turned").await?;
    let owner = shop.database.connect_as("store_owner").await?;
    let functions = list(&shop, "select oid::regprocedure::text from pg_proc where pronamespace = 'reconcile_generated'::regnamespace").await?;
    assert_eq!(functions.len(), 3, "{functions:?}");
    for function in functions {
        for change in [
            "security invoker",
            "reset search_path",
            "rename to f",
            "owner to store_app",
        ] {
            let refused = refusal(&owner, &format!("alter function {function} {change}")).await?;
            assert!(
                refused.starts_with("42501 "),
                "{function} {change}: {refused}"
            );
        }
    }
    Ok(())
}

/// Proves that forced row level security holds for what is read and written back: a row that the owner
/// can't see is not written, and is not taken for deleted.
#[tokio::test]
async fn row_level_security_holds() -> Result<()> {
    let shop = attached("attach_rls").await?;
    as_owner(
        &shop,
        "alter table store.orders enable row level security, force row level security;
         create policy own on store.orders using (price = coalesce(current_setting('store.shop', true), '1')::numeric)",
    )
    .await?;
    let app = app(&shop).await?;
    app.batch_execute(
        "set store.shop = '1';
         insert into store.orders (number, invoice_id, status, price) values ('A', 'i', 'processing', 1);
         set store.shop = '2';
         insert into store.orders (number, invoice_id, status, price) values ('B', 'i', 'processing', 2)",
    )
    .await?;
    assert_eq!(watched(&shop).await?, ["A pending", "B pending"]);
    // Where store.shop is not set, B is hidden.
    shop.signal().await?;
    assert_eq!(watched(&shop).await?, ["A pending", "B pending"]);
    let hand = Hand::new(&shop).await?;
    let claimed = hand.claim(&shop, &["A", "B"]).await?;
    assert_eq!(
        hand.report(&claimed, "succeeded").await?,
        Vec::<String>::new()
    );
    assert_eq!(watched(&shop).await?, ["A succeeded", "B pending"]);
    assert_eq!(
        (row(&shop, "A").await?, row(&shop, "B").await?),
        ("CONFIRMED COMPLETED".to_owned(), "processing".to_owned())
    );
    let alert = alerts(&shop).await?;
    assert!(
        alert.len() == 1 && alert[0].contains("hidden by row level security"),
        "{alert:?}"
    );
    as_owner(
        &shop,
        "create policy all_of_it on store.orders to store_owner using (true)",
    )
    .await?;
    hand.say(&shop, &["B"], "succeeded").await?;
    assert_eq!(row(&shop, "B").await?, "CONFIRMED COMPLETED");
    app.batch_execute("insert into store.orders (number, invoice_id, status, price) values ('C', 'i', 'processing', 2); delete from store.orders where number = 'C'")
        .await?;
    assert_eq!(watched(&shop).await?[2], "C cancelled");
    shop.is_sound().await
}

/// Proves that a write that a policy or a trigger swallows is seen and recorded.
#[tokio::test]
async fn a_write_that_is_swallowed_is_recorded() -> Result<()> {
    let shop = with("attach_swallowed", ORDERS).await?;
    attach(&shop, PLAIN).await?;
    as_owner(
        &shop,
        "create function store.swallow() returns trigger language plpgsql as $$ begin return null; end $$;
         create trigger swallow before update on store.orders for each row execute function store.swallow()",
    )
    .await?;
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
    assert_eq!(watched(&shop).await?, ["A pending"]);
    let alert = alerts(&shop).await?;
    assert!(
        alert[0].contains(
            "RC012 the row of A in store.orders was not written, by a trigger or a policy"
        ),
        "{alert:?}"
    );
    shop.is_sound().await
}
