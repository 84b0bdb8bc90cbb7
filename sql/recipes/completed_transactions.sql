-- Completed transactions, pending orders: replaces app:regularize-completed-orders, its scheduler container and its supervisor programs
-- (laravel-scheduler, order-regularizer) of a Laravel application.
--
-- Run once, by the role that owns the tables, a member of reconcile_operator:
--   psql -d academy -v notifications_url=https://… -v third_party_url=https://… -f sql/recipes/completed_transactions.sql
-- The truth is a table of this database, so no API is asked and no sidecar is needed for it. OrderCompleted has four consumers: what
-- stands in this database (enrolment, subscription) is done in the order's own transaction by hooks; what does not (notification, third
-- party) gets the event over HTTP from the sidecar, each at its own pace. One that fails stops no other order and no other consumer.
-- The command fired the event and then updated the status; here both happen or neither.

\set ON_ERROR_STOP on
\if :{?notifications_url} \else \set notifications_url https://notifications.academy.example/order-completed \endif
\if :{?third_party_url} \else \set third_party_url https://partner.example/hooks/orders \endif
begin;
set local search_path = pg_catalog, pg_temp;
do $$ begin if to_regnamespace('academy') is null then create schema academy; end if; end $$;
-- Order::STATUS_PENDING, STATUS_COMPLETED, STATUS_FAILED; Transaction::STATUS_ likewise.
create table if not exists academy.orders (
    id bigint generated always as identity primary key, user_id bigint, course_id bigint,
    status text not null default 'pending' check (status in ('pending', 'completed', 'failed')),
    total_amount numeric(12, 2) not null, currency text not null default 'USD',
    created_at timestamptz not null default now(), updated_at timestamptz not null default now()
);
create index if not exists orders_status on academy.orders (status, id);
create table if not exists academy.transactions (
    id bigint generated always as identity primary key, order_id bigint not null,
    status text not null default 'pending' check (status in ('pending', 'completed', 'failed')),
    amount numeric(12, 2) not null, currency text not null default 'USD',
    gateway_response jsonb, created_at timestamptz not null default now()
);
create index if not exists transactions_order on academy.transactions (order_id);
create table if not exists academy.enrolments (user_id bigint, course_id bigint, order_id bigint primary key references academy.orders);
create table if not exists academy.subscriptions (user_id bigint primary key, active boolean not null, order_id bigint);

-- Query identification and transaction verification. An order may have several transactions: one that is completed is enough; where
-- all have failed, the customer may try again and the order stays pending. Amount and currency have to agree (transaction inconsistencies
-- go to review), and what is sensitive is not in the log. An order that never gets one is looked at ever more rarely, and never closed.
select reconcile.add_provider('transactions', kind => 'sql',
    lookup_table => 'academy.transactions', lookup_columns => '{"order_number": "order_id"}',
    rules => '[{"when": "$.status == \"completed\"", "means": "succeeded"},
               {"when": "$.status == \"pending\" || $.status == \"failed\"", "means": "pending"}]',
    transaction_id_path => '$ ? (@.status == "completed").id', amount_path => '$ ? (@.status == "completed").amount',
    currency_path => '$ ? (@.status == "completed").currency', sensitive => '{gateway_response}',
    schedule => '5m x12, then 5m growing by 2 up to 1d', clear => '{deadline}');

