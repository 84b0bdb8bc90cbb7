-- The report: a batch of answers is read, judged and applied, in one statement.
--
-- An order moves once: the lease's token and its sidecar fence the report, the order's row is locked, and the transition is written
-- with it. A row that is locked by somebody else is left for later; a batch that fails is taken apart, so that one bad
-- row costs itself a retry and nobody else anything.
-- Locks: leases and tracked_orders with SKIP LOCKED, and nothing that another report or claim would wait for.
-- Requires: claim.

create function reconcile._parsed(p_body text) returns jsonb
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$
begin
    return p_body::jsonb;
exception
    -- Not JSON, or JSON that jsonb refuses: \u0000, a number out of range, nesting beyond the stack.
    when others then
        return null;
end
$$;

comment on function reconcile._parsed(text) is 'An answer as jsonb; NULL when it can''t be read.';

create function reconcile._apply_report(
    p_sidecar_id bigint,
    p_order_ids bigint[], p_tokens bigint[], p_faults text[], p_http_statuses integer[], p_bodies text[],
    p_details text[], p_durations_ms integer[], p_retry_after_s integer[]
) returns bigint[]
language plpgsql
set search_path = pg_catalog, pg_temp
-- As for the claim: by index, whatever the statistics say.
set enable_seqscan = off
set jit = off
as $$
declare
    v_applied bigint[];
    v_provider_ids integer[];
    v_outcomes text[];
    v_details text[];
