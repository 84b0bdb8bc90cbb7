-- Draft orders and PhonePe: replaces jobs/reconcileDrafts.js, its PM2 process and ecosystem.reconciliation.config.js of a Node shop.
--
-- Run once, by the role that owns the tables, a member of reconcile_operator:
--   psql -d store -v merchant_id=M123 -v salt_index=1 -v base_url=https://api.phonepe.com/apis/hermes -f sql/recipes/draft_orders.sql
-- PHONEPE_MERCHANT_ID and PHONEPE_SALT_INDEX are these variables; PHONEPE_SALT_KEY is a secret of the sidecar, and nowhere else.
-- Changed: an order that is still unpaid and old gets one last check before it is cancelled, and is never cancelled because PhonePe
-- could not be asked; one that was paid after all is confirmed later, if there is stock, and else goes to a person.

\set ON_ERROR_STOP on
\if :{?base_url} \else \set base_url https://api.phonepe.com/apis/hermes \endif
\if :{?merchant_id} \else \set merchant_id M123 \endif
\if :{?salt_index} \else \set salt_index 1 \endif

begin;
-- Nothing is looked up in a schema that somebody else may write to.
set local search_path = pg_catalog, pg_temp;

do $$ begin if to_regnamespace('store') is null then create schema store; end if; end $$;

create table if not exists store.products (id bigint primary key, name text not null, stock integer not null check (stock >= 0));
create table if not exists store.orders (
    order_id text primary key,
    status text not null default 'DRAFT' check (status in ('DRAFT', 'CONFIRMED', 'CANCELLED')),
    payment_status text not null default 'PENDING' check (payment_status in ('PENDING', 'PAID', 'FAILED', 'EXPIRED')),
    merchant_transaction_id text,
    transaction_id text,
    amount numeric(12, 2) not null, stock_committed boolean not null default false,
    created_at timestamptz not null default now(), updated_at timestamptz not null default now()
);
alter table store.orders add column if not exists stock_committed boolean not null default false;
create index if not exists orders_by_status on store.orders (status, order_id);
create table if not exists store.order_items (
    order_id text not null references store.orders, product_id bigint not null references store.products,
    quantity integer not null check (quantity > 0), primary key (order_id, product_id)
);

-- Real PhonePe API integration, with the checksum verification (X-VERIFY): the preset. Lookback 5 minutes and interval 60 seconds are
-- the schedule. 30 API calls a minute, of all sidecars together; max orders 20 per run are 20 calls at a time. Old is 30 minutes, more
-- than the 20 in which PhonePe ends a payment. Exponential backoff is built in: errors, and PhonePe's 429, are asked again ever later.
select reconcile.add_phonepe_v1('phonepe', secret => 'PHONEPE_SALT_KEY', merchant_id => :'merchant_id', salt_index => :'salt_index',
    host => :'base_url', settings => '{
        "schedule": "5m, then 1m", "rate_limit": 30, "rate_interval": "1 minute", "concurrency": 20,
        "deadline": "30 minutes", "gives_up_as": "cancelled", "late_success": "revive"
    }');

-- commitOrder, for the reconciliation and for webhooks alike, in the transaction that confirms the order: all of its stock or nothing.
-- Products are locked in one order, so no two commits wait for each other; the check on stock prevents overselling.
create function store.commit_order(order_number text, facts jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare v_short text;
begin
    -- Idempotency: an order's stock is committed once, whatever is repeated.
    update store.orders as o set stock_committed = true where o.order_id = commit_order.order_number and not o.stock_committed;
    if not found then return; end if;
    perform from store.products as p
    where p.id in (select i.product_id from store.order_items as i where i.order_id = commit_order.order_number)
    order by p.id
    for update;
    v_short := (
        select string_agg(format('%s (%s left, %s ordered)', p.name, p.stock, i.quantity), ', ')
        from store.order_items as i
        join store.products as p on p.id = i.product_id
        where i.order_id = commit_order.order_number and p.stock < i.quantity
    );
    if v_short is not null then raise exception 'not enough stock: %', v_short; end if;
    update store.products as p
    set stock = p.stock - i.quantity
    from store.order_items as i
    where i.order_id = commit_order.order_number and p.id = i.product_id;
end
$$;

select reconcile.add_hook('commit_order', on_state => 'succeeded', call => 'store.commit_order(text, jsonb)', provider => 'phonepe');

-- Discovery: drafts that are pending payment. Processing: paid → confirmed, failed → cancelled, still pending and old → cancelled.
select * from reconcile.attach_table('store.orders', provider => 'phonepe', order_number => 'order_id',
    reference => 'merchant_transaction_id', status => 'status', track => '{DRAFT}', amount => 'amount', created_at => 'created_at',
    write => '{"succeeded": {"status": "CONFIRMED", "payment_status": "PAID"},
               "failed": {"status": "CANCELLED", "payment_status": "FAILED"},
               "cancelled": {"status": "CANCELLED", "payment_status": "EXPIRED"}}',
    capture => '{"transaction_id": "transaction_id", "changed_at": "updated_at"}');

