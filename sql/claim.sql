-- The claim: a sidecar with free slots takes leases on checks that are due.
--
-- Quota first, then rows: each provider gets a fair share of the free slots, within its concurrency and its rate, and
-- people who wait go before the schedule. A queue row becomes a lease in one statement.
-- Locks: provider_traffic by provider_id, then queue rows with SKIP LOCKED, so that a claim waits only for another claim.
-- Requires: tracking.

-- What a claim may look at, in one place: from where on in due order, and how many calls the limits allow.
create function reconcile._quotas(p_provider_ids integer[])
returns table (provider_id integer, looks_from timestamptz, allowed integer, free_again_at timestamptz)
language sql stable rows 10 set search_path = pg_catalog, pg_temp
as $$
    select
        p.provider_id,
        case when t.swept_at > clock_timestamp() - interval '5 seconds' then t.claimed_through else '-infinity' end,
        greatest(0, least(
            p.concurrency - (t.in_flight - ended.calls),
            p.rate_limit - (t.in_flight - ended.calls) - ended.recent_calls - spent.calls
        )),
        least(ended.oldest, spent.oldest) + p.rate_interval
    from reconcile.providers as p
    join reconcile.provider_traffic as t on t.provider_id = p.provider_id
    cross join lateral (
        select
            coalesce(sum(e.calls), 0)::integer as calls,
            coalesce(sum(e.calls) filter (where e.ended_at > clock_timestamp() - p.rate_interval), 0)::integer as recent_calls,
            min(e.ended_at) filter (where e.ended_at > clock_timestamp() - p.rate_interval) as oldest
        from reconcile.ended_calls as e
        where e.provider_id = p.provider_id
    ) as ended
    cross join lateral (
        select coalesce(sum(s.calls), 0)::integer as calls, min(s.ended_at) as oldest
        from reconcile.spent_calls as s
        where s.provider_id = p.provider_id and s.ended_at > clock_timestamp() - p.rate_interval
    ) as spent
    where p.paused_at is null and (p_provider_ids is null or p.provider_id = any (p_provider_ids))
$$;

comment on function reconcile._quotas(integer[]) is
    'For each provider that is not paused: from which due time a claim looks, how many calls its limits allow, and when '
    'its rate gives back the next one.';

-- The end of calls, however they ended: reported, released, expired, or called off by a person. Locks nothing.
create function reconcile._note_ended_calls(p_provider_ids integer[], p_outcomes text[] default '{}', p_details text[] default '{}')
returns void
language sql set search_path = pg_catalog, pg_temp
as $$
    insert into reconcile.ended_calls (provider_id, calls, faults, answered, last_fault, last_fault_detail)
    select
        call.provider_id,
        count(*),
        count(*) filter (where call.is_fault),
        coalesce(bool_or(not call.is_fault), false),
        (array_agg(call.outcome) filter (where call.is_fault))[1],
        (array_agg(call.detail) filter (where call.is_fault))[1]
    from (
        select given.*, given.outcome in ('throttled', 'provider_error', 'unreachable', 'refused') as is_fault
        from unnest(p_provider_ids, p_outcomes, p_details) as given (provider_id, outcome, detail)
    ) as call
    group by call.provider_id
$$;

comment on function reconcile._note_ended_calls(integer[], text[], text[]) is
    'Notes that calls ended, one for each element, and what came of them, for the next claim to count.';

