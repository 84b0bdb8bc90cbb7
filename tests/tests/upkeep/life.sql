-- A database in the middle of its life: providers in versions, orders in every state, checks in three partitions, leases
-- in flight, a run, events on their way to endpoints, and settings of its own.
update reconcile.settings set checks_kept = '500 days', stuck_after = '2 hours';
select reconcile.add_provider(
    'vendor', 'https://v.example/{order_number}{?reference}',
    '{"paid": "succeeded", "declined": "failed", "void": "cancelled", "back": "refunded", "open": "pending"}',
    auth => '{"kind": "bearer", "secret": "VENDOR_TOKEN"}', amount_path => '$.amount', transaction_id_path => '$.id',
    sensitive => '{phone}', rate_limit => 1000, rate_interval => '1 day');
select reconcile.alter_provider('vendor', timeout => '3 s', clear => '{deadline}');
select reconcile.add_provider('other', 'https://o.example/{reference}', '{"paid": "succeeded"}');
select reconcile.pause_provider('other', 'their maintenance');

select reconcile.add_endpoint('shop', 'https://shop.example/hooks', 'SHOP_EVENTS', '{succeeded, failed, review}');
select reconcile.add_endpoint('slow', 'https://slow.example/hooks', 'SHOP_EVENTS', timeout => '3 s');
select reconcile.pause_endpoint('slow', 'their maintenance');

select reconcile.track_order('ORD-' || n, 'vendor', 'inv ' || n, n + 0.5, 'USD', jsonb_build_object('customer', n),
    now() - n * interval '1 hour')
from generate_series(12, 1, -1) as n;
select reconcile.track_order('LATER', 'vendor', 'inv', state => 'processing', created_at => now() + interval '1 day');
select reconcile.track_order('PAUSED', 'other', 'inv');

do $$
declare
    v_sidecar_id bigint := reconcile.sidecar_start('the first life', '1', 100);
    v_leases record;
begin
    -- The oldest first: ORD-12 is paid, ORD-11 of another amount, ORD-10 declined, and so on to ORD-4, which timed out.
    select array_agg(c.order_id order by length(o.order_number) desc, o.order_number desc) as order_ids,
        array_agg(c.token order by length(o.order_number) desc, o.order_number desc) as tokens
    into v_leases
    from reconcile.sidecar_claim(v_sidecar_id, 9) as c join reconcile.tracked_orders as o using (order_id);
    perform reconcile.sidecar_report(
        v_sidecar_id, v_leases.order_ids, v_leases.tokens, '{NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,timeout}',
        '{200,200,200,200,200,200,503,404,NULL}',
        array['{"status": "paid", "amount": 12.5, "id": "tx-12", "phone": "1"}', '{"status": "paid", "amount": 1}',
            '{"status": "declined"}', '{"status": "void"}', '{"status": "back"}', '{"status": "open"}', 'x', '{}', null],
        '{NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,"no answer within 3 s"}', '{1,2,3,4,5,6,7,8,9}', null);
    -- ORD-3 and ORD-2 are being asked about, and ORD-1 waits.
    perform reconcile.sidecar_claim(v_sidecar_id, 2);
end
$$;
select reconcile.resolve_order('ORD-5', 'cancelled', 'the customer''s wish, by telephone');
select reconcile_stale_orders(5);

-- Checks of a month without a partition, and of the next one.
insert into reconcile.recorded_checks
select order_id, check_id + 1000, at, claimed_at, duration_ms, provider_id, provider_version, source, sidecar_id, token, fault, http_status, detail,
    response, provider_status, outcome, retry_after_ms, from_state, from_settled_by, from_attempt, from_tries, from_faults, to_state, reason,
    next_check_at
from reconcile.recorded_checks
cross join (values ('2099-12-31 23:59:59+00'::timestamptz), (date_trunc('month', now()) + interval '1 month 1 day')) as other (at)
where outcome = 'succeeded';
select setval('reconcile.check_ids', 5000);

-- One event is taken, one refused, one under way. They have positions once they are committed.
commit;
select from reconcile.read_events();
do $$
declare
    v_leases record;
begin
    select array_agg(c.delivery_id) as delivery_ids, array_agg(c.token) as tokens into v_leases
    from reconcile.sidecar_claim_deliveries(1, 3) as c;
    perform reconcile.sidecar_report_deliveries(1, v_leases.delivery_ids[:2], v_leases.tokens[:2], null, '{200,500}', null, null, null);
end
$$;
