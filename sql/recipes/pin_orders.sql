-- PIN orders: replaces celery_app.py, apps/orders/tasks.py, beat, the worker and Redis of a Django shop.
--
-- Run once, by the role that owns product_orders, a member of reconcile_operator; no superuser is needed:
--   psql -d watan -v base_url=https://api.provider.example -f sql/recipes/pin_orders.sql
-- The sidecar has the secret PIN_PROVIDER_TOKEN. Auto-dispatch keeps its steps: step 12 saves provider_referans, and with that the order
-- is watched; step 15 (scheduling a task) goes. Changed: after 20 tries or 24 hours an order gets one last check, and a person decides.

\set ON_ERROR_STOP on
\if :{?base_url}
\else
    \set base_url https://api.provider.example
\endif

begin;
-- Nothing is looked up in a schema that somebody else may write to.
set local search_path = pg_catalog, pg_temp;

do $$ begin if to_regnamespace('watan') is null then create schema watan; end if; end $$;

create table if not exists watan.product_orders (
    id uuid primary key default gen_random_uuid(),
    "externalStatus" text not null default 'pending',
    "pinCode" text,
    "createdAt" timestamptz not null default now(),
    "updatedAt" timestamptz not null default now()
);
-- migration_provider_referans.sql, and an index for the searches.
alter table watan.product_orders add column if not exists provider_referans text;
create index if not exists product_orders_status on watan.product_orders ("externalStatus", id);

-- Check status from provider: 60 s after the order, then after 30 s, 1 m, 2 m … (exponential backoff), up to 2 h, with which 20 tries
-- take just over the 24 hours (timeout). What fails on the way uses up no try. Thousands of orders a minute need no more than calls
-- at the same time. The PIN is in no log and no view: kept with its order alone, and masked in the audit.
select reconcile.add_provider('pins',
    url => :'base_url' || '/orders/{order_number}?invoice={reference}',
    auth => '{"kind": "bearer", "secret": "PIN_PROVIDER_TOKEN"}',
    status_path => '$.data.status', reference_path => '$.data.referans',
    status_map => '{"completed": "succeeded", "rejected": "failed", "cancelled": "failed", "pending": "pending", "processing": "pending"}',
    captures => '{"pin_code": {"path": "$.data.pin", "sensitive": true}}',
    schedule => '60s, then 30s growing by 2 up to 2h', max_tries => 20, deadline => '24 hours', gives_up_as => 'review',
    concurrency => 64);

-- Automatic PIN code updates: with the state, in one transaction.
select * from reconcile.attach_table('watan.product_orders', provider => 'pins', order_number => 'id', reference => 'provider_referans',
    status => 'externalStatus', track => '{pending,processing}', created_at => 'createdAt', amount => '', currency => '',
    write => '{"succeeded": {"externalStatus": "completed"}, "failed": {"externalStatus": "failed"},
               "review": {"externalStatus": "review"}}',
    capture => '{"pin_code": "pinCode", "changed_at": "updatedAt"}');

-- What Flower showed: every order that is watched, its tries, and when it is asked about next.
create view watan.monitoring as
select o.id, o."externalStatus", o.provider_referans, known.tries, known.faults, known.last_outcome, known.last_checked_at,
    known.next_check_at, known.created_at + interval '24 hours' as times_out_at
from watan.product_orders as o
join reconcile.orders as known on known.order_number = o.id::text
where known.state in ('pending', 'processing', 'review');

commit;

-- Orders that are open already are watched from now on, too.
select * from reconcile.take_in('watan.product_orders');

-- By hand, each line by itself. Quick test: create an order, and look (its times as the server keeps them, in Damascus):
--     insert into watan.product_orders (provider_referans) values ('REF-BY-HAND');
--     set timezone = 'Asia/Damascus';
--     select id, "externalStatus", provider_referans, "pinCode" from watan.product_orders order by "createdAt" desc limit 5;
-- Monitoring (Flower), the terminals' logs, and one order's story:
--     select * from watan.monitoring order by next_check_at limit 100;
--     select order_number, answered_at, outcome, detail, next_check_at from reconcile.checks order by check_id desc limit 50;
--     select reconcile.explain_order(id::text) from watan.product_orders order by "createdAt" limit 1;
--     select * from reconcile.alerts;
-- The schedule, try by try, in seconds, with up to a tenth of jitter:
--     select n, reconcile.schedule_delay_ms('60s, then 30s growing by 2 up to 2h', n, 'any') / 1000 from generate_series(0, 20) as n;
-- Periodic batch checking every 5 minutes, batch size 100: the sidecar asks what is due by itself, and this is the net below it.
--     select * from reconcile_stale_orders(100, provider => 'pins');
-- with pg_cron: select cron.schedule('pins', '*/5 * * * *', $$select * from reconcile_stale_orders(100, provider => 'pins')$$);
-- An order that timed out, once a person knows (support has the PIN):
--   select reconcile.resolve_order('…', 'failed', 'the provider refunded it, ticket 12');
-- Time is the database's clock, and no role of the migration can move a due time. Not taken over: CELERY_BROKER_URL and
-- CELERY_RESULT_BACKEND (the queue is a table), start_monitoring.ps1 and --pool=solo (one binary), Supervisor (systemd runs the sidecar).
