-- What always holds, as a view that is always empty: whoever finds a row in it has found a fault of the ledger, or of a hand that wrote to it.
--
-- One statement sees one moment, and whatever changes two of these tables changes them in one transaction: so each of these holds at
-- every moment, with sidecars at work. It reads the ledger's own tables and none of an application's. Housekeeping looks each hour and
-- keeps what it found, for alerts; who reads the view itself waits for it (measured: 8 s of one core for a million orders with as many
-- transitions and checks).
-- Requires: sidecars.

-- The chain of each order's transitions, and the order's end of it.
create view reconcile_internal._broken_chains as
select c.order_id, broken.invariant, broken.detail
from (
    select
        t.order_id, t.transition_id, t.from_state, t.to_state, t.cause,
        lag(t.to_state, 1, case when t.from_state in ('pending', 'processing') then t.from_state else 'open' end) over of_an_order as before,
        lead(t.order_id) over of_an_order is null as is_last
    from reconcile.transitions as t
    window of_an_order as (partition by t.order_id order by t.transition_id)
) as c
left join reconcile.tracked_orders as o on o.order_id = c.order_id
cross join lateral (
    values
        ('one_transition_a_change', c.before <> c.from_state,
            format('transition %s leaves %s, and the order was %s', c.transition_id, c.from_state, c.before)),
        ('state_is_the_last_transitions', c.is_last and o.state <> c.to_state,
            format('it is %s, and its last transition, %s, went to %s', o.state, c.transition_id, c.to_state)),
        ('state_is_the_last_transitions', c.is_last and o.settled_by <> c.cause,
            format('it is settled by %s, and its last transition, %s, by %s', o.settled_by, c.transition_id, c.cause)),
        ('transition_has_an_order', o.order_id is null, format('transition %s is of no order', c.transition_id))
) as broken (invariant, is_broken, detail)
where broken.is_broken
  -- The same once more, so that nothing is put in words that holds.
  and (c.before <> c.from_state or c.is_last and (o.state <> c.to_state or o.settled_by <> c.cause) or o.order_id is null)
union all
select o.order_id, 'state_is_the_last_transitions', format('it is %s without a transition', o.state)
from reconcile.tracked_orders as o
where o.state not in ('pending', 'processing') and not exists (select from reconcile.transitions as t where t.order_id = o.order_id);

comment on view reconcile_internal._broken_chains is 'Orders whose transitions are no chain that ends in their state; part of violations.';
comment on column reconcile_internal._broken_chains.order_id is 'The order.';
comment on column reconcile_internal._broken_chains.invariant is 'What is broken.';
comment on column reconcile_internal._broken_chains.detail is 'In words.';

-- An open order waits or is asked about: one of the two, once.
create view reconcile_internal._broken_queue as
select o.order_id, 'open_is_queued_or_leased' as invariant, format('it is %s, and neither waits nor is asked about', o.state) as detail
from reconcile.tracked_orders as o
where o.state in ('pending', 'processing')
  and not exists (select from reconcile.due_checks as d where d.order_id = o.order_id)
  and not exists (select from reconcile.leases as l where l.order_id = o.order_id)
union all
select l.order_id, 'open_is_queued_or_leased', 'it waits and is asked about at once'
from reconcile.leases as l
join reconcile.due_checks as d on d.order_id = l.order_id
union all
select asked.order_id, 'queue_is_of_orders', case when o.order_id is null then format('order %s has a %s and is not there', asked.order_id, asked.what)
    else format('its %s is of another provider', asked.what) end
from (
    select d.order_id, d.provider_id, 'place in the queue' as what from reconcile.due_checks as d
    union all
    select l.order_id, l.provider_id, 'lease' from reconcile.leases as l
) as asked
left join reconcile.tracked_orders as o on o.order_id = asked.order_id
where o.provider_id is distinct from asked.provider_id
union all
-- A closed order is asked about on a watch, because somebody rang or waits, or because what followed had to be put off for 10 minutes.
select o.order_id, 'closed_is_watched', format('it is %s by %s, and waits to be asked about at %s', o.state, o.settled_by, d.due_at)
from reconcile.due_checks as d
join reconcile.tracked_orders as o on o.order_id = d.order_id
where d.due_at > clock_timestamp() + interval '15 minutes'
  and (o.state in ('review', 'refunded') and o.settled_by <> 'giving_up' or o.state in ('failed', 'cancelled') and o.settled_by in ('provider', 'operator'));

