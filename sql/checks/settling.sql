-- Settling: a batch of answers is read, judged and applied, wherever they come from.
--
-- An order moves once: the lease's token and its sidecar fence the report, the order's row is locked, and the transition is written
-- with it. A row that is locked by somebody else is left for later; a batch that fails is taken apart, so that one bad
-- row costs itself a retry and nobody else anything.
-- Locks: leases and tracked_orders with SKIP LOCKED, and nothing that another report or claim would wait for.
-- Requires: judging.

-- What an answer says of its order, and where that goes, in one update of its row: apart they would cost two.
create function reconcile_internal._move_by_answers(p_judged reconcile_internal.judged_answer[]) returns bigint[]
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_transition_ids bigint[];
begin
    with judged as materialized (
        select j.*, (j.standing).order_id, (j.standing).state,
            -- An event that moves nothing writes nothing: whose id it has can't be told.
            j.source <> 'webhook' or j.to_state <> (j.standing).state as writes
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
            provider_status = case when j.writes then coalesce((j.answer).word, o.provider_status) else o.provider_status end,
            last_outcome = (j.answer).outcome, last_checked_at = j.answered_at,
            state_changed_at = case when j.to_state <> j.state then j.answered_at else o.state_changed_at end
        from judged as j
        -- Where it was locked: found by key, as there.
        cross join lateral (select held.ctid from reconcile.tracked_orders as held where held.order_id = j.order_id offset 0) as held
        where o.ctid = held.ctid
    ),
    told as (
        insert into reconcile.transitions (order_id, changed_at, from_state, to_state, cause, check_id, reason)
        select j.order_id, j.answered_at, j.state, j.to_state, j.settled_as, j.check_id, j.reason
        from judged as j
        where j.to_state <> j.state
        returning transition_id
    )
    select array_agg(told.transition_id) into v_transition_ids from told;
    return v_transition_ids;
end
$$;

comment on function reconcile_internal._move_by_answers(reconcile_internal.judged_answer[]) is
    'Writes to orders what answers say of them, and moves them; answers the transitions, NULL when there are none.';

