//! What an application's code quotes in its errors: a card's number, a password, and what a sensitive capture has read, which hooks and columns
//! get in clear. Wherever the error is caught, nothing of that is kept, shown or logged.

use anyhow::{Result, ensure};

use crate::scene::{Scene, failure, run, text};

/// As no other test has them.
const SECRETS: [&str; 3] = ["4242424242424242", "hunter2confided", "GIFT-CONFIDED"];

const CODE: &str = r#"
    create function carrier.tells(who text, read text) returns void language plpgsql as $$ begin
        raise exception using message = who || ' could not post card 4242424242424242 with password=hunter2confided for ' || read,
            detail = 'card 4242424242424242, password=hunter2confided, ' || read, hint = 'card 4242424242424242, ' || read;
    end $$;
    create function carrier.hook(order_number text, facts jsonb) returns void language plpgsql as
        $$ begin perform carrier.tells('hook', coalesce(facts -> 'captured' ->> 'voucher', 'nothing')); end $$;
    create function carrier.lookup(order_number text, reference text) returns jsonb language plpgsql as
        $$ begin perform carrier.tells('lookup', 'nothing'); end $$;
    create function carrier.writes() returns trigger language plpgsql as
        $$ begin perform carrier.tells('trigger', coalesce(new.note, 'nothing')); return new; end $$;
    create function carrier.sees() returns boolean language plpgsql as
        $$ begin perform carrier.tells('policy', 'nothing'); return true; end $$"#;

const PROVIDERS: [&str; 4] = [
    r#"select reconcile.add_provider('confides', 'https://c.example/{order_number}', '{"paid": "succeeded"}',
        captures => '{"voucher": {"path": "$.unlock_text", "sensitive": true}}', webhook => '{"evidence": true}')"#,
    r#"select reconcile.add_provider('asks', kind => 'sql', lookup => 'carrier.lookup(text, text)', status_map => '{"paid": "succeeded"}')"#,
    "select reconcile.add_hook('confided', 'succeeded', 'carrier.hook(text, jsonb)', provider => 'confides')",
    "select reconcile.add_hook('reviewed', 'review', 'carrier.hook(text, jsonb)', provider => 'confides')",
];

const ATTACH: &str = r#"
    select * from reconcile.attach_table('carrier.orders', 'confides', track => '{processing}', amount => '',
        write => '{"succeeded": {"status": "PAID"}, "review": {"status": "LOOK"}}', capture => '{"voucher": "note"}');
    create trigger writes before update on carrier.orders for each row execute function carrier.writes()"#;

/// What runs the application's code, and fails or not: what is told to the caller counts as shown.
const CALLS: [&str; 12] = [
    "select reconcile.track_order('BY-HAND', 'confides')",
    r#"select reconcile.record_webhook('confides', 'e1', '{"status": "paid", "unlock_text": "GIFT-CONFIDED"}', 'BY-HAND')"#,
    "select reconcile.resolve_order('BY-HAND', 'succeeded', 'seen')",
    "select reconcile.resolve_order('BY-HAND', 'review', 'seen')",
    "insert into carrier.orders (number, status) values ('ROW', 'processing')",
    "select * from reconcile.take_in('carrier.orders')",
    r#"select reconcile.record_webhook('confides', 'e2', '{"status": "paid", "unlock_text": "GIFT-CONFIDED"}', 'ROW')"#,
    "select reconcile.resolve_order('ROW', 'review', 'seen')",
    "select reconcile.track_order('ASKED', 'asks', created_at => now() - interval '1 hour')",
    "select * from reconcile_order('ASKED')",
    "select * from reconcile.call_hook_again('reviewed', '{BY-HAND,ROW}')",
    "select * from reconcile_stale_orders()",
];

async fn heard(scene: &Scene, told: &str) -> Result<Vec<String>> {
    let relations = "select string_agg(format('select %L as place, %s as text from %s as t', c.oid::regclass,
            case when c.relname = 'tracked_orders' then '(to_jsonb(t) - ''captured'')::text' else 't::text' end, c.oid::regclass), ' union all ')
        from pg_class as c where c.relnamespace = 'reconcile'::regnamespace and c.relkind in ('r', 'p', 'v')";
    let relations = text(&scene.dba, relations).await?.unwrap_or_default();
    let mut found = Vec::new();
    let log = scene.cluster.log()?;
    for secret in SECRETS {
        let kept = format!(
            "select string_agg(place, ', ') from ({relations}) as every where text like '%{secret}%'"
        );
        if let Some(places) = text(&scene.dba, &kept).await? {
            found.push(format!("{secret} is kept in {places}"));
        }
        for (place, content) in [("the server's log", &log[..]), ("what is told", told)] {
            found.extend(
                content
                    .lines()
                    .find(|line| line.contains(secret))
                    .map(|line| format!("{secret} is in {place}: {line}")),
            );
        }
    }
    Ok(found)
}

/// Proves that an application's error is masked wherever it is caught: of a hook, a lookup, a trigger, a policy, as it settles, gives up, resolves,
/// searches, calls again or attaches.
#[tokio::test]
async fn what_an_error_quotes_is_told_to_nobody() -> Result<()> {
    let scene = Scene::open("hostile_confided", CODE, "").await?;
    for sql in PROVIDERS {
        run(&scene.owner, sql).await?;
    }
    run(&scene.owner, ATTACH).await?;
    let mut told = String::new();
    let mut tell = |error: Option<String>| {
        told.extend(error.into_iter().flat_map(|error| [error, "\n".to_owned()]));
    };
    for call in CALLS {
        tell(failure(&scene.owner, call).await);
    }
    let again = "select string_agg(t::text, ' ') from reconcile.call_hook_again('reviewed', '{BY-HAND,ROW}') as t";
    tell(text(&scene.owner, again).await.ok().flatten());
    let policy = "insert into carrier.orders (number, status) values ('NOTED', 'processing');
        alter table carrier.orders enable row level security; alter table carrier.orders force row level security;
        create policy all_rows on carrier.orders using (carrier.sees())";
    run(&scene.owner, policy).await?;
    for call in [
        "select * from reconcile_stale_orders()",
        "select * from reconcile.take_in('carrier.orders')",
        "select reconcile.detach_table('carrier.orders')",
        "select * from reconcile.attach_table('carrier.orders', 'confides', track => '{processing}', amount => '')",
    ] {
        tell(failure(&scene.owner, call).await);
    }
    let failed = "select count(*) from reconcile.failed_effects";
    let failed = text(&scene.dba, failed).await?.unwrap_or_default();
    ensure!(failed != "0", "nothing has failed: {told}");
    let found = heard(&scene, &told).await?;
    ensure!(found.is_empty(), "{found:#?}");
    ensure!(told.contains("[redacted]"), "nothing was told: {told}");
    Ok(())
}
