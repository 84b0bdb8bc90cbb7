-- Vendor orders: replaces CheckProcessingOrdersJob, check_vendor_status and config/schedule.yml of a Rails shop with Sidekiq.
--
-- Run once, by the role that owns the tables, a member of reconcile_operator:
--   psql -d shop -v base_url=https://api.vendor.example -f sql/recipes/vendor_orders.sql
-- The sidecar has the secret VENDOR_TOKEN. A table that is there already is left as it is; a log that is one becomes …_before. The order flow stays:
--   user payment → order processing → the vendor's API takes it (invoice_id) → asked about → succeeded or failed
-- Changed: the 5 minutes count from the row's updated_at when it comes to processing, and not from every touch of it; a success has to
-- agree with retail_price and invoice_id, or a person decides; a webhook, if there is one, can be added (record_webhook).

\set ON_ERROR_STOP on
\if :{?base_url}
\else
    \set base_url https://api.vendor.example
\endif
select pg_catalog.quote_ident(n.nspname) as calls_schema
from pg_catalog.pg_extension as e join pg_catalog.pg_namespace as n on n.oid operator(pg_catalog.=) e.extnamespace
where e.extname operator(pg_catalog.=) 'pg_reconcile' \gset

begin;
-- Nothing is looked up in a schema that somebody else may write to.
set local search_path = pg_catalog, pg_temp;

do $$ begin if to_regnamespace('vendor') is null then create schema vendor; end if; end $$;

create table if not exists vendor.orders (
    id bigint generated always as identity primary key,
    order_number text not null unique,
    status text not null default 'pending' check (status in ('pending', 'processing', 'succeeded', 'failed')),
    invoice_id text,
    retail_price numeric(12, 2),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index if not exists orders_processing on vendor.orders (status, order_number);

-- VendorService.check_order_detail and the status mapping (succeeded, failed, cancelled → failed, processing and pending → no action)
-- are the preset's. Staleness 5 minutes, frequency 3 minutes, 0.5 s between two calls (gap, the preset's own), 50 orders a run: that
-- is what the vendor sees of them in 3 minutes. No deadline: as before, an order is asked about until the vendor has a final word.
select reconcile.add_vendor('vendor', secret => 'VENDOR_TOKEN', host => :'base_url',
    settings => '{"schedule": "5m, then 3m", "rate_limit": 50, "rate_interval": "3 minutes", "deadline": null}');

-- The condition of the job: in processing, with an invoice_id. order.success! and order.fail! are what is written.
select * from reconcile.attach_table('vendor.orders', provider => 'vendor',
    order_number => 'order_number', reference => 'invoice_id', status => 'status', track => '{processing}',
    amount => 'retail_price', created_at => 'updated_at',
    write => '{"succeeded": {"status": "succeeded"}, "failed": {"status": "failed"}}',
    capture => '{"changed_at": "updated_at"}');

-- order.check_vendor_status: true if the status was updated, false if it is unchanged or the vendor could not be asked.
create function vendor.check_vendor_status(order_number text) returns boolean
language plpgsql set search_path = pg_catalog, :calls_schema, pg_temp
as $$
begin
    return (reconcile_order(check_vendor_status.order_number)).updated;
exception
    -- Not in processing, or without an invoice: there is nothing to ask.
    when sqlstate 'RC001' then return false;
end
$$;

-- CheckProcessingOrdersJob.perform_now and perform_later are one: the run signals the sidecar, which asks. Answers how many are due.
create function vendor.check_processing_orders(max_orders integer default 50) returns integer
language plpgsql set search_path = pg_catalog, :calls_schema, pg_temp
as $$
begin
    return (select run.selected from reconcile_stale_orders(check_processing_orders.max_orders, provider => 'vendor') as run);
end
$$;

-- Order.processing_with_invoice
create view vendor.processing_with_invoice as
select o.id, o.order_number, o.invoice_id, o.updated_at, known.last_outcome, known.last_checked_at, known.next_check_at
from vendor.orders as o
left join reconcile.orders as known on known.order_number = o.order_number
where o.status = 'processing' and o.invoice_id is not null;

-- Order.needs_status_check
create view vendor.needs_status_check as
select o.order_number, o.invoice_id, o.updated_at, due.overdue
from reconcile.stale_orders as due
join vendor.orders as o on o.order_number = due.order_number
where due.provider = 'vendor';

