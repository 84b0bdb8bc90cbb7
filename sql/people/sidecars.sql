-- The sidecars' register: who is there, since when, and how long until there is something to do.
-- Requires: removing.

create function reconcile_internal._sidecar_alive_within() returns interval
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$
    select interval '20 seconds';
$$;

comment on function reconcile_internal._sidecar_alive_within() is 'A sidecar not heard of for longer counts as gone. They report every 5 s.';

-- A process that ends, however, closes its connections with it. They may also be lost, and opened again within moments: so one that is
-- silent for longer than from one heartbeat to the next counts as dead, once none of its connections is left. Of one that is cut off, the
-- server keeps them for a while, as of one that is frozen: what these hold waits for the end of the leases.
create function reconcile_internal._sidecar_beats_within() returns interval
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$
    select interval '6 seconds';
$$;

comment on function reconcile_internal._sidecar_beats_within() is
    'A sidecar that is silent for longer, and has no connection left, is dead. They report every 5 s.';

-- A name of its own ends in 16 hexadecimal digits, which each process draws: any other may be shared.
create function reconcile_internal._session_name() returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    return substring(current_setting('application_name') from '^.* [0-9a-f]{16}$');
end
$$;

comment on function reconcile_internal._session_name() is 'What the connections of the calling sidecar are called, if they have a name of their own.';

-- The checkpointer begins anew with the server, and after a crash of one of its processes: every session ends then, and none by a death.
create function reconcile_internal._server_life() returns timestamptz
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    return (select max(a.backend_start) from pg_stat_activity as a where a.backend_type = 'checkpointer');
end
$$;

comment on function reconcile_internal._server_life() is 'Since when this server has been up without a break.';

