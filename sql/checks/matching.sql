-- Matching: which orders an event could be about. None is picked among several: such an event is evidence for none, and all of them are asked
-- about, so that who tracks an order under another's number or reference takes no event away and is given none.
-- Locks: events that are no order's yet, and orders as _ring does, or without waiting where they may be several applications'.
-- Requires: webhooks.

-- By its number in the ledger, by its row's own, or by what the provider calls it. None is picked among several: who tracks an order under
-- another's number or reference could have been meant as well as that one.
create function reconcile_internal._orders_of_event(p_provider_id integer, p_order_number text, p_reference text) returns bigint[]
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    -- What else has this reference is asked about when it is due.
    v_most constant integer := 1000;
    v_order_ids bigint[];
begin
    if p_order_number is null then
        return array(
            select o.order_id from reconcile.tracked_orders as o
            where o.reference = p_reference and o.provider_id = p_provider_id
            order by o.order_id
            limit v_most
        );
    end if;
    -- Where the event says a reference, one that has another was not meant, unless nothing else is left that has this very number.
    select coalesce(
        array_agg(named.order_id order by named.order_id) filter (where named.agrees is not false),
        array_agg(named.order_id) filter (where named.is_exact), '{}')
    into v_order_ids
    from (
        select o.order_id, o.order_number = p_order_number as is_exact, o.reference = p_reference as agrees
        from reconcile.tracked_orders as o
        where o.order_number = any (p_order_number || array(
                select known.prefix || p_order_number from unnest(reconcile_internal._prefixes()) as known (prefix)))
          and o.provider_id = p_provider_id and p_order_number in (o.order_number, o.own_number)
    ) as named;
    return v_order_ids;
end
$$;

comment on function reconcile_internal._orders_of_event(integer, text, text) is
    'The orders of a provider that an event could be about, those that came first in front; none when none is known.';

-- By number, by the row's own, or by the reference alone. It is sure that an event is about an order which it calls by its number in the
-- ledger, unless it could be a row's own; and what is called by a reference alone, of the session that has handed the event over: anybody
-- may track an order with a reference that he has heard of.
create function reconcile_internal._events_of(p_order reconcile.tracked_orders)
returns table (event_id text, is_early boolean, is_sure boolean)
language plpgsql stable rows 1 set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    v_by_own_numbers boolean := exists (
        select from reconcile.attachments as a where a.provider_id = p_order.provider_id and a.order_number_prefix <> ''
    );
    -- Of what is another order's already: one event is enough to ask.
    v_most_linked constant integer := 10;
begin
    return query
    select w.event_id, true, not v_by_own_numbers
    from reconcile.received_webhooks as w
    where w.order_number = p_order.order_number and w.provider_id = p_order.provider_id and w.order_id is null
    union all
    select w.event_id, true, false
    from reconcile.received_webhooks as w
    where w.order_number = p_order.own_number and w.provider_id = p_order.provider_id and w.order_id is null
      and coalesce(w.reference = p_order.reference, true)
    union all
    select w.event_id, true, w.received_from = session_user
    from reconcile.received_webhooks as w
    where w.reference = p_order.reference and w.order_number is null and w.provider_id = p_order.provider_id and w.order_id is null
    union all
    (
        select w.event_id, false, false
        from reconcile.received_webhooks as w
        where w.order_number = coalesce(p_order.own_number, p_order.order_number) and w.provider_id = p_order.provider_id
          and w.order_id <> p_order.order_id and coalesce(w.reference = p_order.reference, true)
        limit v_most_linked
    )
    union all
    (
        select w.event_id, false, false
        from reconcile.received_webhooks as w
        where w.reference = p_order.reference and w.order_number is null and w.provider_id = p_order.provider_id
          and w.order_id <> p_order.order_id
        limit v_most_linked
    );
end
$$;

comment on function reconcile_internal._events_of(reconcile.tracked_orders) is
    'Events that could be about an order: those that are no order''s yet, and whether it is sure that they are; and some that are another''s.';

-- Says which events are about these orders, and rings. Done in the application's transaction, which is no place for a provider's evidence
-- to be settled in, nor for NOTIFY: evidence waits for _take_kept_evidence, and what was rung is found by the next heartbeat.
-- Events that somebody else links or takes in this moment are not waited for.
create function reconcile_internal._answer_early_webhooks(p_order_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_rung bigint[];
    v_of_held bigint[];
begin
    if not exists (select from reconcile.received_webhooks) then
        return;
    end if;
    with found as materialized (
        select o.order_id, o.provider_id, e.event_id, e.is_early, e.is_sure
        from reconcile.tracked_orders as o
        cross join lateral reconcile_internal._events_of(o) as e
        where o.order_id = any (p_order_ids)
    ),
    by_event as (
        select found.provider_id, found.event_id, array_agg(distinct found.order_id) as order_ids, bool_and(found.is_sure) as is_sure
        from found
        group by found.provider_id, found.event_id
    ),
    free as materialized (
        select w.provider_id, w.event_id, w.order_id
        from reconcile.received_webhooks as w
        where (w.provider_id, w.event_id) in (select e.provider_id, e.event_id from by_event as e)
        for update skip locked
    ),
    linked as (
        update reconcile.received_webhooks as w
        set order_id = coalesce(free.order_id, e.order_ids[1]),
            others = case
                when free.order_id is null then e.order_ids[2:]
                when cardinality(w.others) < 100
                    then w.others || array(select about from unnest(e.order_ids) as about where about <> all (w.others || free.order_id))
                else w.others
            end,
            effect = case when free.order_id is not null then w.effect when evidence.is_sound then 'kept' else 'asked' end
        from free
        join by_event as e on e.provider_id = free.provider_id and e.event_id = free.event_id
        join reconcile.providers as p on p.provider_id = e.provider_id
        cross join lateral (
            select coalesce((p.webhook ->> 'evidence')::boolean, false) and e.is_sure and cardinality(e.order_ids) = 1 and not exists (
                -- A payload is kept without its secrets: where one of them is wanted, the provider is asked.
                select from jsonb_each(p.captures || coalesce(p.webhook -> 'captures', '{}')) as c where (c.value ->> 'sensitive')::boolean
            ) as is_sound
        ) as evidence
        where w.provider_id = free.provider_id and w.event_id = free.event_id
        returning w.provider_id, w.event_id, free.order_id is null and evidence.is_sound as is_evidence
    )
    select array_agg(distinct found.order_id) filter (where not l.is_evidence), array_agg(distinct found.order_id) filter (where l.event_id is null)
    into v_rung, v_of_held
    from found
    left join linked as l on l.provider_id = found.provider_id and l.event_id = found.event_id;
    if v_rung is not null then
        perform reconcile_internal._ring(v_rung);
    end if;
    if v_of_held is not null then
        perform reconcile_internal._ring_several(array(
            select o.order_id from reconcile.tracked_orders as o where o.order_id = any (v_of_held) and o.state in ('pending', 'processing')));
    end if;
end
$$;

comment on function reconcile_internal._answer_early_webhooks(bigint[]) is
    'Gives orders that are known now the events that came before them, and has those asked about which an event could be about that is another''s.';
