//! What is kept of an event that a webhook hands over: masked by all that the provider's row calls sensitive, for answers and for events.

use anyhow::Result;
use reconcile_tests::shop::{SOON, Shop};
use reconcile_tests::wait;

const SENSITIVE: &str = r#"{"voucher": {"path": "$.unlock_text", "sensitive": true}}"#;
const PLAIN: &str = r#"{"txid": "$.tx"}"#;

/// Proves that what a sensitive capture reads stands in clear in nothing that a reader reads, be the capture the row's own, the webhook's or
/// both, be the event evidence or not, and its order known or not yet.
#[tokio::test]
async fn an_event_is_masked_by_the_captures_of_both() -> Result<()> {
    let shop = Shop::open("evidence_events").await?;
    let mut nr = 0;
    for (own, of_webhook) in [
        (SENSITIVE, ""),
        (SENSITIVE, PLAIN),
        (PLAIN, SENSITIVE),
        ("{}", SENSITIVE),
        (SENSITIVE, SENSITIVE),
    ] {
        for evidence in [true, false] {
            for early in [false, true] {
                nr += 1;
                let captures = match of_webhook {
                    "" => String::new(),
                    captures => format!(r#", "captures": {captures}"#),
                };
                shop.run(&format!(
                    r#"select reconcile.add_provider('e{nr}', 'https://e.example/{{order_number}}', '{{"paid": "succeeded"}}', captures => '{own}',
                        webhook => '{{"evidence": {evidence}, "order_number_path": "$.order"{captures}}}')"#
                ))
                .await?;
                let track = format!("select reconcile.track_order('E-{nr}', 'e{nr}')");
                let event = format!(
                    r#"select reconcile.record_webhook('e{nr}', 'event', '{{"order": "E-{nr}", "status": "paid", "tx": "t1", "unlock_text": "GIFT-1234"}}')"#
                );
                let steps = if early {
                    [event, track]
                } else {
                    [track, event]
                };
                for step in steps {
                    shop.run(&step).await?;
                }
                let shown = "select coalesce(string_agg(told, E'\\n'), '') from (
                        select w::text as told from reconcile.webhooks as w union all select c::text from reconcile.checks as c
                        union all select o::text from reconcile.orders as o union all select h::text from reconcile.order_history as h
                        union all select reconcile.explain_order(o.order_number) from reconcile.orders as o
                    ) as every where told like '%GIFT-1234%'";
                let shown: String = shop.one(shown, &[]).await?;
                assert_eq!(
                    shown, "",
                    "{own} {of_webhook} evidence: {evidence} early: {early}"
                );
            }
        }
    }
    Ok(())
}

/// Proves that a webhook's captures mean the same in their short form as in their full one, as the row's own do, and that the row is stored in
/// full.
#[tokio::test]
async fn a_webhooks_captures_have_a_short_form() -> Result<()> {
    let shop = Shop::open("evidence_short_captures").await?;
    for (name, captures) in [
        ("short", r#"{"txt": "$.data.txt"}"#),
        ("full", r#"{"txt": {"path": "$.data.txt"}}"#),
    ] {
        for (step, call) in [
            ("added", format!("select reconcile.add_provider('{name}_added', 'https://e.example/{{order_number}}', '{{\"paid\": \"succeeded\"}}',
                webhook => '{{\"evidence\": true, \"captures\": {captures}}}')")),
            ("altered", format!("select reconcile.add_provider('{name}_altered', 'https://e.example/{{order_number}}', '{{\"paid\": \"succeeded\"}}');
                select reconcile.alter_provider('{name}_altered', webhook => '{{\"evidence\": true, \"captures\": {captures}}}')")),
        ] {
            shop.run(&call).await?;
            shop.run(&format!("select reconcile.track_order('{name}-{step}', '{name}_{step}')")).await?;
            shop.run(&format!(
                "select reconcile.record_webhook('{name}_{step}', 'e', '{{\"status\": \"paid\", \"data\": {{\"txt\": \"hello\"}}}}', '{name}-{step}')"
            ))
            .await?;
        }
    }
    // Events are read when no older transaction is open, another test's neither.
    wait::until(SOON, "four events", async || {
        let events = shop.one::<i64>("select count(*) from reconcile.read_events()", &[]);
        events.await.is_ok_and(|events| events == 4)
    })
    .await?;
    let captured = "select string_agg(distinct format('%s %s %s %s', o.state, o.captured, p.webhook -> 'captures', e.captured), '; ')
        from reconcile.orders as o join reconcile.providers as p on p.name = o.provider join reconcile.read_events() as e using (order_number)";
    let captured: String = shop.one(captured, &[]).await?;
    assert_eq!(
        captured,
        r#"succeeded {"txt": "hello"} {"txt": {"path": "$.data.txt", "sensitive": false}} {"txt": "hello"}"#
    );
    // What either calls sensitive is shown to nobody, if only their names agree.
    for name in ["full_added", "short_altered"] {
        shop.run(&format!(
            r#"select reconcile.alter_provider('{name}', webhook => '{{"evidence": true, "captures": {{"txt": {{"path": "$.t", "sensitive": true}}}}}}',
                captures => '{{"txt": "$.data.txt"}}')"#
        ))
        .await?;
    }
    let shown = "select string_agg(distinct format('%s %s', o.captured, e.captured), '; ')
        from reconcile.orders as o join reconcile.read_events() as e using (order_number) where o.provider in ('full_added', 'short_altered')";
    let shown: String = shop.one(shown, &[]).await?;
    assert_eq!(shown, r#"{"txt": "[redacted]"} {}"#);
    Ok(())
}
