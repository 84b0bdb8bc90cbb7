-- The schedules, kept by pg_cron. Applied with psql in the database where pg_cron lives; safe to apply twice.
--
-- pg_cron lives in one database of a cluster (cron.database_name). When the orders are in that one:
--   psql -d shop -v ON_ERROR_STOP=1 -f sql/migrations/002_schedules.sql
-- When they are in another, say which:
--   psql -d postgres -v ON_ERROR_STOP=1 -v database=shop -f sql/migrations/002_schedules.sql
-- 001_roles.sql comes first: the schedules run as reconcile_cron, which it makes.
-- Works with pg_cron 1.4 (whole minutes) and later, which the server has to load: see below.

\if :{?database}
\else
    select pg_catalog.current_database() as database \gset
\endif

begin;

-- Nothing is looked up in a schema that somebody else may write to.
set local search_path = pg_catalog, pg_temp;

-- pg_cron says of this only that it does not know its own setting.
do $$
begin
    if pg_catalog.current_setting('cron.database_name', true) is null then
        raise exception 'pg_cron is not loaded, so nothing was scheduled'
            using errcode = 'object_not_in_prerequisite_state',
                hint = 'Install its package, set shared_preload_libraries = ''pg_cron'' and cron.database_name in postgresql.conf, restart the '
                    'server, and apply this file again in that database. Without pg_cron all works, later: see README.md.';
    end if;
end
$$;

create extension if not exists pg_cron;

-- The names carry the database, so that several databases of a cluster keep their own schedules.
select cron.schedule_in_database(
    pg_catalog.format('pg_reconcile stale orders in %s', :'database'), '*/3 * * * *',
    'call reconcile.check_stale_orders()', :'database', 'reconcile_cron'
);

select cron.schedule_in_database(
    pg_catalog.format('pg_reconcile housekeeping in %s', :'database'), '17 * * * *',
    'select * from reconcile.housekeep()', :'database', 'reconcile_cron'
);

-- A job of its own: pg_cron does not begin one again that has not ended.
select cron.schedule_in_database(
    pg_catalog.format('pg_reconcile overlong sessions in %s', :'database'), '*/2 * * * *',
    'select reconcile.end_overlong_sessions()', :'database', 'reconcile_cron'
);

-- pg_cron keeps the log of its runs for ever; a role sees and deletes its own.
grant usage on schema cron to reconcile_cron;
select cron.schedule_in_database(
    'pg_reconcile prune cron log', '41 3 * * *',
    $$delete from cron.job_run_details as run
      where run.end_time operator(pg_catalog.<) (pg_catalog.now() operator(pg_catalog.-) pg_catalog.interval '7 days')$$,
    pg_catalog.current_database(), 'reconcile_cron'
);

commit;
