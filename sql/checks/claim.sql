-- The claim: a sidecar with free slots takes leases on checks that are due.
--
-- Quota first, then rows: each provider gets a fair share of the free slots, within its limits, and people who wait go before
-- the schedule, all but every fourth time: who asks without end keeps nobody else from being asked about.
-- Locks: provider_traffic by provider_id, then places in the queue with SKIP LOCKED, so that a claim waits only for another claim.
-- Requires: test_calls.

create type reconcile_internal.claimed_share as (
    provider_id integer,
    order_ids bigint[],
    looked_from timestamptz,
    is_full boolean,
    awaited integer,
    through timestamptz
);

comment on type reconcile_internal.claimed_share is 'What a claim takes of one provider.';
comment on column reconcile_internal.claimed_share.provider_id is 'The provider.';
comment on column reconcile_internal.claimed_share.order_ids is 'The orders.';
comment on column reconcile_internal.claimed_share.looked_from is 'From which due time on they were looked for.';
comment on column reconcile_internal.claimed_share.is_full is 'Whether there was no less than the quota allows, or more than the claim has slots for: then more may be due.';
comment on column reconcile_internal.claimed_share.awaited is 'How many of them a person waits for.';
comment on column reconcile_internal.claimed_share.through is 'The latest due time of the others, but for a probe, which does not go by what was due first.';

-- The probe of an open breaker, those that a person waits for, and those that are due.
create function reconcile_internal._due_of(
    p_provider_id integer, p_calls integer, p_looks_from timestamptz, p_probes boolean, p_awaited_in_a_row integer, p_now timestamptz
) returns table (order_id bigint, due_at timestamptz, urgent boolean)
language plpgsql rows 50 set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    v_urgent integer := 0;
begin
    if p_calls <= 0 then
        return;
    end if;
    if p_probes then
        return query
        select due.order_id, due.due_at, due.urgent
        from reconcile.due_checks as due
        where due.order_id = reconcile_internal._order_to_probe(p_provider_id, p_looks_from, p_now)
        for update skip locked;
        return;
    end if;
    if exists (select from reconcile.due_checks as due where due.provider_id = p_provider_id and due.urgent) then
        return query
        select due.order_id, due.due_at, true
        from reconcile.due_checks as due
        where due.provider_id = p_provider_id and due.urgent
        order by due.due_at
        -- Every fourth call is for what only is due, if something is.
        limit p_calls - case when exists (
            select from reconcile.due_checks as other
            where other.provider_id = p_provider_id and other.due_at between p_looks_from and p_now and not other.urgent
        ) then (p_awaited_in_a_row + p_calls) / 4 else 0 end
        for update skip locked;
        get diagnostics v_urgent = row_count;
    end if;
    return query
    select due.order_id, due.due_at, false
    from reconcile.due_checks as due
    where due.provider_id = p_provider_id and due.due_at between p_looks_from and p_now and not due.urgent
    order by due.due_at
    limit p_calls - v_urgent
    for update skip locked;
end
$$;

comment on function reconcile_internal._due_of(integer, integer, timestamptz, boolean, integer, timestamptz) is
    'Checks of a provider that may be made now, so many at most, with their places in the queue locked.';

create function reconcile_internal._choose_due(p_provider_ids integer[], p_share integer, p_most integer, p_now timestamptz)
returns setof reconcile_internal.claimed_share
language plpgsql rows 10 set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    with quota as materialized (
        select q.provider_id, q.looks_from, q.probes, least(q.allowed, p_share) as calls, t.in_flight, t.awaited_in_a_row
        from reconcile_internal._quotas(p_provider_ids) as q
        join reconcile.provider_traffic as t on t.provider_id = q.provider_id
    ),
    found as materialized (
        select quota.provider_id, d.order_id, d.due_at, d.urgent
        from quota
        cross join lateral reconcile_internal._due_of(
            quota.provider_id, quota.calls, quota.looks_from, quota.probes, quota.awaited_in_a_row, p_now) as d
    ),
    chosen as materialized (
        select found.*
        from found
        join quota on quota.provider_id = found.provider_id
        -- With fewer slots than providers, the one with the fewest calls in flight goes first, however long the others' queues are.
        order by
            found.urgent and quota.awaited_in_a_row < 3 desc,
            quota.in_flight + row_number() over (partition by found.provider_id order by found.urgent desc, found.due_at),
            found.due_at
        limit p_most
    )
    select quota.provider_id, coalesce(taken.order_ids, '{}'), quota.looks_from,
        not quota.probes and (coalesce(counts.found, 0) >= quota.calls or coalesce(cardinality(taken.order_ids), 0) < counts.found),
        coalesce(taken.awaited, 0)::integer, case when not quota.probes then taken.through end
    from quota
    left join (
        select chosen.provider_id, array_agg(chosen.order_id) as order_ids, count(*) filter (where chosen.urgent) as awaited,
            max(chosen.due_at) filter (where not chosen.urgent) as through
        from chosen group by chosen.provider_id
    ) as taken on taken.provider_id = quota.provider_id
    left join (
        select found.provider_id, count(*) as found from found group by found.provider_id
    ) as counts on counts.provider_id = quota.provider_id;
