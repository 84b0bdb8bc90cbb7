//! All is well: the provider is asked, and the caller sees what came of it.

use anyhow::Result;
use reconcile_tests::shop::Shop;
use reconcile_tests::simulator::{Fate, Step};

use crate::asked::{Asked, ask, ask_at_once};

/// Proves that one call asks the provider once and answers the new state, with the provider's words.
#[tokio::test]
async fn the_answer_is_the_new_state() -> Result<()> {
    let shop = Shop::open("the_answer_is_the_new_state").await?;
    let _sidecar = shop.sidecar().await?;
    shop.track("A").await?;
    let asked = ask(&shop.app().await?, "A", Some("30 s")).await?;
    let expected = Asked {
        state: "succeeded".into(),
        previous_state: "pending".into(),
        updated: true,
        outcome: Some("succeeded".into()),
        provider_status: Some("succeeded".into()),
        transaction_id: Some("TXN-A".into()),
        message: "the provider says succeeded".into(),
    };
    assert_eq!(asked, expected);
    assert_eq!(shop.vendor.count("A"), 1);
    assert_eq!(
        shop.history("A").await?,
        ["pending -> succeeded by provider"]
    );
    shop.is_sound().await
}

/// Proves that an open transaction of the application sees the new state before it ends, and that
/// its rollback takes nothing back: the provider has said it.
#[tokio::test]
async fn inside_a_transaction_it_is_seen_before_the_end() -> Result<()> {
    let shop = Shop::open("inside_a_transaction").await?;
    let _sidecar = shop.sidecar().await?;
    let app = shop.app().await?;
    for (order_number, end) in [("A", "commit"), ("B", "rollback")] {
        shop.track(order_number).await?;
        app.batch_execute("begin; savepoint before_asking").await?;
        let asked = ask(&app, order_number, Some("30 s")).await?;
        assert!(asked.updated, "{asked:?}");
        let again = ask_at_once(&app, order_number).await?;
        assert_eq!((again.state.as_str(), again.updated), ("succeeded", false));
        app.batch_execute(end).await?;
        assert_eq!(shop.order(order_number).await?.state, "succeeded");
        assert_eq!(shop.vendor.count(order_number), 1);
    }
    shop.is_sound().await
}

/// Proves that an answer without a final word is told as such, and that the order stays on its way.
#[tokio::test]
async fn no_final_word_is_an_answer_too() -> Result<()> {
    let shop = Shop::open("no_final_word").await?;
    let _sidecar = shop.sidecar().await?;
    shop.track("A").await?;
    shop.vendor.set_fate("A", Fate::status("processing"));
    let asked = ask(&shop.app().await?, "A", Some("30 s")).await?;
    asked.unchanged_because("the provider has no final word yet")?;
    assert_eq!(asked.outcome.as_deref(), Some("pending"));
    assert_eq!(asked.provider_status.as_deref(), Some("processing"));
    let order = shop.order("A").await?;
    assert!(!order.urgent && order.next_check_s.is_some(), "{order:?}");
    shop.is_sound().await
}

/// Proves that a closed order is asked about where the caller says so, whoever has closed it, and that money which is found then waits for
/// a person.
#[tokio::test]
async fn a_closed_order_is_asked_about_when_somebody_insists() -> Result<()> {
    let shop = Shop::open("even_closed").await?;
    let _sidecar = shop.sidecar().await?;
    shop.track("A").await?;
    shop.run("select reconcile.resolve_order('A', 'cancelled', 'a test')")
        .await?;
    shop.vendor.set_fate("A", Fate::status("pending"));
    let app = shop.app().await?;
    let ask =
        "select state, updated, message from reconcile_order('A', '30 s', even_closed => true)";
    let asked = app.query_one(ask, &[]).await?;
    assert_eq!(
        (asked.get::<_, String>(0), asked.get::<_, bool>(1)),
        ("cancelled".to_owned(), false),
        "{}",
        asked.get::<_, String>(2)
    );
    assert_eq!(shop.vendor.calls("A").len(), 1);
    assert_eq!(shop.order("A").await?.next_check_s, None);
    shop.vendor.set_fate("A", Fate::status("succeeded"));
    let asked = app.query_one(ask, &[]).await?;
    assert_eq!(
        (asked.get::<_, String>(0), asked.get::<_, bool>(1)),
        ("review".to_owned(), true),
        "{}",
        asked.get::<_, String>(2)
    );
    shop.is_sound().await
}

