-- Schedules: what is refused and why, and what is waited for before each check, with the order's own jitter.
\pset format unaligned
\pset footer off
select text, reconcile.schedule_error(text) as problem from unnest(array[
    '60s', '60s, 30s, 1m, 2m, 4m, then 5m', '25s, 3s x10, 6s x10, 10s x6, 30s x2, then 1m', 'then 30s growing by 2 up to 10m',
    '1h, 23h, 2d', ' 1s ,2s ', '', ',', 'then', '0s', '1ms', '60', 's', '-5s', '1.5s', '366d', '99999999999999999999s', '1S', '5 s',
    '30s x0', '30s x1001', '30s y3', '30s x2 x3', 'then 5m, 1m', 'then 5m growing', 'then 5m growing by 1 up to 10m',
    'then 5m growing by 11 up to 10m', 'then 10m growing by 2 up to 5m', 'then 5m growing by 1.2345 up to 10m', '1m; drop table x',
    E'1m\n, 2m', '１m', repeat('1s, ', 100) || '1s', repeat('x', 100000)
]) as text where length(text) < 100 or reconcile.schedule_error(text) is null
union all select 'a text of ' || length(text), reconcile.schedule_error(text)
from unnest(array[repeat('1s, ', 100) || '1s', repeat('x', 100000)]) as text;
select reconcile.schedule_error(null) is null as nothing_is_wrong_with_null;

-- Before each check, in milliseconds; up to a tenth more than the text says, and always the same for one order.
select attempt,
    reconcile.schedule_delay_ms('60s, 30s x2, then 5m', attempt, 'ORD-1') as steps,
    reconcile.schedule_delay_ms('then 30s growing by 2 up to 10m', attempt, 'ORD-1') as growing,
    reconcile.schedule_delay_ms('1h, 23h', attempt, 'ORD-1') as last_step_repeats
from unnest(array[0, 1, 2, 3, 4, 10, 2147483647]) as attempt;
select min(delay) >= 60000 as at_least_said, max(delay) <= 66000 as at_most_a_tenth_more, count(distinct delay) > 90 as spread
from (select reconcile.schedule_delay_ms('1m', 0, 'ORD-' || n) as delay from generate_series(1, 1000) as n) as d;
select reconcile.schedule_delay_ms('1m', -1, 'ORD-1');
select reconcile.schedule_delay_ms('nonsense', 0, 'ORD-1');
