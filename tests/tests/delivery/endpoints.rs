//! Endpoints as rows: which events they get, and what is refused.

use anyhow::{Context, Result};
use reconcile_tests::shop::Shop;

use crate::receiver::Receiver;
use crate::{add_endpoint, all_delivered, event, sidecar};

/// Proves that an endpoint gets events from its beginning on, or since an event that it names, and only
/// those of its states; and that a paused one gets them later.
#[tokio::test]
async fn an_endpoint_gets_the_events_that_it_is_for() -> Result<()> {
    let shop = Shop::open("delivery_wanted").await?;
    let (new, old, failures, paused) = (
        Receiver::start().await?,
        Receiver::start().await?,
        Receiver::start().await?,
        Receiver::start().await?,
    );
    let before = event(&shop, "A", "failed").await?;
    event(&shop, "B", "succeeded").await?;
    reconcile_tests::wait::until(
        reconcile_tests::shop::SOON,
        "both events to be in the past",
        async || {
            let readable = "select count(*) from reconcile.read_events()";
            shop.one::<i64>(readable, &[])
                .await
                .is_ok_and(|events| events == 2)
        },
    )
    .await?;
    add_endpoint(&shop, "new", &new, "").await?;
    add_endpoint(&shop, "old", &old, &format!("since_event => {before}")).await?;
    add_endpoint(
        &shop,
        "failures",
        &failures,
        "on_states => '{failed, cancelled}', since_event => 0",
    )
    .await?;
    add_endpoint(&shop, "paused", &paused, "").await?;
    shop.run("select reconcile.pause_endpoint('paused', 'ticket 1')")
        .await?;
    let _sidecar = sidecar(&shop, &[&new, &old, &failures, &paused]).await?;
    event(&shop, "C", "succeeded").await?;
    event(&shop, "D", "failed").await?;
    for (receiver, expected) in [(&new, "CD"), (&old, "BCD"), (&failures, "AD")] {
        let messages = receiver.received(expected.len()).await?;
        let mut orders = Vec::new();
        for message in messages {
            let body = message.json()?;
            orders.push(
                body["data"]["order_number"]
                    .as_str()
                    .context("an order")?
                    .to_owned(),
            );
        }
        orders.sort();
        assert_eq!(orders.concat(), expected);
    }
    assert_eq!(paused.messages().len(), 0);
    let unread = "select format('%s %s %s', health, unread_up_to_10000, paused_reason) from reconcile.endpoints where name = 'paused'";
    assert_eq!(shop.one::<String>(unread, &[]).await?, "paused 2 ticket 1");
    shop.run("select reconcile.resume_endpoint('paused')")
        .await?;
    paused.received(2).await?;
    all_delivered(&shop).await?;
    shop.run("select reconcile.remove_endpoint('paused')")
        .await?;
    assert_eq!(
        shop.one::<i64>("select count(*) from reconcile.endpoints", &[])
            .await?,
        3
    );
    Ok(())
}

/// Arguments of endpoints that are refused, with which SQLSTATE, and in which words.
const UNSOUND: [(&str, &str, &str); 15] = [
    (
        "'Shop', 'https://s.example/', 'S'",
        "RC005",
        "'Shop' is not an endpoint's name",
    ),
    ("null, 'https://s.example/', 'S'", "RC005", "NULL"),
    ("'shop', null, 'S'", "RC005", "url: it is missing"),
    ("'shop', '/hooks', 'S'", "RC005", "url: it is not a URL"),
    (
        "'shop', 'ftp://s.example/', 'S'",
        "RC005",
        "url: its scheme is ftp",
    ),
    (
        "'shop', 'https://u:p@s.example/', 'S'",
        "RC005",
        "url: it holds a user name or password",
    ),
    (
        "'shop', 'https://s.example/{order_number}', 'S'",
        "RC005",
        "url: it is no template here",
    ),
    (
        "'shop', 'https://s.example/', 'whsec_abc'",
        "RC005",
        "secret: a secret is given by its name",
    ),
    (
        "'shop', 'https://s.example/', 'S', '{}'",
        "RC005",
        "on_states: {} are not all states",
    ),
    (
        "'shop', 'https://s.example/', 'S', '{paid}'",
        "RC005",
        "on_states: {paid} are not all states",
    ),
    (
        "'shop', 'https://s.example/', 'S', timeout => '1 h'",
        "RC005",
        "timeout: 01:00:00 is out of range",
    ),
    (
        "'shop', 'https://s.example/', 'S', max_attempts => 0",
        "RC005",
        "max_attempts: 0 is out of range",
    ),
    (
        "'shop', 'https://s.example/', 'S', concurrency => 0",
        "RC005",
        "concurrency: 0 is out of range",
    ),
    (
        "'shop', 'https://s.example/', 'S', since_event => 77",
        "RC005",
        "there is no event 77",
    ),
    (
        "'taken', 'https://s.example/', 'S'",
        "RC004",
        "there is an endpoint taken already",
    ),
];

