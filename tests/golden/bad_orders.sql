-- An order that could not be asked about or compared is refused; an odd number is kept as it is and encoded in the URL.
select reconcile.add_provider('vendor', 'https://v.example/orders/{order_number}', '{"paid": "succeeded"}', concurrency => 100);
select reconcile.add_provider('by_reference', 'https://v.example/{reference}', '{"paid": "succeeded"}');

select reconcile.track_order(null, 'vendor');
select reconcile.track_order('', 'vendor');
select reconcile.track_order(repeat('x', 10000), 'vendor');
select reconcile.track_order(repeat('x', 501), 'vendor');
select reconcile.track_order('..', 'vendor');
select reconcile.track_order('ORD-1', null);
select reconcile.track_order('ORD-1', 'nobody');
select reconcile.track_order('ORD-1', repeat('nobody', 10000));
select reconcile.track_order('ORD-1', 'vendor', '');
select reconcile.track_order('ORD-1', 'vendor', repeat('r', 501));
select reconcile.track_order('ORD-1', 'by_reference');

select reconcile.track_order('ORD-1', 'vendor', amount => 'NaN');
select reconcile.track_order('ORD-1', 'vendor', amount => 'Infinity');
select reconcile.track_order('ORD-1', 'vendor', amount => -1e20);
select reconcile.track_order('ORD-1', 'vendor', currency => 'dollars');
select reconcile.track_order('ORD-1', 'vendor', currency => E'USD\n');
select reconcile.track_order('ORD-1', 'vendor', currency => '');
select reconcile.track_order('ORD-1', 'vendor', created_at => 'infinity');
select reconcile.track_order('ORD-1', 'vendor', created_at => '-infinity');
select reconcile.track_order('ORD-1', 'vendor', state => 'paid');
select reconcile.track_order('ORD-1', 'vendor', state => 'review');
select reconcile.track_order('ORD-1', 'vendor', state => null);
select count(*) as tracked from reconcile.orders;

-- These are numbers that somebody uses.
select reconcile.track_order(number, 'vendor', created_at => '2020-01-01 00:00:00+00')
from unnest(array['ORD''1', E'ORD\n1', 'ORD%2F1', 'ORD/../1', '"; drop table x; --', '%s%n', 'ORD 1 ü €', repeat('€', 500), 'ORD?a=b&c#d'])
    as number;
select reconcile.sidecar_start('by hand', '1', 20) as sidecar_id \gset
select left(o.order_number, 20) as order_number, left(c.url, 70) as url
from reconcile.sidecar_claim(:sidecar_id, 20) as c
join reconcile.tracked_orders as o using (order_id)
order by order_id;