end
$$;

comment on function reconcile_internal._choose_due(integer[], integer, integer, timestamptz) is
    'Which checks of which providers a claim takes: of each within its limits and so many at most, of all so many at most. Called with '
    'provider_traffic locked.';

create function reconcile_internal._count_claimed(p_shares reconcile_internal.claimed_share[], p_steady timestamptz, p_now timestamptz) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    update reconcile.provider_traffic as t
    set in_flight = t.in_flight + cardinality(share.order_ids),
        -- A look from the beginning that has filled its quota is not over: the next claim goes on from there, in the order in which
        -- they were due. So what was committed late waits for no later look.
        claimed_through = case
            when share.looked_from = '-infinity' and share.is_full then coalesce(share.through, t.claimed_through)
            else greatest(least(t.claimed_through, p_now), share.through)
        end,
        awaited_in_a_row = case when share.awaited = cardinality(share.order_ids) then least(3, t.awaited_in_a_row + share.awaited) else 0 end,
        swept_at = case when share.looked_from = '-infinity' then p_steady else t.swept_at end
    from unnest(p_shares) as share
    where t.provider_id = share.provider_id;
end
$$;

comment on function reconcile_internal._count_claimed(reconcile_internal.claimed_share[], timestamptz, timestamptz) is
    'Counts what a claim takes, and how far it has looked, into provider_traffic.';

-- Below 1 there is none.
create function reconcile_internal._refuse_sidecar(p_sidecar_id bigint) returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp
as $$
begin
    if p_sidecar_id is null or p_sidecar_id < 1 then
        raise exception '% is no sidecar''s id', coalesce(p_sidecar_id::text, 'NULL')
            using errcode = 'RC005', hint = 'reconcile.sidecar_start answers it.';
    end if;
end
$$;

comment on function reconcile_internal._refuse_sidecar(bigint) is 'Raises an error for an id that sidecar_start never answers.';

create function reconcile_internal._providers_to_claim(p_now timestamptz) returns integer[]
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    return array(
        select q.provider_id
        from reconcile_internal._quotas(null) as q
        where (q.allowed > 0 or q.unfolded) and (
            exists (select from reconcile.due_checks as d where d.provider_id = q.provider_id and d.urgent)
            or exists (
                select from reconcile.due_checks as d
                where d.provider_id = q.provider_id and d.due_at between q.looks_from and p_now
            )
        )
    );
end
$$;

comment on function reconcile_internal._providers_to_claim(timestamptz) is 'Providers of which something is due that their limits allow, or may allow once ended calls are counted.';

create function reconcile.sidecar_claim(p_sidecar_id bigint, p_free_slots integer)
returns table (
    order_id bigint, token bigint, provider text, provider_version integer,
    url text, headers jsonb, body text, problem text, awaited boolean, by_order_number boolean, test_id bigint
)
language plpgsql security definer rows 100
set search_path = pg_catalog, pg_temp
-- The plan must not depend on when statistics were last gathered: a queue is empty at one time and has millions at another.
set enable_seqscan = off
set jit = off
-- And it is made once a session: planning these statements costs as much as running them for fifty orders.
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    v_now timestamptz := clock_timestamp();
    v_steady timestamptz;
    v_tested integer[];
    v_tests integer := 0;
    v_active integer[];
    v_shares reconcile_internal.claimed_share[];
    v_order_ids bigint[];
