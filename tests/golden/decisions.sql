-- Where an order goes, for every state by every outcome: with the default policy, within the deadline and past it.
create function decided(state text, settled_by text, outcome text, age interval, faults integer default 0)
returns text language sql as $$
    select d.to_state || coalesce(' by ' || d.settled_as, '')
        || coalesce(' in ' || round(d.next_delay_ms / 1000.0) || 's', '')
    from reconcile.decide(
        state, settled_by, 0, 0, faults, (extract(epoch from age) * 1000)::bigint, (extract(epoch from age) * 1000)::bigint, 'ORD-1', outcome, null,
        '1m, 30s, 1m, 2m, 4m, then 5m', null, 86400000, 900000, 'pending', 'review', 'review', '1h, 23h, 2d', 'none') as d
$$;
create view outcomes as select * from unnest(array['succeeded', 'failed', 'cancelled', 'refunded', 'pending', 'not_found',
    'unknown_status', 'mismatch', 'throttled', 'provider_error', 'unreachable', 'refused']) with ordinality as o (outcome, place);
create view standings as select * from (values (1, 'pending', null), (2, 'processing', null), (3, 'succeeded', 'provider'),
    (4, 'failed', 'provider'), (5, 'failed', 'giving_up'), (6, 'cancelled', 'provider'), (7, 'cancelled', 'giving_up'),
    (8, 'refunded', 'provider'), (9, 'review', 'provider'), (10, 'review', 'giving_up'), (11, 'review', 'operator'),
    (12, 'failed', 'operator'), (13, 'succeeded', 'application'), (14, 'cancelled', 'application')) as s (place, state, settled_by);
\pset format unaligned
\pset footer off

-- A minute after its creation:
select s.state, s.settled_by, o.outcome, decided(s.state, s.settled_by, o.outcome, '1 minute')
from standings as s cross join outcomes as o order by s.place, o.place;
-- A day and a minute after its creation, which is past the deadline, and the fifth time without an answer:
select s.state, o.outcome, decided(s.state, s.settled_by, o.outcome, '1 day 1 minute', 4)
from standings as s cross join outcomes as o where s.place <= 2 order by s.place, o.place;

-- A word outside of the closed sets is an error.
select decided('paid', null, 'pending', '1 minute');
select decided('Pending', null, 'pending', '1 minute');
select decided('pending', 'nobody', 'pending', '1 minute');
select decided('pending', null, 'maybe', '1 minute');
-- Numbers that make no sense are taken for the nearest that do.
select * from reconcile.decide('pending', null, -1, -2147483648, 2147483647, -9223372036854775808, -9223372036854775808, '', 'throttled',
    9223372036854775807, '1s', 0, -1, -1, 'failed', 'failed', 'revive', 'none', 'none');
-- A delay that the provider asks for is honoured up to a day.
select next_delay_ms from reconcile.decide('pending', null, 0, 0, 0, 0, 0, 'ORD-1', 'throttled', 7200000, '1s', null, null, 0,
    'pending', 'review', 'revive', 'none', 'none');