comment on view reconcile_internal._broken_queue is 'Orders that are asked about twice or not at all, and the queue''s rows of no order; part of violations.';
comment on column reconcile_internal._broken_queue.order_id is 'The order.';
comment on column reconcile_internal._broken_queue.invariant is 'What is broken.';
comment on column reconcile_internal._broken_queue.detail is 'In words.';

-- What stands for a transition outside of it. Checks go by retention, so a day's transitions are looked at.
create view reconcile_internal._broken_records as
select t.order_id, 'transition_has_its_check' as invariant,
    format('transition %s by the provider has no check that went from %s to %s', t.transition_id, t.from_state, t.to_state) as detail
from reconcile.transitions as t
where t.cause = 'provider' and t.changed_at > clock_timestamp() - interval '1 day'
  and not exists (
      select from reconcile.recorded_checks as c
      where c.order_id = t.order_id and c.check_id = t.check_id and c.answered_at = t.changed_at
        and c.from_state = t.from_state and c.to_state = t.to_state
  )
union all
-- The row is behind by what is owed to it, and by nothing else.
select w.order_id, 'owed_is_the_last_transition', format('transition %s is owed to its row, and is not its last', w.transition_id)
from reconcile.owed_writes as w
where w.transition_id is distinct from (
    select t.transition_id from reconcile.transitions as t where t.order_id = w.order_id order by t.transition_id desc limit 1
)
union all
select o.order_id, 'row_is_of_its_provider', format('it is watched for %s, whose provider is another', a.relation_name)
from reconcile.attachments as a
join reconcile.tracked_orders as o on o.attachment_id = a.attachment_id and o.provider_id <> a.provider_id;

comment on view reconcile_internal._broken_records is 'Transitions without their evidence, and rows that are owed what does not stand; part of violations.';
comment on column reconcile_internal._broken_records.order_id is 'The order.';
comment on column reconcile_internal._broken_records.invariant is 'What is broken.';
comment on column reconcile_internal._broken_records.detail is 'In words.';

-- Each transition is one event, or will be, and the events of an order are in its transitions' order.
create view reconcile_internal._broken_events as
with numbered as materialized (
    select event.transition_id, p.last_number - cardinality(p.transition_ids) + event.place as number
    from reconcile.event_positions as p
    cross join lateral unnest(p.transition_ids) with ordinality as event (transition_id, place)
)
select t.order_id, broken.invariant, broken.detail
from (
    select
        t.order_id, t.transition_id, n.number, lag(n.number) over of_an_order as before, lag(t.transition_id) over of_an_order as before_id,
        n.transition_id is null and not exists (select from reconcile_internal._unnumbered() as u where u.transition_id = t.transition_id) as is_missed
    from reconcile.transitions as t
    left join numbered as n on n.transition_id = t.transition_id
    window of_an_order as (partition by t.order_id order by t.transition_id)
) as t
cross join lateral (
    values
        ('events_are_in_order', t.number < t.before, format('transition %s is event %s, and %s before it is %s', t.transition_id, t.number, t.before_id, t.before)),
        ('events_are_in_order', t.number is not null and t.before is null and t.before_id is not null,
            format('transition %s is event %s, and %s before it is none', t.transition_id, t.number, t.before_id)),
        ('transition_is_one_event', t.transition_id = t.before_id, format('transition %s is event %s and %s', t.transition_id, t.before, t.number)),
        ('transition_is_one_event', t.is_missed, format('transition %s has no position, and would get none', t.transition_id))
) as broken (invariant, is_broken, detail)
where broken.is_broken
  and (t.number < t.before or t.before is null and t.number is not null and t.before_id is not null or t.transition_id = t.before_id or t.is_missed)
union all
select null, 'events_are_dense', format('event %s follows %s', p.first, p.before)
from (
    select
        p.last_number - cardinality(p.transition_ids) + 1 as first, lag(p.last_number, 1, 0::bigint) over in_order as before,
        p.era < lag(p.era, 1, 0) over in_order or not exists (select from reconcile.event_eras as e where e.era = p.era) as is_of_no_era
    from reconcile.event_positions as p
    window in_order as (order by p.last_number)
) as p
where p.first <> p.before + 1 or p.is_of_no_era
union all
select null, 'transition_is_one_event', format('event %s is no transition', n.number)
from numbered as n
where not exists (select from reconcile.transitions as t where t.transition_id = n.transition_id);

