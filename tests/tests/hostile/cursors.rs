//! Cursors that a caller has open when the ledger calls code of others, which knows a cursor by its name and not by whose it is.

use anyhow::{Result, ensure};

use crate::scene::{Scene, failure, run, text};

/// A hook and a trigger that read on in whatever is open.
const READS_ON: &str = "
    create table carrier.read (word text);
    grant insert on carrier.read to public;
    create function carrier.reads_on() returns void language plpgsql as $$
    declare v_name text; v_word text; v_cursor refcursor;
    begin
        foreach v_name in array array(select c.name from pg_cursors as c) loop
            begin
                v_cursor := v_name;
                loop
                    fetch v_cursor into v_word;
                    exit when not found;
                    insert into carrier.read values (v_word);
                end loop;
            exception when others then null;
            end;
        end loop;
    end $$;
    create or replace function carrier.on_paid(order_number text, facts jsonb) returns void language plpgsql as
        $$ begin perform carrier.reads_on(); end $$;
    create or replace function carrier.payment_of(order_number text, reference text) returns jsonb language plpgsql as
        $$ begin perform carrier.reads_on(); return '{\"status\": \"paid\"}'; end $$";

const SECRET: &str = "declare secret cursor for select passwd::text from pg_catalog.pg_shadow";

/// Proves that no call has code of others read on in a cursor of a superuser: it is refused with RC014, a loop over a query is too, and
/// the same calls for all rows of one query, or over an array, go through.
#[tokio::test]
async fn nobody_reads_on_in_a_superusers_cursor() -> Result<()> {
    let scene = Scene::open("hostile_cursors", READS_ON, "").await?;
    run(
        &scene.dba,
        "select reconcile.track_order('R-' || nr, 'by_function', created_at => now() - interval '1 hour') from generate_series(1, 9) as nr",
    )
    .await?;
    for call in [
        "select reconcile.resolve_order('R-1', 'succeeded', 'seen')",
        "select * from reconcile_stale_orders(10)",
        "select * from reconcile_order('R-2')",
        "select reconcile.record_webhook('by_function', 'event', '{}', 'R-3')",
        "do $$ declare v record; begin for v in select passwd from pg_shadow loop
            perform reconcile.resolve_order('R-1', 'succeeded', 'seen'); end loop; end $$",
    ] {
        let refused = failure(&scene.dba, &format!("begin; {SECRET}; {call}")).await;
        let refused = refused.unwrap_or_default();
        run(&scene.dba, "rollback").await?;
        ensure!(refused.starts_with("RC014"), "{call}: {refused:?}");
    }
    for call in [
        "select reconcile.resolve_order(order_number, 'succeeded', 'seen') from reconcile.orders where order_number in ('R-1', 'R-2')",
        "do $$ declare v text; begin foreach v in array array['R-3', 'R-4'] loop
            perform reconcile.resolve_order(v, 'succeeded', 'seen'); end loop; end $$",
        "select * from reconcile_stale_orders(10)",
    ] {
        run(&scene.dba, call).await?;
    }
    let read = text(&scene.dba, "select count(*) from carrier.read").await?;
    ensure!(read.as_deref() == Some("0"), "{read:?} rows were read on");
    Ok(())
}

/// Proves that the same holds for calls that try a table out or search it, and for a session that a superuser has begun and given to
/// somebody else since.
#[tokio::test]
async fn nobody_reads_on_by_a_table_that_is_tried_out() -> Result<()> {
    let policy = "
        create function carrier.looks() returns boolean language plpgsql as $$ begin perform carrier.reads_on(); return true; end $$;
        alter table carrier.orders enable row level security;
        alter table carrier.orders force row level security;
        create policy looks on carrier.orders using (carrier.looks());
        insert into carrier.orders values ('A', 'processing')";
    let scene = Scene::open("hostile_tried_out", READS_ON, "").await?;
    run(&scene.owner, policy).await?;
    let attach = |dry_run| {
        format!(
            "select * from reconcile.attach_table('carrier.orders', 'vendor', track => '{{processing}}', amount => '', dry_run => {dry_run})"
        )
    };
    run(&scene.owner, &attach(false)).await?;
    run(
        &scene.dba,
        "select reconcile.track_order('R-1', 'by_function', created_at => now() - interval '1 hour')",
    )
    .await?;
    let given_away =
        "set session authorization carrier_owner; select * from reconcile_stale_orders(10)"
            .to_owned();
    for call in [
        "select * from reconcile.take_in('carrier.orders')".to_owned(),
        given_away,
        attach(true).replace("carrier.orders", "carrier.sales"),
        attach(false).replace("carrier.orders", "carrier.sales"),
    ] {
        let refused = failure(&scene.dba, &format!("begin; {SECRET}; {call}")).await;
        let refused = refused.unwrap_or_default();
        run(&scene.dba, "rollback").await?;
        ensure!(refused.starts_with("RC014"), "{call}: {refused:?}");
    }
    let read = text(&scene.dba, "select count(*) from carrier.read").await?;
    ensure!(read.as_deref() == Some("0"), "{read:?} rows were read on");
    Ok(())
}
