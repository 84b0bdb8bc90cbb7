-- Messages: what an event says to an endpoint. Made from the outbox past each endpoint's cursor, once, and the same at every
-- attempt. This sends nothing.
-- Locks: a fan-out finds its endpoints locked; a replay locks its own.
-- Requires: endpoints.

-- The number of the transition and the microsecond in which it was written, both of its own row: so a retry, a replay and a
-- restore keep the id, and another database, or a copy that went on by itself, gives other ones.
create function reconcile_internal._message_id(p_transition reconcile.transitions) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp
as $$
begin
    return format('evt_%s_%s', p_transition.transition_id, to_hex((extract(epoch from p_transition.changed_at) * 1000000)::bigint));
end
$$;

comment on function reconcile_internal._message_id(reconcile.transitions) is
    'What receivers know an event by, wherever and however often it is sent.';

create function reconcile_internal._message(p_transition reconcile.transitions, p_event_id bigint) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select json_build_object(
            'type', 'order.' || p_transition.to_state,
            'timestamp', to_char(p_transition.changed_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
            'data', json_build_object(
                'event_id', p_event_id, 'order_number', o.order_number,
                'own_number', coalesce(o.own_number, o.order_number), 'state', p_transition.to_state,
                'previous_state', p_transition.from_state, 'cause', p_transition.cause, 'reason', p_transition.reason,
                'provider', p.name, 'reference', o.reference, 'transaction_id', o.transaction_id, 'amount', o.amount::text,
                'currency', o.currency, 'details', o.details, 'captured', reconcile_internal._harmless_captures(
                        reconcile_internal._captures_of_both(p.captures, p.webhook), o.captured)
            )
        )
        from reconcile.tracked_orders as o
        join reconcile.providers as p on p.provider_id = o.provider_id
        where o.order_id = p_transition.order_id
    );
end
$$;

comment on function reconcile_internal._message(reconcile.transitions, bigint) is 'What is sent about a transition, without what is sensitive.';

-- One that can't be written, by a fault of its order's facts, is parked and told, and the rest go on.
create function reconcile_internal._message_or_problem(
    p_transition reconcile.transitions, p_event_id bigint, out payload text, out problem text
)
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    payload := reconcile_internal._message(p_transition, p_event_id);
exception
    when others then
        payload := '';
        problem := format('the message can''t be written: %s (%s)', reconcile_internal._problem_of(sqlerrm, 450, array[p_transition.order_id]), sqlstate);
end
$$;

comment on function reconcile_internal._message_or_problem(reconcile.transitions, bigint) is
    'What is sent about a transition, or why that can''t be written.';

create function reconcile_internal._fan_out(p_endpoint_ids integer[], p_now timestamptz) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
    -- Events wait in the outbox for as long as so many of an endpoint's deliveries were never tried.
    v_untried constant bigint := 500;
    -- So many are looked at where only some are wanted.
    v_looked_at constant bigint := 5000;
    v_made bigint;
