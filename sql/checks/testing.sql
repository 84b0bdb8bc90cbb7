-- How a DBA sets up a provider: one question without an order, and one answer without a question. Neither changes an order.
--
-- Both judge by the report's own functions, so that what is shown is what would happen.
-- Requires: waiting.

create type reconcile.previewed_answer as (
    request text,
    http_status integer,
    response jsonb,
    provider_status text,
    rule text,
    outcome text,
    decision text,
    message text
);

comment on type reconcile.previewed_answer is 'What test_provider and preview_response answer.';
comment on column reconcile.previewed_answer.request is 'What is sent, with secrets by name.';
comment on column reconcile.previewed_answer.http_status is 'The answer''s HTTP status.';
comment on column reconcile.previewed_answer.response is 'The answer, with secrets masked.';
comment on column reconcile.previewed_answer.provider_status is 'The word that status_path found.';
comment on column reconcile.previewed_answer.rule is 'The rule that holds, if rules decide.';
comment on column reconcile.previewed_answer.outcome is 'What the answer means.';
comment on column reconcile.previewed_answer.decision is 'Where a pending order would go.';
comment on column reconcile.previewed_answer.message is 'Why, and what was wrong.';

create function reconcile_internal._shown_request(p_provider reconcile.providers, p_order_number text, p_reference text) returns text
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select concat_ws(E'\n',
        p_provider.method || ' ' || coalesce(
            reconcile_internal.request_url(p_provider.url, p_order_number, p_reference, p_provider.variables),
            'a URL that can''t be built: is the reference missing?'),
        (
            select string_agg(header.key || ': ' || header.value, E'\n' order by header.key)
            from jsonb_each_text(
                coalesce(reconcile_internal.request_headers(p_provider.headers, p_order_number, p_reference, p_provider.variables), '{}')
            ) as header
        ),
        case when p_provider.auth ->> 'kind' <> 'none' then 'signed by ' || p_provider.auth::text end,
        case when p_provider.body is not null
            then E'\n' || reconcile_internal.request_body(p_provider.body, p_order_number, p_reference, p_provider.variables) end
    )
$$;

comment on function reconcile_internal._shown_request(reconcile.providers, text, text) is 'A request as people read it, with secrets by name.';

-- The order is made up in memory, and nothing is written: what is shown is what the same functions say that read and judge a report.
create function reconcile_internal._preview(
    p_provider reconcile.providers, p_order reconcile.tracked_orders, p_given reconcile_internal.given_answer, p_request text,
    p_by_order_number boolean
) returns reconcile.previewed_answer
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_read_by constant reconcile.providers := case when p_by_order_number then reconcile_internal._second_way(p_provider) else p_provider end;
    v_never_kept constant text[] := reconcile_internal._never_kept(p_provider);
    v_read constant reconcile_internal.answer_read := reconcile_internal._read_answer(
        v_read_by, v_never_kept, reconcile_internal._must_say(v_read_by), p_order,
        reconcile_internal._wire_outcome(case p_provider.kind when 'http' then 'sidecar' else 'lookup' end, v_read_by, p_given), p_given);
    v_decided record;
    v_answer reconcile.previewed_answer;
begin
    select d.to_state, d.reason into v_decided
    from reconcile_internal._decided(p_order, v_read_by, v_read.outcome, clock_timestamp(), p_given.retry_after_s * 1000::bigint) as d;
    v_answer.request := p_request;
    v_answer.http_status := p_given.http_status;
    v_answer.response := v_read.shown;
    v_answer.provider_status := v_read.word;
    v_answer.rule := reconcile_internal._matching_rule(
        v_read_by.rules, v_read.shown, reconcile_internal._path_variables(p_order.order_number, p_order.reference));
    v_answer.outcome := v_read.outcome;
    v_answer.decision := p_order.state || ' -> ' || v_decided.to_state;
    v_answer.message := v_decided.reason || coalesce(': ' || left(coalesce(reconcile_internal.redact_text(v_read.remark, v_never_kept), v_read.remark), 1000), '');
    return v_answer;
end
$$;

comment on function reconcile_internal._preview(
    reconcile.providers, reconcile.tracked_orders, reconcile_internal.given_answer, text, boolean
) is
    'What an answer would mean for an order that does not exist.';

create function reconcile_internal._made_up(
    p_provider reconcile.providers, p_order_number text, p_reference text, p_amount numeric, p_currency text
) returns reconcile.tracked_orders
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    v_order reconcile.tracked_orders;
begin
    v_order.order_number := p_order_number;
    v_order.provider_id := p_provider.provider_id;
    v_order.reference := p_reference;
    v_order.amount := p_amount;
    v_order.currency := upper(p_currency);
    v_order.state := 'pending';
    v_order.attempt := 0;
    v_order.tries := 0;
    v_order.faults := 0;
    v_order.created_at := clock_timestamp();
    v_order.tracked_at := v_order.created_at;
    return v_order;
end
$$;

comment on function reconcile_internal._made_up(reconcile.providers, text, text, numeric, text) is
    'An order as it would be if it were watched from now on; nothing is written.';

create function reconcile.preview_response(
    provider text,
    body jsonb,
    http_status integer default 200,
    reference text default null,
    amount numeric default null,
    currency text default null,
    order_number text default 'TEST',
    by_order_number boolean default false
) returns reconcile.previewed_answer
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    v_provider reconcile.providers := reconcile_internal._provider(preview_response.provider);
    v_by_order_number boolean := coalesce(preview_response.by_order_number, false);
