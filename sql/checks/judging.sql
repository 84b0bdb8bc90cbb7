-- Judging: the answers of a batch are read and decided on. Owns the locks of a report and by which description an answer is read;
-- what follows is written by settling.
-- Locks: leases and tracked_orders with SKIP LOCKED, until the transaction ends.
-- Requires: answers.

create type reconcile_internal.judged_answer as (
    standing reconcile.tracked_orders,
    source text,
    sidecar_id bigint,
    token bigint,
    provider_version integer,
    by_order_number boolean,
    claimed_at timestamptz,
    duration_ms integer,
    fault text,
    http_status integer,
    answer_bytes integer,
    retry_after_ms bigint,
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
comment on column reconcile_internal.judged_answer.source is 'Who asked: a sidecar, a lookup, a webhook or a test.';
comment on column reconcile_internal.judged_answer.sidecar_id is 'Which sidecar; NULL for the others.';
comment on column reconcile_internal.judged_answer.token is 'The lease under which it was asked.';
comment on column reconcile_internal.judged_answer.provider_version is 'By which version of the provider''s row.';
comment on column reconcile_internal.judged_answer.by_order_number is 'Whether by the order''s number, for want of a reference.';
comment on column reconcile_internal.judged_answer.claimed_at is 'When it was asked.';
comment on column reconcile_internal.judged_answer.duration_ms is 'How long the call took.';
comment on column reconcile_internal.judged_answer.fault is 'What went wrong on the wire.';
comment on column reconcile_internal.judged_answer.http_status is 'The answer''s HTTP status.';
comment on column reconcile_internal.judged_answer.answer_bytes is 'How long the answer is.';
comment on column reconcile_internal.judged_answer.retry_after_ms is 'How long the provider asked to be left alone.';
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
    p_order reconcile.tracked_orders, p_provider reconcile.providers, p_outcome text, p_claimed_at timestamptz, p_retry_after_ms bigint
) returns table (
    to_state text, settled_as text, next_delay_ms bigint, reason text, next_attempt integer, next_tries integer, next_faults integer
)
language plpgsql stable rows 1 set search_path = pg_catalog, pg_temp
as $$
begin
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
end
$$;

comment on function reconcile_internal._decided(reconcile.tracked_orders, reconcile.providers, text, timestamptz, bigint) is
    'Where an order goes by an outcome, by the judge.';

-- Without a sidecar there was no wire: a row of this database or a webhook's payload is read as it is.
create function reconcile_internal._wire_outcome(p_source text, p_provider reconcile.providers, p_given reconcile_internal.given_answer) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp
as $$
begin
    return case
        when p_source = 'sidecar' or p_given.fault is not null
            then reconcile_internal.wire_outcome(p_given.fault, p_given.http_status, nullif(p_provider.http_outcomes, '{}'))
        when p_given.body is null then 'not_found'
    end;
end
$$;

comment on function reconcile_internal._wire_outcome(text, reconcile.providers, reconcile_internal.given_answer) is
    'What an answer means before it is read; NULL where its body decides.';

