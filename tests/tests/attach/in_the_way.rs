//! Something of the application is in the way of a write-back: it costs its own order a recorded retry,
//! and nobody else anything.

use anyhow::Result;
use reconcile_tests::shop::Shop;

use crate::hand::Hand;
use crate::store::{alerts, app, as_owner, attached, list, row, watched};

async fn twenty(shop: &Shop<'_>) -> Result<Vec<String>> {
    shop.alter_provider("vendor", "concurrency => 100").await?;
    app(shop)
        .await?
        .batch_execute(
            "insert into store.orders (number, invoice_id, status)
             select 'ORD-' || lpad(n::text, 2, '0'), 'i-' || n, 'processing' from generate_series(0, 19) as n",
        )
        .await?;
    Ok((0..20).map(|n| format!("ORD-{n:02}")).collect())
}

/// All twenty are reported in one batch, and all but ORD-07 are settled and written back by it.
async fn all_but_one(shop: &Shop<'_>, hand: &Hand, numbers: &[String]) -> Result<()> {
    let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
    hand.say(shop, &numbers, "succeeded").await?;
    let wanted: Vec<_> = numbers
        .iter()
        .map(|number| {
            format!(
                "{number} {}",
                if *number == "ORD-07" {
                    "pending"
                } else {
                    "succeeded"
                }
            )
        })
        .collect();
    assert_eq!(watched(shop).await?, wanted);
    let written = "select status || ' ' || count(*) from store.orders group by status order by 1";
    assert_eq!(list(shop, written).await?, ["CONFIRMED 19", "processing 1"]);
    assert_eq!(
        list(
            shop,
            "select distinct count(*)::text from reconcile.checks group by order_number"
        )
        .await?,
        ["1"]
    );
    Ok(())
}

async fn failed(shop: &Shop<'_>) -> Result<Vec<String>> {
    list(
        shop,
        "select concat_ws(' ', f.order_number, f.failures, f.waits, f.sqlstate, f.problem) from reconcile.failed_effects as f",
    )
    .await
}

/// Proves it of a trigger of the application that raises; the message and SQLSTATE are kept, the delays
/// grow, and a person is asked in the end.
#[tokio::test]
async fn a_trigger_that_raises() -> Result<()> {
    let shop = attached("attach_raises").await?;
    let numbers = twenty(&shop).await?;
    as_owner(
        &shop,
        "create function store.refuse() returns trigger language plpgsql as
            $$ begin raise exception 'the books are closed' using errcode = 'ZZ001'; end $$;
         create trigger refuse before update on store.orders for each row when (old.number = 'ORD-07') execute function store.refuse()",
    )
    .await?;
    let hand = Hand::new(&shop).await?;
    all_but_one(&shop, &hand, &numbers).await?;
    assert_eq!(
        failed(&shop).await?,
        ["ORD-07 1 0 ZZ001 the books are closed"]
    );
    let first = shop.check("ORD-07", 0).await?;
    assert_eq!(
        (
            first.outcome.as_str(),
            first.from_state.as_str(),
            first.to_state.as_str()
        ),
        ("succeeded", "pending", "pending")
    );
    hand.say(&shop, &["ORD-07"], "succeeded").await?;
    let second = shop.check("ORD-07", 1).await?;
    assert!(
        second.next_check_s > first.next_check_s && first.next_check_s >= Some(4.9),
        "{first:?} {second:?}"
    );
    assert!(
        alerts(&shop).await?[0].starts_with("effects_failing vendor: "),
        "{:?}",
        alerts(&shop).await?
    );
    shop.run("update reconcile.settings set effect_tries = 3")
        .await?;
    hand.say(&shop, &["ORD-07"], "succeeded").await?;
    assert_eq!(shop.order("ORD-07").await?.state, "review");
    assert_eq!(row(&shop, "ORD-07").await?, "processing");
    as_owner(&shop, "drop trigger refuse on store.orders").await?;
    shop.run("select reconcile.resolve_order('ORD-07', 'succeeded', 'the books are open again')")
        .await?;
    assert_eq!(
        (row(&shop, "ORD-07").await?, failed(&shop).await?),
        ("CONFIRMED COMPLETED".to_owned(), vec![])
    );
    shop.is_sound().await
}

