-- Reports that no good sidecar sends: unequal arrays, NULLs, one lease twice, and one row that can't be applied.
select reconcile.add_provider('vendor', 'https://v.example/{order_number}', '{"paid": "succeeded"}', concurrency => 100);
select reconcile.sidecar_start('by hand', '1', 20) as sidecar_id \gset
select reconcile.track_order('ORD-' || n, 'vendor', created_at => now() - interval '10 minutes') from generate_series(1, 7) as n;
create table claimed as select * from reconcile.sidecar_claim(:sidecar_id, 20);
\set paid '''{"status": "paid"}'''

-- Nothing at all.
select * from reconcile.sidecar_report(:sidecar_id, null, null, null, null, null, null, null, null);
select * from reconcile.sidecar_report(:sidecar_id, '{}', null, null, null, null, null, null, null);
select * from reconcile.sidecar_report(:sidecar_id, '{NULL}', '{NULL}', null, null, null, null, null, null);

-- Shorter arrays are filled up with NULL: an order without a token is stale, one without a status was not reached.
select * from reconcile.sidecar_report(:sidecar_id, array[1, 2], (select array[token] from claimed where order_id = 1), null, null, null, null, null, null);
-- Longer ones are cut off: there is no order for the second status.
select * from reconcile.sidecar_report(:sidecar_id, array[2], (select array[token, 77] from claimed where order_id = 2), null, '{200,500}',
    array[:paid, 'x'], null, null, null);

-- One lease twice in a batch ends once: one check, one transition, one call less in flight.
select * from reconcile.sidecar_report(:sidecar_id, array[3, 3], (select array[token, token] from claimed where order_id = 3), null, '{200,200}',
    array[:paid, :paid], null, null, null);
-- The right order with another order's token is stale, beside a good row.
select * from reconcile.sidecar_report(:sidecar_id, array[4, 5], (select array[max(token), max(token)] from claimed where order_id = 5), null, '{200,200}',
    array[:paid, :paid], null, null, null);

-- A row that can't be applied, here by a trigger of the application, costs itself a retry and nobody else anything.
create function refuse() returns trigger language plpgsql as $$ begin raise 'the shop is closed: 100%% %', e'\n'; end $$;
create trigger shop before update on reconcile.tracked_orders for each row
    when (new.order_number = 'ORD-6' and new.state <> old.state) execute function refuse();
select * from reconcile.sidecar_report(:sidecar_id, array[6, 7], (select array_agg(token order by order_id) from claimed where order_id in (6, 7)), null,
    '{200,200}', array[:paid, :paid], null, null, null);

select order_number, state, last_outcome, faults, next_check_at is not null as asked_again, in_flight from reconcile.orders order by order_number;
select order_number, outcome, http_status, fault, detail, reason, problem from reconcile.checks order by check_id;
select order_number, from_state, to_state from reconcile.order_history order by order_number;
select in_flight, faults from reconcile.provider_health;
select reported, stale_reports from reconcile.sidecars;
