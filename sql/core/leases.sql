-- Leases: who is asking about an order now. Owns the table of leases: nothing else writes it.
--
-- A lease is a right to one check, for a while: its token fences what comes of it. It begins by taking the order out of the queue, and ends
-- with an answer, by being put back, or by being called off.
-- Locks: the order first, by the caller where it isn't said otherwise; then its place in the queue, then its lease. A claim that is just being
-- committed hides its lease, but not the place that it takes: who waits for that sees the lease afterwards.
-- Requires: queue.

-- By key: a place that was moved since it was chosen is taken where it is now. There should be no lease already; if there is, it stays and
-- stops no other.
create function reconcile_internal._lease(p_order_ids bigint[], p_source text, p_sidecar_id bigint default null)
returns table (order_id bigint, token bigint, provider_id integer, awaited boolean, by_order_number boolean)
language plpgsql rows 100 set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    v_steady constant timestamptz := reconcile_internal._steady_now();
    v_now constant timestamptz := clock_timestamp();
begin
    return query
    with given as materialized (
        -- Grouped, not joined: of two lists without statistics a plan would compare each with each.
        select every.order_id, bool_or(every.urgent) as urgent, min(every.place) as place
        from (
            select q.order_id, q.urgent, null::bigint as place from reconcile_internal._unqueue(p_order_ids) as q
            union all
            select wanted.order_id, false, wanted.place from unnest(p_order_ids) with ordinality as wanted (order_id, place)
        ) as every
        group by every.order_id
    )
    insert into reconcile.leases as l (
        order_id, provider_id, provider_version, source, sidecar_id, claimed_at, expires_at, awaited, by_order_number
    )
    select o.order_id, p.provider_id, p.version, p_source, p_sidecar_id, v_now, v_steady + p.timeout + reconcile_internal._reporting_time(),
        given.urgent, p.without_reference <> '{}' and o.reference is null
    from given
    cross join lateral (
        select tracked.order_id, tracked.provider_id, tracked.reference
        from reconcile.tracked_orders as tracked
        where tracked.order_id = given.order_id
        offset 0
    ) as o
    join reconcile.providers as p on p.provider_id = o.provider_id
    order by given.place
    on conflict (order_id) do nothing
    returning l.order_id, l.token, l.provider_id, l.awaited, l.by_order_number;
end
$$;

comment on function reconcile_internal._lease(bigint[], text, bigint) is
    'Takes orders out of the queue and gives leases on their checks to a sidecar, or to the ledger itself for a lookup or a webhook; answers '
    'the leases.';

create function reconcile_internal._reporting_time() returns interval
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$
    select interval '20 seconds';
$$;

comment on function reconcile_internal._reporting_time() is
    'A lease lasts for its provider''s time-out and for so long: for the way to the call, and for a slow database to take the report.';

create function reconcile_internal._prolong(p_order_ids bigint[], p_sidecar_id bigint, p_by interval) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    update reconcile.leases as l set expires_at = l.expires_at + p_by
    where l.order_id = any (p_order_ids) and l.sidecar_id = p_sidecar_id;
end
$$;

comment on function reconcile_internal._prolong(bigint[], bigint, interval) is 'Lets leases of a sidecar last longer.';