begin
    if p_free_slots is null or p_free_slots not between 1 and 100000 then
        raise exception '% free slots can''t be filled', coalesce(p_free_slots::text, 'NULL')
            using errcode = 'RC005', hint = 'Claim for 1 to 100000 slots.';
    end if;
    perform reconcile_internal._refuse_sidecar(p_sidecar_id);
    v_tested := array(select distinct test.provider_id from reconcile.provider_tests as test where test.token is null);
    v_active := reconcile_internal._providers_to_claim(v_now);
    if v_active || v_tested = '{}' then
        return;
    end if;

    perform from reconcile.provider_traffic as t where t.provider_id = any (v_active || v_tested) order by t.provider_id for update;
    perform reconcile_internal._fold_ended_calls(v_active || v_tested);
    v_steady := reconcile_internal._steady_now();
    if v_tested <> '{}' then
        return query select null::bigint, test.* from reconcile_internal._claim_tests(p_sidecar_id, p_free_slots) as test;
        get diagnostics v_tests = row_count;
    end if;
    if v_active = '{}' or v_tests = p_free_slots then
        return;
    end if;
    -- A claim that a crash loses leaves its orders in the queue, so nobody waits for it to be flushed; but where calls are
    -- counted, a call that was made must not be forgotten.
    if v_tests = 0 and not exists (
        select from reconcile.providers as p
        where p.provider_id = any (v_active) and (coalesce(p.rate_limit, p.burst) is not null or p.gap is not null)
    ) then
        perform set_config('synchronous_commit', 'off', true);
    end if;

    v_shares := array(
        select share from reconcile_internal._choose_due(
            v_active, ceil((p_free_slots - v_tests)::numeric / cardinality(v_active))::integer, p_free_slots - v_tests, v_now) as share
    );
    perform reconcile_internal._count_claimed(v_shares, v_steady, v_now);
    v_order_ids := array(select unnest(share.order_ids) from unnest(v_shares) as share);
    return query select r.*, null::bigint from reconcile_internal._lease_requests(p_sidecar_id, v_order_ids) as r;
    -- A claim whose requests took long to build leaves its calls as much time as any.
    if reconcile_internal._steady_now() > v_steady + interval '500 ms' then
        perform reconcile_internal._prolong(v_order_ids, p_sidecar_id, reconcile_internal._steady_now() - v_steady);
    end if;
end
$$;

comment on function reconcile.sidecar_claim(bigint, integer) is
    'Protocol: takes up to so many leases on checks that are due, a fair share for each provider, urgent ones first; and questions of test_provider, '
    'which have a test_id and no order_id.';

create function reconcile_internal._lease_requests(p_sidecar_id bigint, p_order_ids bigint[])
returns table (
    order_id bigint, token bigint, provider text, provider_version integer,
    url text, headers jsonb, body text, problem text, awaited boolean, by_order_number boolean
)
language plpgsql rows 100 set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    return query
    select
        leased.order_id, leased.token, p.name, p.version, request.url, request.headers, request.body, request.problem, leased.awaited,
        leased.by_order_number
    from reconcile_internal._lease(p_order_ids, 'sidecar', p_sidecar_id) as leased
    join reconcile.providers as p on p.provider_id = leased.provider_id
    cross join lateral (
        select tracked.order_number, tracked.own_number, tracked.reference, tracked.details
        from reconcile.tracked_orders as tracked
        where tracked.order_id = leased.order_id
        offset 0
    ) as o
    cross join lateral (
        select p.url, p.headers, p.body, p.variables where not leased.by_order_number
        union all
        select t.url, t.headers, t.body, t.variables from reconcile_internal._second_way(p) as t where leased.by_order_number
    ) as way
    cross join lateral reconcile_internal._request(
        way.url, way.headers, way.body, way.variables, o.order_number, o.own_number, o.reference, o.details) as request;
end
$$;

comment on function reconcile_internal._lease_requests(bigint, bigint[]) is 'Gives leases on checks to a sidecar, with what it is to send.';

create function reconcile.sidecar_release(p_sidecar_id bigint, p_order_ids bigint[], p_tokens bigint[]) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    v_released integer;
begin
    perform reconcile_internal._refuse_sidecar(p_sidecar_id);
    v_released := reconcile_internal._put_back(p_order_ids, p_tokens, p_sidecar_id);
    if v_released > 0 then
        perform pg_notify('reconcile_due', '');
    end if;
    return v_released;
end
$$;

comment on function reconcile.sidecar_release(bigint, bigint[], bigint[]) is
    'Protocol: puts back what was claimed and will not be asked, and tells the other sidecars.';