comment on view reconcile_internal._broken_events is 'Events whose positions have gaps, or another order than their transitions; part of violations.';
comment on column reconcile_internal._broken_events.order_id is 'The order.';
comment on column reconcile_internal._broken_events.invariant is 'What is broken.';
comment on column reconcile_internal._broken_events.detail is 'In words.';

create view reconcile_internal._calls_in_flight as
select
    t.provider_id,
    (select count(*) from reconcile.leases as l where l.provider_id = t.provider_id)
    + (
        select count(*) from reconcile.provider_tests as test
        where test.provider_id = t.provider_id and test.token is not null and test.answered_at is null
    )
    + (select coalesce(sum(e.calls), 0) from reconcile.ended_calls as e where e.provider_id = t.provider_id) as calls
from reconcile.provider_traffic as t;

comment on view reconcile_internal._calls_in_flight is 'How many calls provider_traffic should count as in flight: leases, tests, and what has ended and is not counted yet.';
comment on column reconcile_internal._calls_in_flight.provider_id is 'The provider.';
comment on column reconcile_internal._calls_in_flight.calls is 'Its calls.';

create view reconcile.violations as
select broken.invariant, o.order_number, p.name as provider, broken.detail
from (
    select b.* from reconcile_internal._broken_chains as b
    union all
    select b.* from reconcile_internal._broken_queue as b
    union all
    select b.* from reconcile_internal._broken_records as b
    union all
    select b.* from reconcile_internal._broken_events as b
) as broken
left join reconcile.tracked_orders as o on o.order_id = broken.order_id
left join reconcile.providers as p on p.provider_id = o.provider_id
union all
select 'counts_are_true', null, p.name, format('%s calls count as in flight, and %s are', t.in_flight, counted.calls)
from reconcile.provider_traffic as t
join reconcile.providers as p on p.provider_id = t.provider_id
join reconcile_internal._calls_in_flight as counted on counted.provider_id = t.provider_id
where t.in_flight <> counted.calls;

comment on view reconcile.violations is
    'What always holds and does not; always empty. Looked at each hour by reconcile.housekeep, whose findings are in reconcile.alerts.';
comment on column reconcile.violations.invariant is 'What should hold.';
comment on column reconcile.violations.order_number is 'The order; NULL where it is about none, or about one that is not there.';
comment on column reconcile.violations.provider is 'Its provider.';
comment on column reconcile.violations.detail is 'What holds in its place.';

create table reconcile.found_violations (
    invariant text not null,
    provider text not null,
    places bigint not null,
    order_number text,
    detail text not null,
    found_since timestamptz not null default clock_timestamp(),
    primary key (invariant, provider)
);

comment on table reconcile.found_violations is 'What housekeeping found in reconcile.violations when it last looked.';
comment on column reconcile.found_violations.invariant is 'What should hold.';
comment on column reconcile.found_violations.provider is 'Whose orders; empty where that is not known.';
comment on column reconcile.found_violations.places is 'How often it does not.';
comment on column reconcile.found_violations.order_number is 'The first order of these.';
comment on column reconcile.found_violations.detail is 'What holds there in its place.';
comment on column reconcile.found_violations.found_since is 'Since which look.';

create function reconcile_internal._look_for_violations() returns bigint
language plpgsql set search_path = pg_catalog, pg_temp
-- A sort of all transitions stays in memory, if there is so much, and no plan is worth compiling.
set work_mem = '64MB'
set jit = off
as $$
declare
    v_found reconcile.found_violations[];
begin
    v_found := array(
        select row(v.invariant, coalesce(v.provider, ''), count(*), min(v.order_number), (array_agg(v.detail order by v.order_number))[1],
            clock_timestamp())::reconcile.found_violations
        from reconcile.violations as v
        group by v.invariant, coalesce(v.provider, '')
    );
    delete from reconcile.found_violations as f
    where not exists (select from unnest(v_found) as v where v.invariant = f.invariant and v.provider = f.provider);
    insert into reconcile.found_violations as f
    select v.* from unnest(v_found) as v
    on conflict (invariant, provider) do update
    set places = excluded.places, order_number = excluded.order_number, detail = excluded.detail;
    return (select coalesce(sum(v.places), 0) from unnest(v_found) as v);
end
$$;

comment on function reconcile_internal._look_for_violations() is
    'Keeps what reconcile.violations has now, for alerts; answers how much that is.';
