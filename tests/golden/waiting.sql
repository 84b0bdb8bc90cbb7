-- The waiting calls without anybody to ask: they answer at once, say why, and leave the check in the queue.
select reconcile.add_provider('vendor', 'https://v.example/{order_number}', '{"paid": "succeeded"}');
select reconcile.track_order('ORD-1', 'vendor', 'inv-1', 5, 'USD', '{"customer": 7}', now() + interval '1 hour');
select * from reconcile_order('nobody');
select * from reconcile_order(null);
select * from reconcile_order('ORD-1', '-1 s');
select * from reconcile_order('ORD-1', '61 s');
select * from reconcile_order('ORD-1', null);
select order_details('nobody');
select order_details('ORD-1', '2 hours');
select count(*) as urgent from reconcile.due_checks where urgent;

select * from reconcile_order('ORD-1');
select urgent, due_at <= clock_timestamp() as due from reconcile.due_checks;
\pset tuples_only on
select jsonb_pretty(order_details('ORD-1') #- '{order,created_at}' #- '{order,state_changed_at}');
\pset tuples_only off

-- A closed order is answered from what is known, without asking.
select reconcile.resolve_order('ORD-1', 'succeeded', 'the bank says so');
select order_number, state, previous_state, updated, outcome, regexp_replace(message, 'since \S+ \S+,', 'since <time>,') as message
from reconcile_order('ORD-1');
select order_details('ORD-1') -> 'status_updated' as status_updated;

-- One in review can be asked about again, though no schedule does.
select reconcile.resolve_order('ORD-1', 'review', 'look at this');
select count(*) as queued from reconcile.due_checks;
select state, message from reconcile_order('ORD-1', '0');
select urgent from reconcile.due_checks;

-- A snapshot that can't see the answer is said, and the check is queued all the same.
begin isolation level repeatable read;
select state, message from reconcile_order('ORD-1', '5 s');
commit;
