-- Judging: the answers of a batch are read and decided on. Owns the locks of a report and by which description an answer is read;
-- what follows is written by settling.
-- Locks: leases and tracked_orders with SKIP LOCKED, until the transaction ends.
-- Requires: answers.

create type reconcile_internal.judged_answer as (
    standing reconcile.tracked_orders,
    token bigint,
    provider_version integer,
    by_order_number boolean,
    claimed_at timestamptz,
    duration_ms integer,
    fault text,
    http_status integer,
    answer_bytes integer,
    retry_after_ms bigint,
    is_call boolean,
    problem text,
    answer reconcile_internal.answer_read,
    detail text,
    check_id bigint,
    answered_at timestamptz,
    to_state text,
    settled_as text,
    reason text,
    next_attempt integer,
    next_tries integer,
    next_faults integer,
    next_check_at timestamptz
);

comment on type reconcile_internal.judged_answer is 'An answer about an order that is locked, and what follows from it.';
comment on column reconcile_internal.judged_answer.standing is 'The order before it.';
comment on column reconcile_internal.judged_answer.token is 'The lease under which it was asked.';
comment on column reconcile_internal.judged_answer.provider_version is 'By which version of the provider''s row.';
comment on column reconcile_internal.judged_answer.by_order_number is 'Whether by the order''s number, for want of a reference.';
comment on column reconcile_internal.judged_answer.claimed_at is 'When it was asked.';
comment on column reconcile_internal.judged_answer.duration_ms is 'How long the call took.';
comment on column reconcile_internal.judged_answer.fault is 'What went wrong on the wire.';
comment on column reconcile_internal.judged_answer.http_status is 'The answer''s HTTP status.';
comment on column reconcile_internal.judged_answer.answer_bytes is 'How long the answer is.';
comment on column reconcile_internal.judged_answer.retry_after_ms is 'How long the provider asked to be left alone.';
comment on column reconcile_internal.judged_answer.is_call is 'Whether it counts among the provider''s calls: a webhook is none.';
comment on column reconcile_internal.judged_answer.problem is 'Why what would follow can''t be done, masked.';
comment on column reconcile_internal.judged_answer.answer is 'What the answer means.';
comment on column reconcile_internal.judged_answer.detail is 'What is said of it, masked: it may quote the answer, or an error of the application.';
comment on column reconcile_internal.judged_answer.check_id is 'The check, in the audit.';
comment on column reconcile_internal.judged_answer.answered_at is 'When it was judged.';
comment on column reconcile_internal.judged_answer.to_state is 'Where the order goes.';
comment on column reconcile_internal.judged_answer.settled_as is 'By whose word.';
comment on column reconcile_internal.judged_answer.reason is 'Why.';
comment on column reconcile_internal.judged_answer.next_attempt is 'Its place in the schedule from now on.';
comment on column reconcile_internal.judged_answer.next_tries is 'The tries that it has used up from now on.';
comment on column reconcile_internal.judged_answer.next_faults is 'Its checks without an answer, in a row, from now on.';
comment on column reconcile_internal.judged_answer.next_check_at is 'When it is asked about again; NULL for never.';

create function reconcile_internal._description(
    p_provider_id integer, p_version integer, p_of_webhooks boolean, p_by_order_number boolean
) returns reconcile.providers
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    v_provider reconcile.providers;
begin
    select p.* into v_provider from reconcile.providers as p where p.provider_id = p_provider_id;
    if p_of_webhooks and v_provider.kind = 'http' then
        -- Read by other captures, and masked by all.
        return jsonb_populate_record(v_provider, v_provider.webhook - '{evidence,order_number_path}'::text[]
            || jsonb_build_object('sensitive', reconcile_internal._never_kept(v_provider)));
    elsif v_provider.version <> p_version then
        select (jsonb_populate_record(v_provider, v.settings)).* into v_provider
        from reconcile.provider_versions as v
        where v.provider_id = p_provider_id and v.version = p_version;
    end if;
    return case when p_by_order_number then reconcile_internal._second_way(v_provider) else v_provider end;
end
$$;

comment on function reconcile_internal._description(integer, integer, boolean, boolean) is
    'By what an answer is read: the version of the provider''s row that the question was asked by, and the way, or how its webhooks are read.';

create function reconcile_internal._decided(
    p_order reconcile.tracked_orders, p_provider reconcile.providers, p_outcome text, p_claimed_at timestamptz, p_retry_after_ms bigint,
    p_problem text, p_postponed_ms bigint
) returns table (
    to_state text, settled_as text, next_delay_ms bigint, reason text, next_attempt integer, next_tries integer, next_faults integer
)
language plpgsql stable rows 1 set search_path = pg_catalog, pg_temp
as $$
begin
    if p_problem is null then
        return query
        select decision.*
        from reconcile.decide(
            p_order.state, p_order.settled_by, p_order.attempt, p_order.tries, p_order.faults,
            (extract(epoch from p_claimed_at - p_order.created_at) * 1000)::bigint,
            (extract(epoch from p_claimed_at - greatest(p_order.created_at, p_order.tracked_at)) * 1000)::bigint,
            p_order.order_number, p_outcome, p_retry_after_ms, p_provider.schedule, p_provider.max_tries,
            (extract(epoch from p_provider.deadline) * 1000)::bigint, (extract(epoch from p_provider.not_found_grace) * 1000)::bigint,
            p_provider.not_found_as, p_provider.gives_up_as, p_provider.late_success, p_provider.late_watch, p_provider.refund_watch
        ) as decision;
        return;
    end if;
    -- What would follow can't be done: the order stays, until it is tried for the last time.
    to_state := case when p_postponed_ms is null then 'review' else p_order.state end;
    settled_as := case when p_postponed_ms is null then 'provider' else p_order.settled_by end;
    next_delay_ms := p_postponed_ms;
    reason := format('what follows from %s could not be done%s', p_outcome,
        case when p_postponed_ms is not null then ', so nothing changed' end);
    next_attempt := p_order.attempt;
    next_tries := p_order.tries;
    next_faults := p_order.faults;
    return next;
