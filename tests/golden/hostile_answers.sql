-- Whatever a provider answers becomes a recorded outcome: nothing closes an order but a word of the status map.
select reconcile.add_provider('vendor', 'https://v.example/{order_number}', '{"paid": "succeeded", "7": "succeeded", "true": "succeeded"}', concurrency => 1000,
    amount_path => '$.amount', transaction_id_path => '$.id');
select reconcile.sidecar_start('by hand', '1', 100) as sidecar_id \gset
create table answers (place serial, about text, http_status integer, body text);
insert into answers (about, http_status, body) values
    ('no status line', null, null), ('nothing', 200, null), ('0 bytes', 200, ''), ('blanks', 200, '  '), ('a web page', 200, '<html>paid</html>'),
    ('half of an object', 200, '{"status": "pa'), ('two objects', 200, '{"status": "open"} {"status": "paid"}'),
    ('a \u0000', 200, '{"status": "paid\u0000"}'), ('a lone surrogate', 200, '{"status": "paid", "x": "\ud800"}'),
    ('a number beyond numeric', 200, '{"status": "paid", "amount": 1e1000000}'), ('a long number', 200, '{"status": "paid", "amount": 1e131071}'),
    ('100,000 deep', 200, repeat('[', 100000) || repeat(']', 100000)), ('5,000 deep', 200, repeat('{"a":', 5000) || '1' || repeat('}', 5000)),
    ('not an object', 200, '"paid"'), ('null', 200, 'null'), ('an empty list', 200, '[]'), ('without the path', 200, '{"state": "paid"}'),
    ('a status of null', 200, '{"status": null}'), ('an object', 200, '{"status": {"paid": 1}}'), ('a list', 200, '{"status": ["paid"]}'),
    ('a number', 200, '{"status": 1}'), ('a number that is a word', 200, '{"status": 7, "amount": 5}'), ('a boolean that is a word', 200, '{"status": true, "amount": 5}'),
    ('another case', 200, '{"status": "PAID"}'), ('a blank behind', 200, '{"status": "paid "}'), ('an empty word', 200, '{"status": ""}'),
    ('twice, the last one counts', 200, '{"status": "paid", "status": "open"}'), ('a long word', 200, '{"status": "' || repeat('w', 100000) || '"}'),
    ('a word with quotes', 200, '{"status": "''; drop table x; -- %s"}'), ('a list around it', 200, '[{"status": "paid", "amount": 5}]'),
    ('an amount in words', 200, '{"status": "paid", "amount": "five"}'), ('an amount as an object', 200, '{"status": "paid", "amount": {"a": 5}}'),
    ('a long transaction id', 200, '{"status": "paid", "amount": 5, "id": "' || repeat('t', 1000) || '"}'), ('paid in an error', 500, '{"status": "paid"}'),
    ('paid in a redirection', 302, '{"status": "paid"}'), ('paid, but unknown', 404, '{"status": "paid"}'), ('paid, but refused', 403, '{"status": "paid"}'),
    ('paid, but too often', 429, '{"status": "paid"}'), ('just paid', 200, '{"status": "paid", "amount": 5}'),
    ('paid, and silent', 200, '{"status": "paid"}'), ('paid twice', 200, '[{"status": "paid", "amount": 5}, {"status": "paid", "amount": 5}]'),
    ('paid and not', 200, '[{"status": "open", "amount": 5}, {"status": "paid"}]'), ('words nobody knows', 200, '[{"status": "odd"}, {"status": "odder"}]'),
    ('nulls beside it', 200, '[{"status": "paid", "amount": null}, {"amount": 5}]');
select count(reconcile.track_order(lpad(place::text, 2, '0') || ' ' || about, 'vendor', amount => 5, created_at => now() - interval '10 minutes')) from answers;

-- All of them in one batch.
select count(*) as not_applied
from (select array_agg(order_id order by order_id) as ids, array_agg(token order by order_id) as tokens from reconcile.sidecar_claim(:sidecar_id, 100)) as c
cross join (select array_agg(http_status order by place) as statuses, array_agg(body order by place) as bodies from answers) as a
cross join reconcile.sidecar_report(:sidecar_id, c.ids, c.tokens, null, a.statuses, a.bodies, null, null, null);
\pset format unaligned
\pset footer off
select o.order_number, o.state, c.outcome, left(c.detail, 110) as detail, left(c.response::text, 40) as response
from reconcile.orders as o left join reconcile.checks as c using (order_number) order by o.order_number;
select length(provider_status), length(transaction_id) from reconcile.orders where provider_status like 'www%' or transaction_id is not null
order by 1;
select count(*) as not_in_the_queue from reconcile.orders where state in ('pending', 'processing') and next_check_at is null;
