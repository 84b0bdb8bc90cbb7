-- Settling: a batch of answers is read, judged and applied, wherever they come from.
--
-- An order moves once: the lease's token and its sidecar fence the report, the order's row is locked, and the transition is written
-- with it. A row that is locked by somebody else is left for later; a batch that fails is taken apart, so that one bad
-- row costs itself a retry and nobody else anything.
-- Locks: leases and tracked_orders with SKIP LOCKED, and nothing that another report or claim would wait for.
-- Requires: judging.

create function reconcile_internal._write_down(p_sidecar_id bigint, p_judged reconcile_internal.judged_answer[]) returns bigint[]
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_transition_ids bigint[];
begin
    with judged as materialized (
        select j.*, (j.standing).order_id, (j.standing).provider_id, (j.standing).state,
            -- An event that moves nothing writes nothing: whose id it has can't be told.
            j.is_call or j.to_state <> (j.standing).state as writes
        from unnest(p_judged) as j
    ),
    moved as (
        update reconcile.tracked_orders as o
        set state = j.to_state, settled_by = j.settled_as, attempt = j.next_attempt, tries = j.next_tries, faults = j.next_faults,
            reference = case when j.by_order_number then coalesce(o.reference, (j.answer).reference) else o.reference end,
            reference_found = o.reference_found or j.by_order_number and o.reference is null and (j.answer).reference is not null,
            -- Only what an answer about this order says: not an error's body, and not another order's.
            transaction_id = case when j.writes then coalesce((j.answer).transaction_id, o.transaction_id) else o.transaction_id end,
            captured = case when j.writes and (j.answer).captured <> '{}' then o.captured || (j.answer).captured else o.captured end,
            refunded_amount = case
                when j.writes then coalesce((j.answer).refunded_amount, o.refunded_amount)
                -- A refund in part moves nothing, and is news all the same.
                when (j.answer).outcome = 'succeeded' then greatest(o.refunded_amount, nullif((j.answer).refunded_amount, 0))
                else o.refunded_amount
            end,
            provider_status = case when j.writes then coalesce((j.answer).word, o.provider_status) else o.provider_status end, last_outcome = (j.answer).outcome, last_checked_at = j.answered_at,
            state_changed_at = case when j.to_state <> j.state then j.answered_at else o.state_changed_at end
        from judged as j
        -- Where it was locked: found by key, as there.
        cross join lateral (select held.ctid from reconcile.tracked_orders as held where held.order_id = j.order_id offset 0) as held
        where o.ctid = held.ctid
    ),
    kept as (
        insert into reconcile.recorded_checks (
            order_id, check_id, answered_at, claimed_at, duration_ms, provider_id, provider_version, sidecar_id, token,
            fault, http_status, detail, response, provider_status, outcome, retry_after_ms,
            from_state, from_settled_by, from_attempt, from_tries, from_faults, to_state, reason, problem, next_check_at, by_order_number
        )
        select
            j.order_id, j.check_id, j.answered_at, j.claimed_at, j.duration_ms, j.provider_id, j.provider_version, p_sidecar_id, j.token,
            left(j.fault, 40), j.http_status, left(j.detail, 1000),
            case when (j.answer).shown is not null and j.answer_bytes > 65536 then to_jsonb(format('[%s bytes, read and not kept]', j.answer_bytes))
                else (j.answer).shown end,
            (j.answer).word, (j.answer).outcome, j.retry_after_ms,
            j.state, (j.standing).settled_by, (j.standing).attempt, (j.standing).tries, (j.standing).faults, j.to_state, j.reason,
            left(j.problem, 1000), j.next_check_at, j.by_order_number
        from judged as j
    ),
    told as (
        insert into reconcile.transitions (order_id, changed_at, from_state, to_state, cause, check_id, reason)
        select j.order_id, j.answered_at, j.state, j.to_state, j.settled_as, j.check_id, j.reason
        from judged as j
        where j.to_state <> j.state
        returning transition_id
    ),
    freed as (
        delete from reconcile.leases as l where l.order_id = any (array(select j.order_id from judged as j))
    ),
    queued as (
        insert into reconcile.due_checks (order_id, provider_id, due_at)
        select j.order_id, j.provider_id, j.next_check_at
        from judged as j
        where j.next_check_at is not null
        order by j.next_check_at
        on conflict (order_id) do update set due_at = least(due_checks.due_at, excluded.due_at)
    )
    select array_agg(told.transition_id) into v_transition_ids from told;
    return v_transition_ids;
