-- Deliveries: the sidecar's part of the protocol that sends events, by the Standard Webhooks specification. To whom, when, and what
-- an answer means is decided here; a sidecar signs, posts and reports what it heard. At least once, in no certain order.
-- Locks: event_endpoints (a claim skips one that is held; a report waits for claims and reports, and for nobody else), then deliveries.
-- Requires: outcomes.

-- One that only fails gets one call at a time: it keeps neither slots nor anybody waiting, and is found again by the first success.
create function reconcile_internal._calls_allowed(p_endpoint reconcile.event_endpoints) returns integer
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    return case when p_endpoint.faults >= 5 then 1 else p_endpoint.concurrency end - (
        select count(*) from reconcile.deliveries as d where d.endpoint_id = p_endpoint.endpoint_id and d.token is not null
    );
end
$$;

comment on function reconcile_internal._calls_allowed(reconcile.event_endpoints) is
    'How many calls may be made to an endpoint beside those under way.';

create function reconcile.sidecar_claim_deliveries(p_sidecar_id bigint, p_free_slots integer)
returns table (
    delivery_id bigint, token bigint, endpoint text, url text, secret text, message_id text, body text, timeout_ms integer
)
language plpgsql security definer rows 20
set search_path = pg_catalog, pg_temp
-- By index, whatever the statistics say, and planned once a session. Not by bitmap: that meets the entries of rows that are gone
-- again and again, where an index scan marks them. Measured: 20,000 deliveries in 7 s, and in 26 s by bitmap.
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    v_now timestamptz := clock_timestamp();
    -- A lease lasts for the call itself, and for a slow database to take the report.
    v_reporting_time constant interval := '20 seconds';
    v_endpoint_ids integer[];
    v_numbered boolean;
begin
    if p_free_slots is null or p_free_slots not between 1 and 100000 then
        raise exception '% free slots can''t be filled', coalesce(p_free_slots::text, 'NULL')
            using errcode = 'RC005', hint = 'Claim for 1 to 100000 slots.';
    end if;

    v_numbered := exists (select from reconcile.event_endpoints) and exists (select from reconcile_internal._unnumbered())
        and reconcile_internal._number_what_waits();

    -- One claim at a time for an endpoint, so that its concurrency holds for all sidecars together; and none where there is
    -- nothing to do, so that looking writes nothing.
    select array_agg(locked.endpoint_id) into v_endpoint_ids
    from (
        select e.endpoint_id
        from reconcile.event_endpoints as e
        where e.paused_at is null and e.disabled_at is null and (e.rests_until is null or e.rests_until <= v_now)
          and (
              exists (
                  select from reconcile.event_positions as p where p.last_number > reconcile_internal._number_of(e.read_up_to)
              )
              or exists (
                  select from reconcile.deliveries as d
                  where d.endpoint_id = e.endpoint_id and d.token is null and d.parked_at is null and d.due_at <= v_now
              )
              or exists (
                  select from reconcile.deliveries as d
                  where d.endpoint_id = e.endpoint_id and d.token is not null and d.lease_expires_at <= v_now
              )
          )
        order by e.endpoint_id
        for update of e skip locked
    ) as locked;
    if v_endpoint_ids is null then
        return;
    end if;
    if exists (select from reconcile.noted_outcomes) then
        perform reconcile_internal._count_outcomes(v_endpoint_ids);
        v_endpoint_ids := array(
            select e.endpoint_id from reconcile.event_endpoints as e
            where e.endpoint_id = any (v_endpoint_ids) and e.disabled_at is null and coalesce(e.rests_until <= v_now, true)
        );
    end if;

    update reconcile.deliveries as d
    set token = null, sidecar_id = null, lease_expires_at = null
    where d.endpoint_id = any (v_endpoint_ids) and d.token is not null and d.lease_expires_at <= v_now;

    if reconcile_internal._fan_out(v_endpoint_ids, v_now) = 0 and not v_numbered then
        -- A lease that a crash loses leaves its delivery due. What was fixed to be sent must not be lost once it was, nor its position.
        perform set_config('synchronous_commit', 'off', true);
    end if;

    return query
    with due as materialized (
        select found.delivery_id, found.due_at, e.endpoint_id, e.concurrency - allowed.calls as in_flight
        from reconcile.event_endpoints as e
        cross join lateral (select reconcile_internal._calls_allowed(e)) as allowed (calls)
        cross join lateral (
            select d.delivery_id, d.due_at
            from reconcile.deliveries as d
            where d.endpoint_id = e.endpoint_id and d.token is null and d.parked_at is null and d.due_at <= v_now
            order by d.due_at
            limit greatest(0, least(allowed.calls, p_free_slots))
            for update skip locked
        ) as found
        where e.endpoint_id = any (v_endpoint_ids)
    ),
    chosen as materialized (
        select due.delivery_id
        from due
        -- The endpoint with the fewest calls under way goes first, however long the others' queues are.
        order by due.in_flight + row_number() over (partition by due.endpoint_id order by due.due_at), due.due_at
        limit p_free_slots
    ),
    leased as (
        update reconcile.deliveries as d
        set token = nextval('reconcile.lease_tokens'), sidecar_id = p_sidecar_id,
            lease_expires_at = v_now + e.timeout + v_reporting_time
        from chosen, reconcile.event_endpoints as e
        where d.delivery_id = chosen.delivery_id and e.endpoint_id = d.endpoint_id
        returning d.delivery_id, d.token, e.name, e.url, e.secret, d.message_id, d.payload,
            (extract(epoch from e.timeout) * 1000)::integer
    )
    select * from leased;
