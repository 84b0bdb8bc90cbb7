-- What can't be settled: an answer whose effects failed, or that could not be applied at all. It is kept, and its order asked about again;
-- one whose effects failed too often goes to review.
-- Locks: as settling.
-- Requires: settling.

create function reconcile_internal._count_failure(p_order_id bigint, p_sqlstate text, p_problem text, p_effect text, p_waits boolean)
returns reconcile.recorded_failures
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_failed reconcile.recorded_failures;
begin
    insert into reconcile.recorded_failures as f (order_id, failures, waits, effect, sqlstate, problem)
    values (p_order_id, 1 - p_waits::integer, p_waits::integer, p_effect, p_sqlstate, left(p_problem, 1000))
    on conflict (order_id) do update
    set failures = f.failures + excluded.failures, waits = f.waits + excluded.waits, effect = excluded.effect, sqlstate = excluded.sqlstate,
        problem = excluded.problem, failed_at = excluded.failed_at
    returning f.* into v_failed;
    return v_failed;
end
$$;

comment on function reconcile_internal._count_failure(bigint, text, text, text, boolean) is
    'Counts that what follows from an order''s answer failed, or waits for a row that somebody else has locked; answers what is known of it.';

-- NULL for the last time.
create function reconcile_internal._delay_after(p_failed reconcile.recorded_failures, p_order_number text, p_waits boolean) returns bigint
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    return case
        when p_waits then reconcile_internal.backoff_ms('effect_waits', p_failed.waits - 1, p_order_number)
        when p_failed.failures < (select s.effect_tries from reconcile.settings as s)
            then reconcile_internal.backoff_ms('effect_fails', p_failed.failures - 1, p_order_number)
    end;
end
$$;

comment on function reconcile_internal._delay_after(reconcile.recorded_failures, text, boolean) is
    'In how many ms what follows from an order''s answer is tried again; NULL when it was tried often enough.';

create function reconcile_internal._keep_answer(
    p_sidecar_id bigint, p_answer reconcile_internal.given_answer, p_problem text, p_delay_ms bigint
) returns bigint[]
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_judged reconcile_internal.judged_answer[] := array(
        select case when p_delay_ms is null then reconcile_internal._for_review(j, p_problem)
            else reconcile_internal._without_effect(j, p_problem, p_delay_ms) end
        from reconcile_internal._judge(p_sidecar_id, array[p_answer]) as j
    );
    v_transition_ids bigint[];
begin
    if v_judged = '{}' then
        return '{}';
    end if;
    v_transition_ids := reconcile_internal._apply(v_judged);
    if v_transition_ids is not null then
        perform reconcile_internal._carry_out(v_transition_ids);
    end if;
    return array[p_answer.order_id];
end
$$;

comment on function reconcile_internal._keep_answer(bigint, reconcile_internal.given_answer, text, bigint) is
    'Keeps an answer whose effects failed: its order is asked about again after so many ms or, without a time, goes to review.';

-- Not one more update of the order, which may be what failed: the audit and the queue are enough.
create function reconcile_internal._keep_unapplied(p_sidecar_id bigint, p_order_id bigint, p_token bigint, p_problem text) returns bigint[]
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
    where l.order_id = p_order_id and l.token = p_token and l.sidecar_id is not distinct from p_sidecar_id
    for update of l, o skip locked;
    if not found then
        return '{}';
    end if;
    select o.* into v_order from reconcile.tracked_orders as o where o.order_id = p_order_id;
    v_next_check_at := clock_timestamp() + make_interval(secs =>
        reconcile_internal.backoff_ms('unapplied', v_order.attempt, v_order.order_number) / 1000.0);
    perform reconcile_internal._record_checks(array[row(
        v_order, v_lease.source, v_lease.sidecar_id, p_token, v_lease.provider_version, v_lease.by_order_number, v_lease.claimed_at, null, null,
        null, null, null, p_problem, row('provider_error', null, null, null, null, null, null, null, null)::reconcile_internal.answer_read,
        p_problem, nextval('reconcile.check_ids'), clock_timestamp(), v_order.state, v_order.settled_by,
        'the answer could not be applied, so nothing changed', v_order.attempt, v_order.tries, v_order.faults, v_next_check_at
    )::reconcile_internal.judged_answer]);
    perform reconcile_internal._end_leases(array[p_order_id]);
    perform reconcile_internal._enqueue(array[p_order_id], array[v_next_check_at]);
    if v_lease.source = 'sidecar' then
        perform reconcile_internal._note_ended_calls(array[v_order.provider_id], reconcile_internal._steady_now());
    end if;
    return array[p_order_id];
end
$$;

comment on function reconcile_internal._keep_unapplied(bigint, bigint, bigint, text) is
    'Notes in the audit that an answer could not be applied, and has its order asked about again; none when the order is locked or the lease gone.';

create function reconcile_internal._settle_without_effect(
    p_sidecar_id bigint, p_answer reconcile_internal.given_answer, p_sqlstate text, p_problem text, p_effect text, p_waits boolean
) returns bigint[]
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_order_number text;
    v_failed reconcile.recorded_failures;
    v_applied bigint[];
    v_problem constant text := format('%s: %s', p_sqlstate, p_problem);
    v_context text;
begin
    select o.order_number into v_order_number
    from reconcile.tracked_orders as o
    join reconcile.leases as l
        on l.order_id = o.order_id and l.token = p_answer.token and l.sidecar_id is not distinct from p_sidecar_id
    where o.order_id = p_answer.order_id
    for update of o, l skip locked;
    if not found then
        return '{}';
    end if;
    v_failed := reconcile_internal._count_failure(p_answer.order_id, p_sqlstate, p_problem, p_effect, p_waits);
    begin
        v_applied := reconcile_internal._keep_answer(
            p_sidecar_id, p_answer, v_problem, reconcile_internal._delay_after(v_failed, v_order_number, p_waits));
        if p_sqlstate = 'RC013' and p_waits and reconcile_internal._yield_to_application(p_answer.order_id, (
            select c.outcome from reconcile.recorded_checks as c where c.order_id = p_answer.order_id order by c.check_id desc limit 1
        )) then
            delete from reconcile.recorded_failures as f where f.order_id = p_answer.order_id;
        end if;
        return v_applied;
    exception
        when others or assert_failure or query_canceled then
            get stacked diagnostics v_context = pg_exception_context;
            if reconcile_internal._is_own_trouble(sqlstate, v_context) then
                raise;
            end if;
            raise warning 'the answer about order % could not be applied: % (%)', v_order_number, p_problem, p_sqlstate;
            return reconcile_internal._keep_unapplied(p_sidecar_id, p_answer.order_id, p_answer.token, v_problem);
    end;
end
$$;

comment on function reconcile_internal._settle_without_effect(bigint, reconcile_internal.given_answer, text, text, text, boolean) is
    'Keeps an answer that could not be carried out, and says when its order is asked about again; answers the order, if its lease was there.';
