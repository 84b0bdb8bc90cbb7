-- The claim: a sidecar with free slots takes leases on checks that are due.
--
-- Quota first, then rows: each provider gets a fair share of the free slots, within its limits, and people who wait go before
-- the schedule, all but every fourth time: who asks without end keeps nobody else from being asked about. A queue row becomes a lease in
-- one statement.
-- Locks: provider_traffic by provider_id, then queue rows with SKIP LOCKED, so that a claim waits only for another claim.
-- Requires: traffic.

create function reconcile_internal._has_own_headers(p_headers jsonb) returns boolean
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$
    select p_headers::text like '{%{%}%}'
$$;

comment on function reconcile_internal._has_own_headers(jsonb) is 'Whether headers have templates, so that each order has its own.';

create function reconcile_internal._request(
    p_url text, p_headers jsonb, p_body jsonb, p_variables jsonb, p_order_number text, p_own_number text, p_reference text, p_details jsonb,
    out url text, out headers jsonb, out body text, out problem text
)
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$
declare
    v_values jsonb := reconcile_internal._template_values(p_url, p_headers, p_body, p_variables, p_own_number, p_details);
    v_own_headers boolean := reconcile_internal._has_own_headers(p_headers);
begin
    url := reconcile_internal.request_url(p_url, p_order_number, p_reference, v_values);
    -- What is the same for all orders goes with the provider, not with each of them.
    if v_own_headers then
        headers := reconcile_internal.request_headers(p_headers, p_order_number, p_reference, v_values);
    end if;
    if p_body is not null then
        body := reconcile_internal.request_body(p_body, p_order_number, p_reference, v_values);
    end if;
    -- What can't be built is not sent: the check is a fault that says why.
    if url is null or p_body is not null and body is null or v_own_headers and headers is null then
        problem := coalesce(
            reconcile_internal.request_problem(p_url, p_headers, p_body, p_order_number, p_reference, v_values), 'its request can''t be built');
    end if;
end
$$;

comment on function reconcile_internal._request(text, jsonb, jsonb, jsonb, text, text, text, jsonb) is
    'What asks about an order: the URL, headers and body of its own, and why it can''t be asked.';

-- Questions of test_provider: a person waits, and the call is counted but never held back.
create function reconcile_internal._claim_tests(p_sidecar_id bigint, p_most integer)
returns table (
    order_id bigint, token bigint, provider text, provider_version integer,
    url text, headers jsonb, body text, problem text, awaited boolean, by_order_number boolean
)
language sql rows 1 set search_path = pg_catalog, pg_temp
as $$
    with found as materialized (
        select test.test_id
        from reconcile.provider_tests as test
        where test.token is null
        order by test.test_id
        limit p_most
        for update skip locked
    ),
    taken as (
        update reconcile.provider_tests as test
        set token = nextval('reconcile.lease_tokens'), sidecar_id = p_sidecar_id, claimed_at = clock_timestamp()
        from found
        where test.test_id = found.test_id
        returning test.*
    ),
    -- Negative, so that it began before any lock of provider_traffic was needed: a call that is noted before it ends.
    counted as (
        insert into reconcile.ended_calls (provider_id, calls, faults, answered)
        select taken.provider_id, -count(*), 0, false from taken group by taken.provider_id
    )
    select
        -taken.test_id, taken.token, p.name, taken.provider_version, request.url, request.headers, request.body, request.problem, true,
        reconcile_internal._asked_without(taken.reference, p.without_reference)
    from taken
    join reconcile.providers as p on p.provider_id = taken.provider_id
    cross join lateral (
        select p.url, p.headers, p.body, p.variables where not reconcile_internal._asked_without(taken.reference, p.without_reference)
        union all
        select t.url, t.headers, t.body, t.variables from reconcile_internal._second_way(p) as t
        where reconcile_internal._asked_without(taken.reference, p.without_reference)
    ) as way
    cross join lateral reconcile_internal._request(
        way.url, way.headers, way.body, way.variables, taken.order_number, null, taken.reference, '{}') as request
$$;

comment on function reconcile_internal._claim_tests(bigint, integer) is 'Takes questions of test_provider; their order_id is the test''s id, negative.';

create function reconcile_internal._reporting_time() returns interval
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$
    select interval '20 seconds';
$$;

comment on function reconcile_internal._reporting_time() is
    'A lease lasts for its provider''s time-out and for so long: for the way to the call, and for a slow database to take the report.';

-- Below 1 are the ledger's own: 0 is a lookup in the database, and -1 a preview, which has no effects.
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