begin
    with looked_at as materialized (
        select e.endpoint_id, event.event_id, event.transition, event.is_wanted, room.deliveries as room,
            count(*) filter (where event.is_wanted) over (partition by e.endpoint_id order by event.event_id) as wanted
        from reconcile.event_endpoints as e
        cross join lateral (
            select v_untried - count(*) as deliveries
            from (select from reconcile.deliveries as d where d.endpoint_id = e.endpoint_id and d.attempts = 0 limit v_untried) as untried
        ) as room
        cross join lateral (
            select next.event_id, t as transition,
                (e.on_states is null or t.to_state = any (e.on_states)) and (e.provider_id is null or exists (
                    select from reconcile.tracked_orders as o where o.order_id = t.order_id and o.provider_id = e.provider_id
                )) as is_wanted
            from reconcile_internal._events_after(
                e.read_up_to, case when e.on_states is null and e.provider_id is null then room.deliveries else v_looked_at end
            ) as next
            join reconcile.transitions as t on t.transition_id = next.transition_id
        ) as event
        where e.endpoint_id = any (p_endpoint_ids)
    ),
    found as materialized (
        select l.endpoint_id, l.event_id, l.transition, l.is_wanted from looked_at as l where l.wanted <= l.room
    ),
    made as (
        insert into reconcile.deliveries (endpoint_id, event_id, message_id, payload, due_at, last_problem, parked_at)
        select
            found.endpoint_id, found.event_id, reconcile_internal._message_id(found.transition),
            message.payload, p_now, message.problem, case when message.problem is not null then p_now end
        from found
        cross join lateral reconcile_internal._message_or_problem(found.transition, found.event_id) as message
        where found.is_wanted
        -- One that was replayed ahead of the cursor.
        on conflict (endpoint_id, event_id) do nothing
        returning 1
    ),
    moved as (
        update reconcile.event_endpoints as e
        set read_up_to = last.event_id
        from (select found.endpoint_id, max(found.event_id) as event_id from found group by found.endpoint_id) as last
        where e.endpoint_id = last.endpoint_id
    )
    select count(*) into v_made from made;
    return v_made;
end
$$;

comment on function reconcile_internal._fan_out(integer[], timestamptz) is
    'Makes deliveries of the events past the cursors of these endpoints, which are locked, a bounded number each; answers how many.';

create function reconcile.replay_events(endpoint text, event_ids bigint[] default null) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    v_endpoint reconcile.event_endpoints := reconcile_internal._endpoint(replay_events.endpoint);
    v_unknown bigint;
    v_again integer;
    v_anew integer := 0;
begin
    select given.event_id into v_unknown
    from unnest(replay_events.event_ids) as given (event_id)
    where reconcile_internal._transition_of(given.event_id) is null
    limit 1;
    if found then
        raise exception 'there is no event %', coalesce(v_unknown::text, 'NULL')
            using errcode = 'RC005', hint = 'reconcile.read_events shows them; without event_ids, all parked ones are replayed.';
    end if;
    -- What could not be written may be by now.
    update reconcile.deliveries as d
    set payload = written.payload
    from (
        select unwritten.delivery_id, message.payload
        from reconcile.deliveries as unwritten
        join reconcile.transitions as t on t.transition_id = reconcile_internal._transition_of(unwritten.event_id)
        cross join lateral reconcile_internal._message_or_problem(t, unwritten.event_id) as message
        where unwritten.endpoint_id = v_endpoint.endpoint_id and unwritten.parked_at is not null and unwritten.payload = ''
          and message.problem is null
    ) as written
    where d.delivery_id = written.delivery_id;
    -- One that is under way is being sent just now.
    update reconcile.deliveries as d
    set attempts = 0, parked_at = null, due_at = clock_timestamp()
    where d.endpoint_id = v_endpoint.endpoint_id and d.token is null and d.payload <> ''
      and case
          when replay_events.event_ids is null then d.parked_at is not null
          else d.event_id = any (replay_events.event_ids)
      end;
    get diagnostics v_again = row_count;
    if replay_events.event_ids is not null then
        insert into reconcile.deliveries (endpoint_id, event_id, message_id, payload, due_at, last_problem, parked_at)
        select v_endpoint.endpoint_id, given.event_id, reconcile_internal._message_id(t), message.payload, clock_timestamp(),
            message.problem, case when message.problem is not null then clock_timestamp() end
        from (select distinct every.event_id from unnest(replay_events.event_ids) as every (event_id)) as given
        join reconcile.transitions as t on t.transition_id = reconcile_internal._transition_of(given.event_id)
        cross join lateral reconcile_internal._message_or_problem(t, given.event_id) as message
        on conflict (endpoint_id, event_id) do nothing;
        get diagnostics v_anew = row_count;
    end if;
    perform reconcile_internal._tell_listeners();
    return v_again + v_anew;
end
$$;

comment on function reconcile.replay_events(text, bigint[]) is
    'Sends events to an endpoint once more: those named, whether they were delivered or not, or all that are parked. Answers how many.';
