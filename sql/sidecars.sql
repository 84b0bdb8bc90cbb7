-- The sidecars' register: who is there, since when, and how long until there is something to do.
-- Requires: removing.

create function reconcile_internal._sidecar_alive_within() returns interval
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$
    select interval '20 seconds';
$$;

comment on function reconcile_internal._sidecar_alive_within() is 'A sidecar not heard of for longer counts as gone. They report every 5 s.';

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
begin
    perform reconcile_internal._tend_clock();
    update reconcile.registered_sidecars as s
    set heartbeat_at = reconcile_internal._steady_now(), in_flight = p_in_flight, stopped_at = null
    where s.sidecar_id = p_sidecar_id;
    v_known := found;
    perform reconcile_internal._put_back_expired();
    -- The month after next has no partition when nobody has made one lately.
    if to_regclass('reconcile.recorded_checks_' || to_char(clock_timestamp() at time zone 'UTC' + interval '1 month', 'YYYY_MM')) is null then
        perform reconcile_internal._ensure_partitions();
    end if;
    -- Without claims nobody else would count what has ended.
    if exists (select from reconcile.ended_calls) then
        -- One that somebody holds, an operator's open transaction for one, is counted by the next heartbeat.
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
    if exists (select from reconcile_internal._unnumbered()) then
        perform reconcile_internal._number_events();
    end if;
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
    v_taken := reconcile_internal._take_kept_evidence(p_provider_id);
    perform pg_advisory_unlock_all();
    return v_taken;
end
$$;

comment on function reconcile.sidecar_settle_webhooks(bigint, integer) is
    'Protocol: settles orders of one provider by webhooks that came before them; answers how many.';

create function reconcile.sidecar_stop(p_sidecar_id bigint) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    update reconcile.registered_sidecars as s
    set stopped_at = clock_timestamp(), in_flight = 0
    where s.sidecar_id = p_sidecar_id;
end
$$;

comment on function reconcile.sidecar_stop(bigint) is 'Protocol: a sidecar says goodbye.';
