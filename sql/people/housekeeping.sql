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
    v_transition_ids bigint[];
begin
    with overdue as materialized (
        select o.order_id, o.state, o.order_number, p.late_watch
        from reconcile.tracked_orders as o
        join reconcile.due_checks as d on d.order_id = o.order_id
        join reconcile.providers as p on p.provider_id = o.provider_id
        where o.order_id = any (p_order_ids) and o.state in ('pending', 'processing') and (o.faults > 0 or p.paused_at is not null)
        order by o.order_id
        for update of o, d skip locked
    ),
    moved as (
        update reconcile.tracked_orders as o
        set state = 'review', settled_by = 'giving_up', attempt = 0, state_changed_at = clock_timestamp()
        from overdue
        where o.order_id = overdue.order_id
    ),
    told as (
        insert into reconcile.transitions (order_id, from_state, to_state, cause, reason)
        select overdue.order_id, overdue.state, 'review', 'giving_up',
            'its deadline is over, and the provider could not be asked'
        from overdue
        returning transition_id
    ),
    -- It stays in the queue, on its late watch, in case the provider can be asked again.
    watched as (
        update reconcile.due_checks as d
        set due_at = clock_timestamp() + make_interval(secs => reconcile.schedule_delay_ms(overdue.late_watch, 0, overdue.order_number) / 1000.0),
            urgent = false
        from overdue
        where d.order_id = overdue.order_id and overdue.late_watch <> 'none'
    ),
    let_go as (
        delete from reconcile.due_checks as d using overdue where d.order_id = overdue.order_id and overdue.late_watch = 'none'
    )
    select array_agg(told.transition_id) into v_transition_ids from told;
    if v_transition_ids is not null then
        perform reconcile_internal._carry_out(v_transition_ids);
        perform reconcile_internal._tell_listeners();
    end if;
    return coalesce(cardinality(v_transition_ids), 0);
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

comment on function reconcile_internal._match_webhooks() is 'Gives events that were kept to their orders, where these are known by now.';

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
        with stale as materialized (
            select oldest.order_id
            from reconcile.providers as p
            cross join lateral (
                select d.order_id, o.created_at
                from reconcile.tracked_orders as o
                join reconcile.due_checks as d on d.order_id = o.order_id
                where o.provider_id = p.provider_id and o.state in ('pending', 'processing')
                  and o.created_at between coalesce(reconcile_stale_orders.created_after, '-infinity')
                      and least(coalesce(reconcile_stale_orders.created_before, 'infinity'), v_older)
                  and coalesce(o.last_checked_at, o.created_at) <= v_older
                order by o.created_at
                limit reconcile_stale_orders.max_orders
                for update of d skip locked
            ) as oldest
            where v_provider_id is null or p.provider_id = v_provider_id
            order by oldest.created_at
            limit reconcile_stale_orders.max_orders
        ),
        pulled as (
            update reconcile.due_checks as d
            set due_at = least(d.due_at, v_now)
            from stale
            where d.order_id = stale.order_id
        )
        select count(*), array_agg(stale.order_id) filter (where p.kind = 'sql')
        into v_selected, v_here
        from stale
        join reconcile.tracked_orders as o on o.order_id = stale.order_id
        join reconcile.providers as p on p.provider_id = o.provider_id;
    end if;
    -- Where this database knows the truth, nobody else has to be asked.
    if v_here <> '{}' then
        v_closed := reconcile_internal._settle_here(v_here, true);
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
language sql set search_path = pg_catalog, pg_temp
as $$
    with lost as (
        select o.order_id, o.provider_id
        from reconcile.tracked_orders as o
        where o.state in ('pending', 'processing')
          and not exists (select from reconcile.due_checks as d where d.order_id = o.order_id)
          and not exists (select from reconcile.leases as l where l.order_id = o.order_id)
        for update of o skip locked
    ),
    queued as (
        insert into reconcile.due_checks (order_id, provider_id, due_at)
        select lost.order_id, lost.provider_id, clock_timestamp() from lost
        on conflict (order_id) do nothing
        returning 1
    )
    select count(*)::integer from queued;
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
    with old as (
        delete from reconcile.provider_tests as test where test.requested_at < clock_timestamp() - interval '1 hour' returning 1
    )
    select 'tests forgotten', count(*) into task, done from old;
    return next;
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