-- Consumers inside the database. A missing relationship is a warning and no reason to fail; what raises takes this order back.
create function academy.enrol(order_number text, facts jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    insert into academy.enrolments (user_id, course_id, order_id)
    select o.user_id, o.course_id, o.id from academy.orders as o
    where o.id = enrol.order_number::bigint and o.user_id is not null and o.course_id is not null
    on conflict (order_id) do update set user_id = excluded.user_id, course_id = excluded.course_id;
    if not found then raise warning 'order % has no user or no course: nobody is enrolled', enrol.order_number; end if;
end
$$;

create function academy.activate_subscription(order_number text, facts jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    insert into academy.subscriptions as s (user_id, active, order_id)
    select o.user_id, true, o.id from academy.orders as o where o.id = activate_subscription.order_number::bigint and o.user_id is not null
    on conflict (user_id) do update set active = true, order_id = excluded.order_id;
end
$$;

-- An error is kept with its SQLSTATE and the functions and lines that it came through, as the log's stack traces were, and tried again with
-- growing delays. Want of room on the server is no consumer's error, and passes as it is.
create function academy.order_completed(order_number text, facts jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare v_context text;
begin
    perform academy.enrol(order_completed.order_number, order_completed.facts);
    perform academy.activate_subscription(order_completed.order_number, order_completed.facts);
exception when others then
    get stacked diagnostics v_context = pg_exception_context;
    if sqlstate like '53%' then raise; end if;
    raise exception using errcode = sqlstate, message = format('%s; in %s', left(sqlerrm, 500), array_to_string(
        array(select at[1] from regexp_matches(split_part(v_context, 'reconcile_generated.', 1), 'function ([^\n]+? line \d+) at', 'g') as at), ', '));
end
$$;
select reconcile.add_hook('order_completed', on_state => 'succeeded', call => 'academy.order_completed(text, jsonb)', provider => 'transactions');

-- Consumers outside: signed, repeated until they take it (after 5 s, 5 min … a day), parked after 10 attempts, sent again on demand.
select reconcile.add_endpoint('notifications', :'notifications_url', secret => 'NOTIFICATIONS_KEY', on_states => '{succeeded}', provider => 'transactions');
select reconcile.add_endpoint('third_party', :'third_party_url', secret => 'THIRD_PARTY_KEY',
    on_states => '{succeeded}', provider => 'transactions', concurrency => 1);

-- Status update, and from here on every pending order is watched. The time zone is that of config/app.php.
select * from reconcile.attach_table('academy.orders', provider => 'transactions', order_number => 'id', reference => '',
    status => 'status', track => '{pending}', amount => 'total_amount', currency => 'currency', created_at => 'created_at',
    time_zone => 'UTC', write => '{"succeeded": {"status": "completed"}}', capture => '{"changed_at": "updated_at"}');

-- The command: pending orders that have a completed transaction. --limit is max_orders, --sleep the pause after each order, --hours the
-- time range, in whatever zone created_at is kept; progress and a summary are notices. Two at a time do no order twice (withoutOverlapping).
create procedure academy.regularize_completed_orders(max_orders integer default 50, sleep numeric default 0, hours numeric default null)
language plpgsql as $$
declare
    v_order_number text;
    v_done record;
    v_seen integer := 0; v_completed integer := 0;
    v_since academy.orders.created_at%type;
begin
    v_since := now() - hours * interval '1 hour';
    if pg_typeof(v_since) = 'timestamp'::regtype then
        v_since := (select timezone(a.time_zone, now() - hours * interval '1 hour') from reconcile.attached_tables as a
            where a.relation::regclass = 'academy.orders'::regclass);
    end if;
    for v_order_number in
        select o.id::text from academy.orders as o
        where o.status = 'pending' and (hours is null or o.created_at > v_since)
          and exists (select from academy.transactions as t where t.order_id = o.id and t.status = 'completed')
        order by o.id
        limit max_orders
    loop
        v_done := reconcile_order(v_order_number);
        v_seen := v_seen + 1; v_completed := v_completed + (v_done.state = 'succeeded')::integer;
        raise notice 'order %: %, %', v_order_number, v_done.state, v_done.message;
        commit;
        perform pg_sleep(sleep);
    end loop;
    raise notice 'regularized % of % orders', v_completed, v_seen;
end
$$;

-- Metrics dashboard and alert system, which were future enhancements.
create view academy.regularization_summary as
select
    date_trunc('hour', c.answered_at) as hour, count(*) as looked_at, count(*) filter (where c.to_state = 'succeeded') as completed,
    count(*) filter (where c.outcome = 'mismatch') as transaction_inconsistencies, count(c.problem) as event_failures,
    count(*) filter (where c.outcome = 'provider_error') as database_errors
from reconcile.checks as c where c.provider = 'transactions' group by 1;
create view academy.regularization_alerts as
select a.alert, a.subject, a.message from reconcile.alerts as a
where a.subject in ('transactions', 'academy.orders', 'notifications', 'third_party') and a.alert <> 'stuck_orders';

commit;

-- Orders that are open already are watched from now on, too.
select * from reconcile.take_in('academy.orders');

-- By hand, each line by itself. With custom parameters, and for a time range:
--     call academy.regularize_completed_orders(max_orders => 10, sleep => 0.1);
--     call academy.regularize_completed_orders(hours => 1);
-- In place of the scheduler's and regularizer's logs, the health check, and Debug mode:
--     select * from academy.regularization_summary order by hour desc limit 24;
--     select * from academy.regularization_alerts;
--     select order_number, outcome, detail, problem from reconcile.checks order by check_id desc limit 50;
--     select name, health, delivered, waiting, parked, last_problem from reconcile.endpoints;
--     select * from reconcile.runs order by run_id desc limit 10;
-- Event failures: send again what a consumer did not take, once it is mended:
--     select reconcile.replay_events('third_party');
-- Every 5 minutes (everyFiveMinutes, runInBackground), with pg_cron; set-based, of all pending orders those that are due:
--     select * from reconcile_stale_orders(1000, provider => 'transactions');
-- Not taken over: the container and supervisor (nothing runs but PostgreSQL), sleep by default (there is no API to spare), LOG_LEVEL.