end
$$;

comment on function reconcile_internal._write_down(bigint, reconcile_internal.judged_answer[]) is
    'Moves the orders of judged answers, ends their leases, queues their next checks and writes the audit; answers the transitions.';

create function reconcile_internal._apply_report(
    p_sidecar_id bigint,
    p_order_ids bigint[], p_tokens bigint[], p_faults text[], p_http_statuses integer[], p_bodies text[],
    p_details text[], p_durations_ms integer[], p_retry_after_s integer[],
    p_ends_here boolean, p_problem text default null, p_postponed_ms bigint default null
) returns bigint[]
language plpgsql
set search_path = pg_catalog, pg_temp
-- As for the claim: by index, whatever the statistics say.
set enable_seqscan = off
set jit = off
-- And plans are made once a session: planning these statements costs as much as running them for fifty orders.
set plan_cache_mode = force_generic_plan
as $$
declare
    v_judged reconcile_internal.judged_answer[] := array(
        select j from reconcile_internal._judge(
            p_sidecar_id, p_order_ids, p_tokens, p_faults, p_http_statuses, p_bodies, p_details, p_durations_ms, p_retry_after_s,
            p_problem, p_postponed_ms) as j
    );
    v_applied bigint[] := array(select (j.standing).order_id from unnest(v_judged) as j);
    v_transition_ids bigint[];
begin
    if v_judged = '{}' then
        return null;
    end if;
    v_transition_ids := reconcile_internal._write_down(p_sidecar_id, v_judged);
    perform reconcile_internal._note_ended_calls(
        array_agg((j.standing).provider_id), reconcile_internal._steady_now(), array_agg((j.answer).outcome), array_agg(left(coalesce(j.detail, j.reason), 500)),
        array_agg(j.retry_after_ms), array_agg((j.answer).word),
        array_agg(reconcile_internal._is_rejection((j.answer).outcome, j.fault, j.http_status, (j.answer).about)))
    from unnest(v_judged) as j
    where j.is_call
    having count(*) > 0;
    -- A preview, by the id -1, has no effects.
    if p_sidecar_id >= 0 then
        perform reconcile_internal._note_second_payments(v_judged);
    end if;
    if v_transition_ids is not null and p_sidecar_id >= 0 then
        if p_problem is null then
            delete from reconcile.recorded_failures as f where f.order_id = any (v_applied);
        end if;
        perform reconcile_internal._carry_out(v_transition_ids);
        -- Not from a transaction of the application.
        if p_ends_here then
            perform reconcile_internal._tell_listeners();
        end if;
    end if;
    return v_applied;
end
$$;

comment on function reconcile_internal._apply_report(
    bigint, bigint[], bigint[], text[], integer[], text[], text[], integer[], integer[], boolean, text, bigint
) is
    'Reads, judges and applies a batch; answers the orders that were applied. Stale and locked ones are left out. With a problem, the '
    'answers are kept and nothing follows from them: asked again after so many ms, or, without a time, for a person to review.';

-- An answer that could not be applied: its order is asked about again, and the audit says why.
create function reconcile_internal._postpone(p_sidecar_id bigint, p_order_id bigint, p_token bigint, p_problem text) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_order reconcile.tracked_orders;
    v_lease reconcile.leases;
    v_next_check_at timestamptz;