begin
    with held as materialized (
        select
            l.order_id, l.token, l.claimed_at, o.order_number, o.created_at, o.state, o.settled_by, o.attempt, o.tries, o.faults,
            o.reference, o.amount, o.currency, o.provider_id, p.version,
            given.fault, given.http_status, given.body, given.detail, given.duration_ms, given.retry_after_s * 1000::bigint as retry_after_ms
        from (
            -- A lease ends once, however often a batch names it.
            select distinct on (every.order_id, every.token) every.*
            from unnest(p_order_ids, p_tokens, p_faults, p_http_statuses, p_bodies, p_details, p_durations_ms, p_retry_after_s)
                as every (order_id, token, fault, http_status, body, detail, duration_ms, retry_after_s)
        ) as given
        join reconcile.leases as l
            on l.order_id = given.order_id and l.token = given.token and l.sidecar_id = p_sidecar_id
        join reconcile.tracked_orders as o on o.order_id = l.order_id
        join reconcile.providers as p on p.provider_id = o.provider_id
        order by l.order_id
        for update of l, o skip locked
    ),
    policy as materialized (
        select
            p.*,
            (extract(epoch from p.deadline) * 1000)::bigint as deadline_ms,
            (extract(epoch from p.not_found_grace) * 1000)::bigint as not_found_grace_ms
        from reconcile.providers as p
    ),
    answered as (
        select held.*, reconcile.wire_outcome(held.fault, held.http_status) as wire, reconcile._parsed(held.body) as answer
        from held
        offset 0
    ),
    said as (
        select
            a.*,
            jsonb_path_query_first(a.answer, p.status_path, '{}', true) as status,
            jsonb_path_query_first(a.answer, p.transaction_id_path, '{}', true) #>> '{}' as transaction_id,
            jsonb_path_query_first(a.answer, p.amount_path, '{}', true) #>> '{}' as said_amount,
            jsonb_path_query_first(a.answer, p.currency_path, '{}', true) #>> '{}' as said_currency,
            jsonb_path_query_first(a.answer, p.reference_path, '{}', true) #>> '{}' as said_reference
        from answered as a
        join policy as p on p.provider_id = a.provider_id
        offset 0
    ),
    meant as (
        select
            s.*,
            case when jsonb_typeof(s.status) in ('string', 'number', 'boolean') then left(s.status #>> '{}', 200) end as word,
            p.status_map ->> (s.status #>> '{}') as mapped,
            reconcile.disagreement(
                p.status_map ->> (s.status #>> '{}'), s.amount::text, s.currency, s.reference,
                s.said_amount, s.said_currency, s.said_reference, p.amount_unit
            ) as disagreement
        from said as s
        join policy as p on p.provider_id = s.provider_id
        offset 0
    ),
    read as (
        select
            m.*,
            case
                when m.wire is not null then m.wire
                when m.word is null then 'provider_error'
                when m.mapped is null then 'unknown_status'
                when m.disagreement is not null then 'mismatch'
                else m.mapped
            end as outcome,
            case
                when m.wire is not null then m.detail
                when m.body is null or m.body = '' then 'the answer is empty'
                when m.answer is null then format('the answer is not JSON that can be kept (%s characters)', length(m.body))
                when m.status is null then format('the answer has nothing at %s', (select p.status_path from policy as p where p.provider_id = m.provider_id))
                when m.word is null then format('the status is %s and not a word', jsonb_typeof(m.status))
                when m.mapped is null then format('the status map does not have %L', m.word)
                else m.disagreement
            end as remark
        from meant as m
        offset 0
    ),
    judged as materialized (
        select
            r.*, d.*, nextval('reconcile.check_ids') as check_id,
            clock_timestamp() as answered_at,
            clock_timestamp() + make_interval(secs => d.next_delay_ms / 1000.0) as next_check_at
        from read as r
        join policy as p on p.provider_id = r.provider_id
        cross join lateral reconcile.decide(
            r.state, r.settled_by, r.attempt, r.tries, r.faults,
            (extract(epoch from r.claimed_at - r.created_at) * 1000)::bigint, r.order_number, r.outcome, r.retry_after_ms,
            p.schedule, p.max_tries, p.deadline_ms, p.not_found_grace_ms, p.not_found_as, p.gives_up_as, p.late_success, p.late_watch
        ) as d
    ),
    moved as (
        update reconcile.tracked_orders as o
        set state = j.to_state, settled_by = j.settled_as, attempt = j.next_attempt, tries = j.next_tries, faults = j.next_faults,
            transaction_id = coalesce(left(j.transaction_id, 500), o.transaction_id),
            provider_status = coalesce(j.word, o.provider_status), last_outcome = j.outcome, last_checked_at = j.answered_at,
            state_changed_at = case when j.to_state <> j.state then j.answered_at else o.state_changed_at end
        from judged as j
        where o.order_id = j.order_id
    ),
    kept as (
        insert into reconcile.recorded_checks (
            order_id, check_id, answered_at, claimed_at, duration_ms, provider_id, provider_version, sidecar_id, token,
            fault, http_status, detail, response, provider_status, outcome, retry_after_ms,
            from_state, from_settled_by, from_attempt, from_tries, from_faults, to_state, reason, next_check_at
        )
        select
            j.order_id, j.check_id, j.answered_at, j.claimed_at, j.duration_ms, j.provider_id, j.version, p_sidecar_id, j.token,
            j.fault, j.http_status, left(j.remark, 1000),
            case
                when octet_length(j.body) > 65536 and j.answer is not null
                    then to_jsonb(format('[%s bytes, read and not kept]', octet_length(j.body)))
                when j.answer is not null then coalesce(reconcile.redact(j.body, p.sensitive)::jsonb, j.answer)
            end,
            j.word, j.outcome, j.retry_after_ms,
            j.state, j.settled_by, j.attempt, j.tries, j.faults, j.to_state, j.reason, j.next_check_at
        from judged as j
        join policy as p on p.provider_id = j.provider_id
    ),
    told as (
        insert into reconcile.transitions (order_id, changed_at, from_state, to_state, cause, check_id, reason)
        select j.order_id, j.answered_at, j.state, j.to_state, j.settled_as, j.check_id, j.reason
        from judged as j
        where j.to_state <> j.state
    ),
    freed as (
        delete from reconcile.leases as l using judged as j where l.order_id = j.order_id
    ),
    queued as (
        insert into reconcile.due_checks (order_id, provider_id, due_at)
        select j.order_id, j.provider_id, j.next_check_at
        from judged as j
        where j.next_check_at is not null
        order by j.next_check_at
    )
    select array_agg(j.order_id), array_agg(j.provider_id), array_agg(j.outcome), array_agg(left(coalesce(j.remark, j.reason), 500))
    into v_applied, v_provider_ids, v_outcomes, v_details
    from judged as j;
    if v_applied is not null then
        perform reconcile._note_ended_calls(v_provider_ids, v_outcomes, v_details);
    end if;
    return v_applied;
end
$$;

comment on function reconcile._apply_report(
    bigint, bigint[], bigint[], text[], integer[], text[], text[], integer[], integer[]
) is
    'Reads, judges and applies a batch; answers the orders that were applied. Stale and locked ones are left out.';

-- An answer that could not be applied: its order is asked about again, and the audit says why.
create function reconcile._postpone(p_sidecar_id bigint, p_order_id bigint, p_token bigint, p_problem text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_order reconcile.tracked_orders;
    v_lease reconcile.leases;
    v_next_check_at timestamptz;
begin
    select l.* into v_lease
    from reconcile.tracked_orders as o
    join reconcile.leases as l on l.order_id = o.order_id
    where o.order_id = p_order_id and l.token = p_token
    for update of o, l skip locked;
    if not found then
        return;
    end if;
    update reconcile.tracked_orders as o
    set faults = o.faults + 1, last_outcome = 'provider_error', last_checked_at = clock_timestamp()
    where o.order_id = p_order_id
    returning o.* into v_order;
    v_next_check_at := clock_timestamp() + make_interval(secs =>
        reconcile.schedule_delay_ms('then 5s growing by 2 up to 10m', v_order.faults - 1, v_order.order_number) / 1000.0);
    insert into reconcile.recorded_checks (
        order_id, check_id, claimed_at, provider_id, provider_version, sidecar_id, token, detail, outcome,
        from_state, from_settled_by, from_attempt, from_tries, from_faults, to_state, reason, next_check_at
    )
    select
        v_order.order_id, nextval('reconcile.check_ids'), v_lease.claimed_at, p.provider_id, p.version, p_sidecar_id, p_token,
        left(p_problem, 1000), 'provider_error', v_order.state, v_order.settled_by, v_order.attempt, v_order.tries,
        v_order.faults - 1, v_order.state, 'the answer could not be applied, so nothing changed', v_next_check_at
    from reconcile.providers as p
    where p.provider_id = v_order.provider_id;
    delete from reconcile.leases as l where l.order_id = p_order_id;
    insert into reconcile.due_checks (order_id, provider_id, due_at) values (p_order_id, v_order.provider_id, v_next_check_at);
    perform reconcile._note_ended_calls(array[v_order.provider_id]);
end
$$;

comment on function reconcile._postpone(bigint, bigint, bigint, text) is 'Has an order asked about again whose answer could not be applied.';

create function reconcile.sidecar_report(
    p_sidecar_id bigint,
    p_order_ids bigint[], p_tokens bigint[], p_faults text[], p_http_statuses integer[], p_bodies text[],
    p_details text[], p_durations_ms integer[], p_retry_after_s integer[]
)
returns table (order_id bigint, verdict text)
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    v_applied bigint[] := '{}';
    v_stale bigint := 0;
begin
    begin
        v_applied := reconcile._apply_report(
            p_sidecar_id, p_order_ids, p_tokens, p_faults, p_http_statuses, p_bodies, p_details, p_durations_ms, p_retry_after_s
        );
    exception when others then
        -- Off the hot path: one of the batch can't be applied, so each is tried by itself.
        for place in 1 .. coalesce(cardinality(p_order_ids), 0) loop
            begin
                v_applied := v_applied || reconcile._apply_report(
                    p_sidecar_id, p_order_ids[place:place], p_tokens[place:place], p_faults[place:place], p_http_statuses[place:place],
                    p_bodies[place:place], p_details[place:place], p_durations_ms[place:place], p_retry_after_s[place:place]
                );
            exception when others then
                raise warning 'the answer about order % could not be applied: % (%)', p_order_ids[place], sqlerrm, sqlstate;
                perform reconcile._postpone(p_sidecar_id, p_order_ids[place], p_tokens[place], format('%s: %s', sqlstate, sqlerrm));
                v_applied := v_applied || p_order_ids[place];
            end;
        end loop;
    end;
    v_applied := coalesce(v_applied, '{}');
    if cardinality(v_applied) < cardinality(p_order_ids) then
        return query
        select given.order_id, case when l.order_id is null then 'stale' else 'busy' end
        from unnest(p_order_ids, p_tokens) as given (order_id, token)
        left join reconcile.leases as l on l.order_id = given.order_id and l.token = given.token
        where given.order_id <> all (v_applied);
        v_stale := (
            select count(*)
            from unnest(p_order_ids, p_tokens) as given (order_id, token)
            where given.order_id <> all (v_applied)
              and not exists (select from reconcile.leases as l where l.order_id = given.order_id and l.token = given.token)
        );
    end if;
    update reconcile.registered_sidecars as s
    set reported = s.reported + cardinality(v_applied), stale_reports = s.stale_reports + v_stale
    where s.sidecar_id = p_sidecar_id;
end
$$;

comment on function reconcile.sidecar_report(
    bigint, bigint[], bigint[], text[], integer[], text[], text[], integer[], integer[]
) is
    'Protocol: takes a batch of answers. Answers those that were not applied: stale (the lease is gone) or busy (report again).';
