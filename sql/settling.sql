-- Settling: a batch of answers is read, judged and applied, in one statement, wherever they come from.
--
-- An order moves once: the lease's token and its sidecar fence the report, the order's row is locked, and the transition is written
-- with it. A row that is locked by somebody else is left for later; a batch that fails is taken apart, so that one bad
-- row costs itself a retry and nobody else anything.
-- Locks: leases and tracked_orders with SKIP LOCKED, and nothing that another report or claim would wait for.
-- Requires: reading.

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
-- And it is made once a session: planning this statement costs as much as running it for fifty orders.
set plan_cache_mode = force_generic_plan
as $$
declare
    v_applied bigint[];
    v_provider_ids integer[];
    v_outcomes text[];
    v_details text[];
    v_retry_after_ms bigint[];
    v_words text[];
    v_rejected boolean[];
    v_transition_ids bigint[];
begin
    with held as materialized (
        select
            l.order_id, l.token, l.claimed_at, l.provider_version, l.rung, o.order_number, o.created_at,
            greatest(o.created_at, o.tracked_at) as known_at, o.state, o.settled_by, o.attempt,
            o.tries, o.faults, o.reference, o.amount, o.currency, o.provider_id,
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
        order by l.order_id
        for update of l, o skip locked
    ),
    -- An answer is read by the description that the question was asked by.
    policy as materialized (
        select
            asked.provider_version, row.provider, (row.provider).provider_id, reconcile_internal._never_kept(row.provider) as never_kept,
            reconcile_internal._must_say(row.provider) as must_say,
            (extract(epoch from (row.provider).deadline) * 1000)::bigint as deadline_ms,
            (extract(epoch from (row.provider).not_found_grace) * 1000)::bigint as not_found_grace_ms
        from (select distinct held.provider_id, held.provider_version from held) as asked
        join reconcile.providers as p on p.provider_id = asked.provider_id
        cross join lateral (
            select case
                when p_sidecar_id = 0 and p.kind = 'http' then jsonb_populate_record(p, p.webhook - '{evidence,order_number_path}'::text[])
                when p.version = asked.provider_version then p
                else (
                    select jsonb_populate_record(p, v.settings)
                    from reconcile.provider_versions as v
                    where v.provider_id = asked.provider_id and v.version = asked.provider_version
                )
            end as provider
        ) as row
    ),
    answered as materialized (
        select
            held.*, policy.provider, policy.never_kept, policy.must_say, policy.deadline_ms, policy.not_found_grace_ms,
            -- What paths and rules may name. An order without a reference has none that anything could be equal to.
            jsonb_build_object(
                'order_number', case when p_sidecar_id = -1 then substr(held.order_number, 46) else held.order_number end,
                'reference', coalesce(to_jsonb(held.reference), '{}')
            ) as variables,
            -- Without a sidecar there was no wire: a row of this database or a webhook's payload is read as it is.
            case
                when p_sidecar_id > 0 or p_sidecar_id < 0 and (policy.provider).kind = 'http' or held.fault is not null
                    then reconcile_internal.wire_outcome(held.fault, held.http_status, nullif((policy.provider).http_outcomes, '{}'))
                when held.body is null then 'not_found'
            end as wire,
            reconcile_internal._parsed(held.body) as answer
        from held
        join policy on policy.provider_id = held.provider_id and policy.provider_version = held.provider_version
    ),
    -- What may be kept of it. The word and captures are taken from here too: a path may lead to what is masked.
    masked as materialized (
        select a.*, case when a.answer is not null then coalesce(reconcile_internal.redact(a.body, a.never_kept)::jsonb, a.answer) end as shown
        from answered as a
    ),
    -- What the answer says, where the provider's paths point: each is evaluated once, and one that is NULL not at all. An object in an
    -- amount's place is no amount, and no silence either. Where a path finds several values, the judge says what they are.
    said as materialized (
        select
            m.*, f.*,
            f.statuses -> 0 as status,
            left(jsonb_path_query_first(f.shown_from, (m.provider).status_path, m.variables, true) #>> '{}', 200) as shown_word,
            left(case when jsonb_array_length(f.transaction_ids) > 1 then (reconcile_internal._texts(f.transaction_ids))[1] else f.transaction_ids ->> 0 end, 500) as transaction_id,
            case when jsonb_array_length(f.amounts) > 1 then (reconcile_internal._texts(f.amounts))[1] else f.amounts ->> 0 end as said_amount,
            coalesce(
                left(case when jsonb_array_length(f.currencies) > 1 then (reconcile_internal._texts(f.currencies))[1] else f.currencies ->> 0 end, 20),
                (m.provider).currency
            ) as said_currency,
            case when jsonb_array_length(f.refunds) > 1 then (reconcile_internal._texts(f.refunds))[1] else f.refunds ->> 0 end as said_refunded,
            left(case when jsonb_array_length(f.mentions) > 1 then (reconcile_internal._texts(f.mentions))[1] else f.mentions ->> 0 end, 1000) as said_reference,
            case when greatest(
                    jsonb_array_length(f.statuses), jsonb_array_length(f.transaction_ids), jsonb_array_length(f.amounts),
                    jsonb_array_length(f.currencies), jsonb_array_length(f.mentions)) > 1
                then reconcile_internal._several(
                    m.provider, case when f.rule is null then f.statuses end, f.transaction_ids, f.amounts, f.currencies, f.mentions)
            end as several
        from masked as m
        -- Of several rows of this database those that decide; of anything else all of it. OFFSET 0: once, and not wherever it is named.
        cross join lateral (
            select
                case when many.rows_read is null then m.answer else reconcile_internal._first_rows(m.answer, many.rows_read) end as read_from,
                case when many.rows_read is null then m.shown else reconcile_internal._first_rows(m.shown, many.rows_read) end as shown_from
            from (
                select case when (m.provider).kind = 'sql' and jsonb_typeof(m.answer) = 'array'
                    then reconcile_internal._decisive_rows(m.provider, m.answer, m.variables) end as rows_read
                offset 0
            ) as many
        ) as r
        cross join lateral (
            select
                r.read_from, r.shown_from,
                jsonb_path_query_array(r.read_from, (m.provider).status_path, m.variables, true) as statuses,
                jsonb_path_query_array(r.read_from, (m.provider).transaction_id_path, m.variables, true) as transaction_ids,
                jsonb_path_query_array(r.read_from, (m.provider).amount_path, m.variables, true) as amounts,
                jsonb_path_query_array(r.read_from, (m.provider).currency_path, m.variables, true) as currencies,
                jsonb_path_query_array(r.read_from, (m.provider).refunded_path, m.variables, true) as refunds,
                jsonb_path_query_array(r.read_from, (m.provider).reference_path, m.variables, true) as mentions,
                case when (m.provider).rules <> '[]' and m.answer is not null
                    then reconcile_internal._matching_rule((m.provider).rules, r.read_from, m.variables) end as rule
            offset 0
        ) as f
    ),
    meant as materialized (
        select
            s.*, jsonb_typeof(s.status) as status_type, case when s.wire is null then s.shown_word end as word,
            case
                when s.rule is not null then s.rule ->> 'means'
                when jsonb_array_length(s.statuses) > 1
                    then reconcile_internal.several_mean(reconcile_internal._texts(s.statuses), (s.provider).status_map)
                else (s.provider).status_map ->> left(s.status #>> '{}', 200)
            end as mapped,
            case
                when jsonb_array_length(s.refunds) > 1 then reconcile_internal.said_sum(
                    reconcile_internal._texts(s.refunds), (s.provider).amount_unit, coalesce(s.said_currency, s.currency),
                    nullif((s.provider).currency_exponents, '{}'))
                when s.said_refunded is not null then reconcile_internal.said_amount(
                    s.said_refunded, (s.provider).amount_unit, coalesce(s.said_currency, s.currency),
                    nullif((s.provider).currency_exponents, '{}'))
            end::numeric as refunded_amount
        from said as s
    ),
    -- Paid back in part is still paid; paid back as a whole is refunded, whatever the word is. Of two payments, one that was paid back
    -- leaves the other.
    weighed as materialized (
        select
            m.*,
            case
                when m.mapped = 'refunded' and m.refunded_amount < m.amount then 'succeeded'
                when m.mapped = 'succeeded' and m.refunded_amount > 0 and m.refunded_amount >= m.amount and m.several is null then 'refunded'
                else m.mapped
            end as verdict
        from meant as m
    ),
    read as materialized (
        select
            w.*,
            case
                when w.wire is not null then w.wire
                when w.verdict = 'mismatch' then 'mismatch'
                when w.verdict is null and w.status_type is distinct from 'string'
                    and w.status_type is distinct from 'number' and w.status_type is distinct from 'boolean' then 'provider_error'
                when w.verdict is null then 'unknown_status'
                when gate.disagreement is not null then 'mismatch'
                else w.verdict
            end as outcome,
            case
                when w.wire is not null or w.answer is null then reconcile_internal._remark_about(
                    w.wire, w.fault, w.http_status, w.body, w.answer is not null, w.detail, w.never_kept)
                when w.verdict is null and w.status_type is null then format('the answer has nothing at %s', (w.provider).status_path)
                when w.verdict is null and w.status_type in ('object', 'array', 'null') then format('the status is %s and not a word', w.status_type)
                when w.verdict is null and jsonb_array_length(w.statuses) > 1
                    then format('the status map does not have all of %s', left(w.statuses::text, 200))
                when w.verdict is null then format('the status map does not have %L', w.word)
                when w.verdict = 'mismatch' then format('status_path finds several different values: %s', left(w.statuses::text, 200))
                when gate.disagreement is not null then gate.disagreement
                else nullif(concat_ws('; ',
                    case
                        when w.refunded_amount > 0 then format('%s was paid back', trim_scale(w.refunded_amount))
                        when w.rule is not null then format('by rule %s', w.rule ->> 'number')
                    end,
                    case when w.verdict = 'succeeded' then reconcile_internal._not_compared(
                        w.provider, w.amount, w.currency, w.reference, w.said_amount, w.said_currency, w.said_reference) end), '')
            end as remark
        from weighed as w
        cross join lateral (
            select reconcile_internal.disagreement(
                w.verdict, trim_scale(w.amount)::text, w.currency, w.reference,
                w.said_amount, w.said_currency, w.said_reference,
                (w.provider).amount_unit, nullif((w.provider).currency_exponents, '{}'),
                case when num_nulls(w.said_amount, w.said_currency, w.said_reference) > 0 then w.must_say end, w.several
            ) as disagreement
        ) as gate
    ),
    judged as materialized (
        select
            r.*, d.*, nextval('reconcile.check_ids') as check_id,
            -- It may quote what the answer, or an error of the application, says.
            coalesce(reconcile_internal.redact_text(r.remark, r.never_kept), r.remark) as detail_kept,
            -- Nor is one that takes money and leaves out whose.
            r.wire is null and r.answer is not null and coalesce(
                case when r.several ? 'reference_path' then r.reference is null or r.several -> 'reference_path' <@ jsonb_build_array(r.reference)
                    else r.said_reference = r.reference end,
                r.outcome <> 'mismatch' or r.reference is null or not 'reference' = any (r.must_say)) as about_this_order,
            clock_timestamp() as answered_at,
            -- A webhook that came meanwhile may know more than this answer.
            clock_timestamp() + make_interval(secs => case when r.rung and d.to_state <> 'refunded' then 0 else d.next_delay_ms end / 1000.0)
                as next_check_at
        from read as r
        cross join lateral (
            select decision.*
            from reconcile.decide(
                r.state, r.settled_by, r.attempt, r.tries, r.faults,
                (extract(epoch from r.claimed_at - r.created_at) * 1000)::bigint, (extract(epoch from r.claimed_at - r.known_at) * 1000)::bigint,
                r.order_number, r.outcome, r.retry_after_ms,
                (r.provider).schedule, (r.provider).max_tries, r.deadline_ms, r.not_found_grace_ms, (r.provider).not_found_as,
                (r.provider).gives_up_as, (r.provider).late_success, (r.provider).late_watch, (r.provider).refund_watch
            ) as decision
            where p_problem is null
            union all
            -- What would follow can't be done: the order stays, until it is tried for the last time.
            select
                case when p_postponed_ms is null then 'review' else r.state end,
                case when p_postponed_ms is null then 'provider' else r.settled_by end, p_postponed_ms,
                format('what follows from %s could not be done%s', r.outcome, case when p_postponed_ms is not null then ', so nothing changed' end),
                r.attempt, r.tries, r.faults
            where p_problem is not null
        ) as d
    ),
    moved as (
        update reconcile.tracked_orders as o
        set state = j.to_state, settled_by = j.settled_as, attempt = j.next_attempt, tries = j.next_tries, faults = j.next_faults,
            -- Only what an answer about this order says: not an error's body, and not another order's.
            transaction_id = case when j.about_this_order then coalesce(j.transaction_id, o.transaction_id) else o.transaction_id end,
            captured = case
                when (j.provider).captures <> '{}' and j.about_this_order
                    then o.captured || reconcile_internal._captured((j.provider).captures, j.read_from, j.shown_from, j.variables)
                else o.captured
            end,
            refunded_amount = case when j.about_this_order then coalesce(j.refunded_amount, o.refunded_amount) else o.refunded_amount end,
            provider_status = coalesce(j.word, o.provider_status), last_outcome = j.outcome, last_checked_at = j.answered_at,
            state_changed_at = case when j.to_state <> j.state then j.answered_at else o.state_changed_at end
        from judged as j
        where o.order_id = j.order_id
    ),
    kept as (
        insert into reconcile.recorded_checks (
            order_id, check_id, answered_at, claimed_at, duration_ms, provider_id, provider_version, sidecar_id, token,
            fault, http_status, detail, response, provider_status, outcome, retry_after_ms,
            from_state, from_settled_by, from_attempt, from_tries, from_faults, to_state, reason, problem, next_check_at
        )
        select
            j.order_id, j.check_id, j.answered_at, j.claimed_at, j.duration_ms, j.provider_id, j.provider_version, p_sidecar_id, j.token,
            left(j.fault, 40), j.http_status, left(j.detail_kept, 1000),
            case
                when j.answer is null then null
                when octet_length(j.body) > 65536 then to_jsonb(format('[%s bytes, read and not kept]', octet_length(j.body)))
                else j.shown
            end,
            j.word, j.outcome, j.retry_after_ms,
            j.state, j.settled_by, j.attempt, j.tries, j.faults, j.to_state, j.reason,
            left(coalesce(reconcile_internal.redact_text(p_problem, j.never_kept), p_problem), 1000), j.next_check_at
        from judged as j
    ),
    told as (
        insert into reconcile.transitions (order_id, changed_at, from_state, to_state, cause, check_id, reason, written_in)
        select j.order_id, j.answered_at, j.state, j.to_state, j.settled_as, j.check_id, j.reason, (select reconcile_internal._write_position())
        from judged as j
        where j.to_state <> j.state
        returning transition_id
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
        on conflict (order_id) do update set due_at = least(due_checks.due_at, excluded.due_at)
    )
    select
        array_agg(j.order_id), array_agg(j.provider_id) filter (where p_sidecar_id <> 0 or (j.provider).kind = 'sql'), array_agg(j.outcome),
        array_agg(left(coalesce(j.detail_kept, j.reason), 500)), array_agg(j.retry_after_ms), array_agg(j.word),
        array_agg(reconcile_internal._is_rejection(j.outcome, j.fault, j.http_status)),
        (select array_agg(told.transition_id) from told)
    into v_applied, v_provider_ids, v_outcomes, v_details, v_retry_after_ms, v_words, v_rejected, v_transition_ids
    from judged as j;
    -- A webhook is no call.
    if v_provider_ids is not null then
        perform reconcile_internal._note_ended_calls(v_provider_ids, clock_timestamp(), v_outcomes, v_details, v_retry_after_ms, v_words, v_rejected);
    end if;
    -- A preview, by the id -1, has no effects.
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
        from_state, from_settled_by, from_attempt, from_tries, from_faults, to_state, reason, problem, next_check_at
    )
    values (
        v_order.order_id, nextval('reconcile.check_ids'), v_lease.claimed_at, v_lease.provider_id, v_lease.provider_version,
        p_sidecar_id, p_token, left(p_problem, 1000), 'provider_error', v_order.state, v_order.settled_by, v_order.attempt,
        v_order.tries, v_order.faults, v_order.state, 'the answer could not be applied, so nothing changed', left(p_problem, 1000), v_next_check_at
    );
    delete from reconcile.leases as l where l.order_id = p_order_id;
    insert into reconcile.due_checks (order_id, provider_id, due_at) values (p_order_id, v_order.provider_id, v_next_check_at)
    on conflict (order_id) do update set due_at = least(due_checks.due_at, excluded.due_at);
    perform reconcile_internal._note_ended_calls(array[v_order.provider_id], clock_timestamp());
    return true;
end
$$;

comment on function reconcile_internal._postpone(bigint, bigint, bigint, text) is
    'Has an order asked about again whose answer could not be applied; false when the order is locked or the lease gone.';

-- One order whose answer could not be applied, or whose effects failed.
create function reconcile_internal._put_off(
    p_sidecar_id bigint, p_order_id bigint, p_token bigint, p_fault text, p_http_status integer, p_body text, p_detail text,
    p_duration_ms integer, p_retry_after_s integer, p_ends_here boolean, p_sqlstate text, p_problem text, p_effect text
) returns bigint[]
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    -- A lock that somebody holds is waited out; it says nothing against the effect.
    v_waits boolean := p_sqlstate in ('RC011', '55P03', '40P01', '40001');
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
    values (p_order_id, 1 - v_waits::integer, v_waits::integer, p_effect, p_sqlstate, left(p_problem, 1000))
    on conflict (order_id) do update
    set failures = f.failures + excluded.failures, waits = f.waits + excluded.waits, effect = excluded.effect, sqlstate = excluded.sqlstate,
        problem = excluded.problem, failed_at = excluded.failed_at
    returning f.* into v_failed;
    begin
        v_applied := reconcile_internal._apply_report(
            p_sidecar_id, array[p_order_id], array[p_token], array[p_fault], array[p_http_status], array[p_body], array[p_detail],
            array[p_duration_ms], array[p_retry_after_s], p_ends_here, format('%s: %s', p_sqlstate, p_problem),
            case
                when v_waits then reconcile.schedule_delay_ms('then 2s growing by 2 up to 1m', v_failed.waits - 1, v_order_number)
                when v_failed.failures < (select s.effect_tries from reconcile.settings as s)
                    then reconcile.schedule_delay_ms('then 5s growing by 2 up to 10m', v_failed.failures - 1, v_order_number)
            end
        );
        if p_sqlstate = 'RC013' then
            v_outcome := (
                select c.outcome from reconcile.recorded_checks as c where c.order_id = p_order_id order by c.check_id desc limit 1
            );
            if reconcile_internal._yield_to_application(p_order_id, v_outcome) then
                delete from reconcile.recorded_failures as f where f.order_id = p_order_id;
            end if;
        end if;
    exception
        when others or assert_failure then
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

comment on function reconcile_internal._put_off(bigint, bigint, bigint, text, integer, text, text, integer, integer, boolean, text, text, text) is
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
begin
    begin
        v_applied := reconcile_internal._apply_report(
            p_sidecar_id, p_order_ids, p_tokens, p_faults, p_http_statuses, p_bodies, p_details, p_durations_ms, p_retry_after_s,
            p_ends_here
        );
        return coalesce(v_applied, '{}');
    exception
        when others or assert_failure or query_canceled then
            get stacked diagnostics v_context = pg_exception_context, v_mark = schema_name;
            -- A sidecar whose report takes too long hands it in again by halves. An order whose effects take so long by themselves is put
            -- off like one whose effects fail.
            if reconcile_internal._is_own_trouble(sqlstate, v_context) and (sqlstate <> '57014' or p_sidecar_id = 0 or v_count > 1) then
                raise;
            end if;
            if v_count <= 1 then
                return reconcile_internal._put_off(
                    p_sidecar_id, p_order_ids[1], p_tokens[1], p_faults[1], p_http_statuses[1], p_bodies[1], p_details[1],
                    p_durations_ms[1], p_retry_after_s[1], p_ends_here, sqlstate, sqlerrm, reconcile_internal._effect_of(v_mark, v_context)
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