create function reconcile.sidecar_claim(p_sidecar_id bigint, p_free_slots integer)
returns table (
    order_id bigint, token bigint, provider text, provider_version integer,
    url text, headers jsonb, body text, problem text, awaited boolean, by_order_number boolean
)
language plpgsql security definer rows 100
set search_path = pg_catalog, pg_temp
-- The plan must not depend on when statistics were last gathered: a queue is empty at one time and has millions at another.
set enable_seqscan = off
set jit = off
-- And it is made once a session: planning this statement costs as much as running it for fifty orders.
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    v_now timestamptz := clock_timestamp();
    v_steady timestamptz;
    v_free integer := p_free_slots;
    v_tests integer := 0;
    v_active integer[];
    v_share integer;
begin
    if p_free_slots is null or p_free_slots not between 1 and 100000 then
        raise exception '% free slots can''t be filled', coalesce(p_free_slots::text, 'NULL')
            using errcode = 'RC005', hint = 'Claim for 1 to 100000 slots.';
    end if;
    perform reconcile_internal._refuse_sidecar(p_sidecar_id);

    if exists (select from reconcile.provider_tests as test where test.token is null) then
        return query select test.* from reconcile_internal._claim_tests(p_sidecar_id, v_free) as test;
        get diagnostics v_tests = row_count;
        v_free := v_free - v_tests;
    end if;

    select array_agg(q.provider_id) into v_active
    from reconcile_internal._quotas(null) as q
    where (q.allowed > 0 or q.unfolded) and (
        exists (select from reconcile.due_checks as d where d.provider_id = q.provider_id and d.urgent)
        or exists (
            select from reconcile.due_checks as d
            where d.provider_id = q.provider_id and d.due_at between q.looks_from and v_now
        )
    );
    if v_active is null or v_free = 0 then
        return;
    end if;
    v_share := ceil(v_free::numeric / cardinality(v_active));

    perform from reconcile.provider_traffic as t where t.provider_id = any (v_active) order by t.provider_id for update;
    perform reconcile_internal._fold_ended_calls(v_active);
    v_steady := reconcile_internal._steady_now();

    -- A claim that a crash loses leaves its orders in the queue, so nobody waits for it to be flushed; but where calls are
    -- counted, a call that was made must not be forgotten.
    if v_tests = 0 and not exists (
        select from reconcile.providers as p
        where p.provider_id = any (v_active) and (coalesce(p.rate_limit, p.burst) is not null or p.gap is not null)
    ) then
        perform set_config('synchronous_commit', 'off', true);
    end if;

    -- A new statement, so the quotas are read as the lock found them.
    return query
    with quota as materialized (
        select q.provider_id, q.looks_from, q.probes, least(q.allowed, v_share) as calls, t.in_flight, t.awaited_in_a_row
        from reconcile_internal._quotas(v_active) as q
        join reconcile.provider_traffic as t on t.provider_id = q.provider_id
    ),
    probe as materialized (
        select d.order_id, d.due_at, quota.provider_id, d.urgent
        from quota
        cross join lateral (
            select due.order_id, due.due_at, due.urgent
            from reconcile.due_checks as due
            where due.order_id = reconcile_internal._order_to_probe(quota.provider_id, quota.looks_from, v_now)
            for update skip locked
        ) as d
        where quota.probes and quota.calls > 0
    ),
    urgent as materialized (
        select d.order_id, d.due_at, quota.provider_id
        from quota
        cross join lateral (
            select due.order_id, due.due_at
            from reconcile.due_checks as due
            where due.provider_id = quota.provider_id and due.urgent
            order by due.due_at
            -- Every fourth call is for what only is due, if something is.
            limit quota.calls - case when exists (
                select from reconcile.due_checks as other
                where other.provider_id = quota.provider_id and other.due_at between quota.looks_from and v_now and not other.urgent
            ) then (quota.awaited_in_a_row + quota.calls) / 4 else 0 end
            for update skip locked
        ) as d
        where not quota.probes
    ),
    scheduled as materialized (
        select d.order_id, d.due_at, quota.provider_id
        from quota
        cross join lateral (
            select due.order_id, due.due_at
            from reconcile.due_checks as due
            where due.provider_id = quota.provider_id
              and due.due_at between quota.looks_from and v_now
              and not due.urgent
            order by due.due_at
            limit quota.calls - (select count(*) from urgent where urgent.provider_id = quota.provider_id)
            for update skip locked
        ) as d
        where not quota.probes
    ),
    chosen as materialized (
        select found.order_id
        from (
            select u.order_id, u.due_at, u.provider_id, true as urgent from urgent as u
            union all
            select s.order_id, s.due_at, s.provider_id, false from scheduled as s
            union all
            select b.order_id, b.due_at, b.provider_id, b.urgent from probe as b
        ) as found
        join quota on quota.provider_id = found.provider_id
        -- With fewer slots than providers, the one with the fewest calls in flight goes first, however long the others' queues are.
        order by
            found.urgent and quota.awaited_in_a_row < 3 desc,
            quota.in_flight + row_number() over (partition by found.provider_id order by found.urgent desc, found.due_at),
            found.due_at
        limit v_free
    ),
    taken as (
        -- By key: a row that was updated since the statement began is locked in its new place.
        delete from reconcile.due_checks as d
        where d.order_id = any (array(select chosen.order_id from chosen))
        returning d.order_id, d.provider_id, d.due_at, d.urgent
    ),
    leased as (
        insert into reconcile.leases as l (
            order_id, provider_id, provider_version, sidecar_id, claimed_at, expires_at, awaited, by_order_number
        )
        select taken.order_id, taken.provider_id, p.version, p_sidecar_id, v_now,
            v_steady + p.timeout + reconcile_internal._reporting_time(), taken.urgent,
            p.without_reference <> '{}' and exists (
                select from reconcile.tracked_orders as o where o.order_id = taken.order_id and o.reference is null)
        from taken
        join reconcile.providers as p on p.provider_id = taken.provider_id
        -- There should be none that is leased already; if there is, it must not stop the others.
        on conflict (order_id) do nothing
        returning l.order_id, l.token, l.provider_id, l.awaited, l.by_order_number
    ),
    counted as (
        update reconcile.provider_traffic as t
        set in_flight = t.in_flight + counts.calls,
            -- A look from the beginning that has filled its quota is not over: the next claim goes on from there, in the order in which
            -- they were due. So what was committed late waits for no later look.
            claimed_through = case
                when quota.looks_from = '-infinity' and (counts.found >= quota.calls or counts.calls < counts.found)
                    then coalesce(counts.through, t.claimed_through)
                else greatest(least(t.claimed_through, v_now), counts.through)
            end,
            awaited_in_a_row = case when counts.awaited = counts.calls then least(3, t.awaited_in_a_row + counts.awaited) else 0 end,
            swept_at = case when quota.looks_from = '-infinity' then v_steady else t.swept_at end
        from quota
        cross join lateral (
            select count(*) as calls, count(*) filter (where taken.urgent) as awaited,
                (select count(*) from urgent as u where u.provider_id = quota.provider_id)
                    + (select count(*) from scheduled as s where s.provider_id = quota.provider_id) as found,
                -- A probe does not go by what was due first.
                max(taken.due_at) filter (where not taken.urgent and not quota.probes) as through
            from taken
            where taken.provider_id = quota.provider_id
        ) as counts
        where t.provider_id = quota.provider_id
    )
    select
        leased.order_id, leased.token, p.name, p.version, request.url, request.headers, request.body, request.problem, leased.awaited,
        leased.by_order_number
    from leased
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
    -- A claim that waited for another, or whose requests took long to build, leaves its calls as much time as any.
    if reconcile_internal._steady_now() > v_steady + interval '500 ms' then
        update reconcile.leases as l set expires_at = l.expires_at + (reconcile_internal._steady_now() - v_steady)
        where l.sidecar_id = p_sidecar_id and l.claimed_at = v_now;
    end if;
