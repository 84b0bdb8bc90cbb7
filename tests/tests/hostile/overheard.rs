//! Event triggers: code of others that PostgreSQL runs with the rights of whoever defines something, in whoever's session it is.

use anyhow::{Result, ensure};

use crate::scene::{Scene, run, text};

/// A log of DDL as they are usually written: harmless, since it runs with the rights of whoever does the DDL. The event triggers that see tables
/// rewritten and things dropped are others.
const LOG: &str = "
    create table public.ddl_log (who text default current_user, tag text, session text default session_user);
    grant insert, select on public.ddl_log to public;
    create function public.log_ddl() returns event_trigger language plpgsql as $$ begin
        begin
            insert into ddl_log (tag) values (tg_event || ' ' || tg_tag);
        -- Where the statement looks things up in no schema of the application's.
        exception when undefined_table then
            insert into public.ddl_log (tag) values (tg_event || ' ' || tg_tag);
        end; end $$;
    create event trigger log_start on ddl_command_start execute function public.log_ddl();
    create event trigger log_end on ddl_command_end execute function public.log_ddl();
    create event trigger log_drop on sql_drop execute function public.log_ddl();
    create event trigger log_rewrite on table_rewrite execute function public.log_ddl()";

/// In front of it, in a session of its own: a table of that name with a trigger of the application's.
const SHADOW: &str = "
    create function carrier.overhears() returns trigger language plpgsql as $$ begin
        insert into public.ddl_log (tag) values ('by the shadow: ' || new.tag);
        return new; end $$;
    grant execute on function carrier.overhears() to public;
    create temp table ddl_log (who text, tag text);
    grant all on ddl_log to public;
    create trigger overhears before insert on ddl_log for each row execute function carrier.overhears()";

/// Partitions that are due to be made, and one that is due to be dropped.
const PARTITIONS: &str = "
    do $$ begin
        execute format('drop table reconcile.%I', 'recorded_checks_' || to_char(now() at time zone 'UTC' + interval '2 months', 'YYYY_MM'));
    end $$;
    set role reconcile_owner;
    create table reconcile.recorded_checks_2020_01 (like reconcile.recorded_checks including defaults, primary key (order_id, check_id));
    alter table reconcile.recorded_checks attach partition reconcile.recorded_checks_2020_01 for values from ('2020-01-01') to ('2020-02-01');
    reset role";

/// Whatever makes, alters, grants or drops something of the ledger's.
const CALLS: [&str; 10] = [
    "select reconcile.add_hook('again', 'failed', 'carrier.on_paid(text, jsonb)', provider => 'vendor')",
    "select reconcile.remove_hook('again')",
    "select reconcile.add_provider('told', kind => 'sql', lookup_table => 'carrier.payments', lookup_columns => '{\"order_number\": \"number\"}',
        status_map => '{\"paid\": \"succeeded\"}')",
    "select reconcile.alter_provider('told', lookup => 'carrier.payment_of(text, text)')",
    "select reconcile.remove_provider('told')",
    "alter table carrier.sales alter column created_at type timestamp",
    "select * from reconcile.attach_table('carrier.sales', 'by_table', track => '{processing}', amount => '',
        write => '{\"succeeded\": {\"status\": \"PAID\"}}')",
    "select * from reconcile.attach_table('carrier.orders', 'vendor', track => '{processing}', amount => '', dry_run => true)",
    "select reconcile.detach_table('carrier.sales')",
    "select reconcile.remove_hook('on_paid')",
];

/// Proves that no event trigger runs with rights that its session's role has not, whatever the ledger makes, grants, gives away or drops for
/// that session: not the ledger's, and not a superuser's.
#[tokio::test]
async fn no_event_trigger_hears_what_the_ledger_defines() -> Result<()> {
    let scene = Scene::open("hostile_overheard", "", "").await?;
    run(&scene.dba, PARTITIONS).await?;
    run(&scene.dba, LOG).await?;
    run(&scene.owner, SHADOW).await?;
    for call in CALLS {
        run(&scene.owner, call).await?;
    }
    let sidecar = scene.database.connect_as("shop_sidecar").await?;
    run(
        &sidecar,
        "select reconcile.sidecar_start('by hand', '0', 1)",
    )
    .await?;
    let cron = scene.database.connect_as("reconcile_cron").await?;
    run(&cron, "call reconcile.check_stale_orders()").await?;
    run(&cron, "select * from reconcile.housekeep()").await?;
    let partitions =
        "select count(*) from pg_inherits where inhparent = 'reconcile.recorded_checks'::regclass
        and inhrelid::regclass::text ~ '_[0-9]{4}_[0-9]{2}$'";
    let partitions = text(&scene.dba, partitions).await?;
    ensure!(partitions.as_deref() == Some("3"), "{partitions:?}");
    let heard = "select string_agg(distinct format('%s as %s: %s', session, who, tag), '; ') from public.ddl_log where who <> session";
    let heard = text(&scene.dba, heard).await?;
    ensure!(heard.is_none(), "{heard:?}");
    // What the caller does with rights of his own is told as ever: the triggers of his table.
    let told = "select count(*) from public.ddl_log where tag like '%ddl_command_end CREATE TRIGGER%' and who = 'carrier_owner'";
    let told = text(&scene.dba, told).await?;
    ensure!(told.as_deref() != Some("0"), "nothing was told");
    Ok(())
}