-- Called with the rows of provider_traffic locked.
create function reconcile._fold_ended_calls(p_provider_ids integer[]) returns void
language sql set search_path = pg_catalog, pg_temp
as $$
    with ended as (
        delete from reconcile.ended_calls as e where e.provider_id = any (p_provider_ids) returning e.*
    ),
    latest as (
        select distinct on (ended.provider_id) ended.provider_id, ended.last_fault, ended.last_fault_detail, ended.ended_at
        from ended
        where ended.faults > 0
        order by ended.provider_id, ended.ended_at desc
    ),
    counted as (
        update reconcile.provider_traffic as t
        set in_flight = t.in_flight - sums.calls,
            faults = case when sums.answered then 0 else t.faults + sums.faults end,
            last_answer_at = greatest(t.last_answer_at, sums.answered_at),
            last_fault = coalesce(sums.last_fault, t.last_fault),
            last_fault_detail = case when sums.faulted_at is null then t.last_fault_detail else sums.last_fault_detail end,
            last_fault_at = coalesce(sums.faulted_at, t.last_fault_at)
        from (
            select
                ended.provider_id, sum(ended.calls)::integer as calls, sum(ended.faults)::integer as faults,
                bool_or(ended.answered) as answered, max(ended.ended_at) filter (where ended.answered) as answered_at,
                max(latest.last_fault) as last_fault, max(latest.last_fault_detail) as last_fault_detail,
                max(latest.ended_at) as faulted_at
            from ended
            left join latest on latest.provider_id = ended.provider_id
            group by ended.provider_id
        ) as sums
        where t.provider_id = sums.provider_id
    ),
    forgotten as (
        delete from reconcile.spent_calls as s
        using reconcile.providers as p
        where s.provider_id = any (p_provider_ids) and p.provider_id = s.provider_id
          and s.ended_at < clock_timestamp() - p.rate_interval
    )
    insert into reconcile.spent_calls (provider_id, ended_at, calls)
    select ended.provider_id, ended.ended_at, ended.calls
    from ended
    join reconcile.providers as p on p.provider_id = ended.provider_id
    where p.rate_limit is not null and ended.ended_at > clock_timestamp() - p.rate_interval
$$;

comment on function reconcile._fold_ended_calls(integer[]) is
    'Counts ended calls into provider_traffic; a call of a provider with a rate counts as spent for rate_interval after its end.';

create function reconcile.sidecar_claim(p_sidecar_id bigint, p_free_slots integer)
returns table (
    order_id bigint, token bigint, provider text, provider_version integer,
    url text, headers jsonb, body text, awaited boolean
)
language plpgsql security definer rows 100
set search_path = pg_catalog, pg_temp
-- The plan must not depend on when statistics were last gathered: a queue is empty at one time and has millions at another.
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    v_now timestamptz := clock_timestamp();
    -- A lease lasts for the call itself, and for a slow database to take the report.
    v_reporting_time constant interval := '20 seconds';
    v_active integer[];
    v_share integer;
begin
    if p_free_slots is null or p_free_slots not between 1 and 100000 then
        raise exception '% free slots can''t be filled', coalesce(p_free_slots::text, 'NULL')
            using errcode = 'RC005', hint = 'Claim for 1 to 100000 slots.';
    end if;

    select array_agg(q.provider_id) into v_active
    from reconcile._quotas(null) as q
    where q.allowed > 0 and (
        exists (select from reconcile.due_checks as d where d.provider_id = q.provider_id and d.urgent)
        or exists (
            select from reconcile.due_checks as d
            where d.provider_id = q.provider_id and d.due_at between q.looks_from and v_now
        )
    );
    if v_active is null then
        return;
    end if;
    v_share := ceil(p_free_slots::numeric / cardinality(v_active));

    perform from reconcile.provider_traffic as t where t.provider_id = any (v_active) order by t.provider_id for update;

    perform reconcile._fold_ended_calls(v_active);
    -- A claim that a crash loses leaves its orders in the queue, so nobody has to wait for it to be flushed.
    perform set_config('synchronous_commit', 'off', true);

    -- A new statement, so the quotas are read as the lock found them.
    return query
    with quota as materialized (
        select q.provider_id, q.looks_from, least(q.allowed, v_share) as calls from reconcile._quotas(v_active) as q
    ),
    urgent as materialized (
        select d.place, d.due_at, quota.provider_id
        from quota
        cross join lateral (
            select due.ctid as place, due.due_at
            from reconcile.due_checks as due
            where due.provider_id = quota.provider_id and due.urgent
            order by due.due_at
            limit quota.calls
            for update skip locked
        ) as d
    ),
    scheduled as materialized (
        select d.place, d.due_at, quota.provider_id
        from quota
        cross join lateral (
            select due.ctid as place, due.due_at
            from reconcile.due_checks as due
            where due.provider_id = quota.provider_id
              and due.due_at between quota.looks_from and v_now
              and not due.urgent
            order by due.due_at
            limit quota.calls - (select count(*) from urgent where urgent.provider_id = quota.provider_id)
            for update skip locked
        ) as d
    ),
    chosen as materialized (
        select found.place, found.due_at, found.provider_id, found.urgent
        from (
            select u.place, u.due_at, u.provider_id, true as urgent from urgent as u
            union all
            select s.place, s.due_at, s.provider_id, false from scheduled as s
        ) as found
        order by found.urgent desc, found.due_at
        limit p_free_slots
    ),
    taken as (
        -- By place, not by key: the rows are locked, so they stay where they were found.
        delete from reconcile.due_checks as d
        where d.ctid = any (array(select c.place from chosen as c))
        returning d.order_id, d.provider_id, d.urgent
    ),
    leased as (
        insert into reconcile.leases as l (order_id, provider_id, sidecar_id, claimed_at, expires_at, awaited)
        select taken.order_id, taken.provider_id, p_sidecar_id, v_now, v_now + p.timeout + v_reporting_time, taken.urgent
        from taken
        join reconcile.providers as p on p.provider_id = taken.provider_id
        returning l.order_id, l.token, l.provider_id, l.awaited
    ),
    counted as (
        update reconcile.provider_traffic as t
        set in_flight = t.in_flight + counts.calls,
            claimed_through = greatest(t.claimed_through, counts.through),
            swept_at = case when quota.looks_from = '-infinity' then v_now else t.swept_at end
        from quota
        cross join lateral (
            select count(*) as calls, max(c.due_at) filter (where not c.urgent) as through
            from chosen as c
            where c.provider_id = quota.provider_id
        ) as counts
        where t.provider_id = quota.provider_id
    )
    select
        leased.order_id, leased.token, p.name, p.version,
        reconcile.request_url(p.url, o.order_number, o.reference), null::jsonb, null::text, leased.awaited
    from leased
    join reconcile.providers as p on p.provider_id = leased.provider_id
    join reconcile.tracked_orders as o on o.order_id = leased.order_id;