create function reconcile_internal._record_checks(p_judged reconcile_internal.judged_answer[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    insert into reconcile.recorded_checks (
        order_id, check_id, answered_at, claimed_at, duration_ms, provider_id, provider_version, source, sidecar_id, token,
        fault, http_status, detail, response, provider_status, outcome, retry_after_ms,
        from_state, from_settled_by, from_attempt, from_tries, from_faults, to_state, reason, problem, next_check_at, by_order_number
    )
    select
        (j.standing).order_id, j.check_id, j.answered_at, j.claimed_at, j.duration_ms, (j.standing).provider_id, j.provider_version, j.source,
        j.sidecar_id, j.token, left(j.fault, 40), j.http_status, left(j.detail, 1000),
        case when (j.answer).shown is not null and j.answer_bytes > 65536 then to_jsonb(format('[%s bytes, read and not kept]', j.answer_bytes))
            else (j.answer).shown end,
        (j.answer).word, (j.answer).outcome, j.retry_after_ms,
        (j.standing).state, (j.standing).settled_by, (j.standing).attempt, (j.standing).tries, (j.standing).faults, j.to_state, j.reason,
        left(j.problem, 1000), j.next_check_at, j.by_order_number
    from unnest(p_judged) as j;
end
$$;

comment on function reconcile_internal._record_checks(reconcile_internal.judged_answer[]) is 'Writes judged answers into the audit.';

-- A call to a provider was counted when it was claimed; a lookup was not, and a webhook is no call.
create function reconcile_internal._note_answers(p_judged reconcile_internal.judged_answer[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    perform reconcile_internal._note_ended_calls(
        array_agg((j.standing).provider_id), reconcile_internal._steady_now(), array_agg((j.answer).outcome),
        array_agg(left(coalesce(j.detail, j.reason), 500)), array_agg(j.retry_after_ms), array_agg((j.answer).word),
        array_agg(reconcile_internal._is_rejection((j.answer).outcome, j.fault, j.http_status, (j.answer).about)),
        array_agg(j.source = 'sidecar'))
    from unnest(p_judged) as j
    where j.source <> 'webhook'
    having count(*) > 0;
end
$$;

comment on function reconcile_internal._note_answers(reconcile_internal.judged_answer[]) is
    'Notes what came of calls, for the next claim to count.';

create function reconcile_internal._apply(p_judged reconcile_internal.judged_answer[]) returns bigint[]
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_order_ids bigint[];
    v_due_at timestamptz[];
    v_transition_ids bigint[];
begin
    select array_agg((j.standing).order_id), array_agg(j.next_check_at) into v_order_ids, v_due_at from unnest(p_judged) as j;
    v_transition_ids := reconcile_internal._move_by_answers(p_judged);
    perform reconcile_internal._record_checks(p_judged);
    perform reconcile_internal._end_leases(v_order_ids);
    perform reconcile_internal._enqueue(v_order_ids, v_due_at);
    perform reconcile_internal._note_answers(p_judged);
    perform reconcile_internal._note_second_payments(p_judged);
    return v_transition_ids;
end
$$;

comment on function reconcile_internal._apply(reconcile_internal.judged_answer[]) is
    'Moves the orders of judged answers, writes the audit, ends their leases and queues their next checks; answers the transitions.';

create function reconcile_internal._settle_batch(p_sidecar_id bigint, p_answers reconcile_internal.given_answer[]) returns bigint[]
language plpgsql
set search_path = pg_catalog, pg_temp
-- As for the claim: by index, whatever the statistics say.
set enable_seqscan = off
set jit = off
-- And plans are made once a session: planning these statements costs as much as running them for fifty orders.
set plan_cache_mode = force_generic_plan
as $$
declare
    v_judged reconcile_internal.judged_answer[] := array(select j from reconcile_internal._judge(p_sidecar_id, p_answers) as j);
    v_applied bigint[] := array(select (j.standing).order_id from unnest(v_judged) as j);
    v_transition_ids bigint[];
begin
    if v_judged = '{}' then
        return '{}';
    end if;
    v_transition_ids := reconcile_internal._apply(v_judged);
    if v_transition_ids is not null then
        delete from reconcile.recorded_failures as f where f.order_id = any (v_applied);
        perform reconcile_internal._carry_out(v_transition_ids);
    end if;
    return v_applied;
end
$$;

comment on function reconcile_internal._settle_batch(bigint, reconcile_internal.given_answer[]) is
    'Reads, judges and applies a batch, with what follows from it; answers the orders that were applied. Stale and locked ones are left out.';

-- A batch as one, or in halves until what can't be applied stands alone: it costs itself a retry and the others nothing.
create function reconcile_internal._settle(p_sidecar_id bigint, p_answers reconcile_internal.given_answer[]) returns bigint[]
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_count constant integer := coalesce(cardinality(p_answers), 0);
    v_half constant integer := v_count / 2;
    v_context text;
    v_mark text;
    v_waits text;
begin
    begin
        return reconcile_internal._settle_batch(p_sidecar_id, p_answers);
    exception
        when others or assert_failure or query_canceled then
            get stacked diagnostics v_context = pg_exception_context, v_mark = schema_name, v_waits = table_name;
            -- A sidecar whose report takes too long hands it in again by halves. An order whose effects take so long by themselves is asked
            -- about again like one whose effects fail.
            if reconcile_internal._is_own_trouble(sqlstate, v_context) and (sqlstate <> '57014' or p_sidecar_id is null or v_count > 1) then
                raise;
            end if;
            if v_count <= 1 then
                return reconcile_internal._settle_without_effect(
                    p_sidecar_id, p_answers[1], sqlstate,
                    reconcile_internal._problem_of(sqlerrm, 4000, array[p_answers[1].order_id]), reconcile_internal._effect_of(v_mark, v_context),
                    reconcile_internal._is_waiting(sqlstate, v_context, v_mark, v_waits)
                );
            end if;
    end;
    return reconcile_internal._settle(p_sidecar_id, p_answers[:v_half]) || reconcile_internal._settle(p_sidecar_id, p_answers[v_half + 1:]);
end
$$;

comment on function reconcile_internal._settle(bigint, reconcile_internal.given_answer[]) is
    'Applies a batch of answers, of a sidecar or of the ledger itself, all but those that can''t be; answers the orders that were applied, '
    'or whose answers are kept.';