end
$$;

comment on function reconcile.sidecar_claim_deliveries(bigint, integer) is
    'Protocol: takes up to so many leases on deliveries that are due, a fair share for each endpoint.';

create function reconcile.sidecar_next_delivery() returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
    v_waits constant boolean := exists (select from reconcile.event_endpoints) and exists (select from reconcile_internal._unnumbered());
begin
    return (
        select case
            when count(*) > 0 then greatest(0, least(86400000, ceil(
                extract(epoch from min(greatest(next.at, e.rests_until)) - clock_timestamp()) * 1000
            )))::integer
        end
        from reconcile.event_endpoints as e
        cross join lateral (
            select least(
                -- A claim numbers what has no position.
                case
                    when v_waits or exists (
                        select from reconcile.event_positions as p where p.last_number > reconcile_internal._number_of(e.read_up_to)
                    ) then clock_timestamp()
                end,
                case
                    when reconcile_internal._calls_allowed(e) > 0 then (
                        select min(d.due_at) from reconcile.deliveries as d
                        where d.endpoint_id = e.endpoint_id and d.token is null and d.parked_at is null
                    )
                end,
                (
                    select min(d.lease_expires_at) from reconcile.deliveries as d
                    where d.endpoint_id = e.endpoint_id and d.token is not null
                )
            ) as at
        ) as next
        where e.paused_at is null and e.disabled_at is null and next.at is not null
    );
end
$$;

comment on function reconcile.sidecar_next_delivery() is
    'Protocol: in how many milliseconds a claim of deliveries may find something; NULL when nothing waits. Room that a report '
    'makes is noticed by the sidecar that reports.';

