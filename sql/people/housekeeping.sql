-- The safety net: what pg_cron calls, and anybody may call at any time. Everything here works once when it runs late,
-- and is safe when it runs twice or at the same time as itself.
-- Requires: violations.

-- Only what waits in the queue: an order under lease is being asked about right now.
create view reconcile_internal._unasked_orders as
select o.order_id, o.provider_id, o.attachment_id, o.created_at
from reconcile.settings as s
cross join reconcile.providers as p
join reconcile.tracked_orders as o on o.provider_id = p.provider_id
join reconcile.due_checks as d on d.order_id = o.order_id
where p.deadline is not null and o.state in ('pending', 'processing')
  and o.created_at < (select clock_timestamp()) - p.deadline - s.last_check_within
  and o.tracked_at < (select clock_timestamp()) - p.deadline - s.last_check_within
  -- It was due for all that time, and either nobody may ask or every attempt failed.
  and greatest(o.tracked_at, o.state_changed_at) < (select clock_timestamp()) - s.last_check_within
  and (o.faults > 0 or p.paused_at < (select clock_timestamp()) - s.last_check_within);

comment on view reconcile_internal._unasked_orders is
    'Open orders whose last check could not be made: long past the deadline, and no answer since.';
comment on column reconcile_internal._unasked_orders.order_id is 'The order.';
comment on column reconcile_internal._unasked_orders.provider_id is 'Its provider.';
comment on column reconcile_internal._unasked_orders.attachment_id is 'The attached table that it came from; NULL when it was handed over.';
comment on column reconcile_internal._unasked_orders.created_at is 'Since when it exists: the oldest are given up first.';

create function reconcile_internal._give_up(p_order_ids bigint[]) returns integer
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_overdue bigint[];
    v_due_at timestamptz[];
    v_transition_ids bigint[];
begin
    -- An order that is locked, or whose place in the queue is, is for the next run.
    select array_agg(overdue.order_id), array_agg(overdue.due_at) into v_overdue, v_due_at
    from (
        select o.order_id, case when p.late_watch <> 'none' then clock_timestamp()
            + make_interval(secs => reconcile.schedule_delay_ms(p.late_watch, 0, o.order_number) / 1000.0) end as due_at
        from reconcile.tracked_orders as o
        join reconcile.due_checks as d on d.order_id = o.order_id
        join reconcile.providers as p on p.provider_id = o.provider_id
        where o.order_id = any (p_order_ids) and o.state in ('pending', 'processing') and (o.faults > 0 or p.paused_at is not null)
        order by o.order_id
        for update of o, d skip locked
    ) as overdue;
    if v_overdue is null then
        return 0;
    end if;
    v_transition_ids := reconcile_internal._move(v_overdue, array_fill('review'::text, array[cardinality(v_overdue)]), 'giving_up',
        array_fill('its deadline is over, and the provider could not be asked'::text, array[cardinality(v_overdue)]));
    -- It stays in the queue, on its late watch, in case the provider can be asked again.
    perform reconcile_internal._unqueue(v_overdue);
    perform reconcile_internal._enqueue(v_overdue, v_due_at);
    perform reconcile_internal._carry_out(v_transition_ids);
    perform reconcile_internal._tell_listeners();
    return cardinality(v_transition_ids);
end
$$;

comment on function reconcile_internal._give_up(bigint[]) is
    'Sends orders to review that are past their deadline and could not be asked about, with what follows from that; answers how many.';

-- Without a sidecar that claims, nobody else would count what has ended.
create function reconcile_internal._fold_here() returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    -- Another run may hold them to the end of a long transaction: then the next one counts.
    v_provider_ids integer[] := array(
        select t.provider_id
        from reconcile.provider_traffic as t
        join reconcile.providers as p on p.provider_id = t.provider_id and p.kind = 'sql'
        order by t.provider_id
        for update of t skip locked
    );
begin
    perform reconcile_internal._fold_ended_calls(v_provider_ids);
end
$$;

comment on function reconcile_internal._fold_here() is 'Counts what became of the calls to providers of kind sql.';

-- An event and its order that were committed at the same moment could not see each other.
create function reconcile_internal._match_webhooks() returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    perform reconcile_internal._ring_rest();
    perform reconcile_internal._answer_early_webhooks(array(
        select o.order_id
        from reconcile.received_webhooks as w
        join reconcile.tracked_orders as o on o.provider_id = w.provider_id and o.order_number = w.order_number
        where w.order_id is null and w.received_at > clock_timestamp() - interval '1 hour'
        union
        select o.order_id
        from reconcile.received_webhooks as w
        cross join unnest(reconcile_internal._prefixes()) as known (prefix)
        join reconcile.tracked_orders as o on o.provider_id = w.provider_id and o.order_number = known.prefix || w.order_number
        where w.order_id is null and o.own_number = w.order_number and w.received_at > clock_timestamp() - interval '1 hour'
        union
        select o.order_id
        from reconcile.received_webhooks as w
        join reconcile.tracked_orders as o on o.provider_id = w.provider_id and o.reference = w.reference
        where w.order_id is null and w.order_number is null and w.received_at > clock_timestamp() - interval '1 hour'
    ));