end
$$;

comment on function reconcile.sidecar_claim(bigint, integer) is
    'Protocol: takes up to so many leases on checks that are due, a fair share for each provider, urgent ones first.';

create function reconcile.sidecar_provider(p_provider text, p_provider_version integer, p_by_order_number boolean default false)
returns table (method text, headers jsonb, auth jsonb, timeout_ms integer, own_headers boolean, own_body boolean, lease_ms integer)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    v_asked reconcile.providers;
begin
    select (jsonb_populate_record(null::reconcile.providers, v.settings)).* into v_asked
    from reconcile.provider_versions as v
    join reconcile.providers as p on p.provider_id = v.provider_id
    where p.name = p_provider and v.version = p_provider_version;
    if not found then
        return;
    elsif p_by_order_number then
        v_asked := reconcile_internal._second_way(v_asked);
    end if;
    return query
    select v_asked.method, v_asked.headers, v_asked.auth, (extract(epoch from v_asked.timeout) * 1000)::integer,
        reconcile_internal._has_own_headers(v_asked.headers), v_asked.body is not null,
        (extract(epoch from v_asked.timeout + reconcile_internal._reporting_time()) * 1000)::integer;
end
$$;

comment on function reconcile.sidecar_provider(text, integer, boolean) is
    'Protocol: what is the same for all requests of one version of a provider, by its first way or by the order''s number, whether each '
    'order has headers or a body of its own, and for how long a lease lasts.';

