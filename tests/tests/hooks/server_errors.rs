//! Errors that PostgreSQL itself raises within a hook, and that look like the server's own trouble.

use anyhow::{Context, Result};
use reconcile_tests::shop::Till;

/// Proves that a hook for which a file is missing, and one that needs more temporary files than it may have, cost their own orders a
/// recorded retry, settle all others of the batch, and do not end the run: neither passes by waiting for the server.
#[tokio::test]
async fn a_missing_file_and_no_room_are_the_hooks_own_trouble() -> Result<()> {
    let till = Till::open("hooks_server_errors").await?;
    till.run(
        "grant execute on function pg_read_file(text) to shop_operator; set temp_file_limit = '0'",
    )
    .await?;
    till.hook(
        "reads",
        "succeeded",
        "begin
            if order_number = 'FILE' then
                perform pg_read_file('nonexistent');
            elsif order_number = 'ROOM' then
                perform g from generate_series(1, 1000000) as g order by -g;
            end if;
        end",
    )
    .await?;
    till.sells("paid", &["A", "FILE", "B", "ROOM", "C"]).await?;
    assert_eq!(till.settles().await?, 3, "{:?}", till.states().await?);
    for (number, code) in [("FILE", "58P01"), ("ROOM", "53400")] {
        let failure = till
            .failure(number)
            .await?
            .with_context(|| format!("nothing was recorded of {number}"))?;
        assert_eq!((failure.0, failure.2.as_str()), (1, code), "{}", failure.3);
        assert_eq!(till.order(number).await?.state, "pending");
    }
    till.run("reset temp_file_limit").await?;
    assert_eq!(till.settles_all().await?, 1);
    assert_eq!(till.order("ROOM").await?.state, "succeeded");
    till.is_sound().await
}

/// Proves that such an error on the way to review, which a failing hook does not hold up, is recorded like any other.
#[tokio::test]
async fn a_missing_file_does_not_hold_up_review() -> Result<()> {
    let till = Till::open("hooks_server_errors_review").await?;
    till.run("grant execute on function pg_read_file(text) to shop_operator")
        .await?;
    till.hook(
        "reads",
        "review",
        "begin perform pg_read_file('nonexistent'); end",
    )
    .await?;
    till.sells("paid", &["A", "B"]).await?;
    till.does("update shop.payments set amount = 5 where order_number = 'A'")
        .await?;
    assert_eq!(till.settles().await?, 2, "{:?}", till.states().await?);
    assert_eq!(till.states().await?, ["A review", "B succeeded"]);
    let failure = till.failure("A").await?.context("nothing was recorded")?;
    assert_eq!(failure.2, "58P01", "{}", failure.3);
    till.is_sound().await
}

/// Proves that want of room on the server is waited out, never counted, and told: a paid order does not go to review for it.
#[tokio::test]
async fn want_of_room_is_waited_out_and_told() -> Result<()> {
    let till = Till::open("hooks_no_room").await?;
    till.run("update reconcile.settings set effect_tries = 1; grant pg_write_server_files to shop_operator")
        .await?;
    till.hook(
        "fills",
        "succeeded",
        "begin if current_setting('shop.out_of_room', true) = 'yes' then copy (select repeat('x', 100000)) to '/dev/full'; end if; end",
    )
    .await?;
    till.run("set shop.out_of_room = 'yes'").await?;
    till.sells("paid", &["A"]).await?;
    till.settles().await?;
    let failure = till.failure("A").await?.context("nothing was recorded")?;
    assert_eq!(
        (failure.0, failure.2.as_str()),
        (0, "53100"),
        "{}",
        failure.3
    );
    assert_eq!(till.order("A").await?.state, "pending");
    let told = "select count(*) from reconcile.alerts where alert = 'no_room'";
    assert_eq!(till.one::<i64>(told, &[]).await?, 1);
    till.run("set shop.out_of_room = 'no'").await?;
    till.settles_all().await?;
    assert_eq!(till.order("A").await?.state, "succeeded");
    till.is_sound().await
}