/// Proves that an order that is closed costs the provider no call, in whatever transaction and
/// without any sidecar.
#[tokio::test]
async fn a_closed_order_is_not_asked_about() -> Result<()> {
    let shop = Shop::open("a_closed_order").await?;
    let app = shop.app().await?;
    for state in ["succeeded", "failed", "cancelled", "refunded"] {
        shop.track(state).await?;
        shop.client
            .execute(
                "select reconcile.resolve_order($1, $1, 'told by telephone')",
                &[&state],
            )
            .await?;
        for begin in ["begin", "begin isolation level serializable read only"] {
            app.batch_execute(begin).await?;
            let asked = ask_at_once(&app, state).await?;
            asked.unchanged_because("by the word of: operator; the provider was not asked")?;
            assert_eq!(asked.state, state);
            app.batch_execute("commit").await?;
        }
    }
    let _sidecar = shop.sidecar().await?;
    shop.track_aged("OTHER", "1 hour").await?;
    shop.signal().await?;
    shop.becomes("OTHER", "succeeded").await?;
    assert_eq!(shop.vendor.totals().calls, 1, "only about the other order");
    shop.is_sound().await
}

/// Proves that an order in review may be asked about, whoever sent it there: what a person has to
/// decide stays with the person and shows the provider's word, what was given up is settled by it.
#[tokio::test]
async fn an_order_in_review_may_be_asked_about() -> Result<()> {
    let shop = Shop::open("an_order_in_review").await?;
    shop.alter_provider(
        "vendor",
        "deadline => '1 hour', gives_up_as => 'review', late_watch => 'none'",
    )
    .await?;
    shop.track_known("LATE", "2 hours").await?;
    shop.run("update reconcile.due_checks set due_at = clock_timestamp() + interval '1 day'")
        .await?;
    let _sidecar = shop.sidecar().await?;
    let app = shop.app().await?;

    shop.track("MONEY").await?;
    let wrong = Step::status("succeeded").paid("9.99", "USD");
    shop.vendor
        .set_fate("MONEY", Fate::of([wrong, Step::status("succeeded")]));
    let asked = ask(&app, "MONEY", Some("30 s")).await?;
    assert_eq!((asked.state.as_str(), asked.updated), ("review", true));
    assert!(
        asked.message.contains("9.99") && asked.message.contains("0.73"),
        "{asked:?}"
    );
    let asked = ask(&app, "MONEY", Some("30 s")).await?;
    asked.unchanged_because("a person has to decide")?;
    assert_eq!(asked.outcome.as_deref(), Some("succeeded"));
    assert_eq!(shop.vendor.count("MONEY"), 2);

    shop.vendor.set_fate(
        "LATE",
        Fate::of([Step::status("pending"), Step::status("failed")]),
    );
    let asked = ask(&app, "LATE", Some("30 s")).await?;
    assert_eq!((asked.state.as_str(), asked.updated), ("review", true));
    assert_eq!(
        shop.order("LATE").await?.next_check_s,
        None,
        "nobody watches it"
    );
    let asked = ask(&app, "LATE", Some("30 s")).await?;
    assert_eq!((asked.state.as_str(), asked.updated), ("failed", true));
    assert_eq!(
        shop.history("LATE").await?,
        [
            "pending -> review by giving_up",
            "review -> failed by provider"
        ]
    );
    shop.is_sound().await
}

/// Proves that a transaction that may only read can ask all the same: nothing is written by it.
#[tokio::test]
async fn a_read_only_transaction_may_ask() -> Result<()> {
    let shop = Shop::open("a_read_only_transaction").await?;
    let _sidecar = shop.sidecar().await?;
    shop.track("A").await?;
    let app = shop.app().await?;
    app.batch_execute("begin read only").await?;
    let asked = ask(&app, "A", Some("30 s")).await?;
    assert_eq!((asked.state.as_str(), asked.updated), ("succeeded", true));
    app.batch_execute("commit").await?;
    shop.is_sound().await
}

/// Proves that one statement can ask about many orders, one after the other.
#[tokio::test]
async fn one_statement_asks_about_many() -> Result<()> {
    let shop = Shop::open("one_statement").await?;
    let _sidecar = shop.sidecar().await?;
    for order_number in ["A", "B", "C"] {
        shop.track(order_number).await?;
    }
    shop.vendor.set_fate("B", Fate::status("failed"));
    let many = "
        select string_agg(asked.order_number || ' ' || asked.state, ', ' order by asked.order_number)
        from unnest(array['A', 'B', 'C']) as number
        cross join lateral reconcile_order(number, '30 s') as asked";
    let told = shop.app().await?.query_one(many, &[]).await?;
    assert_eq!(told.get::<_, &str>(0), "A succeeded, B failed, C succeeded");
    shop.is_sound().await
}
