//! What the call is given: every value is taken, or refused with its SQLSTATE and a hint.

use anyhow::{Context, Result};
use reconcile_tests::shop::{SOON, Shop};

use crate::asked::{ask, ask_at_once};

/// Proves that a wait of 0 asks the provider and comes back without its answer.
#[tokio::test]
async fn a_wait_of_0_asks_and_does_not_wait() -> Result<()> {
    let shop = Shop::open("a_wait_of_0").await?;
    let _sidecar = shop.sidecar().await?;
    shop.track("A").await?;
    let gate = shop.vendor.hold("A");
    let asked = ask(&shop.app().await?, "A", Some("0")).await?;
    asked.unchanged_because("no answer within 00:00:00; the check goes on")?;
    shop.vendor.arrived("A", 1, SOON).await?;
    gate.open();
    shop.becomes("A", "succeeded").await?;
    shop.is_sound().await
}

/// Proves that a wait that runs out says so, and that the check goes on without the caller.
#[tokio::test]
async fn a_wait_that_runs_out_says_so() -> Result<()> {
    let shop = Shop::open("a_wait_that_runs_out").await?;
    let _sidecar = shop.sidecar().await?;
    shop.track("A").await?;
    let gate = shop.vendor.hold("A");
    let asked = ask(&shop.app().await?, "A", Some("300 ms")).await?;
    asked.unchanged_because("no answer within 00:00:00.3; the check goes on")?;
    gate.open();
    shop.becomes("A", "succeeded").await?;
    assert_eq!(shop.vendor.count("A"), 1);
    shop.is_sound().await
}

/// Proves that a wait that is negative, NULL or longer than a minute is refused with RC005 and asks
/// nobody, and that a minute is taken.
#[tokio::test]
async fn a_wait_out_of_range_is_refused() -> Result<()> {
    let shop = Shop::open("a_wait_out_of_range").await?;
    shop.track("A").await?;
    let app = shop.app().await?;
    for wait in [
        Some("-1 ms"),
        None,
        Some("61 s"),
        Some("60.001 s"),
        Some("1 month"),
    ] {
        let refused = ask(&app, "A", wait).await.err().context("it was taken")?;
        let error = refused.as_db_error().context("no error of the server's")?;
        assert_eq!(error.code().code(), "RC005", "{error}");
        assert!(error.message().contains("wait is"), "{error}");
        assert!(
            error.hint().is_some_and(|hint| hint.contains("60 s")),
            "{error:?}"
        );
    }
    assert!(!shop.order("A").await?.urgent);
    ask_at_once(&app, "A")
        .await?
        .unchanged_because("no sidecar is running")
}

/// Proves that an order that is not known is RC001, whatever its number looks like.
#[tokio::test]
async fn an_unknown_order_is_an_error() -> Result<()> {
    let shop = Shop::open("an_unknown_order").await?;
    let app = shop.app().await?;
    let long = "x".repeat(10_000);
    let strange = [
        "ORD-404",
        "",
        "O'Hara; drop table",
        "a\nb",
        "%2F%00",
        "a",
        &long,
    ];
    for order_number in strange {
        for call in ["reconcile_order($1)", "order_details($1)"] {
            let refused = app
                .execute(&format!("select {call}"), &[&order_number])
                .await;
            let refused = refused.err().context("there is such an order")?;
            let error = refused.as_db_error().context("no error of the server's")?;
            assert_eq!(error.code().code(), "RC001", "{error}");
            assert!(
                error.message().len() < 200 && error.hint().is_some(),
                "{error:?}"
            );
        }
    }
    let refused = app.execute("select reconcile_order(null)", &[]).await;
    let refused = refused.err().context("NULL is an order")?;
    assert_eq!(refused.code().map(|code| code.code()), Some("RC001"));
    Ok(())
}

/// Proves that an order number of 500 characters, with quotes, slashes and newlines, gets to the
/// provider and back.
#[tokio::test]
async fn a_strange_order_number_is_asked_about() -> Result<()> {
    let shop = Shop::open("a_strange_order_number").await?;
    let _sidecar = shop.sidecar().await?;
    let app = shop.app().await?;
    let long = "é".repeat(500);
    for order_number in [
        "O'Hara\"; --",
        "a\nb/c?d=e&f#g",
        "%2F..%2F",
        "{reference}",
        "名",
        &long,
    ] {
        shop.track(order_number).await?;
        let asked = ask(&app, order_number, Some("30 s")).await?;
        assert_eq!(asked.state, "succeeded", "{order_number}: {asked:?}");
        assert_eq!(shop.vendor.count(order_number), 1, "{order_number}");
    }
    shop.is_sound().await
}