create function reconcile_internal._judge(p_sidecar_id bigint, p_answers reconcile_internal.given_answer[])
returns setof reconcile_internal.judged_answer
language plpgsql rows 100 set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    with held as materialized (
        select o.standing, l.lease, each.given
        from (
            -- A lease ends once, however often a batch names it.
            select distinct on (given.order_id, given.token) given from unnest(p_answers) as given
        ) as each
        -- One by one by key, whatever the statistics say: what an old snapshot keeps in an index is not read.
        cross join lateral (
            select lease from reconcile.leases as lease
            where lease.order_id = (each.given).order_id and lease.token = (each.given).token and lease.sidecar_id is not distinct from p_sidecar_id
            for update skip locked
        ) as l
        cross join lateral (
            select tracked as standing from reconcile.tracked_orders as tracked where tracked.order_id = (l.lease).order_id for update skip locked
        ) as o
    ),
    policy as materialized (
        select asked.*, reconcile_internal._never_kept(asked.provider) as never_kept, reconcile_internal._must_say(asked.provider) as must_say
        from (
            select every.*, reconcile_internal._description(
                every.provider_id, every.provider_version, every.source = 'webhook', every.by_order_number) as provider
            from (
                select distinct (held.lease).provider_id, (held.lease).provider_version, (held.lease).source, (held.lease).by_order_number
                from held
            ) as every
            offset 0
        ) as asked
    ),
    answered as materialized (
        select held.standing, held.lease, (held.given).fault, (held.given).http_status, (held.given).duration_ms,
            octet_length((held.given).body) as answer_bytes, (held.given).retry_after_s * 1000::bigint as retry_after_ms,
            policy.provider, policy.never_kept, reconcile_internal._read_answer(
                policy.provider, policy.never_kept, policy.must_say, held.standing,
                reconcile_internal._wire_outcome(policy.source, policy.provider, held.given), held.given) as answer
        from held
        join policy on policy.provider_id = (held.lease).provider_id and policy.provider_version = (held.lease).provider_version
            and policy.source = (held.lease).source and policy.by_order_number = (held.lease).by_order_number
    )
    select
        a.standing, (a.lease).source, (a.lease).sidecar_id, (a.lease).token, (a.lease).provider_version, (a.lease).by_order_number,
        (a.lease).claimed_at, a.duration_ms, a.fault, a.http_status, a.answer_bytes, a.retry_after_ms, null::text, a.answer,
        coalesce(reconcile_internal.redact_text((a.answer).remark, a.never_kept), (a.answer).remark),
        nextval('reconcile.check_ids'), clock_timestamp(), d.to_state, d.settled_as, d.reason, d.next_attempt, d.next_tries, d.next_faults,
        -- A webhook that came meanwhile may know more than this answer.
        clock_timestamp() + make_interval(secs => case when (a.lease).rung and d.to_state <> 'refunded' then 0 else d.next_delay_ms end / 1000.0)
    from answered as a
    cross join lateral reconcile_internal._decided(
        a.standing, a.provider, (a.answer).outcome, (a.lease).claimed_at, a.retry_after_ms) as d;
end
$$;

comment on function reconcile_internal._judge(bigint, reconcile_internal.given_answer[]) is
    'Locks the leases and orders of a batch of a sidecar, or of the ledger itself, reads each answer and decides. Stale and locked ones are left out.';

create function reconcile_internal._masked_problem(p_problem text, p_judged reconcile_internal.judged_answer) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    v_provider reconcile.providers;
begin
    select p.* into v_provider from reconcile.providers as p where p.provider_id = (p_judged.standing).provider_id;
    return coalesce(reconcile_internal.redact_text(p_problem, reconcile_internal._never_kept(v_provider)), p_problem);
end
$$;

comment on function reconcile_internal._masked_problem(text, reconcile_internal.judged_answer) is
    'Why what follows from an answer could not be done, masked by the provider''s own list as well.';

create function reconcile_internal._without_effect(p_judged reconcile_internal.judged_answer, p_problem text, p_delay_ms bigint)
returns reconcile_internal.judged_answer
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    v_judged reconcile_internal.judged_answer := p_judged;
    v_standing constant reconcile.tracked_orders := p_judged.standing;
begin
    v_judged.problem := reconcile_internal._masked_problem(p_problem, p_judged);
    v_judged.reason := format('what follows from %s could not be done, so nothing changed', (p_judged.answer).outcome);
    v_judged.to_state := v_standing.state;
    v_judged.settled_as := v_standing.settled_by;
    v_judged.next_attempt := v_standing.attempt;
    v_judged.next_tries := v_standing.tries;
    v_judged.next_faults := v_standing.faults;
    v_judged.next_check_at := clock_timestamp() + make_interval(secs => p_delay_ms / 1000.0);
    return v_judged;
end
$$;

comment on function reconcile_internal._without_effect(reconcile_internal.judged_answer, text, bigint) is
    'A judged answer whose effects failed: its order stays where it is, and is asked about again after so many ms.';

create function reconcile_internal._for_review(p_judged reconcile_internal.judged_answer, p_problem text)
returns reconcile_internal.judged_answer
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    v_judged reconcile_internal.judged_answer := reconcile_internal._without_effect(p_judged, p_problem, null);
begin
    v_judged.reason := format('what follows from %s could not be done', (p_judged.answer).outcome);
    v_judged.to_state := 'review';
    v_judged.settled_as := 'provider';
    return v_judged;
end
$$;

comment on function reconcile_internal._for_review(reconcile_internal.judged_answer, text) is
    'A judged answer whose effects failed for the last time: a person has to look.';