begin
    select l.* into v_lease
    from reconcile.leases as l
    join reconcile.tracked_orders as o on o.order_id = l.order_id
    where l.order_id = p_order_id and l.token = p_token and l.sidecar_id = p_sidecar_id
    for update of l, o skip locked;
    if not found then
        return false;
    end if;
    -- Not one more update of the order, which may be what failed: the audit and the queue are enough.
    select o.* into v_order from reconcile.tracked_orders as o where o.order_id = p_order_id;
    v_next_check_at := clock_timestamp() + make_interval(secs =>
        reconcile.schedule_delay_ms('then 30s growing by 2 up to 10m', v_order.attempt, v_order.order_number) / 1000.0);
    insert into reconcile.recorded_checks (
        order_id, check_id, claimed_at, provider_id, provider_version, sidecar_id, token, detail, outcome,
        from_state, from_settled_by, from_attempt, from_tries, from_faults, to_state, reason, problem, next_check_at, by_order_number
    )
    values (
        v_order.order_id, nextval('reconcile.check_ids'), v_lease.claimed_at, v_lease.provider_id, v_lease.provider_version,
        p_sidecar_id, p_token, left(p_problem, 1000), 'provider_error', v_order.state, v_order.settled_by, v_order.attempt,
        v_order.tries, v_order.faults, v_order.state, 'the answer could not be applied, so nothing changed', left(p_problem, 1000), v_next_check_at, v_lease.by_order_number
    );
    delete from reconcile.leases as l where l.order_id = p_order_id;
    insert into reconcile.due_checks (order_id, provider_id, due_at) values (p_order_id, v_order.provider_id, v_next_check_at)
    on conflict (order_id) do update set due_at = least(due_checks.due_at, excluded.due_at);
    perform reconcile_internal._note_ended_calls(array[v_order.provider_id], reconcile_internal._steady_now());
    return true;
end
$$;

comment on function reconcile_internal._postpone(bigint, bigint, bigint, text) is
    'Has an order asked about again whose answer could not be applied; false when the order is locked or the lease gone.';

-- One order whose answer could not be applied, or whose effects failed.
create function reconcile_internal._put_off(
    p_sidecar_id bigint, p_order_id bigint, p_token bigint, p_fault text, p_http_status integer, p_body text, p_detail text,
    p_duration_ms integer, p_retry_after_s integer, p_ends_here boolean, p_sqlstate text, p_problem text, p_effect text,
    p_waits boolean
) returns bigint[]
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_failed reconcile.recorded_failures;
    v_order_number text;
    v_outcome text;
    v_applied bigint[];
    v_context text;
begin
    select o.order_number into v_order_number
    from reconcile.tracked_orders as o
    join reconcile.leases as l on l.order_id = o.order_id and l.token = p_token and l.sidecar_id = p_sidecar_id
    where o.order_id = p_order_id
    for update of o, l skip locked;
    if not found then
        return '{}';
    end if;
    insert into reconcile.recorded_failures as f (order_id, failures, waits, effect, sqlstate, problem)
    values (p_order_id, 1 - p_waits::integer, p_waits::integer, p_effect, p_sqlstate, left(p_problem, 1000))
    on conflict (order_id) do update
    set failures = f.failures + excluded.failures, waits = f.waits + excluded.waits, effect = excluded.effect, sqlstate = excluded.sqlstate,
        problem = excluded.problem, failed_at = excluded.failed_at
    returning f.* into v_failed;
    begin
        v_applied := reconcile_internal._apply_report(
            p_sidecar_id, array[p_order_id], array[p_token], array[p_fault], array[p_http_status], array[p_body], array[p_detail],
            array[p_duration_ms], array[p_retry_after_s], p_ends_here, format('%s: %s', p_sqlstate, p_problem),
            case
                when p_waits then reconcile.schedule_delay_ms('then 2s growing by 2 up to 1m', v_failed.waits - 1, v_order_number)
                when v_failed.failures < (select s.effect_tries from reconcile.settings as s)
                    then reconcile.schedule_delay_ms('then 5s growing by 2 up to 10m', v_failed.failures - 1, v_order_number)
            end
        );
        if p_sqlstate = 'RC013' and p_waits then
            v_outcome := (
                select c.outcome from reconcile.recorded_checks as c where c.order_id = p_order_id order by c.check_id desc limit 1
            );
            if reconcile_internal._yield_to_application(p_order_id, v_outcome) then
                delete from reconcile.recorded_failures as f where f.order_id = p_order_id;
            end if;
        end if;
    exception
        when others or assert_failure or query_canceled then
            get stacked diagnostics v_context = pg_exception_context;
            if reconcile_internal._is_own_trouble(sqlstate, v_context) then
                raise;
            end if;
            raise warning 'the answer about order % could not be applied: % (%)', v_order_number, p_problem, p_sqlstate;
            v_applied := case when reconcile_internal._postpone(p_sidecar_id, p_order_id, p_token, format('%s: %s', p_sqlstate, p_problem))
                then array[p_order_id] end;
    end;
    return coalesce(v_applied, '{}');
