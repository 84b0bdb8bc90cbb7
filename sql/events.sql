-- Events: every transition, readable from outside by a cursor that skips nothing and gives nothing twice.
--
-- There is no second table: the transitions are the outbox, written in the transaction that moved the order. A reader sees only
-- what was written by transactions older than every one that is still under way, in the order of those transactions. A slow
-- transaction therefore holds readers back, and is never passed by. This never writes an event, and forgets none.
-- Locks: reading takes none; a new era keeps writers of transitions out for a moment.
-- Requires: claim.

create function reconcile_internal._read_position() returns bigint
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    return ((select s.era from reconcile.settings as s)::bigint << 48) + pg_snapshot_xmin(pg_current_snapshot())::text::bigint;
end
$$;

comment on function reconcile_internal._read_position() is
    'Transitions written before this position are all visible or will never be: what readers may see.';

create function reconcile_internal._harmless_captures(p_captures jsonb, p_captured jsonb) returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp
as $$
    select coalesce(jsonb_object_agg(c.key, c.value), '{}')
    from jsonb_each(p_captured) as c
    where not (p_captures -> c.key ->> 'sensitive')::boolean
$$;

comment on function reconcile_internal._harmless_captures(jsonb, jsonb) is
    'Of an order''s captured values those that its provider''s row calls harmless now.';

create function reconcile.read_events(after bigint default 0, max_events integer default 100)
returns table (
    event_id bigint, event text, order_number text, changed_at timestamptz, from_state text, to_state text, cause text, reason text,
    provider text, reference text, transaction_id text, amount numeric, currency text, details jsonb, captured jsonb
)
language plpgsql stable security definer rows 100
set search_path = pg_catalog, pg_temp
-- By index, whatever the statistics say.
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    v_after bigint := coalesce(read_events.after, 0);
    v_written_in bigint := 0;
    v_below bigint := reconcile_internal._read_position();
begin
    if read_events.max_events is null or read_events.max_events not between 1 and 10000 then
        raise exception 'max_events is %', coalesce(read_events.max_events::text, 'NULL')
            using errcode = 'RC005', hint = 'Use 1 to 10000.';
    end if;
    if v_after <> 0 then
        select t.written_in into v_written_in from reconcile.transitions as t where t.transition_id = v_after;
        if not found then
            raise exception 'there is no event %', v_after
                using errcode = 'RC005', hint = 'Give the event_id of the last event that was read, or 0 to read from the beginning.';
        end if;
    end if;
    return query
    select
        t.transition_id, 'order.' || t.to_state, o.order_number, t.changed_at, t.from_state, t.to_state, t.cause, t.reason,
        p.name, o.reference, o.transaction_id, o.amount, o.currency, o.details,
        reconcile_internal._harmless_captures(p.captures, o.captured)
    from (
        select every.*
        from reconcile.transitions as every
        where (every.written_in, every.transition_id) > (v_written_in, v_after) and every.written_in < v_below
        order by every.written_in, every.transition_id
        limit read_events.max_events
    ) as t
    join reconcile.tracked_orders as o on o.order_id = t.order_id
    join reconcile.providers as p on p.provider_id = o.provider_id
    order by t.written_in, t.transition_id;
end
$$;

comment on function reconcile.read_events(bigint, integer) is
    'The events that follow the one named by after (0: the first ones), in an order in which none is skipped. What a transition '
    'says is as it was written; the order''s other facts are as they are now.';

create function reconcile_internal._tell_listeners() returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    perform pg_notify('reconcile_events', '');
end
$$;

comment on function reconcile_internal._tell_listeners() is
    'Says at commit that there are new events. For once a batch, and never for an application''s own transaction.';

create function reconcile_internal._is_behind() returns boolean
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select max(t.written_in) >= ((select s.era from reconcile.settings as s)::bigint << 48)
        + pg_snapshot_xmax(pg_current_snapshot())::text::bigint
    from reconcile.transitions as t
$$;

comment on function reconcile_internal._is_behind() is
    'Whether this cluster has not given out the transaction id yet that the newest transition was written by.';

-- Where transaction ids begin anew without a restore, as on a logical replica that was promoted, new events would come before
-- old ones. Writers are kept out meanwhile, so that none is left in the era that ends.
create function reconcile_internal._begin_era() returns integer
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '2s'
as $$
begin
    if reconcile_internal._is_behind() then
        lock table reconcile.transitions in share row exclusive mode;
        update reconcile.settings
        set era = 1 + (select (max(t.written_in) >> 48)::integer from reconcile.transitions as t)
        where reconcile_internal._is_behind();
        return found::integer;
    end if;
    return 0;
exception
    when lock_not_available then
        return 0;
end
$$;

comment on function reconcile_internal._begin_era() is
    'Begins a new era when this cluster''s transaction ids are behind those of the newest transition; answers 1 when it did.';