end
$$;

comment on function reconcile.sidecar_claim(bigint, integer) is
    'Protocol: takes up to so many leases on checks that are due, a fair share for each provider, urgent ones first.';

create function reconcile.sidecar_provider(p_provider text, p_provider_version integer)
returns table (method text, headers jsonb, auth jsonb, timeout_ms integer)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    return query
    select 'GET'::text, v.settings -> 'headers', v.settings -> 'auth',
        (extract(epoch from (v.settings ->> 'timeout')::interval) * 1000)::integer
    from reconcile.provider_versions as v
    join reconcile.providers as p on p.provider_id = v.provider_id
    where p.name = p_provider and v.version = p_provider_version;
end
$$;

comment on function reconcile.sidecar_provider(text, integer) is
    'Protocol: what is the same for all requests of one version of a provider.';

-- Leases that end without a report: their orders go back to the queue.
create function reconcile._put_back(p_order_ids bigint[], p_tokens bigint[]) returns integer
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_provider_ids integer[];
begin
    with freed as (
        delete from reconcile.leases as l
        using unnest(p_order_ids, p_tokens) as given (order_id, token)
        where l.order_id = given.order_id and l.token = given.token
        returning l.order_id, l.provider_id, l.awaited
    ),
    queued as (
        insert into reconcile.due_checks (order_id, provider_id, due_at, urgent)
        select freed.order_id, freed.provider_id, clock_timestamp(), freed.awaited from freed
    )
    select array_agg(freed.provider_id) into v_provider_ids from freed;
    if v_provider_ids is not null then
        perform reconcile._note_ended_calls(v_provider_ids);
    end if;
    return coalesce(cardinality(v_provider_ids), 0);
end
$$;

comment on function reconcile._put_back(bigint[], bigint[]) is 'Ends leases without a report; answers how many.';

create function reconcile.sidecar_release(p_sidecar_id bigint, p_order_ids bigint[], p_tokens bigint[]) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    v_released integer := reconcile._put_back(p_order_ids, p_tokens);
begin
    if v_released > 0 then
        perform pg_notify('reconcile_due', '');
    end if;
    return v_released;
end
$$;

comment on function reconcile.sidecar_release(bigint, bigint[], bigint[]) is
    'Protocol: puts back what was claimed and will not be asked, and tells the other sidecars.';

create function reconcile._put_back_expired() returns integer
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
        where l.expires_at < clock_timestamp()
        order by l.expires_at
        limit 5000
        for update skip locked
    ) as expired;
    return case when v_order_ids is null then 0 else reconcile._put_back(v_order_ids, v_tokens) end;
end
$$;

comment on function reconcile._put_back_expired() is 'Puts back orders whose lease ran out, 5000 at most; answers how many.';
