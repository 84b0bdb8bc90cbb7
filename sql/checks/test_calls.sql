-- Calls of test_provider: claimed like checks, reported like answers, and about no order.
-- Owns provider_tests, but for the question, which testing puts.
-- Locks: provider_traffic by the claim, then tests with SKIP LOCKED.
-- Requires: requests.

-- Questions of test_provider: a person waits, and the call is counted but never held back.
create function reconcile_internal._claim_tests(p_sidecar_id bigint, p_most integer)
returns table (
    token bigint, provider text, provider_version integer,
    url text, headers jsonb, body text, problem text, awaited boolean, by_order_number boolean, test_id bigint
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
    counted as (
        update reconcile.provider_traffic as t
        set in_flight = t.in_flight + counts.calls
        from (select taken.provider_id, count(*) as calls from taken group by taken.provider_id) as counts
        where t.provider_id = counts.provider_id
    )
    select
        taken.token, p.name, taken.provider_version, request.url, request.headers, request.body, request.problem, true,
        reconcile_internal._asked_without(taken.reference, p.without_reference), taken.test_id
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

comment on function reconcile_internal._claim_tests(bigint, integer) is 'Takes questions of test_provider. Called with provider_traffic locked.';

-- Kept as they came, but for what is never stored, until their caller has read them.
create function reconcile.sidecar_report_tests(
    p_sidecar_id bigint,
    p_test_ids bigint[], p_tokens bigint[], p_faults text[], p_http_statuses integer[], p_bodies text[],
    p_details text[], p_durations_ms integer[]
) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    v_provider_ids integer[];
begin
    perform reconcile_internal._refuse_sidecar(p_sidecar_id);
    with answered as (
        update reconcile.provider_tests as test
        set answered_at = clock_timestamp(), fault = given.fault, http_status = given.http_status,
            detail = reconcile_internal._masked(given.detail, reconcile_internal._never_kept(p), 1000),
            -- Of what is not JSON the beginning is kept, masked, and its length, for the message.
            body = case
                when reconcile_internal._parsed(given.body) is null
                    then rpad(reconcile_internal._excerpt(given.body, reconcile_internal._never_kept(p)), length(given.body))
                else coalesce(reconcile_internal.redact(given.body, reconcile_internal._never_kept(p)), given.body)
            end,
            duration_ms = given.duration_ms
        from unnest(p_test_ids, p_tokens, p_faults, p_http_statuses, p_bodies, p_details, p_durations_ms)
            as given (test_id, token, fault, http_status, body, detail, duration_ms)
        cross join reconcile.providers as p
        where test.test_id = given.test_id and test.token = given.token and test.sidecar_id = p_sidecar_id
          and test.answered_at is null and p.provider_id = test.provider_id
        returning test.provider_id
    )
    select array_agg(answered.provider_id) into v_provider_ids from answered;
    if v_provider_ids is not null then
        perform reconcile_internal._note_ended_calls(v_provider_ids, reconcile_internal._steady_now());
    end if;
end
$$;

comment on function reconcile.sidecar_report_tests(
    bigint, bigint[], bigint[], text[], integer[], text[], text[], integer[]
) is
    'Protocol: takes answers to questions of test_provider; one that nobody waits for any more changes nothing.';

-- Those that were asked and are not answered were counted in flight.
create function reconcile_internal._forget_tests(p_test_ids bigint[]) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_forgotten bigint;
    v_unanswered integer[];
begin
    with forgotten as (
        delete from reconcile.provider_tests as test where test.test_id = any (p_test_ids)
        returning test.provider_id, test.token is not null and test.answered_at is null as is_unanswered
    )
    select count(*), array_agg(f.provider_id) filter (where f.is_unanswered) into v_forgotten, v_unanswered from forgotten as f;
    if v_unanswered is not null then
        perform reconcile_internal._note_ended_calls(v_unanswered, reconcile_internal._steady_now());
    end if;
    return v_forgotten;
end
$$;

comment on function reconcile_internal._forget_tests(bigint[]) is 'Forgets questions of test_provider; answers how many.';

-- Nobody else can ask a question again in time: its caller hears that there was no answer.
create function reconcile.sidecar_release_tests(p_sidecar_id bigint, p_test_ids bigint[], p_tokens bigint[]) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    perform reconcile_internal._refuse_sidecar(p_sidecar_id);
    return reconcile_internal._forget_tests(array(
        select test.test_id
        from reconcile.provider_tests as test
        join unnest(p_test_ids, p_tokens) as given (test_id, token) on test.test_id = given.test_id and test.token = given.token
        where test.sidecar_id = p_sidecar_id
    ));
end
$$;

comment on function reconcile.sidecar_release_tests(bigint, bigint[], bigint[]) is
    'Protocol: gives up questions of test_provider that were claimed and will not be asked; answers how many.';
