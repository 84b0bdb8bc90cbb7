-- The queue: when an order is asked about next. Owns due_checks: nothing else writes it.
--
-- An open order has one place, here or under a lease, and moves from one to the other inside one transaction; a closed one may have one as
-- well. Who claims, settles, decides or follows puts these functions together.
-- Locks: the order first, by the caller where it isn't said otherwise; then its place here, then its lease.
-- In PL/pgSQL, which keeps its plans for the session.
-- Requires: audit.

-- Whoever puts an order into the queue that is there already has it asked about at the earlier of the two times.
create function reconcile_internal._enqueue(p_order_ids bigint[], p_due_at timestamptz[], p_urgent boolean[] default '{}') returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    insert into reconcile.due_checks as d (order_id, provider_id, due_at, urgent)
    select given.order_id, o.provider_id, given.due_at, coalesce(given.urgent, false)
    from unnest(p_order_ids, p_due_at, p_urgent) as given (order_id, due_at, urgent)
    cross join lateral (
        select tracked.provider_id from reconcile.tracked_orders as tracked where tracked.order_id = given.order_id offset 0
    ) as o
    where given.due_at is not null
    order by given.due_at
    on conflict (order_id) do update
    set due_at = least(d.due_at, excluded.due_at), urgent = d.urgent or excluded.urgent;
end
$$;

comment on function reconcile_internal._enqueue(bigint[], timestamptz[], boolean[]) is
    'Puts orders into the queue, each for its time; one without a time is left out.';

create function reconcile_internal._unqueue(p_order_ids bigint[]) returns table (order_id bigint, due_at timestamptz, urgent boolean)
language plpgsql rows 100 set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    delete from reconcile.due_checks as d where d.order_id = any (p_order_ids) returning d.order_id, d.due_at, d.urgent;
end
$$;

comment on function reconcile_internal._unqueue(bigint[]) is 'Takes orders out of the queue; answers what their places were.';

-- Waits for nobody: a place that is locked is being claimed, or is somebody else's to move.
create function reconcile_internal._make_due(p_order_ids bigint[], p_urgent boolean default false) returns bigint[]
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_due bigint[] := array(
        select d.order_id from reconcile.due_checks as d where d.order_id = any (p_order_ids) order by d.order_id for update skip locked
    );
begin
    update reconcile.due_checks as d
    set due_at = least(d.due_at, clock_timestamp()), urgent = d.urgent or p_urgent
    where d.order_id = any (v_due);
    return v_due;
end
$$;

comment on function reconcile_internal._make_due(bigint[], boolean) is
    'Makes the checks of orders due now that wait in the queue, ahead of all others where a person waits; answers which.';

create function reconcile_internal._move_due_times(p_step interval) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_now constant timestamptz := clock_timestamp();
begin
    with late as materialized (
        select found.order_id
        from reconcile.providers as p
        cross join lateral (
            select d.order_id from reconcile.due_checks as d
            where d.provider_id = p.provider_id and d.due_at > v_now and d.due_at <= v_now - 2 * p_step
            order by d.due_at
            limit 50000
            for update skip locked
        ) as found
    )
    update reconcile.due_checks as d set due_at = d.due_at + p_step from late where d.order_id = late.order_id;
end
$$;

comment on function reconcile_internal._move_due_times(interval) is
    'Moves due times along with a date that was set, those that lie within as long as it went back, 50,000 of each provider at most.';
