-- Matching: which orders an event could be about. None is picked among several: such an event is evidence for none, and all of them are asked
-- about, so that who tracks an order under another's number or reference takes no event away and is given none.
-- Locks: events that are no order's yet, and orders as _ring does, or without waiting where they may be several applications'.
-- Requires: webhooks.

create sequence reconcile.unrung_ids;

create table reconcile.unrung_orders (
    unrung_id bigint primary key default nextval('reconcile.unrung_ids'),
    provider_id integer not null references reconcile.providers,
    reference text collate "C" not null,
    after_order_id bigint not null,
    rung_at timestamptz not null default clock_timestamp()
);

comment on table reconcile.unrung_orders is 'References of so many orders that an event about them has rung only the first.';
comment on column reconcile.unrung_orders.unrung_id is 'A number.';
comment on column reconcile.unrung_orders.provider_id is 'The provider.';
comment on column reconcile.unrung_orders.reference is 'The reference.';
comment on column reconcile.unrung_orders.after_order_id is 'What has been rung so far.';
comment on column reconcile.unrung_orders.rung_at is 'When some were rung last: whoever waits longest comes first.';

-- By its number in the ledger, by its row's own, or by what the provider calls it. None is picked among several: who tracks an order under
-- another's number or reference could have been meant as well as that one.
create function reconcile_internal._orders_of_event(p_provider_id integer, p_order_number text, p_reference text) returns bigint[]
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    -- What else has this reference is rung a little later: see _ring_all.
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

-- No statement rings more than _orders_of_event finds, and none of the others is forgotten: heartbeats and runs go on with them. Nobody's
-- open transaction is waited for, so two rows may have one reference.
create function reconcile_internal._ring_all(p_provider_id integer, p_order_number text, p_reference text, p_order_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_last constant bigint := (select max(id) from unnest(p_order_ids) as id);
begin
    perform reconcile_internal._ring_several(p_order_ids);
    if p_order_number is not null or not exists (
        select from reconcile.tracked_orders as o
        where o.reference = p_reference and o.provider_id = p_provider_id and o.order_id > v_last
    ) then
        return;
    end if;
    update reconcile.unrung_orders as u set after_order_id = least(u.after_order_id, v_last)
    where u.unrung_id in (
        select free.unrung_id from reconcile.unrung_orders as free
        where free.provider_id = p_provider_id and free.reference = p_reference
        for update skip locked
    );
    if not found then
        insert into reconcile.unrung_orders (provider_id, reference, after_order_id) values (p_provider_id, p_reference, v_last);
    end if;
end
$$;

comment on function reconcile_internal._ring_all(integer, text, text, bigint[]) is
    'Rings the orders that an event could be about, and notes that there are more.';

create function reconcile_internal._ring_rest() returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_most constant integer := 1000;
    v_rest reconcile.unrung_orders;
    v_order_ids bigint[];
begin
    select u.* into v_rest from reconcile.unrung_orders as u order by u.rung_at limit 1 for update skip locked;
    if not found then
        return;
    end if;
    v_order_ids := array(
        select o.order_id from reconcile.tracked_orders as o
        where o.reference = v_rest.reference and o.provider_id = v_rest.provider_id and o.order_id > v_rest.after_order_id
        order by o.order_id
        limit v_most
    );
    perform reconcile_internal._ring_several(v_order_ids);
    if cardinality(v_order_ids) < v_most then
        delete from reconcile.unrung_orders as u where u.unrung_id = v_rest.unrung_id;
    else
        update reconcile.unrung_orders as u set after_order_id = v_order_ids[v_most], rung_at = clock_timestamp()
        where u.unrung_id = v_rest.unrung_id;
    end if;
end
$$;

comment on function reconcile_internal._ring_rest() is
    'Rings the next 1000 orders of a reference that an event was about, of which it has rung only the first.';

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

select pg_catalog.pg_extension_config_dump('reconcile.unrung_ids', '');
select pg_catalog.pg_extension_config_dump('reconcile.unrung_orders', '');
