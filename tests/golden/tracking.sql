-- An order is tracked once: the same call again changes nothing, and a call that differs is an error.
select reconcile.add_provider('vendor', 'https://v.example/{order_number}{?reference}', '{"paid": "succeeded"}', schedule => '1m, 5m');
select reconcile.add_provider('other', 'https://o.example/{order_number}', '{"paid": "succeeded"}');

select reconcile.track_order('ORD-1', 'vendor', 'inv-1', 12.34, 'usd', '{"customer": 7}', '2020-01-02 03:04:05+00');
select reconcile.track_order('ORD-1', 'vendor', 'inv-1', 12.340, 'USD');
select reconcile.track_order('ORD-1', 'vendor', 'inv-1', 12.34, 'USD', '{"customer": 8}', '2020-02-02 00:00:00+00', 'processing');
select order_number, state, settled_by, provider, reference, amount, currency, details, created_at, tries, faults, in_flight,
    next_check_at between tracked_at and now() as due_at_once
from reconcile.orders;

-- Another provider, reference, amount or currency makes it another order.
select reconcile.track_order('ORD-1', 'other', 'inv-1', 12.34, 'USD');
select reconcile.track_order('ORD-1', 'vendor', 'inv-2', 12.34, 'USD');
select reconcile.track_order('ORD-1', 'vendor', 'inv-1', 12.35, 'USD');
select reconcile.track_order('ORD-1', 'vendor', 'inv-1', 12.34, 'EUR');
select reconcile.track_order('ORD-1', 'vendor', 'inv-1', null, 'USD');

-- A new order is due by the first step of the schedule, up to a tenth later; an old one at once. All else may be left out.
select reconcile.track_order('ORD-2', 'other');
select reconcile.track_order('ORD-3', 'vendor', 'inv-3', details => null, state => 'processing');
select order_number, state, reference, amount, currency, details,
    next_check_at - created_at between '60 seconds' and '67 seconds' as after_a_minute
from reconcile.orders where order_number <> 'ORD-1' order by order_number;

-- It is gone with the transaction that it was tracked in, and its place in the queue with it.
begin;
select reconcile.track_order('ORD-4', 'other');
rollback;
select count(*) as orders, (select count(*) from reconcile.due_checks) as queued from reconcile.orders;

-- Whose word it is, is not for the caller to say.
select reconcile.track_order('ORD-5', 'other', state => 'succeeded');
