-- Events: every transition, readable from outside by a cursor that skips nothing and gives nothing twice.
--
-- The transitions are the outbox, written in the transaction that moved the order; a position is given to each after it was committed
-- (numbering.sql), and is the cursor. This writes no event, and forgets none.
-- Locks: none but the sequencer's.
-- Requires: numbering.

create function reconcile_internal._events_after(p_after bigint, p_count bigint) returns table (event_id bigint, transition_id bigint)
language sql stable security definer rows 100 set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
    select (p.era::bigint << 40) + event.number, event.transition_id
    from reconcile.event_positions as p
    cross join lateral (
        select every.transition_id, p.last_number - cardinality(p.transition_ids) + every.place as number
        from unnest(p.transition_ids) with ordinality as every (transition_id, place)
    ) as event
    -- They are dense: no more rows than may hold so many.
    where p.last_number > (select reconcile_internal._number_of(p_after))
      and p.last_number < (select reconcile_internal._number_of(p_after)) + p_count + 200
      and event.number > (select reconcile_internal._number_of(p_after))
      and event.number <= (select reconcile_internal._number_of(p_after)) + p_count
    order by event.number
$$;

comment on function reconcile_internal._events_after(bigint, bigint) is 'So many events that follow a position, in their order, as far as there are.';

create function reconcile_internal._transition_of(p_event_id bigint) returns bigint
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select e.transition_id from reconcile_internal._events_after(p_event_id - 1, 1) as e where e.event_id = p_event_id
$$;

comment on function reconcile_internal._transition_of(bigint) is 'The transition that an event is; NULL when there is no such event.';

create function reconcile_internal._harmless_captures(p_captures jsonb, p_captured jsonb) returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp
as $$
    select coalesce(jsonb_object_agg(c.key, c.value), '{}')
    from jsonb_each(p_captured) as c
    where not (p_captures -> c.key ->> 'sensitive')::boolean
$$;

comment on function reconcile_internal._harmless_captures(jsonb, jsonb) is
    'Of an order''s captured values those that its provider''s row calls harmless now.';

-- A position of an earlier era beyond what that era reached was given in a history that was lost, by a failover or a restore: whoever has it
-- is told for as long as it asks, since what it would read on has other events before it.
create function reconcile_internal._check_cursor(p_after bigint) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    v_last constant bigint := coalesce((select l.event_id from reconcile_internal._last_positions as l), 0);
    v_now reconcile.event_eras;
    v_kept bigint;
begin
    if coalesce(p_after, 0) = 0 or reconcile_internal._transition_of(p_after) is not null then
        return;
    end if;
    select e.* into v_now from reconcile.event_eras as e order by e.era desc limit 1;
    v_kept := (select e.begun_after from reconcile.event_eras as e where e.era > p_after >> 40 order by e.era limit 1);
    if v_kept is null and not pg_is_in_recovery() then
        -- An era that is about to begin, or one of a history that is not this server's.
        v_kept := case
            when v_now.history <> reconcile_internal._history() then v_last
            when p_after >> 40 > v_now.era then v_now.begun_after
        end;
    end if;
    if p_after > v_kept then
        raise exception 'event % is of a history that was lost, by a failover or a restore', p_after
            using errcode = 'RC017',
                hint = format('Read on after %s: of what was given after it, events are missing here, and what happened in their place follows.', v_kept);
    end if;
    raise exception 'there is no event %', p_after
        using errcode = 'RC005', hint = case when pg_is_in_recovery() then 'This server is a standby, which may be behind: ask again, or ask the primary.'
            else 'Give the event_id of the last event that was read, or 0 to read from the beginning.' end;
end
$$;

comment on function reconcile_internal._check_cursor(bigint) is 'Refuses a cursor that names no event, and says where to go on after one that is lost.';

create function reconcile.read_events(after bigint default 0, max_events integer default 100)
returns table (
    event_id bigint, event text, order_number text, changed_at timestamptz, from_state text, to_state text, cause text, reason text,
    provider text, reference text, transaction_id text, amount numeric, currency text, details jsonb, captured jsonb
)
language plpgsql volatile security definer rows 100
set search_path = pg_catalog, pg_temp
-- By index, whatever the statistics say.
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    v_after constant bigint := coalesce(read_events.after, 0);
begin
    if read_events.max_events is null or read_events.max_events not between 1 and 10000 then
        raise exception 'max_events is %', coalesce(read_events.max_events::text, 'NULL')
            using errcode = 'RC005', hint = 'Use 1 to 10000.';
    end if;
    perform reconcile_internal._have_numbered();
    perform reconcile_internal._check_cursor(v_after);
    return query
    select
        e.event_id, 'order.' || t.to_state, o.order_number, t.changed_at, t.from_state, t.to_state, t.cause, t.reason,
        p.name, o.reference, o.transaction_id, o.amount, o.currency, o.details,
        reconcile_internal._harmless_captures(reconcile_internal._captures_of_both(p.captures, p.webhook), o.captured)
    from reconcile_internal._events_after(v_after, read_events.max_events) as e
    join reconcile.transitions as t on t.transition_id = e.transition_id
    join reconcile.tracked_orders as o on o.order_id = t.order_id
    join reconcile.providers as p on p.provider_id = o.provider_id
    order by e.event_id;
end
$$;

comment on function reconcile.read_events(bigint, integer) is
    'The events that follow the one named by after (0: the first ones). Their ids are dense: one that is missing is lost. What a transition '
    'says is as it was written; the order''s other facts are as they are now. On a standby, as far as the primary has numbered them.';

create function reconcile_internal._tell_listeners() returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    perform pg_notify('reconcile_events', '');
end
$$;

comment on function reconcile_internal._tell_listeners() is
    'Says at commit that there are new events. For once a batch, and never for an application''s own transaction.';