-- Leases that end without a report: their orders go back to the queue.
create function reconcile_internal._put_back(p_order_ids bigint[], p_tokens bigint[], p_sidecar_id bigint default null) returns integer
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_provider_ids integer[];
begin
    -- The order first, as everywhere: one that a person decides about right now is left to its lease.
    with held as materialized (
        select l.order_id, l.token
        from (
            select distinct every.order_id, every.token from unnest(p_order_ids, p_tokens) as every (order_id, token) order by every.order_id
        ) as given
        cross join lateral (
            select from reconcile.tracked_orders as tracked where tracked.order_id = given.order_id for update skip locked
        ) as o
        cross join lateral (
            select lease.order_id, lease.token
            from reconcile.leases as lease
            where lease.order_id = given.order_id and lease.token = given.token and (p_sidecar_id is null or lease.sidecar_id = p_sidecar_id)
            for update skip locked
        ) as l
    ),
    freed as (
        delete from reconcile.leases as l
        where l.order_id = any (array(select held.order_id from held))
        returning l.order_id, l.provider_id, l.awaited
    ),
    queued as (
        insert into reconcile.due_checks (order_id, provider_id, due_at, urgent)
        select freed.order_id, freed.provider_id, clock_timestamp(), freed.awaited from freed
        on conflict (order_id) do update
        set urgent = due_checks.urgent or excluded.urgent, due_at = least(due_checks.due_at, excluded.due_at)
    )
    select array_agg(freed.provider_id) into v_provider_ids from freed;
    if v_provider_ids is not null then
        perform reconcile_internal._note_ended_calls(v_provider_ids, reconcile_internal._steady_now());
    end if;
    return coalesce(cardinality(v_provider_ids), 0);
end
$$;

comment on function reconcile_internal._put_back(bigint[], bigint[], bigint) is
    'Ends leases without a report, those of one sidecar or of any; answers how many.';

-- Below 1 are the ledger's own leases, and no sidecar's.
create function reconcile_internal._put_back_of(p_sidecar_id bigint) returns integer
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_order_ids bigint[];
    v_tokens bigint[];
    v_put_back integer := 0;
begin
    select array_agg(l.order_id), array_agg(l.token) into v_order_ids, v_tokens
    from reconcile.leases as l
    where l.sidecar_id = p_sidecar_id and p_sidecar_id > 0;
    if v_order_ids is not null then
        v_put_back := reconcile_internal._put_back(v_order_ids, v_tokens, p_sidecar_id);
        perform pg_notify('reconcile_due', '');
    end if;
    return v_put_back;
end
$$;

comment on function reconcile_internal._put_back_of(bigint) is
    'Puts back all that a sidecar holds, and tells the others; answers how many orders. What it may still report is stale.';

create function reconcile.sidecar_release(p_sidecar_id bigint, p_order_ids bigint[], p_tokens bigint[]) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    v_released integer;
begin
    perform reconcile_internal._refuse_sidecar(p_sidecar_id);
    v_released := reconcile_internal._put_back(p_order_ids, p_tokens, p_sidecar_id);
    -- Nobody else can ask a test's question again in time: its caller hears that there was no answer.
    delete from reconcile.provider_tests as test
    using unnest(p_order_ids, p_tokens) as given (order_id, token)
    where test.test_id = -given.order_id and test.token = given.token and test.sidecar_id = p_sidecar_id;
    if v_released > 0 then
        perform pg_notify('reconcile_due', '');
    end if;
    return v_released;
end
$$;

comment on function reconcile.sidecar_release(bigint, bigint[], bigint[]) is
    'Protocol: puts back what was claimed and will not be asked, and tells the other sidecars.';

create function reconcile_internal._put_back_expired() returns integer
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
        where l.expires_at < (select reconcile_internal._steady_now())
        order by l.expires_at
        limit 5000
        for update skip locked
    ) as expired;
    return case when v_order_ids is null then 0 else reconcile_internal._put_back(v_order_ids, v_tokens) end;
end
$$;

comment on function reconcile_internal._put_back_expired() is 'Puts back orders whose lease ran out, 5000 at most; answers how many.';