/// Proves that an endpoint which could not work is refused when it is written, with a word on why.
#[tokio::test]
async fn an_unsound_endpoint_is_refused() -> Result<()> {
    let shop = Shop::open("delivery_unsound").await?;
    shop.run("select reconcile.add_endpoint('taken', 'https://shop.example/hooks', 'SHOP_EVENTS')")
        .await?;
    let operator = shop.database.connect_as("shop_operator").await?;
    for (arguments, code, expected) in UNSOUND {
        let add = format!("select reconcile.add_endpoint({arguments})");
        let error = operator.batch_execute(&add).await.err().context(add)?;
        let error = error.as_db_error().context("not the database's word")?;
        assert_eq!(error.code().code(), code, "{arguments}");
        assert!(
            error.message().contains(expected),
            "{arguments}: {}",
            error.message()
        );
        assert!(
            error.hint().is_some_and(|hint| !hint.is_empty()),
            "{arguments}"
        );
        assert!(!error.message().contains("whsec"), "a key is not repeated");
    }
    for call in [
        "pause_endpoint('none', 'x')",
        "resume_endpoint('none')",
        "remove_endpoint('none')",
        "replay_events('none')",
    ] {
        let error = operator
            .batch_execute(&format!("select reconcile.{call}"))
            .await
            .err()
            .context(call)?;
        assert_eq!(
            error.code().map(|code| code.code()),
            Some("RC005"),
            "{call}"
        );
    }
    Ok(())
}

/// Proves that readers see endpoints and events, and that only operators say where events go.
#[tokio::test]
async fn only_operators_say_where_events_go() -> Result<()> {
    let shop = Shop::open("delivery_rights").await?;
    shop.run("select reconcile.add_endpoint('shop', 'https://shop.example/hooks', 'SHOP_EVENTS')")
        .await?;
    let reads = ["select * from reconcile.read_events()"];
    let views = [
        "table reconcile.endpoints",
        "table reconcile.parked_deliveries",
        "table reconcile.alerts",
    ];
    let writes = [
        "select reconcile.pause_endpoint('shop', 'x')",
        "select reconcile.resume_endpoint('shop')",
        "select reconcile.replay_events('shop')",
        "select reconcile.remove_endpoint('shop')",
        "select reconcile.add_endpoint('shop', 'https://shop.example/hooks', 'SHOP_EVENTS')",
    ];
    let protocol = [
        "select * from reconcile.sidecar_claim_deliveries(1, 1)",
        "select reconcile.sidecar_next_delivery()",
        "select * from reconcile.sidecar_report_deliveries(1, '{}', '{}', '{}', '{}', '{}', '{}', '{}')",
        "select reconcile.sidecar_release_deliveries(1, '{}', '{}')",
    ];
    let tables = [
        "table reconcile.deliveries",
        "table reconcile.event_endpoints",
        "table reconcile.transitions",
    ];
    for (role, may) in [
        ("shop_app", [true, false, false, false]),
        ("shop_reader", [true, true, false, false]),
        ("shop_operator", [true, true, true, false]),
        ("shop_sidecar", [false, false, false, true]),
    ] {
        let client = shop.database.connect_as(role).await?;
        let groups: [&[&str]; 4] = [&reads, &views, &writes, &protocol];
        for (statements, may) in groups.into_iter().zip(may) {
            for statement in statements {
                let done = client.batch_execute(statement).await;
                let code = done
                    .err()
                    .and_then(|error| error.code().map(|code| code.code().to_owned()));
                assert_eq!(
                    code.as_deref(),
                    (!may).then_some("42501"),
                    "{role}: {statement}"
                );
            }
        }
        for table in tables {
            assert!(
                client.batch_execute(table).await.is_err(),
                "{role}: {table}"
            );
        }
    }
    Ok(())
}

/// Proves that an endpoint of one provider gets the events of that provider's orders, and goes past
/// those of others.
#[tokio::test]
async fn an_endpoint_may_be_for_one_providers_orders() -> Result<()> {
    let shop = Shop::open("delivery_of_a_provider").await?;
    let (receiver, all) = (Receiver::start().await?, Receiver::start().await?);
    shop.add_provider("other", &shop.vendor, "").await?;
    add_endpoint(&shop, "ours", &receiver, "provider => 'other'").await?;
    add_endpoint(&shop, "all", &all, "").await?;
    for (order_number, provider) in [("A", "vendor"), ("B", "other"), ("C", "vendor")] {
        shop.track_at(provider, order_number, "0").await?;
        shop.run(&format!(
            "select reconcile.resolve_order('{order_number}', 'failed', 'ticket 2')"
        ))
        .await?;
    }
    let _sidecar = sidecar(&shop, &[&receiver, &all]).await?;
    all.received(3).await?;
    all_delivered(&shop).await?;
    let messages = receiver.received(1).await?;
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].json()?["data"]["order_number"], "B");
    let refused = shop
        .run("select reconcile.add_endpoint('x', 'https://x.example/', 'X', provider => 'nobody')")
        .await;
    assert!(format!("{:#}", refused.expect_err("no such provider")).contains("nobody"));
    Ok(())
}
