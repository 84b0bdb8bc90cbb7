-- An order's story: before any check, after checks with and without an answer, and after a person's decision.
select reconcile.add_provider('vendor', 'https://v.example/{order_number}', '{"paid": "succeeded", "open": "pending"}');
select reconcile.alter_provider('vendor', clear => '{deadline}');
select reconcile.track_order('ORD-1', 'vendor', 'inv-1', 12.34, 'USD', created_at => '2020-01-02 03:04:05+00');
select reconcile.track_order('ORD-2', 'vendor', created_at => clock_timestamp() + interval '1 hour');
-- Times that change are masked.
create function told(number text) returns text language sql as $$
    select regexp_replace(reconcile.explain_order(number), '20\d\d-\d\d-\d\d(?! 03:04:05) \d\d:\d\d:\d\d(\+00)?', '<time>', 'g')
$$;
\pset tuples_only on
\pset format unaligned
select told('ORD-1');
select told('ORD-2');
select reconcile.explain_order('ORD-3');

select reconcile.sidecar_start('by hand', '1', 20) as sidecar_id \gset
select order_id, token from reconcile.sidecar_claim(:sidecar_id, 1) \gset
select told('ORD-1');
select * from reconcile.sidecar_report(:sidecar_id, array[:order_id], array[:token], '{connect}', null, null, '{connection refused}', null, null);
select reconcile.pause_provider('vendor', 'their maintenance');
select told('ORD-1');
select reconcile.resume_provider('vendor');

select * from reconcile_stale_orders(older_than => '0', created_before => '2020-01-03') \gset
select order_id, token from reconcile.sidecar_claim(:sidecar_id, 1) \gset
select * from reconcile.sidecar_report(:sidecar_id, array[:order_id], array[:token], null, '{200}', '{"{\"status\": \"odd''word\"}"}', null, null, null);
select * from reconcile_stale_orders(older_than => '0', created_before => '2020-01-03') \gset
select order_id, token from reconcile.sidecar_claim(:sidecar_id, 1) \gset
select * from reconcile.sidecar_report(:sidecar_id, array[:order_id], array[:token], null, '{200}', '{"{\"status\": \"paid\"}"}', null, null, null);
select reconcile.resolve_order('ORD-1', 'refunded', 'the customer sent it back');
select told('ORD-1');

-- Text from outside can't add a line to the story.
select reconcile.track_order(E'ORD-4\n2020-01-02 03:04:05  pending -> succeeded, by provider', 'vendor', E'a\r\nb', created_at => '2020-01-02 03:04:05+00');
select told(E'ORD-4\n2020-01-02 03:04:05  pending -> succeeded, by provider');