/// Proves it of a row that the application holds for long: it is tried again, however often, without
/// counting against it, and settled when the row is free.
#[tokio::test]
async fn a_row_that_is_locked_for_long() -> Result<()> {
    let shop = attached("attach_locked").await?;
    shop.run("update reconcile.settings set effect_tries = 1")
        .await?;
    let (numbers, hand) = (twenty(&shop).await?, Hand::new(&shop).await?);
    let holder = app(&shop).await?;
    holder
        .batch_execute("begin; select from store.orders where number = 'ORD-07' for update")
        .await?;
    all_but_one(&shop, &hand, &numbers).await?;
    hand.say(&shop, &["ORD-07"], "succeeded").await?;
    assert_eq!(
        failed(&shop).await?,
        ["ORD-07 0 2 RC011 the row of ORD-07 in store.orders is locked"]
    );
    let (first, second) = (
        shop.check("ORD-07", 0).await?,
        shop.check("ORD-07", 1).await?,
    );
    assert!(
        second.next_check_s > first.next_check_s && first.next_check_s >= Some(1.9),
        "{first:?} {second:?}"
    );
    holder.batch_execute("commit").await?;
    hand.say(&shop, &["ORD-07"], "succeeded").await?;
    assert_eq!(
        (row(&shop, "ORD-07").await?, failed(&shop).await?),
        ("CONFIRMED COMPLETED".to_owned(), vec![])
    );
    shop.is_sound().await
}

/// Proves that a transaction that only refers to the row by a foreign key is not in the way.
#[tokio::test]
async fn a_row_that_is_referred_to() -> Result<()> {
    let shop = attached("attach_referred").await?;
    as_owner(
        &shop,
        "create table store.items (number text references store.orders, what text)",
    )
    .await?;
    let (app, hand) = (app(&shop).await?, Hand::new(&shop).await?);
    app.batch_execute(
        "insert into store.orders (number, invoice_id, status) values ('A', 'i', 'processing')",
    )
    .await?;
    app.batch_execute("begin; insert into store.items values ('A', 'a cup')")
        .await?;
    hand.say(&shop, &["A"], "succeeded").await?;
    assert_eq!(row(&shop, "A").await?, "CONFIRMED COMPLETED");
    app.batch_execute("commit").await?;
    shop.is_sound().await
}

/// Proves it of what a write-back waits for beyond the row: something that a trigger touches, which
/// somebody else has locked. It gives up before it could deadlock anybody.
#[tokio::test]
async fn a_lock_that_a_trigger_waits_for() -> Result<()> {
    let shop = attached("attach_trigger_waits").await?;
    as_owner(
        &shop,
        "create table store.totals (number text primary key); insert into store.totals values ('ORD-07');
         create function store.count_it() returns trigger language plpgsql as
            $$ begin update totals set number = number where number = new.number; return new; end $$;
         create trigger count_it before update on store.orders for each row execute function store.count_it()",
    )
    .await?;
    let (numbers, hand, holder) = (
        twenty(&shop).await?,
        Hand::new(&shop).await?,
        app(&shop).await?,
    );
    holder
        .batch_execute("begin; select from store.totals for update")
        .await?;
    all_but_one(&shop, &hand, &numbers).await?;
    assert_eq!(
        failed(&shop).await?,
        ["ORD-07 0 1 55P03 canceling statement due to lock timeout"]
    );
    holder.batch_execute("commit").await?;
    hand.say(&shop, &["ORD-07"], "succeeded").await?;
    assert_eq!(row(&shop, "ORD-07").await?, "CONFIRMED COMPLETED");
    shop.is_sound().await
}

/// Proves it of a constraint that is only looked at when the transaction ends.
#[tokio::test]
async fn a_constraint_that_is_looked_at_late() -> Result<()> {
    let shop = attached("attach_deferred").await?;
    as_owner(
        &shop,
        "create table store.words (word text primary key); insert into store.words values ('COMPLETED');
         create function store.misspell() returns trigger language plpgsql as
            $$ begin new.payment := case new.number when 'ORD-07' then 'COMPLEATED' else new.payment end; return new; end $$;
         create trigger misspell before update on store.orders for each row execute function store.misspell();
         alter table store.orders add foreign key (payment) references store.words deferrable initially deferred",
    )
    .await?;
    let (numbers, hand) = (twenty(&shop).await?, Hand::new(&shop).await?);
    all_but_one(&shop, &hand, &numbers).await?;
    let problem = failed(&shop).await?;
    assert!(
        problem.len() == 1 && problem[0].starts_with("ORD-07 1 0 23503 "),
        "{problem:?}"
    );
    shop.is_sound().await
}