end
$$;

comment on function reconcile_internal._match_webhooks() is
    'Gives events that were kept to their orders, where these are known by now, and rings some that an event has left.';

create function reconcile_internal._stale_orders(
    p_provider_id integer, p_older timestamptz, p_created_after timestamptz, p_created_before timestamptz, p_most integer
) returns bigint[]
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    return array(
        select oldest.order_id
        from reconcile.providers as p
        cross join lateral (
            select d.order_id, o.created_at
            from reconcile.tracked_orders as o
            join reconcile.due_checks as d on d.order_id = o.order_id
            where o.provider_id = p.provider_id and o.state in ('pending', 'processing')
              and o.created_at between coalesce(p_created_after, '-infinity') and least(coalesce(p_created_before, 'infinity'), p_older)
              and coalesce(o.last_checked_at, o.created_at) <= p_older
            order by o.created_at
            limit p_most
            for update of d skip locked
        ) as oldest
        where p_provider_id is null or p.provider_id = p_provider_id
        order by oldest.created_at
        limit p_most
    );
end
$$;

comment on function reconcile_internal._stale_orders(integer, timestamptz, timestamptz, timestamptz, integer) is
    'The oldest open orders of one provider or all that wait in the queue, were created between two times and last asked about before a third; their '
    'places in the queue are locked.';

create function @extschema@.reconcile_stale_orders(
    max_orders integer default 50,
    older_than interval default null,
    provider text default null,
    created_after timestamptz default null,
    created_before timestamptz default null
)
returns table (run_id bigint, selected integer, closed integer, given_up integer)
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    v_provider_id integer := case
        when reconcile_stale_orders.provider is not null then (reconcile_internal._provider(reconcile_stale_orders.provider)).provider_id
    end;
    v_now timestamptz := clock_timestamp();
    v_older timestamptz := v_now - least(coalesce(reconcile_stale_orders.older_than, interval '0'), interval '1000 years');
    v_run_id bigint;
    v_selected integer;
    v_stale bigint[];
    v_here bigint[];
    v_closed integer := 0;
    v_given_up integer;
begin
    if pg_is_in_recovery() then
        raise exception 'this server is a standby, which can''t ask providers'
            using errcode = 'RC007', hint = 'Call reconcile_stale_orders on the primary.';
    end if;
    if reconcile_stale_orders.max_orders is null or reconcile_stale_orders.max_orders not between 1 and 100000 then
        raise exception 'max_orders is %', coalesce(reconcile_stale_orders.max_orders::text, 'NULL')
            using errcode = 'RC005', hint = 'Use 1 to 100000.';
    end if;
    if reconcile_stale_orders.older_than < interval '0' then
        raise exception 'older_than is %', reconcile_stale_orders.older_than using errcode = 'RC005', hint = 'Use a time that is not negative.';
    end if;
    perform reconcile_internal._check_pending();
    perform reconcile_internal._tend_clock();
    perform reconcile_internal._put_back_expired();
    perform reconcile_internal._take_in_all('5 seconds');
    perform reconcile_internal._match_webhooks();
    perform reconcile_internal._take_kept_evidence(p.provider_id) from reconcile.providers as p;
    v_given_up := reconcile_internal._give_up(array(
        select u.order_id from reconcile_internal._unasked_orders as u order by u.created_at limit reconcile_stale_orders.max_orders));

    if reconcile_stale_orders.older_than is null and reconcile_stale_orders.created_after is null
        and reconcile_stale_orders.created_before is null
    then
        -- By the providers' own schedules: what is due is due already, so it only has to be signalled.
        v_selected := (
            select count(*)
            from (
                select
                from reconcile.providers as p
                join reconcile.due_checks as d on d.provider_id = p.provider_id and d.due_at <= v_now
                where v_provider_id is null or p.provider_id = v_provider_id
                limit reconcile_stale_orders.max_orders
            ) as due
        );
        v_here := array(
            select d.order_id
            from reconcile.providers as p
            join reconcile.due_checks as d on d.provider_id = p.provider_id and d.due_at <= v_now
            where p.kind = 'sql' and p.paused_at is null and (v_provider_id is null or p.provider_id = v_provider_id)
            order by d.due_at
            limit reconcile_stale_orders.max_orders
        );
    else
        v_stale := reconcile_internal._stale_orders(
            v_provider_id, v_older, reconcile_stale_orders.created_after, reconcile_stale_orders.created_before,
            reconcile_stale_orders.max_orders);
        perform reconcile_internal._make_due(v_stale);
        v_selected := cardinality(v_stale);
        v_here := array(
            select o.order_id from reconcile.tracked_orders as o
            join reconcile.providers as p on p.provider_id = o.provider_id and p.kind = 'sql'
            where o.order_id = any (v_stale)
        );
    end if;
    -- Where this database knows the truth, nobody else has to be asked.
    if v_here <> '{}' then
        v_closed := reconcile_internal._settle_due_here(v_here);
        perform reconcile_internal._fold_here();
    end if;

    insert into reconcile.recorded_runs as r (arguments, selected, closed, given_up)
    values (
        jsonb_strip_nulls(jsonb_build_object(
            'max_orders', reconcile_stale_orders.max_orders, 'older_than', reconcile_stale_orders.older_than,
            'provider', reconcile_stale_orders.provider, 'created_after', reconcile_stale_orders.created_after,
            'created_before', reconcile_stale_orders.created_before
        )),
        v_selected, v_closed, v_given_up
    )
    returning r.run_id into v_run_id;
    perform pg_notify('reconcile_due', '');
    perform reconcile_internal._defer_again();
    return query select v_run_id, v_selected, v_closed, v_given_up;
