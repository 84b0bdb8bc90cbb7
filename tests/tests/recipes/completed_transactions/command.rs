//! The command: its options, its time range, its interruption, and two that overlap.

use anyhow::Result;

use super::recipe;
use crate::recipe::{Recipe, answer};

/// Proves the options of the command: limit, sleep and time range, oldest first, with progress and a summary; and that orders without a
/// completed transaction use up none of the limit.
#[tokio::test]
async fn the_command_and_its_options() -> Result<()> {
    let recipe = recipe("recipe_academy_command").await?;
    let abandoned = recipe.pending(&["failed"]).await?;
    let mut paid = Vec::new();
    for _ in 0..4 {
        paid.push(recipe.pending(&["completed"]).await?);
    }
    recipe
        .run(&format!(
            "update academy.orders set created_at = now() - interval '3 hours' where id = {}",
            paid[0]
        ))
        .await?;

    let said = recipe
        .psql(
            &[],
            "call academy.regularize_completed_orders(max_orders => 1, hours => 1);",
        )
        .await?;
    assert!(
        said.contains(&format!(
            "order {}: succeeded, the provider says succeeded",
            paid[1]
        )),
        "{said}"
    );
    assert!(said.contains("regularized 1 of 1 orders"), "{said}");
    let began = "select clock_timestamp()";
    let began = recipe.ask(began).await?;
    let said = recipe
        .psql(
            &[],
            "call academy.regularize_completed_orders(max_orders => 2, sleep => 0.2);",
        )
        .await?;
    assert!(said.contains("regularized 2 of 2 orders"), "{said}");
    let slept = format!("select clock_timestamp() - '{began}' >= interval '0.4 s'");
    assert_eq!(recipe.ask(&slept).await?, "t");
    assert_eq!(recipe.stands(&paid[3]).await?, "pending|f|");
    let said = recipe
        .psql(&[], "call academy.regularize_completed_orders();")
        .await?;
    assert!(said.contains("regularized 1 of 1 orders"), "{said}");
    let said = recipe
        .psql(&[], "call academy.regularize_completed_orders();")
        .await?;
    assert!(said.contains("regularized 0 of 0 orders"), "{said}");
    assert_eq!(recipe.stands(&abandoned).await?, "pending|f|");
    recipe.shop.is_sound().await
}

/// Proves that the time range is right where Laravel's `timestamp(0)` columns keep UTC and the sessions are in another zone.
#[tokio::test]
async fn the_time_range_of_columns_without_a_zone() -> Result<()> {
    let recipe = Recipe::open("completed_transactions", "recipe_academy_zone").await?;
    let kolkata =
        "alter role shop_owner in database recipe_academy_zone set timezone = 'Asia/Kolkata'";
    recipe.shop.run(kolkata).await?;
    recipe
        .run(
            "set timezone = 'Asia/Kolkata';
            create schema academy;
            create table academy.orders (id bigserial primary key, user_id bigint, course_id bigint,
                status varchar(255) not null default 'pending' check (status in ('pending', 'completed', 'failed')),
                total_amount decimal(8, 2) not null, currency varchar(3) not null default 'USD',
                created_at timestamp(0), updated_at timestamp(0));
            insert into academy.orders (user_id, course_id, total_amount, created_at)
            select n, 1, 49.90, now() at time zone 'UTC' - n * interval '50 minutes' from generate_series(0, 3) as n",
        )
        .await?;
    recipe.run_file(&[]).await?;
    for order in 1..=4 {
        recipe
            .transaction(&order.to_string(), "completed", "49.90")
            .await?;
    }
    let said = recipe
        .psql(&[], "call academy.regularize_completed_orders(hours => 1);")
        .await?;
    assert!(said.contains("regularized 2 of 2 orders"), "{said}");
    let done = "select string_agg(id::text, ' ' order by id) from academy.orders where status = 'completed'
        and updated_at > now() at time zone 'UTC' - interval '5 minutes' and updated_at < now() at time zone 'UTC' + interval '1 minute'";
    assert_eq!(recipe.ask(done).await?, "1 2");
    recipe
        .run("call academy.regularize_completed_orders()")
        .await?;
    let rest = "select count(*) from academy.orders where status = 'completed'";
    assert_eq!(recipe.ask(rest).await?, "4");
    recipe.shop.is_sound().await
}

/// Proves that each order is committed before the pause after it: others see it, and who interrupts the command loses nothing.
#[tokio::test]
async fn the_command_can_be_interrupted() -> Result<()> {
    let recipe = recipe("recipe_academy_interrupted").await?;
    let first = recipe.pending(&["completed"]).await?;
    let second = recipe.pending(&["completed"]).await?;
    let owner = recipe.shop.database.connect_as("shop_owner").await?;
    let interrupt = owner.cancel_token();
    let command = tokio::spawn(async move {
        answer(
            &owner,
            "call academy.regularize_completed_orders(sleep => 3600)",
        )
        .await
    });
    let seen = format!("select status from academy.orders where id = {first}");
    recipe.comes_to(&seen, "completed").await?;
    assert_eq!(recipe.stands(&second).await?, "pending|f|");
    interrupt.cancel_query(tokio_postgres::NoTls).await?;
    assert!(command.await?.is_err());
    assert_eq!(recipe.stands(&first).await?, "completed|t|t");
    recipe.shop.is_sound().await
}

/// Proves that runs that overlap do no order twice: each is enrolled once and moves once, whoever of four had it.
#[tokio::test]
async fn runs_that_overlap_share_the_orders() -> Result<()> {
    let recipe = recipe("recipe_academy_overlap").await?;
    recipe
        .run(
            "insert into academy.orders (user_id, course_id, total_amount, created_at)
            select n, 1, 49.90, now() - interval '10 minutes' from generate_series(1, 300) as n;
            insert into academy.transactions (order_id, status, amount) select id, 'completed', 49.90 from academy.orders",
        )
        .await?;
    // A bulk load is noted, and taken in by the first run.
    let taken = "select rows_followed, finished from reconcile.take_in('academy.orders')";
    assert!(recipe.ask(taken).await?.ends_with("|t"));
    let mut runs = Vec::new();
    for run in [
        "call academy.regularize_completed_orders(max_orders => 300)",
        "call academy.regularize_completed_orders(max_orders => 300)",
        "select * from reconcile_stale_orders(300, provider => 'transactions')",
        "select * from reconcile_stale_orders(300, provider => 'transactions')",
    ] {
        let owner = recipe.shop.database.connect_as("shop_owner").await?;
        runs.push(tokio::spawn(async move { answer(&owner, run).await }));
    }
    for run in runs {
        run.await??;
    }
    recipe
        .run("call academy.regularize_completed_orders(max_orders => 300)")
        .await?;
    let done = "select count(*), count(distinct order_number) from reconcile.order_history where to_state = 'succeeded'";
    assert_eq!(recipe.ask(done).await?, "300|300");
    let status = "select status, count(*) from academy.orders group by 1";
    assert_eq!(recipe.ask(status).await?, "completed|300");
    recipe.shop.is_sound().await
}
