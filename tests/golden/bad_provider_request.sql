-- A provider whose requests could not be built or read is refused when it is written, and the error names the field.
\set good '''vendor'', ''https://v.example/{order_number}'', ''{"paid": "succeeded"}'''
select reconcile.add_provider('Vendor', 'https://v.example/{order_number}', '{"paid": "succeeded"}');
select reconcile.add_provider('', 'https://v.example/{order_number}', '{"paid": "succeeded"}');
select reconcile.add_provider(repeat('v', 64), 'https://v.example/{order_number}', '{"paid": "succeeded"}');
select reconcile.add_provider(E'v\n''; drop table x', 'https://v.example/{order_number}', '{"paid": "succeeded"}');
select reconcile.add_provider(null, 'https://v.example/{order_number}', '{"paid": "succeeded"}');

select reconcile.add_provider('vendor', null, '{"paid": "succeeded"}');
select reconcile.add_provider('vendor', 'orders/{order_number}', '{"paid": "succeeded"}');
select reconcile.add_provider('vendor', 'https://{reference}.example/', '{"paid": "succeeded"}');
select reconcile.add_provider('vendor', 'https://user:password@v.example/{order_number}', '{"paid": "succeeded"}');

select reconcile.add_provider(:good, headers => '["Accept"]');
select reconcile.add_provider(:good, headers => '{"Authorization": "Bearer sk_live_1"}');
select reconcile.add_provider(:good, headers => '{"Host": "internal"}');
select reconcile.add_provider(:good, headers => '{"X-A": "a\r\nX-B: b"}');
select reconcile.add_provider(:good, headers => '{"X A": "a"}');
select reconcile.add_provider(:good, headers => '{"X-A": 1}');
select reconcile.add_provider(:good, headers => '{"X-A": null}');

select reconcile.add_provider(:good, auth => '{"kind": "magic"}');
select reconcile.add_provider(:good, auth => '{"kind": "bearer"}');
select reconcile.add_provider(:good, auth => '{"kind": "basic"}');
select reconcile.add_provider(:good, auth => '{"kind": "header", "header": "Host", "secret": "KEY"}');
select reconcile.add_provider(:good, auth => '{"kind": "none", "secret": "KEY"}');
-- A secret that was written by mistake is not repeated.
select reconcile.add_provider(:good, auth => '{"kind": "bearer", "secret": "sk_live_51"}');

select reconcile.add_provider('vendor', 'https://v.example/{order_number}', null);
select reconcile.add_provider('vendor', 'https://v.example/{order_number}', '{}');
select reconcile.add_provider('vendor', 'https://v.example/{order_number}', '["paid"]');
select reconcile.add_provider('vendor', 'https://v.example/{order_number}', '{"paid": "done"}');
select reconcile.add_provider('vendor', 'https://v.example/{order_number}', '{"paid": "mismatch"}');
-- A word with no meaning is not dropped in silence.
select reconcile.add_provider('vendor', 'https://v.example/{order_number}', '{"paid": "succeeded", "odd": null}');

-- Paths are PostgreSQL's own type, which refuses a bad one by itself.
select reconcile.add_provider(:good, status_path => '$.status[');
select reconcile.add_provider(:good, amount_path => 'amount');
select reconcile.add_provider(:good, transaction_id_path => '$.a ? (@ like_regex "(")');
select reconcile.add_provider(:good, amount_unit => 'cents');
select reconcile.add_provider(:good, sensitive => array['pin', null]);

select count(*) from reconcile.providers;
