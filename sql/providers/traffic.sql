-- What is going on between the sidecars and each provider, and what its limits allow: rate, burst, gap, concurrency, breaker.
--
-- Reports only note in ended_calls how calls ended, and lock nothing. Claims, one at a time for each provider, count that into
-- provider_traffic. A call counts against every limit from its claim on, since nobody knows when the provider sees it. All of it by the
-- steady clock: see clock.sql.
-- In PL/pgSQL, which keeps its plans for the session: a function in SQL is planned at every call, and these are called with every
-- claim (measured: 4.5 ms of a claim's fixed cost).
-- Requires: providers.

-- Whether a check without an answer says nothing of the provider. A 4xx is about the request, and so about its order; what is about
-- whoever asks (401, 403: the outcome is refused), about the moment (408, 429) or about the address (3xx) is not. What a rule or
-- http_outcomes says of a 4xx counts as it says: refused and throttled stop the provider, provider_error is what a 4xx is anyway. A rule
-- that says whose trouble a provider_error is has read the answer, which knows better than its HTTP status.
create function reconcile_internal._is_rejection(p_outcome text, p_fault text, p_http_status integer, p_about text) returns boolean
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$
begin
    return coalesce(p_fault = 'bad_request', false)
        or p_fault is null and p_outcome = 'provider_error'
            and coalesce(p_about = 'order', p_http_status between 400 and 499 and p_http_status not in (408, 429));
end
$$;

comment on function reconcile_internal._is_rejection(text, text, integer, text) is
    'Whether a check without an answer is its order''s own trouble: a 4xx, what a rule says is about the order, or a request that can''t be built. The breaker does not count it.';

-- The end of calls, however they ended: reported, released, expired, or called off by a person.
create function reconcile_internal._note_ended_calls(
    p_provider_ids integer[],
    p_ended_at timestamptz,
    p_outcomes text[] default '{}', p_details text[] default '{}', p_retry_after_ms bigint[] default '{}', p_words text[] default '{}',
    p_rejected boolean[] default '{}', p_counted boolean[] default '{}'
) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    insert into reconcile.ended_calls (
        provider_id, ended_at, calls, faults, answered, rejected, last_fault, last_fault_detail, last_rejection, retry_after_ms, unknown_status
    )
    select
        call.provider_id,
        p_ended_at,
        -- As far as they were counted in flight.
        count(*) filter (where call.is_counted),
        count(*) filter (where call.is_fault),
        coalesce(bool_or(call.is_answer), false),
        count(*) filter (where call.is_rejection),
        (array_agg(call.outcome) filter (where call.is_fault))[1],
        (array_agg(call.detail) filter (where call.is_fault))[1],
        (array_agg(call.detail) filter (where call.is_rejection))[1],
        -- What one order is told to wait for is no rest of the provider.
        max(call.retry_after_ms) filter (where call.is_fault),
        max(call.word) filter (where call.outcome = 'unknown_status')
    from (
        select
            given.provider_id, given.outcome, given.detail, given.retry_after_ms, given.word,
            coalesce(given.rejected, false) as is_rejection,
            coalesce(given.counted, true) as is_counted,
            not had.answer and not coalesce(given.rejected, false) as is_fault,
            had.answer as is_answer
        from unnest(p_provider_ids, p_outcomes, p_details, p_retry_after_ms, p_words, p_rejected, p_counted)
            as given (provider_id, outcome, detail, retry_after_ms, word, rejected, counted)
        cross join lateral (select given.outcome not in ('throttled', 'provider_error', 'unreachable', 'refused') as answer) as had
    ) as call
    group by call.provider_id;
end
$$;

comment on function reconcile_internal._note_ended_calls(integer[], timestamptz, text[], text[], bigint[], text[], boolean[], boolean[]) is
    'Notes that calls ended, one for each element, and what came of them, for the next claim to count.';

create function reconcile_internal._breaker_limit(p_breaker_after integer, p_last_fault text) returns integer
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$
begin
    -- A refusal is a fault of configuration: asking on does not mend it.
    return case when p_last_fault = 'refused' then least(3, p_breaker_after) else p_breaker_after end;
end
$$;

comment on function reconcile_internal._breaker_limit(integer, text) is 'Checks in a row without an answer before the breaker opens.';

-- Not from the beginning: an old snapshot keeps visible to a scan what was deleted long ago. What ends is committed with what follows from
-- it, which mostly takes no time; what took longer is counted by the next look that goes further back.
create function reconcile_internal._looks_back(p_traffic reconcile.provider_traffic, p_now timestamptz) returns timestamptz
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$
begin
    return least(p_traffic.folded_through, p_now)
        - case when p_traffic.swept_at between p_now - interval '5 seconds' and p_now then interval '2 seconds' else interval '1 minute' end;
end
$$;

comment on function reconcile_internal._looks_back(reconcile.provider_traffic, timestamptz) is
    'From which end of calls on ended calls of a provider are looked for: some seconds before what was counted last, and every 5 s a minute.';

-- Called with the rows of provider_traffic locked.
create function reconcile_internal._take_ended_calls(p_provider_ids integer[], p_until timestamptz)
returns table (
    provider_id integer, calls integer, faults integer, answered boolean, rejected integer, ended_at timestamptz, answered_at timestamptz,
    faulted_at timestamptz, rejected_at timestamptz, last_fault text, last_fault_detail text, last_rejection text, rests_until timestamptz,
    unknown_status text, unknown_status_at timestamptz
)
language plpgsql rows 10 set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    v_now constant timestamptz := reconcile_internal._steady_now();
begin
    return query
    with ended as (
        -- In subqueries that no plan can turn round: from where to look is known before the index is read.
        delete from reconcile.ended_calls as e
        using (
            select t.provider_id, reconcile_internal._looks_back(t, v_now) as since
            from reconcile.provider_traffic as t
            where t.provider_id = any (p_provider_ids)
            offset 0
        ) as look
        cross join lateral (
            select late.ctid from reconcile.ended_calls as late
            where late.provider_id = look.provider_id and late.ended_at > look.since and late.ended_at <= p_until
            offset 0
        ) as found
        where e.ctid = found.ctid
        returning e.*
    ),
    spent as (
        insert into reconcile.spent_calls (provider_id, ended_at, calls)
        select e.provider_id, e.ended_at, e.calls
        from ended as e
        join reconcile.providers as p on p.provider_id = e.provider_id
        where coalesce(p.rate_limit, p.burst) is not null and e.calls > 0
    ),
    forgotten as (
        delete from reconcile.spent_calls as s
        using reconcile.providers as p
        where s.provider_id = any (p_provider_ids) and p.provider_id = s.provider_id
          and s.ended_at < v_now - greatest(p.rate_interval, interval '1 second')
    )
    select
        e.provider_id, sum(e.calls)::integer, sum(e.faults)::integer, bool_or(e.answered), sum(e.rejected)::integer,
        max(e.ended_at), max(e.ended_at) filter (where e.answered), max(e.ended_at) filter (where e.faults > 0),
        max(e.ended_at) filter (where e.rejected > 0),
        (array_agg(e.last_fault order by e.ended_at desc) filter (where e.faults > 0))[1],
        (array_agg(e.last_fault_detail order by e.ended_at desc) filter (where e.faults > 0))[1],
        (array_agg(e.last_rejection order by e.ended_at desc) filter (where e.rejected > 0))[1],
        max(e.ended_at + reconcile_internal.granted_ms('rest', e.retry_after_ms) * interval '1 millisecond') filter (where e.retry_after_ms > 0),
        max(e.unknown_status), max(e.ended_at) filter (where e.unknown_status is not null)
    from ended as e
    group by e.provider_id;
end
$$;

comment on function reconcile_internal._take_ended_calls(integer[], timestamptz) is
    'Takes what has ended until a time, summed up for each provider, and keeps what counts as spent for its rate.';

create function reconcile_internal._fold_until(p_provider_ids integer[], p_until timestamptz) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_now constant timestamptz := reconcile_internal._steady_now();
begin
    update reconcile.provider_traffic as t
    set in_flight = t.in_flight - sums.calls,
        folded_through = greatest(t.folded_through, least(sums.ended_at, v_now)),
        last_ended_at = greatest(t.last_ended_at, sums.ended_at),
        last_answer_at = greatest(t.last_answer_at, sums.answered_at),
        last_fault = coalesce(sums.last_fault, t.last_fault),
        last_fault_detail = case when sums.faults > 0 then sums.last_fault_detail else t.last_fault_detail end,
        last_fault_at = coalesce(sums.faulted_at, t.last_fault_at),
        rejected = case when sums.answered then 0 else t.rejected + sums.rejected end,
        last_rejection = coalesce(sums.last_rejection, t.last_rejection),
        last_rejection_at = coalesce(sums.rejected_at, t.last_rejection_at),
        unknown_status = coalesce(sums.unknown_status, t.unknown_status),
        unknown_status_at = coalesce(sums.unknown_status_at, t.unknown_status_at),
        rests_until = greatest(t.rests_until, sums.rests_until),
        faults = case when sums.answered then 0 else t.faults + sums.faults end,
        probes = breaker.probes,
        probe_at = case
            when sums.faults = 0 or breaker.is_straggler then t.probe_at
            else v_now
                + reconcile_internal.backoff_ms('probe', breaker.probes, p.name) * interval '1 millisecond'
        end
    from reconcile_internal._take_ended_calls(p_provider_ids, p_until) as sums
    join reconcile.providers as p on p.provider_id = sums.provider_id
    join reconcile.provider_traffic as was on was.provider_id = sums.provider_id
    cross join lateral (
        select was.faults >= reconcile_internal._breaker_limit(p.breaker_after, was.last_fault) as was_open
    ) as before
    cross join lateral (
        -- Zero when it opens, one more with every probe that fails. What was in flight when it opened is no probe.
        select
            case
                when sums.answered then 0
                when before.was_open and sums.faults > 0 and was.probe_at <= v_now then was.probes + 1
                else was.probes
            end as probes,
            before.was_open and was.probe_at > v_now as is_straggler
    ) as breaker
    where t.provider_id = sums.provider_id;
end
$$;

comment on function reconcile_internal._fold_until(integer[], timestamptz) is
    'Counts calls that ended until a time into provider_traffic. A call of a provider with a rate counts as spent for rate_interval after its end.';

create function reconcile_internal._fold_ended_calls(p_provider_ids integer[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_mended reconcile.mended_providers;
begin
    -- What had ended by then is counted before it is forgotten, and what has ended since is not forgotten.
    for v_mended in
        with mended as (
            delete from reconcile.mended_providers as m where m.provider_id = any (p_provider_ids) returning m.*
        )
        select mended.provider_id, max(mended.mended_at) from mended group by mended.provider_id
    loop
        perform reconcile_internal._fold_until(array[v_mended.provider_id], v_mended.mended_at);
        update reconcile.provider_traffic as t
        set faults = 0, probes = 0, probe_at = null, rests_until = null, rejected = 0
        where t.provider_id = v_mended.provider_id;
    end loop;
    perform reconcile_internal._fold_until(p_provider_ids, 'infinity');
end
$$;

comment on function reconcile_internal._fold_ended_calls(integer[]) is
    'Counts ended calls into provider_traffic, and forgets what kept a provider from being asked until somebody mended it. Called with its row locked.';

-- Noted, and not written: only claims, heartbeats and runs hold rows of provider_traffic, which end at once.
create function reconcile_internal._ask_anew(p_provider_id integer) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    insert into reconcile.mended_providers (provider_id, mended_at) values (p_provider_id, reconcile_internal._steady_now());
end
$$;

comment on function reconcile_internal._ask_anew(integer) is
    'Has the next claim forget what keeps a provider from being asked: its rest, its faults and its open breaker.';

-- What a claim may do for each provider, in one place.
create function reconcile_internal._quotas(p_provider_ids integer[])
returns table (provider_id integer, looks_from timestamptz, allowed integer, waits_until timestamptz, unfolded boolean, probes boolean)
language plpgsql stable rows 10 set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    return query
    select
        p.provider_id,
        -- A date that was set back must not hide what is due.
        case when t.swept_at between now.at - interval '5 seconds' and now.at and t.claimed_through <= now.date
            then t.claimed_through else '-infinity' end,
        case
            when t.rests_until > now.at then 0
            when breaker.is_open then case when flight.calls = 0 and coalesce(t.probe_at, now.at) <= now.at then 1 else 0 end
            when p.gap is not null and (flight.calls > 0 or coalesce(flight.last_ended_at, t.last_ended_at) + p.gap > now.at) then 0
            else greatest(0, least(
                p.concurrency - flight.calls,
                p.rate_limit - flight.calls - spent.in_interval,
                p.burst - flight.calls - spent.in_second,
                case when p.gap is not null then 1 end
            ))
        end,
        greatest(
            t.rests_until,
            case when breaker.is_open then t.probe_at end,
            coalesce(flight.last_ended_at, t.last_ended_at) + p.gap,
            case when p.rate_limit <= flight.calls + spent.in_interval
                then least(flight.oldest, spent.oldest) + rate.interval end
        ) + (now.date - now.at),
        flight.unfolded or exists (select from reconcile.mended_providers as m where m.provider_id = p.provider_id),
        breaker.is_open
    from (select reconcile_internal._steady_now() as at, clock_timestamp() as date) as now
    cross join reconcile.providers as p
    join reconcile.provider_traffic as t on t.provider_id = p.provider_id
    -- In seconds: a day of the calendar can have 23 hours.
    cross join lateral (select extract(epoch from p.rate_interval) * interval '1 second' as interval) as rate
    cross join lateral (
        -- A call that has ended makes room when it is folded in, with what came of it: until then nobody has counted its fault,
        -- or has seen its Retry-After.
        select
            t.in_flight - coalesce(sum(e.calls) filter (where e.calls < 0), 0)::integer as calls,
            min(e.ended_at) filter (where e.ended_at > now.at - rate.interval) as oldest,
            max(e.ended_at) as last_ended_at,
            count(*) > 0 as unfolded
        from reconcile.ended_calls as e
        where e.provider_id = p.provider_id and e.ended_at > reconcile_internal._looks_back(t, now.at)
    ) as flight
    cross join lateral (
        select
            coalesce(sum(s.calls), 0)::integer as in_interval,
            coalesce(sum(s.calls) filter (where s.ended_at > now.at - interval '1 second'), 0)::integer as in_second,
            min(s.ended_at) as oldest
        from reconcile.spent_calls as s
        where s.provider_id = p.provider_id and s.ended_at > now.at - rate.interval and coalesce(p.rate_limit, p.burst) is not null
    ) as spent
    cross join lateral (
        select t.faults >= reconcile_internal._breaker_limit(p.breaker_after, t.last_fault) as is_open
    ) as breaker
    where p.paused_at is null and p.kind = 'http' and (p_provider_ids is null or p.provider_id = any (p_provider_ids));
end
$$;

comment on function reconcile_internal._quotas(integer[]) is
    'For each provider that is not paused: from which due time a claim looks, how many calls its limits allow now, until when, as a '
    'date, they allow none, whether calls have ended that are not counted yet or it is mended, and whether its breaker is open, so that the next call is a probe.';

-- A look ahead that costs some milliseconds and happens as often as probes do. Where all that is due has failed, the first of it is tried.
create function reconcile_internal._order_to_probe(p_provider_id integer, p_looks_from timestamptz, p_now timestamptz) returns bigint
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select due.order_id
        from (
            (
                select d.order_id, d.due_at, d.urgent from reconcile.due_checks as d
                where d.provider_id = p_provider_id and d.urgent order by d.due_at limit 1000
            )
            union all
            (
                select d.order_id, d.due_at, d.urgent from reconcile.due_checks as d
                where d.provider_id = p_provider_id and d.due_at between p_looks_from and p_now and not d.urgent order by d.due_at limit 1000
            )
        ) as due
        join reconcile.tracked_orders as o on o.order_id = due.order_id
        order by o.faults > 0, due.urgent desc, due.due_at
        limit 1
    );
end
$$;

comment on function reconcile_internal._order_to_probe(integer, timestamptz, timestamptz) is
    'Which order a probe of an open breaker asks about: of the first 1000 that are due one that has not failed, so that the trouble of one '
    'order is not taken for the provider''s.';