begin
    if v_by_order_number and v_provider.without_reference = '{}' then
        raise exception 'provider % has no second way to ask', v_provider.name
            using errcode = 'RC005', hint = 'Its field without_reference says how it is asked by the order number.';
    end if;
    return reconcile_internal._preview(
        v_provider,
        reconcile_internal._made_up(
            v_provider, preview_response.order_number, preview_response.reference, preview_response.amount, preview_response.currency),
        row(null, null, null, preview_response.http_status, preview_response.body::text, null, 0, null)::reconcile_internal.given_answer,
        null, v_by_order_number
    );
end
$$;

comment on function reconcile.preview_response(text, jsonb, integer, text, numeric, text, text, boolean) is
    'What an answer would mean, without asking anybody: select * from reconcile.preview_response(''vendor'', ''{…}''). by_order_number reads it '
    'by the provider''s second way, as that of an order without a reference.';

-- Runs in the background worker, which gets what it needs in a text of its own: the caller's transaction is not visible to it.
create function reconcile_internal._request_test(p_test_id bigint, p_provider_id integer, p_order_number text, p_reference text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    insert into reconcile.provider_tests (test_id, provider_id, provider_version, order_number, reference)
    select p_test_id, p.provider_id, p.version, p_order_number, nullif(p_reference, '')
    from reconcile.providers as p
    where p.provider_id = p_provider_id;
    perform pg_notify('reconcile_due', '');
end
$$;

comment on function reconcile_internal._request_test(bigint, integer, text, text) is 'Puts a question of test_provider where a sidecar finds it.';

-- This database is asked here and now.
create function reconcile_internal._test_lookup(
    p_provider reconcile.providers, p_order_number text, p_reference text, p_amount numeric, p_currency text
) returns reconcile.previewed_answer
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_answers record;
begin
    perform reconcile_internal._check_pending();
    v_answers := reconcile_internal._look_up(
        (select l.lookup_id from reconcile.registered_lookups as l where l.provider = p_provider.name), array[p_order_number], array[p_reference]);
    perform reconcile_internal._defer_again();
    return reconcile_internal._preview(
        p_provider, reconcile_internal._made_up(p_provider, p_order_number, p_reference, p_amount, p_currency),
        row(null, null, v_answers.faults[1], null,
            reconcile_internal._best_first(p_provider, v_answers.bodies[1], reconcile_internal._path_variables(p_order_number, p_reference)),
            v_answers.details[1], 0, null)::reconcile_internal.given_answer,
        p_provider.lookup, false
    );
end
$$;

comment on function reconcile_internal._test_lookup(reconcile.providers, text, text, numeric, text) is
    'Asks a provider of kind sql once, and shows what it answers and what that would mean.';

create function reconcile.test_provider(
    provider text,
    reference text default null,
    order_number text default 'TEST',
    amount numeric default null,
    currency text default null,
    wait interval default '10 s'
) returns reconcile.previewed_answer
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    v_provider reconcile.providers := reconcile_internal._provider(test_provider.provider);
    v_by_order_number boolean := reconcile_internal._asked_without(test_provider.reference, v_provider.without_reference);
    v_request text := case when v_provider.kind = 'http' then reconcile_internal._shown_request(
        case when v_by_order_number then reconcile_internal._second_way(v_provider) else v_provider end,
        test_provider.order_number, test_provider.reference) end;
    v_test_id bigint := nextval('reconcile.test_ids');
    v_until timestamptz := clock_timestamp() + least(test_provider.wait, interval '60 s');
    -- Of no provider: a test is counted, but never held back, and works while its provider is paused.
    v_obstacle text := reconcile_internal._obstacle(null);
    v_test reconcile.provider_tests;
begin
    if v_provider.kind = 'sql' then
        return reconcile_internal._test_lookup(v_provider, test_provider.order_number, test_provider.reference, test_provider.amount, test_provider.currency);
    end if;
    if v_obstacle is not null then
        return (v_request, null, null, null, null, null, null, replace(v_obstacle, '; the check is queued', ''))::reconcile.previewed_answer;
    end if;
    if not reconcile_internal._wake_for_test(
        v_test_id, v_provider.provider_id, test_provider.order_number, coalesce(test_provider.reference, '')
    ) then
        return (
            v_request, null, null, null, null, null, null, 'no background worker slot is free (max_worker_processes); try again'
        )::reconcile.previewed_answer;
    end if;
    loop
        select test.* into v_test from reconcile.provider_tests as test where test.test_id = v_test_id;
        exit when v_test.answered_at is not null or clock_timestamp() >= v_until;
        perform pg_sleep(0.01);
    end loop;
    if v_test.answered_at is null then
        return (
            v_request, null, null, null, null, null, null,
            case when v_test.test_id is null
                then 'the question could not be put: was the provider added in this very transaction?'
                else format('no answer within %s', test_provider.wait)
            end
        )::reconcile.previewed_answer;
    end if;
    return reconcile_internal._preview(
        v_provider,
        reconcile_internal._made_up(v_provider, test_provider.order_number, test_provider.reference, test_provider.amount, test_provider.currency),
        row(null, null, v_test.fault, v_test.http_status, v_test.body, v_test.detail, v_test.duration_ms, null)::reconcile_internal.given_answer,
        v_request, v_by_order_number
    );
end
$$;

comment on function reconcile.test_provider(text, text, text, numeric, text, interval) is
    'Asks a provider once through a sidecar, changes no order, and shows what was sent, what came back and what it would mean. Without a '
    'reference it goes the provider''s second way, if there is one.';