end
$$;

comment on function @extschema@.reconcile_stale_orders(integer, interval, text, timestamptz, timestamptz) is
    'Has stale orders asked about now, oldest first: by their provider''s schedule, or those whose last check is older_than '
    'ago. Puts back lost leases, gives up what could not be asked about, and signals the sidecars once.';

create function reconcile_internal._requeue_lost() returns integer
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_lost constant bigint[] := array(
        select o.order_id
        from reconcile.tracked_orders as o
        where o.state in ('pending', 'processing')
          and not exists (select from reconcile.due_checks as d where d.order_id = o.order_id)
          and not exists (select from reconcile.leases as l where l.order_id = o.order_id)
        for update of o skip locked
    );
begin
    if v_lost <> '{}' then
        perform reconcile_internal._enqueue(v_lost, array_fill(clock_timestamp(), array[cardinality(v_lost)]));
    end if;
    return cardinality(v_lost);
end
$$;

comment on function reconcile_internal._requeue_lost() is
    'Puts open orders into the queue that are neither there nor under lease. There should be none; answers how many.';

create function reconcile_internal._recount_in_flight() returns integer
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_mended integer;
    -- Claims wait for what this holds, to the end of a person's transaction perhaps: so only what seems wrong is held, and then counted once
    -- more. Reports don't wait, so leases and ended calls are counted in one snapshot. This waits for nobody: what is held is counted by the
    -- next run.
    v_wrong integer[] := array(
        select t.provider_id
        from reconcile.provider_traffic as t
        join reconcile_internal._calls_in_flight as counts on counts.provider_id = t.provider_id and counts.calls <> t.in_flight
    );
    v_held integer[];
begin
    v_held := array(
        select t.provider_id from reconcile.provider_traffic as t where t.provider_id = any (v_wrong) order by t.provider_id for update skip locked
    );
    update reconcile.provider_traffic as t
    set in_flight = counts.calls
    from reconcile_internal._calls_in_flight as counts
    where t.provider_id = any (v_held) and t.provider_id = counts.provider_id and t.in_flight <> counts.calls;
    get diagnostics v_mended = row_count;
    return v_mended;
end
$$;

comment on function reconcile_internal._recount_in_flight() is
    'Counts leases anew for each provider. There should be nothing to mend; answers how many counts were.';

create function reconcile.housekeep()
returns table (task text, done bigint)
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    perform reconcile_internal._tend_clock();
    -- First, before anything is mended.
    return query values
        ('violations found', reconcile_internal._look_for_violations()),
        ('leases put back', reconcile_internal._put_back_expired()::bigint),
        ('orders found outside the queue', reconcile_internal._requeue_lost()::bigint);
    with old as (
        delete from reconcile.recorded_runs as r using reconcile.settings as s where r.started_at < clock_timestamp() - s.runs_kept returning 1
    )
    select 'runs deleted', count(*) into task, done from old;
    return next;
    with old as (
        delete from reconcile.registered_sidecars as s where s.heartbeat_at < reconcile_internal._steady_now() - interval '7 days' returning 1
    )
    select 'sidecars forgotten', count(*) into task, done from old;
    return next;
    return query values ('tests forgotten', reconcile_internal._forget_tests(array(
        select test.test_id from reconcile.provider_tests as test where test.requested_at < clock_timestamp() - interval '1 hour'
    )));
    with old as (
        -- Written by their callers, and never done: good for nothing since their transaction ended.
        delete from reconcile.declarations as d where d.done_at is null and d.declared_at < clock_timestamp() - interval '1 day' returning 1
    )
    select 'declarations forgotten', count(*) into task, done from old;
    return next;
    with old as (
        delete from reconcile.received_webhooks as w using reconcile.settings as s
        where w.received_at < clock_timestamp() - case when w.order_id is null then s.runs_kept else s.checks_kept end
        returning 1
    )
    select 'webhooks forgotten', count(*) into task, done from old;
    return next;
    -- Last, what others wait for until the end of the transaction: the counts' locks, and then those of partitions.
    return query values ('counts mended', reconcile_internal._recount_in_flight()::bigint);
    return query values
        ('partitions made', reconcile_internal._ensure_partitions()::bigint),
        ('partitions dropped', reconcile_internal._drop_old_partitions()::bigint);
    return query values ('events found unnumbered', reconcile_internal._number_missed()::bigint);
    perform reconcile_internal._have_numbered();
end
$$;

comment on function reconcile.housekeep() is
    'Partitions ahead, retention, lost leases; for a schedule, and harmless at any other time. Answers what was done.';