create function reconcile_internal._end_leases(p_order_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    delete from reconcile.leases as l where l.order_id = any (p_order_ids);
end
$$;

comment on function reconcile_internal._end_leases(bigint[]) is 'Ends leases that are locked, with the answers that came under them.';

-- The calls may still reach their providers, for as long as their leases would have lasted.
create function reconcile_internal._call_off(p_order_ids bigint[]) returns bigint[]
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_called_off bigint[];
    v_provider_ids integer[];
    v_until timestamptz;
begin
    perform from reconcile.due_checks as d where d.order_id = any (p_order_ids) order by d.order_id for update;
    with ended as (
        delete from reconcile.leases as l where l.order_id = any (p_order_ids)
        returning l.order_id, l.provider_id, l.source, l.expires_at
    )
    select coalesce(array_agg(ended.order_id), '{}'), array_agg(ended.provider_id) filter (where ended.source = 'sidecar'), max(ended.expires_at)
    into v_called_off, v_provider_ids, v_until
    from ended;
    if v_provider_ids is not null then
        perform reconcile_internal._note_ended_calls(v_provider_ids, v_until);
    end if;
    return v_called_off;
end
$$;

comment on function reconcile_internal._call_off(bigint[]) is
    'Ends the leases of orders whose answers must change nothing any more, and waits for a claim of them; answers which had one.';

-- Waits for nobody: an order that a person decides about right now is left to its lease.
create function reconcile_internal._put_back(p_order_ids bigint[], p_tokens bigint[], p_sidecar_id bigint default null) returns integer
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_order_ids bigint[];
    v_provider_ids integer[];
    v_urgent boolean[];
begin
    with held as materialized (
        select l.order_id, l.token
        from (
            select distinct every.order_id, every.token from unnest(p_order_ids, p_tokens) as every (order_id, token) order by every.order_id
        ) as given
        cross join lateral (
            select from reconcile.tracked_orders as tracked where tracked.order_id = given.order_id for update skip locked
        ) as o
        cross join lateral (
            select lease.order_id, lease.token
            from reconcile.leases as lease
            where lease.order_id = given.order_id and lease.token = given.token and (p_sidecar_id is null or lease.sidecar_id = p_sidecar_id)
            for update skip locked
        ) as l
    ),
    freed as (
        delete from reconcile.leases as l
        where l.order_id = any (array(select held.order_id from held))
        returning l.order_id, l.provider_id, l.awaited
    )
    select array_agg(freed.order_id), array_agg(freed.provider_id), array_agg(freed.awaited) into v_order_ids, v_provider_ids, v_urgent
    from freed;
    if v_order_ids is null then
        return 0;
    end if;
    perform reconcile_internal._enqueue(v_order_ids, array_fill(clock_timestamp(), array[cardinality(v_order_ids)]), v_urgent);
    perform reconcile_internal._note_ended_calls(v_provider_ids, reconcile_internal._steady_now());
    return cardinality(v_order_ids);
end
$$;

comment on function reconcile_internal._put_back(bigint[], bigint[], bigint) is
    'Ends leases without a report, those of one sidecar or of any, and has their orders asked about now; answers how many.';

create function reconcile_internal._put_back_of(p_sidecar_id bigint) returns integer
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_order_ids bigint[];
    v_tokens bigint[];
    v_put_back integer := 0;
begin
    select array_agg(l.order_id), array_agg(l.token) into v_order_ids, v_tokens from reconcile.leases as l where l.sidecar_id = p_sidecar_id;
    if v_order_ids is not null then
        v_put_back := reconcile_internal._put_back(v_order_ids, v_tokens, p_sidecar_id);
        perform pg_notify('reconcile_due', '');
    end if;
    return v_put_back;
end
$$;

comment on function reconcile_internal._put_back_of(bigint) is
    'Puts back all that a sidecar holds, and tells the others; answers how many orders. What it may still report is stale.';

create function reconcile_internal._put_back_expired() returns integer
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_order_ids bigint[];
    v_tokens bigint[];
begin
    select array_agg(expired.order_id), array_agg(expired.token) into v_order_ids, v_tokens
    from (
        select l.order_id, l.token
        from reconcile.leases as l
        where l.expires_at < (select reconcile_internal._steady_now())
        order by l.expires_at
        limit 5000
        for update skip locked
    ) as expired;
    return case when v_order_ids is null then 0 else reconcile_internal._put_back(v_order_ids, v_tokens) end;
end
$$;

comment on function reconcile_internal._put_back_expired() is 'Puts back orders whose lease ran out, 5000 at most; answers how many.';

create function reconcile_internal._ask_now(p_order_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    perform reconcile_internal._call_off(p_order_ids);
    perform reconcile_internal._enqueue(p_order_ids, array_fill(clock_timestamp(), array[cardinality(p_order_ids)]));
end
$$;

comment on function reconcile_internal._ask_now(bigint[]) is 'Has orders asked about now, in place of the checks that are under way.';

create function reconcile_internal._mark_rung(p_order_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    update reconcile.leases as l set rung = true where l.order_id = any (p_order_ids);
end
$$;

comment on function reconcile_internal._mark_rung(bigint[]) is
    'Notes on leases that a webhook came meanwhile: whatever their answers are, the orders are asked about once more.';

create function reconcile_internal._enqueue_idle(p_order_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_idle constant bigint[] := array(
        select o.order_id
        from reconcile.tracked_orders as o
        where o.order_id = any (p_order_ids) and o.state <> 'refunded'
          and not exists (select from reconcile.leases as l where l.order_id = o.order_id)
          and not exists (select from reconcile.due_checks as d where d.order_id = o.order_id)
    );
begin
    perform reconcile_internal._enqueue(v_idle, array_fill(clock_timestamp(), array[cardinality(v_idle)]));
end
$$;

comment on function reconcile_internal._enqueue_idle(bigint[]) is
    'Has those orders asked about now that neither wait in the queue nor are asked about; not refunded ones, of which nothing is to be learnt.';

-- Waits for a claim that is just being committed: until then its lease is not to be seen.
create function reconcile_internal._ask_once_more(p_order_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    perform from reconcile.due_checks as d where d.order_id = any (p_order_ids) order by d.order_id for update;
    perform reconcile_internal._mark_rung(p_order_ids);
    perform reconcile_internal._make_due(p_order_ids);
    perform reconcile_internal._enqueue_idle(p_order_ids);
end
$$;

comment on function reconcile_internal._ask_once_more(bigint[]) is
    'Has orders asked about now, and those that are being asked about once more after that.';