-- Stuck: processing for more than 1 hour, or waiting for a person; with the reason.
create view vendor.stuck_orders as
select o.order_number, o.invoice_id, o.updated_at, stuck.state, stuck.why
from reconcile.stuck_orders as stuck
join vendor.orders as o on o.order_number = stuck.order_number
where stuck.provider = 'vendor';

-- What the old job has written stays, beside the log of what is asked from now on.
do $$
begin
    if (select c.relkind in ('r', 'p') from pg_class as c where c.oid = to_regclass('vendor.vendor_transaction_logs')) then
        alter table vendor.vendor_transaction_logs rename to vendor_transaction_logs_before;
    end if;
end
$$;

-- vendor_transaction_logs, where every check is kept and nobody can change it. API failures, invalid responses, unknown statuses and
-- network timeouts are its errors; the order stays in processing and is asked about again.
create view vendor.vendor_transaction_logs as
select
    o.id as order_id, 'status_check' as vendor_name,
    jsonb_build_object('order_number', o.order_number, 'invoice_id', o.invoice_id) as request_body, c.response as response_body,
    case when c.outcome in ('unreachable', 'provider_error', 'throttled', 'refused', 'unknown_status', 'mismatch') then 'error'
        else coalesce(c.provider_status, c.outcome) end as status,
    c.detail as error, c.answered_at as executed_at, c.answered_at as created_at
from reconcile.checks as c
join vendor.orders as o on o.order_number = c.order_number
where c.provider = 'vendor';

-- Both alerts of the old system, and what it could not see: no sidecar, a vendor that refuses or fails, words that the map has not.
create view vendor.alerts as
select 'orders_stuck_in_processing' as alert, format('%s orders for more than 1 hour', count(*)) as message
from vendor.stuck_orders having count(*) > 10
union all
select 'high_error_rate', format('%s errors in status checks within an hour', count(*))
from vendor.vendor_transaction_logs where status = 'error' and created_at > now() - interval '1 hour' having count(*) > 20
union all
select a.alert, a.message from reconcile.alerts as a where a.subject = 'vendor' or a.alert = 'no_sidecar';

commit;

-- Orders that are open already are watched from now on, too.
select * from reconcile.take_in('vendor.orders');

-- By hand, each line by itself. A single order, and then its status:
--     select vendor.check_vendor_status('ORD-1765360649-0E184E02');
--     select status from vendor.orders where order_number = 'ORD-1765360649-0E184E02';
-- All processing orders, or the background job:
--     select order_number, vendor.check_vendor_status(order_number) from vendor.needs_status_check limit 50;
--     select vendor.check_processing_orders();
-- Processing orders, counted; those needing a check; the stuck ones; is the job scheduled, and its last 10 executions:
--     select count(*) from vendor.processing_with_invoice;
--     select order_number, invoice_id, updated_at from vendor.needs_status_check;
--     select * from vendor.stuck_orders;
--     select name, alive, heartbeat_at from reconcile.sidecars;
--     select * from reconcile.runs order by run_id desc limit 10;
-- The logs of an order, the latest 10, and in place of tail and grep the whole story:
--     select * from vendor.vendor_transaction_logs where request_body ->> 'order_number' = 'ORD-1765360649-0E184E02';
--     select * from vendor.vendor_transaction_logs order by created_at desc limit 10;
--     select reconcile.explain_order('ORD-1765360649-0E184E02');
-- Adjust the check frequency (to 1 minute), the time threshold (to 2 minutes), the batch size (to 100). Nothing is reloaded:
--     select reconcile.alter_provider('vendor', schedule => '5m, then 1m');
--     select reconcile.alter_provider('vendor', schedule => '2m, then 3m');
--     select reconcile.alter_provider('vendor', rate_limit => 100);
-- Test without the vendor (the mocked response), and with it and no order:
--     select * from reconcile.preview_response('vendor', '{"data": {"status": "succeeded", "invoiceId": "33375390"}}', 200);
-- Manual intervention: ask the vendor, then decide. The update is order.success! as ever; resolve_order keeps who and why:
--     select provider_status, response from reconcile.test_provider('vendor', '33375390', 'ORD-1765360649-0E184E02');
--     update vendor.orders set status = 'succeeded' where order_number = 'ORD-XXX' and status = 'processing';
-- Every 3 minutes, as the net below the sidecar: sql/migrations/002_schedules.sql, which is what config/schedule.yml was. Sidekiq, its
-- worker and Procfile go; the sidecar runs in their place.