-- Drafts that never got a transaction id: PhonePe can't be asked about them, nor have taken money, as long as merchant_transaction_id is
-- saved before PhonePe is called. Answers how many were cancelled. (Their created_at is read as that of all drafts, whatever its zone.)
create function store.cancel_abandoned_drafts(older_than interval default '30 minutes', max_orders integer default 20) returns integer
language plpgsql set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
declare
    v_order_id store.orders.order_id%type;
    v_cancelled integer := 0;
begin
    for v_order_id in
        select u.order_number from reconcile.unwatched_rows as u
        where u.relation = 'store.orders' and u.waits_since < now() - older_than order by u.waits_since limit max_orders
    loop
        update store.orders as o set status = 'CANCELLED', payment_status = 'EXPIRED', updated_at = now()
        where o.order_id = v_order_id and o.status = 'DRAFT' and coalesce(o.merchant_transaction_id, '') = '';
        v_cancelled := v_cancelled + found::integer;
    end loop;
    return v_cancelled;
end
$$;

-- Key metrics to monitor, of the last hour.
create view store.reconciliation_metrics as
select
    round(count(*) filter (where c.to_state <> c.from_state) / 60.0, 2) as processed_per_minute,
    round(100.0 * count(*) filter (where c.to_state = 'succeeded') / nullif(count(*) filter (where c.to_state <> c.from_state), 0), 1)
        as success_rate,
    count(*) filter (where c.outcome in ('unreachable', 'provider_error', 'throttled', 'refused')) as api_errors,
    round(100.0 * count(*) filter (where c.outcome in ('unreachable', 'provider_error', 'throttled', 'refused')) / nullif(count(*), 0), 1)
        as error_rate,
    count(*) filter (where c.outcome = 'throttled') as rate_limit_exceeded,
    count(c.problem) as stock_commit_failures
from reconcile.checks as c
where c.provider = 'phonepe' and c.answered_at > now() - interval '1 hour';

-- Alert conditions: high error rate, API rate limit exceeded, stock commit failures, job not running; and what else is wrong.
create view store.reconciliation_alerts as
select 'high_error_rate' as alert, format('%s %% of the calls of the last hour failed', m.error_rate) as message
from store.reconciliation_metrics as m where m.error_rate > 10
union all
select 'api_rate_limit_exceeded', format('PhonePe answered 429 %s times within an hour', m.rate_limit_exceeded)
from store.reconciliation_metrics as m where m.rate_limit_exceeded > 0
union all
select 'stock_commit_failures', a.message from reconcile.alerts as a where a.alert = 'effects_failing' and a.subject = 'phonepe'
union all
select 'job_not_running', a.message from reconcile.alerts as a where a.alert = 'no_sidecar'
union all
select a.alert, a.message from reconcile.alerts as a where a.subject in ('phonepe', 'store.orders') and a.alert <> 'effects_failing';

commit;

-- Orders that are open already are watched from now on, too.
select * from reconcile.take_in('store.orders');

-- By hand, each line by itself. A run of at most 20 orders now, whatever is due; and one order, while you wait:
--     select * from reconcile_stale_orders(20, older_than => '5 minutes', provider => 'phonepe');
--     select state, updated, message from reconcile_order('DRAFT-1');
-- Webhooks, for real-time confirmations: the handler verifies X-VERIFY, unpacks the payload, and rings. PhonePe's own answer decides.
--     select reconcile.record_webhook('phonepe', 'T2309:PAYMENT_SUCCESS', '{"data": {"merchantTransactionId": "MT-1"}}');
-- Status (pm2 status), metrics, alerts; logs, errors alone, and the audit trail of one order:
--     select name, alive, in_flight, heartbeat_at from reconcile.sidecars;
--     select * from store.reconciliation_metrics;
--     select * from store.reconciliation_alerts;
--     select order_number, answered_at, outcome, http_status, detail, problem from reconcile.checks order by check_id desc limit 50;
--     select order_number, answered_at, problem from reconcile.checks where problem is not null order by check_id desc limit 50;
--     select reconcile.explain_order('DRAFT-1');
-- Stop and start the job (pm2 stop); adjust intervals and limits:
--     select reconcile.pause_provider('phonepe', 'maintenance'), reconcile.resume_provider('phonepe');
--     select reconcile.alter_provider('phonepe', schedule => '10m, then 2m', rate_limit => 20);
-- Old drafts without a transaction id, every minute with pg_cron:
--     select store.cancel_abandoned_drafts();
-- Test (test-reconciliation.js): psql -v transaction=MT-1 -v amount=499 -f sql/recipes/scripts/test_reconciliation.sql. Debug mode:
-- LOG_LEVEL=debug on the sidecar. Rotate API keys: replace the sidecar's secret file; it is read anew. Not taken over: MONGODB_URI,
-- NODE_ENV, PM2 and its limit of 500 MB (systemd's MemoryMax is one).