end
$$;

comment on function reconcile_internal._put_off(bigint, bigint, bigint, text, integer, text, text, integer, integer, boolean, text, text, text, boolean) is
    'Records that an answer could not be carried out, and when its order is asked about again; answers the order, if its lease was there.';

-- A batch as one, or in halves until what can't be applied stands alone: it costs itself a retry and the others nothing.
create function reconcile_internal._settle(
    p_sidecar_id bigint,
    p_order_ids bigint[], p_tokens bigint[], p_faults text[], p_http_statuses integer[], p_bodies text[],
    p_details text[], p_durations_ms integer[], p_retry_after_s integer[], p_ends_here boolean
) returns bigint[]
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_applied bigint[];
    v_count integer := coalesce(cardinality(p_order_ids), 0);
    v_half integer := v_count / 2;
    v_context text;
    v_mark text;
    v_waits text;
begin
    begin
        v_applied := reconcile_internal._apply_report(
            p_sidecar_id, p_order_ids, p_tokens, p_faults, p_http_statuses, p_bodies, p_details, p_durations_ms, p_retry_after_s,
            p_ends_here
        );
        return coalesce(v_applied, '{}');
    exception
        when others or assert_failure or query_canceled then
            get stacked diagnostics v_context = pg_exception_context, v_mark = schema_name, v_waits = table_name;
            -- A sidecar whose report takes too long hands it in again by halves. An order whose effects take so long by themselves is put
            -- off like one whose effects fail.
            if reconcile_internal._is_own_trouble(sqlstate, v_context) and (sqlstate <> '57014' or p_sidecar_id = 0 or v_count > 1) then
                raise;
            end if;
            if v_count <= 1 then
                return reconcile_internal._put_off(
                    p_sidecar_id, p_order_ids[1], p_tokens[1], p_faults[1], p_http_statuses[1], p_bodies[1], p_details[1],
                    p_durations_ms[1], p_retry_after_s[1], p_ends_here, sqlstate,
                    reconcile_internal._problem_of(sqlerrm, 4000, p_order_ids), reconcile_internal._effect_of(v_mark, v_context),
                    reconcile_internal._is_waiting(sqlstate, v_context, v_mark, v_waits)
                );
            end if;
    end;
    return reconcile_internal._settle(
        p_sidecar_id, p_order_ids[:v_half], p_tokens[:v_half], p_faults[:v_half], p_http_statuses[:v_half], p_bodies[:v_half],
        p_details[:v_half], p_durations_ms[:v_half], p_retry_after_s[:v_half], p_ends_here
    ) || reconcile_internal._settle(
        p_sidecar_id, p_order_ids[v_half + 1:], p_tokens[v_half + 1:], p_faults[v_half + 1:], p_http_statuses[v_half + 1:],
        p_bodies[v_half + 1:], p_details[v_half + 1:], p_durations_ms[v_half + 1:], p_retry_after_s[v_half + 1:], p_ends_here
    );
end
$$;

comment on function reconcile_internal._settle(
    bigint, bigint[], bigint[], text[], integer[], text[], text[], integer[], integer[], boolean
) is
    'Applies a batch of answers, all but those that can''t be; answers the orders that were applied or put off. Constraints that are '
    'deferred are looked at where the transaction ends with it.';