create function reconcile_internal._put_back_deliveries_of(p_sidecar_id bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    with held as materialized (
        select d.delivery_id from reconcile.deliveries as d
        where d.token is not null and d.sidecar_id = p_sidecar_id and p_sidecar_id > 0
        order by d.delivery_id
        for update skip locked
    )
    update reconcile.deliveries as d
    set token = null, sidecar_id = null, lease_expires_at = null
    from held
    where d.delivery_id = held.delivery_id;
    if found then
        perform reconcile_internal._tell_listeners();
    end if;
end
$$;

comment on function reconcile_internal._put_back_deliveries_of(bigint) is
    'Puts back the deliveries that a sidecar holds which makes them no longer: another sends them at once, some perhaps once more.';

create function reconcile_internal._put_back_dead() returns integer
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_now constant timestamptz := reconcile_internal._steady_now();
    v_silent constant bigint[] := array(
        select s.sidecar_id
        from reconcile.registered_sidecars as s
        where s.stopped_at is null and s.lost_at is null and s.session is not null
          and s.heartbeat_at < v_now - reconcile_internal._sidecar_beats_within()
    );
    v_dead bigint;
    v_put_back integer := 0;
begin
    if v_silent = '{}' then
        return 0;
    end if;
    for v_dead in
        select s.sidecar_id
        from reconcile.registered_sidecars as s
        where s.sidecar_id = any (v_silent) and s.server_life = reconcile_internal._server_life()
          and not exists (select from pg_stat_activity as a where a.datname = current_database() and a.application_name = s.session)
        order by s.sidecar_id
        for update of s skip locked
    loop
        v_put_back := v_put_back + reconcile_internal._put_back_of(v_dead);
        perform reconcile_internal._put_back_deliveries_of(v_dead);
        -- An order that somebody has locked is for the next look.
        update reconcile.registered_sidecars as s
        set lost_at = v_now
        where s.sidecar_id = v_dead and not exists (select from reconcile.leases as l where l.sidecar_id = v_dead)
          and not exists (select from reconcile.deliveries as d where d.token is not null and d.sidecar_id = v_dead);
    end loop;
    return v_put_back;
end
$$;

comment on function reconcile_internal._put_back_dead() is
    'Puts back what sidecars hold that are known to be dead, without waiting for their leases; answers how many orders.';

create function reconcile.sidecar_start(p_name text, p_version text, p_slots integer) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    v_sidecar_id bigint;
begin
    perform reconcile_internal._ensure_partitions();
    insert into reconcile.registered_sidecars (name, version, slots)
    values (left(p_name, 200), left(p_version, 50), p_slots)
    returning sidecar_id into v_sidecar_id;
    return v_sidecar_id;
end
$$;

comment on function reconcile.sidecar_start(text, text, integer) is 'Protocol: registers a process and answers its id.';

create function reconcile_internal._next_claim_at() returns timestamptz
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    return (
    -- A provider whose limits leave no room is waited for until they give way; room that a report makes is noticed by the
    -- sidecar that reports.
    select min(greatest(due.at, case when q.allowed = 0 then coalesce(q.waits_until, clock_timestamp() + interval '1 second') end))
    from reconcile_internal._quotas(null) as q
    cross join lateral (
        select least(
            (select min(d.due_at) from reconcile.due_checks as d where d.provider_id = q.provider_id and d.due_at >= q.looks_from),
            (select clock_timestamp() from reconcile.due_checks as d where d.provider_id = q.provider_id and d.urgent limit 1)
        ) as at
    ) as due
    where due.at is not null
    );
end
$$;

comment on function reconcile_internal._next_claim_at() is 'When a claim will next find something; NULL when nothing waits.';

-- Touches the ledger's tables and nothing of an application's: what would is only said to wait, for the sidecar's other connection.
create function reconcile.sidecar_heartbeat(p_sidecar_id bigint, p_in_flight integer)
returns table (known boolean, wait_ms integer, backlog boolean, overlong boolean)
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    v_known boolean;
    v_steadily boolean := (
        select s.heartbeat_at > reconcile_internal._steady_now() - reconcile_internal._sidecar_beats_within()
        from reconcile.registered_sidecars as s
        where s.sidecar_id = p_sidecar_id
    );
begin
    perform reconcile_internal._tend_clock();
    update reconcile.registered_sidecars as s
    set heartbeat_at = reconcile_internal._steady_now(), in_flight = p_in_flight, stopped_at = null, lost_at = null,
        session = reconcile_internal._session_name(), server_life = reconcile_internal._server_life()
    where s.sidecar_id = p_sidecar_id;
    v_known := found;
    perform reconcile_internal._put_back_expired();
    perform reconcile_internal._ring_rest();
    -- One that was cut off itself is no witness: what cut it off may have cut off the others, which are about to come back.
    if v_steadily then
        perform reconcile_internal._put_back_dead();
    end if;
    -- The month after next has no partition when nobody has made one lately.
    if to_regclass('reconcile.recorded_checks_' || to_char(clock_timestamp() at time zone 'UTC' + interval '1 month', 'YYYY_MM')) is null then
        perform reconcile_internal._ensure_partitions();
    end if;
    -- Without claims nobody else would count what has ended.
    if exists (select from reconcile.ended_calls) or exists (select from reconcile.mended_providers) then
        -- One that a claim holds is counted by that.
        perform reconcile_internal._fold_ended_calls(
            array(select t.provider_id from reconcile.provider_traffic as t order by t.provider_id for update skip locked)
        );
    end if;
    return query
    select v_known, case
        when next_claim.at is not null
            then greatest(0, least(86400000, ceil(extract(epoch from next_claim.at - clock_timestamp()) * 1000)))::integer
    end, exists (select from reconcile.arrivals)
        or exists (select from reconcile.received_webhooks as w where w.effect = 'kept' and w.order_id is not null),
        exists (select from reconcile.overlong_sessions() as o where o.role = session_user)
    from reconcile_internal._next_claim_at() as next_claim (at);
    -- What a report left because somebody else was numbering.
    perform reconcile_internal._number_what_waits();
end
$$;

comment on function reconcile.sidecar_heartbeat(bigint, integer) is
    'Protocol: says that a sidecar lives; answers whether it is known, in how many milliseconds there is something to claim (NULL when '
    'nothing waits), whether sidecar_backlog has something, and whether end_overlong_sessions has.';

create function reconcile.sidecar_backlog(p_sidecar_id bigint) returns table (attachment_id integer, provider_id integer)
language plpgsql stable security definer rows 10 set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    return query
    select distinct n.attachment_id, null::integer from reconcile.arrivals as n
    union all
    select distinct null::integer, w.provider_id from reconcile.received_webhooks as w where w.effect = 'kept' and w.order_id is not null;
end
$$;

comment on function reconcile.sidecar_backlog(bigint) is
    'Protocol: what waits that touches applications'' tables: attached tables with noted rows, and providers with webhooks that were kept. '
    'For a connection of its own, one of them at a time.';

create function reconcile.sidecar_follow(p_sidecar_id bigint, p_attachment_id integer) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    v_followed integer;
begin
    -- What code of an application has left: see sidecar_report.
    perform pg_advisory_unlock_all();
    perform reconcile_internal._refuse_strange_objects();
    v_followed := (
        select reconcile_internal._take_in_one(a, clock_timestamp() + interval '2 seconds', false)
        from reconcile.attachments as a
        where a.attachment_id = p_attachment_id
    );
    perform pg_advisory_unlock_all();
    return v_followed;
end
$$;

comment on function reconcile.sidecar_follow(bigint, integer) is
    'Protocol: follows what was noted of one attached table, for two seconds at most; answers how many orders changed.';

create function reconcile.sidecar_settle_webhooks(p_sidecar_id bigint, p_provider_id integer) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    v_taken integer;
begin
    -- As sidecar_follow.
    perform pg_advisory_unlock_all();
    perform reconcile_internal._refuse_strange_objects();
    v_taken := reconcile_internal._take_kept_evidence(p_provider_id, true);
    perform pg_advisory_unlock_all();
    return v_taken;
end
$$;

comment on function reconcile.sidecar_settle_webhooks(bigint, integer) is
    'Protocol: settles orders of one provider by webhooks that came before them, for two seconds; answers how many.';

create function reconcile.sidecar_stop(p_sidecar_id bigint) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    update reconcile.registered_sidecars as s
    set stopped_at = clock_timestamp(), in_flight = 0
    where s.sidecar_id = p_sidecar_id;
    -- Its calls have ended: it made them itself.
    perform reconcile_internal._put_back_of(p_sidecar_id);
end
$$;

comment on function reconcile.sidecar_stop(bigint) is 'Protocol: a sidecar says goodbye; what it holds is put back.';