create function reconcile.sidecar_report_deliveries(
    p_sidecar_id bigint,
    p_delivery_ids bigint[], p_tokens bigint[], p_faults text[], p_http_statuses integer[], p_details text[],
    p_durations_ms integer[], p_retry_after_s integer[]
)
returns table (delivery_id bigint, verdict text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    v_now timestamptz := clock_timestamp();
    -- What an operator's open transaction holds is counted later: see outcomes.
    v_held integer[] := reconcile_internal._hold_endpoints(
        array(select distinct d.endpoint_id from reconcile.deliveries as d where d.delivery_id = any (p_delivery_ids)));
begin
    if exists (select from reconcile.noted_outcomes) then
        perform reconcile_internal._count_outcomes(v_held);
    end if;

    return query
    with held as materialized (
        select
            d.delivery_id, d.endpoint_id, d.message_id, d.attempts, e.max_attempts, given.http_status, given.place,
            given.fault is null and given.http_status between 200 and 299 as is_taken,
            given.fault is null and given.http_status = 410 as is_gone,
            case when given.retry_after_s > 0 then reconcile_internal.granted_ms('retry_after', given.retry_after_s * 1000::bigint) / 1000 end as retry_after_s,
            left(case
                when given.fault is not null then given.fault || coalesce(': ' || given.detail, '')
                when given.http_status between 300 and 399 then format('HTTP %s: redirects are not followed', given.http_status)
                else coalesce('HTTP ' || given.http_status, 'no answer')
            end, 500) as problem
        from (
            -- A lease ends once, however often a batch names it.
            select distinct on (every.delivery_id) every.*
            from unnest(p_delivery_ids, p_tokens, p_faults, p_http_statuses, p_details, p_durations_ms, p_retry_after_s)
                with ordinality as every (delivery_id, token, fault, http_status, detail, duration_ms, retry_after_s, place)
            order by every.delivery_id, every.place desc
        ) as given
        join reconcile.deliveries as d
            on d.delivery_id = given.delivery_id and d.token = given.token and d.sidecar_id = p_sidecar_id
        join reconcile.event_endpoints as e on e.endpoint_id = d.endpoint_id
        order by d.delivery_id
        -- One that a person is just having sent again is sent again.
        for update of d skip locked
    ),
    judged as materialized (
        select
            held.*,
            case
                when held.is_taken then 'delivered'
                when held.is_gone then 'disabled'
                when held.attempts + 1 >= held.max_attempts then 'parked'
                else 'retry'
            end as verdict
        from held
    ),
    done as (
        delete from reconcile.deliveries as d using judged as j where d.delivery_id = j.delivery_id and j.is_taken
    ),
    put_off as (
        update reconcile.deliveries as d
        set token = null, sidecar_id = null, lease_expires_at = null, attempts = j.attempts + 1,
            last_status = j.http_status, last_problem = j.problem, last_attempt_at = v_now,
            parked_at = case when j.verdict = 'parked' then v_now end,
            due_at = v_now + greatest(
                make_interval(secs => reconcile_internal.backoff_ms('delivery', j.attempts, j.message_id) / 1000.0),
                make_interval(secs => j.retry_after_s)
            )
        from judged as j
        where d.delivery_id = j.delivery_id and not j.is_taken
    ),
    sums as materialized (
        select
            j.endpoint_id, count(*) filter (where j.is_taken) as taken, count(*) filter (where not j.is_taken) as failed,
            (array_agg(j.problem order by j.place desc) filter (where not j.is_taken))[1] as problem,
            bool_or(j.is_gone) as is_gone, max(j.retry_after_s) filter (where not j.is_taken) as retry_after_s
        from judged as j
        group by j.endpoint_id
    ),
    counted as (
        update reconcile.event_endpoints as e
        set faults = case when s.taken > 0 then 0 else e.faults + s.failed end,
            delivered = e.delivered + s.taken,
            last_success_at = case when s.taken > 0 then v_now else e.last_success_at end,
            last_problem = coalesce(s.problem, e.last_problem),
            last_problem_at = case when s.failed > 0 then v_now else e.last_problem_at end,
            disabled_at = case when s.is_gone then coalesce(e.disabled_at, v_now) else e.disabled_at end,
            rests_until = case
                when s.retry_after_s is null then e.rests_until
                else greatest(e.rests_until, v_now + make_interval(secs => reconcile_internal.granted_ms('rest', s.retry_after_s * 1000::bigint) / 1000))
            end
        from sums as s
        where e.endpoint_id = s.endpoint_id and e.endpoint_id = any (v_held)
    ),
    noted as (
        insert into reconcile.noted_outcomes (endpoint_id, taken, failed, problem, is_gone, retry_after_s)
        select s.endpoint_id, s.taken, s.failed, s.problem, s.is_gone, s.retry_after_s
        from sums as s
        where s.endpoint_id <> all (v_held)
    )
    select distinct given.delivery_id, coalesce(j.verdict, 'stale')
    from unnest(p_delivery_ids) as given (delivery_id)
    left join judged as j on j.delivery_id = given.delivery_id;
end
$$;

comment on function reconcile.sidecar_report_deliveries(
    bigint, bigint[], bigint[], text[], integer[], text[], integer[], integer[]
) is
    'Protocol: takes what came of deliveries. Answers what follows: delivered, retry, parked, disabled (the endpoint answered 410), '
    'or stale (the lease is gone).';

create function reconcile.sidecar_release_deliveries(p_sidecar_id bigint, p_delivery_ids bigint[], p_tokens bigint[]) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    v_released integer;
begin
    update reconcile.deliveries as d
    set token = null, sidecar_id = null, lease_expires_at = null
    from unnest(p_delivery_ids, p_tokens) as given (delivery_id, token)
    where d.delivery_id = given.delivery_id and d.token = given.token and d.sidecar_id = p_sidecar_id;
    get diagnostics v_released = row_count;
    if v_released > 0 then
        perform reconcile_internal._tell_listeners();
    end if;
    return v_released;
end
$$;

comment on function reconcile.sidecar_release_deliveries(bigint, bigint[], bigint[]) is
    'Protocol: puts back deliveries that were claimed and not made, and tells the other sidecars.';