end
$$;

comment on function reconcile_internal._decided(reconcile.tracked_orders, reconcile.providers, text, timestamptz, bigint, text, bigint) is
    'Where an order goes by an outcome, by the judge; or, when what follows can''t be done, when it is asked about again.';

create function reconcile_internal._judge(
    p_sidecar_id bigint,
    p_order_ids bigint[], p_tokens bigint[], p_faults text[], p_http_statuses integer[], p_bodies text[],
    p_details text[], p_durations_ms integer[], p_retry_after_s integer[], p_problem text, p_postponed_ms bigint
) returns setof reconcile_internal.judged_answer
language plpgsql rows 100 set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    with held as materialized (
        select
            o.standing, l.token, l.claimed_at, l.provider_version, l.by_order_number, l.rung, (o.standing).provider_id,
            given.fault, given.http_status, given.body, given.detail, given.duration_ms, given.retry_after_s * 1000::bigint as retry_after_ms
        from (
            -- A lease ends once, however often a batch names it.
            select distinct on (every.order_id, every.token) every.*
            from unnest(p_order_ids, p_tokens, p_faults, p_http_statuses, p_bodies, p_details, p_durations_ms, p_retry_after_s)
                as every (order_id, token, fault, http_status, body, detail, duration_ms, retry_after_s)
        ) as given
        -- One by one by key, whatever the statistics say: what an old snapshot keeps in an index is not read.
        cross join lateral (
            select lease.* from reconcile.leases as lease
            where lease.order_id = given.order_id and lease.token = given.token and lease.sidecar_id = p_sidecar_id
            for update skip locked
        ) as l
        cross join lateral (
            select tracked as standing from reconcile.tracked_orders as tracked where tracked.order_id = l.order_id for update skip locked
        ) as o
    ),
    policy as materialized (
        select asked.*, reconcile_internal._never_kept(asked.provider) as never_kept, reconcile_internal._must_say(asked.provider) as must_say
        from (
            select every.*, reconcile_internal._description(
                every.provider_id, every.provider_version, p_sidecar_id = 0, every.by_order_number) as provider
            from (select distinct held.provider_id, held.provider_version, held.by_order_number from held) as every
            offset 0
        ) as asked
    ),
    answered as materialized (
        select held.*, policy.provider, policy.never_kept, reconcile_internal._read_answer(
            policy.provider, policy.never_kept, policy.must_say, held.standing,
            -- A preview's own number is not the one that paths may name.
            case when p_sidecar_id = -1 then substr((held.standing).order_number, 46) else (held.standing).order_number end,
            -- Without a sidecar there was no wire: a row of this database or a webhook's payload is read as it is.
            case
                when p_sidecar_id > 0 or p_sidecar_id < 0 and (policy.provider).kind = 'http' or held.fault is not null
                    then reconcile_internal.wire_outcome(held.fault, held.http_status, nullif((policy.provider).http_outcomes, '{}'))
                when held.body is null then 'not_found'
            end,
            held.fault, held.http_status, held.body, held.detail) as answer
        from held
        join policy on policy.provider_id = held.provider_id and policy.provider_version = held.provider_version
            and policy.by_order_number = held.by_order_number
    )
    select
        a.standing, a.token, a.provider_version, a.by_order_number, a.claimed_at, a.duration_ms, a.fault, a.http_status, octet_length(a.body), a.retry_after_ms,
        p_sidecar_id <> 0 or (a.provider).kind = 'sql', coalesce(reconcile_internal.redact_text(p_problem, a.never_kept), p_problem), a.answer,
        coalesce(reconcile_internal.redact_text((a.answer).remark, a.never_kept), (a.answer).remark),
        nextval('reconcile.check_ids'), clock_timestamp(), d.to_state, d.settled_as, d.reason, d.next_attempt, d.next_tries, d.next_faults,
        -- A webhook that came meanwhile may know more than this answer.
        clock_timestamp() + make_interval(secs => case when a.rung and d.to_state <> 'refunded' then 0 else d.next_delay_ms end / 1000.0)
    from answered as a
    cross join lateral reconcile_internal._decided(
        a.standing, a.provider, (a.answer).outcome, a.claimed_at, a.retry_after_ms, p_problem, p_postponed_ms) as d;
end
$$;

comment on function reconcile_internal._judge(
    bigint, bigint[], bigint[], text[], integer[], text[], text[], integer[], integer[], text, bigint
) is
    'Locks the leases and orders of a batch, reads each answer and decides. Stale and locked ones are left out.';
