-- The judge's small questions, asked from SQL: what the wire means, which URL asks, what disagrees, what is masked.
\pset format unaligned
\pset footer off
select fault, status, reconcile_internal.wire_outcome(fault, status) from (values
    ('dns', null), ('connect', null), ('tls', null), ('timeout', 200), ('broken', null), ('broken', 200), ('too_large', 200),
    ('not_text', 200), ('blocked', null), ('secret_missing', null), ('bad_request', null), ('a word of next year', 200), ('', 200),
    (null, null), (null, 200), (null, 204), (null, 301), (null, 400), (null, 401), (null, 403), (null, 404), (null, 410), (null, 429),
    (null, 500), (null, 999), (null, -1)) as wire (fault, status);

select template, reconcile_internal.url_template_error(template) as problem from unnest(array['https://v.example/{order_number}{?reference}',
    'ftp://v.example/{order_number}', 'https://{reference}.example/', 'https://u:p@v.example/', 'https://v.example/{+reference}',
    'https://v.example/{#reference}', 'https://v.example/{id}', 'https://v.example/{order_number', '/orders/{order_number}', 'https:///x',
    'https://v.example/#x', 'https://v.example/a b', 'https://v.example/ü', '', 'javascript:alert(1)', 'file:///etc/passwd']) as template;
select value, reconcile_internal.request_url('https://v.example/{order_number}{?reference}', value, 'r') as url
from unnest(array['ORD-1', 'a/b', '%2F', 'a b', '?a=b&c#d', E'x\r\nHost: y', 'ü€😀', '''"\', '.', '..', '']) as value;
select reconcile_internal.request_url('https://v.example/{reference}', 'ORD-1', null);

select outcome, order_says, provider_says, unit, reconcile_internal.disagreement(outcome, order_says[1], order_says[2], order_says[3],
    provider_says[1], provider_says[2], provider_says[3], unit) as disagreement
from (values
    ('succeeded', '{12.34,USD,r1}'::text[], '{12.34,USD,r1}'::text[], 'major'),
    ('succeeded', '{12.34,USD,r1}', '{12.340,usd,r1}', 'major'),
    ('succeeded', '{12.34,USD,r1}', '{1234,USD,r1}', 'minor'),
    ('succeeded', '{1234,JPY,r1}', '{1234,JPY,r1}', 'minor'),
    ('succeeded', '{12.34,USD,r1}', '{NULL,NULL,NULL}', 'major'),
    ('succeeded', '{NULL,NULL,NULL}', '{12.34,USD,r1}', 'major'),
    ('succeeded', '{12.34,USD,r1}', '{12.35,USD,r1}', 'major'),
    ('succeeded', '{12.34,USD,r1}', '{12.34,EUR,r1}', 'major'),
    ('succeeded', '{12.34,USD,r1}', '{12.34,USD,r2}', 'major'),
    ('succeeded', '{12.34,USD,r1}', '{12.34,USD,R1}', 'major'),
    ('succeeded', '{12.34,NULL,r1}', '{1234,NULL,r1}', 'minor'),
    ('succeeded', '{12.34,USD,r1}', '{"12,34",USD,r1}', 'major'),
    ('succeeded', '{12.34,USD,r1}', '{1234e-2,USD,r1}', 'major'),
    ('failed', '{12.34,USD,r1}', '{0,EUR,r1}', 'major'),
    ('failed', '{12.34,USD,r1}', '{12.34,USD,r2}', 'major'),
    ('pending', '{12.34,USD,r1}', '{0,EUR,r2}', 'major')) as said (outcome, order_says, provider_says, unit);
select currency, reconcile_internal.currency_exponent(currency) from unnest(array['USD', 'usd', 'JPY', 'BHD', 'XAU', 'ZZZ', '', 'US']) as currency;
