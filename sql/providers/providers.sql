-- Providers as rows: written by a DBA, kept in all their versions, paused and resumed.
-- Requires: provider_checks.

create function reconcile_internal._given(p_fields jsonb) returns jsonb
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$
    -- Not jsonb_strip_nulls, which would also reach into a status map and lose a word there.
    select coalesce(jsonb_object_agg(field.key, field.value) filter (where field.value <> 'null'), '{}')
    from jsonb_each(p_fields) as field;
$$;

comment on function reconcile_internal._given(jsonb) is 'The fields that were given: those that are not NULL.';

create function reconcile_internal._provider(p_name text) returns reconcile.providers
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    v_provider reconcile.providers;
begin
    select p.* into v_provider from reconcile.providers as p where p.name = p_name;
    if not found then
        raise exception 'there is no provider %', coalesce(quote_literal(left(p_name, 80)), 'NULL')
            using errcode = 'RC002', hint = 'The providers are in reconcile.provider_health; add one with reconcile.add_provider.';
    end if;
    return v_provider;
end
$$;

comment on function reconcile_internal._provider(text) is 'A provider by its name, or an error that says so.';

-- Adding, altering and the presets share this: the fields that were given, by name, over what is there or over the defaults.
create function reconcile_internal._write_provider(p_name text, p_fields jsonb, p_new boolean, p_changed_by text default session_user) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_unknown text := (
        select min(given.name)
        from jsonb_object_keys(p_fields) as given (name)
        where not exists (
            select from pg_attribute as a
            where a.attrelid = 'reconcile.providers'::regclass and a.attname = given.name and a.attnum > 0 and not a.attisdropped
        ) or given.name in ('provider_id', 'name', 'version', 'paused_at', 'paused_by', 'paused_reason')
            or not p_new and given.name = 'kind'
    );
    v_provider_id integer;
    v_columns text;
    v_old reconcile.providers;
    v_new reconcile.providers;
    -- Assigned, not performed: an error's context then is two lines and not two pages.
    v_sound text;
begin
    if v_unknown is not null then
        raise exception 'provider %: % is not a field', left(p_name, 80), left(v_unknown, 80)
            using errcode = 'RC003', hint = 'The fields are the arguments of reconcile.add_provider.';
    end if;
    if p_fields -> 'webhook' ? 'captures' then
        p_fields := jsonb_set(p_fields, '{webhook,captures}',
            coalesce(reconcile_internal.full_captures(p_fields #> '{webhook,captures}'), p_fields #> '{webhook,captures}'));
    end if;
    if p_fields ? 'captures' then
        p_fields := p_fields
            || jsonb_build_object('captures', coalesce(reconcile_internal.full_captures(p_fields -> 'captures'), p_fields -> 'captures'));
    end if;
    v_unknown := (
        select min(a.attname)
        from pg_attribute as a
        where a.attrelid = 'reconcile.providers'::regclass and a.attnotnull and p_fields -> a.attname::text = 'null'
    );
    if p_name is null or v_unknown is not null or (p_new and p_fields ->> 'url' is null and p_fields ->> 'kind' is distinct from 'sql') then
        raise exception 'provider %: % is NULL', coalesce(left(p_name, 80), 'NULL'),
            case when p_name is null then 'name' else coalesce(v_unknown, 'url') end
            using errcode = 'RC003', hint = 'Give it a value, or leave it out for its default.';
    end if;
    v_sound := reconcile_internal._refuse_unsound(
        jsonb_populate_record(null::reconcile.providers, p_fields || jsonb_build_object('name', p_name)));
    if p_new then
        -- The columns that are given and no others: the rest has the defaults of the table's definition.
        v_columns := (select string_agg(quote_ident(given.name), ', ') from jsonb_object_keys(p_fields) as given (name));
        execute format(
            'insert into reconcile.providers (name, %s) select $1, %s from jsonb_populate_record(null::reconcile.providers, $2) '
            'returning provider_id', v_columns, v_columns
        ) into v_provider_id using p_name, p_fields;
        insert into reconcile.provider_traffic (provider_id) values (v_provider_id);
        perform reconcile_internal._ensure_partitions();
    else
        v_provider_id := (reconcile_internal._provider(p_name)).provider_id;
        -- Not for update: orders that are tracked meanwhile refer to the key, which stays.
        select p.* into v_old from reconcile.providers as p where p.provider_id = v_provider_id for no key update;
        v_new := jsonb_populate_record(v_old, p_fields);
        v_new.version := v_old.version + 1;
        v_sound := reconcile_internal._refuse_unsound(v_new);
        update reconcile.providers as p
        set (
            version, url, lookup, webhook, without_reference, status_map, status_path, method, auth, headers, body, variables, rules, http_outcomes,
            captures, transaction_id_path, amount_path, amount_unit, amounts_add_up, currency_path, currency, currency_exponents,
            refunded_path, reference_path, may_be_silent_on, sensitive, schedule, max_tries, deadline, not_found_grace, not_found_as,
            gives_up_as, late_success, late_watch, refund_watch, rate_limit, rate_interval, burst, gap, concurrency,
            breaker_after, timeout
        ) = row (
            v_new.version, v_new.url, v_new.lookup, v_new.webhook, v_new.without_reference, v_new.status_map, v_new.status_path, v_new.method, v_new.auth, v_new.headers,
            v_new.body, v_new.variables, v_new.rules, v_new.http_outcomes, v_new.captures, v_new.transaction_id_path,
            v_new.amount_path, v_new.amount_unit, v_new.amounts_add_up, v_new.currency_path, v_new.currency, v_new.currency_exponents,
            v_new.refunded_path, v_new.reference_path, v_new.may_be_silent_on, v_new.sensitive, v_new.schedule, v_new.max_tries,
            v_new.deadline, v_new.not_found_grace, v_new.not_found_as, v_new.gives_up_as, v_new.late_success,
            v_new.late_watch, v_new.refund_watch, v_new.rate_limit, v_new.rate_interval, v_new.burst, v_new.gap,
            v_new.concurrency, v_new.breaker_after, v_new.timeout
        )
        where p.provider_id = v_provider_id;
        -- What failed by the old description says nothing of the new one.
        perform reconcile_internal._ask_anew(v_provider_id);
        perform pg_notify('reconcile_due', '');
    end if;
    insert into reconcile.provider_versions (provider_id, version, settings, changed_by)
    select p.provider_id, p.version, to_jsonb(p), p_changed_by from reconcile.providers as p where p.provider_id = v_provider_id;
exception
    when unique_violation then
        raise exception 'provider % exists already', p_name
            using errcode = 'RC003', hint = 'Change it with reconcile.alter_provider.';
end
$$;

comment on function reconcile_internal._write_provider(text, jsonb, boolean, text) is 'Writes a provider''s row and its version.';

-- What every preset is made of: its fields, and over them what the caller wants different.
create function reconcile_internal._add_preset(p_name text, p_fields jsonb, p_settings jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_written text;
begin
    if jsonb_typeof(coalesce(p_settings, '{}')) <> 'object' then
        raise exception 'provider %: settings is not an object', left(p_name, 80)
            using errcode = 'RC003', hint = 'Write fields of reconcile.add_provider, as in {"deadline": "2 hours"}.';
    end if;
    v_written := reconcile_internal._write_provider(p_name, reconcile_internal._given(p_fields) || coalesce(p_settings, '{}'), true);
end
$$;

comment on function reconcile_internal._add_preset(text, jsonb, jsonb) is
    'Adds a provider by a preset''s fields, with the caller''s settings over them.';

create function reconcile_internal._with_cleared(p_name text, p_fields jsonb, p_clear jsonb) returns jsonb
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$
declare
    v_clearable constant text[] :=
        '{body, transaction_id_path, amount_path, currency_path, currency, refunded_path, reference_path, max_tries, deadline, '
        'rate_limit, burst, gap}';
    v_field text;
begin
    for v_field in select cleared.field from jsonb_array_elements_text(p_clear) as cleared (field) loop
        if v_field is null or v_field <> all (v_clearable) then
            raise exception 'provider %: % can''t be cleared', left(p_name, 80), coalesce(left(v_field, 80), 'NULL')
                using errcode = 'RC003', hint = 'These can: ' || array_to_string(v_clearable, ', ') || '.';
        end if;
        p_fields := p_fields || jsonb_build_object(v_field, null);
    end loop;
    return p_fields;
end
$$;

comment on function reconcile_internal._with_cleared(text, jsonb, jsonb) is 'A provider''s fields, with those that are named for clearing as NULL.';

create function reconcile_internal._add_provider(p_declaration reconcile.declarations) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_fields jsonb := p_declaration.arguments - '{name,clear,lookup_call,lookup_table,lookup_columns}'::text[];
    v_name text := p_declaration.arguments ->> 'name';
    v_kind text := coalesce(v_fields ->> 'kind', 'http');
    v_has_lookup boolean := p_declaration.arguments ?| '{lookup_call,lookup_table}';
    v_written text;
begin
    if v_name is null or not v_fields ?| '{status_map,rules}' or v_kind = 'http' and not v_fields ? 'url' then
        raise exception 'a provider needs a name, a url (or, of kind sql, a lookup), and a status_map or rules'
            using errcode = 'RC003',
                hint = 'A minimal one: select reconcile.add_provider(''vendor'', ''https://api.vendor.example/{order_number}'', ''{"paid": "succeeded"}'').';
    end if;
    if v_kind not in ('http', 'sql') or v_kind = 'http' and v_has_lookup then
        raise exception 'provider %: kind: %', left(v_name, 80), case when v_kind = 'http'
                then 'one that is asked over HTTP has no lookup' else format('%L is not a kind', left(v_kind, 20)) end
            using errcode = 'RC003', hint = 'Use kind => ''sql'' with a lookup, or http with a url.';
    end if;
    if v_kind = 'sql' then
        v_fields := v_fields || jsonb_build_object('lookup', reconcile_internal._register_lookup(v_name, p_declaration));
    end if;
    v_written := reconcile_internal._write_provider(v_name, reconcile_internal._with_cleared(v_name, v_fields, p_declaration.arguments -> 'clear'), true,
        reconcile_internal._decided_by(p_declaration));
end
$$;

comment on function reconcile_internal._add_provider(reconcile.declarations) is 'Does what add_provider was called for.';

create function reconcile.add_provider(
    name text,
    url text default null,
    status_map jsonb default null,
    status_path jsonpath default null,
    method text default null,
    auth jsonb default null,
    headers jsonb default null,
    body jsonb default null,
    variables jsonb default null,
    rules jsonb default null,
    http_outcomes jsonb default null,
    captures jsonb default null,
    transaction_id_path jsonpath default null,
    amount_path jsonpath default null,
    amount_unit text default null,
    currency_path jsonpath default null,
    currency text default null,
    currency_exponents jsonb default null,
    refunded_path jsonpath default null,
    reference_path jsonpath default null,
    may_be_silent_on text[] default null,
    sensitive text[] default null,
    schedule text default null,
    max_tries integer default null,
    deadline interval default null,
    not_found_grace interval default null,
    not_found_as text default null,
    gives_up_as text default null,
    late_success text default null,
    late_watch text default null,
    refund_watch text default null,
    rate_limit integer default null,
    rate_interval interval default null,
    burst integer default null,
    gap interval default null,
    concurrency integer default null,
    breaker_after integer default null,
    timeout interval default null,
    webhook jsonb default null,
    without_reference jsonb default null,
    amounts_add_up boolean default null,
    kind text default null,
    lookup regprocedure default null,
    lookup_table regclass default null,
    lookup_columns jsonb default null,
    clear text[] default '{}'
) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_id bigint := reconcile_doors.declare('add_provider', jsonb_build_object(
        'name', name, 'url', url, 'status_map', status_map, 'status_path', status_path::text, 'method', method, 'auth', auth,
        'headers', headers, 'body', body, 'variables', variables, 'rules', rules, 'http_outcomes', http_outcomes,
        'captures', captures, 'transaction_id_path', transaction_id_path::text, 'amount_path', amount_path::text,
        'amount_unit', amount_unit, 'currency_path', currency_path::text, 'currency', currency, 'currency_exponents',
        currency_exponents, 'refunded_path', refunded_path::text, 'reference_path', reference_path::text,
        'may_be_silent_on', to_jsonb(may_be_silent_on), 'sensitive', to_jsonb(sensitive), 'schedule', schedule, 'max_tries', max_tries, 'deadline', deadline, 'not_found_grace',
        not_found_grace, 'not_found_as', not_found_as, 'gives_up_as', gives_up_as, 'late_success', late_success,
        'late_watch', late_watch, 'refund_watch', refund_watch, 'rate_limit', rate_limit, 'rate_interval',
        rate_interval, 'burst', burst, 'gap', gap, 'concurrency', concurrency, 'breaker_after', breaker_after,
        'timeout', timeout, 'webhook', webhook, 'without_reference', without_reference, 'amounts_add_up', amounts_add_up, 'kind', kind, 'lookup_call', lookup::oid, 'lookup_table', lookup_table::oid,
        'lookup_columns', lookup_columns, 'clear', to_jsonb(clear)
    ));
    v_done jsonb;
begin
    v_done := reconcile_doors.do_declared(v_id);
end
$$;

comment on function reconcile.add_provider is
    'Adds a provider. What is left out has the default of its column in reconcile.providers, what clear names has no value; a bad field is '
    'refused by name.';

create function reconcile_internal._alter_provider(p_declaration reconcile.declarations) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_fields jsonb := p_declaration.arguments - '{name,clear,lookup_call,lookup_table,lookup_columns}'::text[];
    v_name text := p_declaration.arguments ->> 'name';
    v_written text;
begin
    if p_declaration.arguments - '{name,clear}'::text[] = '{}' and coalesce(p_declaration.arguments -> 'clear', '[]') = '[]' then
        raise exception 'provider %: nothing is given to be changed', coalesce(left(v_name, 80), 'NULL')
            using errcode = 'RC003', hint = 'NULL counts as not given. A field is emptied by its name, as in clear => ''{deadline}''.';
    end if;
    if p_declaration.arguments ?| '{lookup_call,lookup_table}' then
        if (reconcile_internal._provider(v_name)).kind <> 'sql' then
            raise exception 'provider %: lookup: it is asked over HTTP', left(v_name, 80)
                using errcode = 'RC003', hint = 'Add a provider of kind sql beside it, and attach or track orders there.';
        end if;
        perform reconcile_internal._forget_lookup(v_name);
        v_fields := v_fields || jsonb_build_object('lookup', reconcile_internal._register_lookup(v_name, p_declaration));
    end if;
    v_written := reconcile_internal._write_provider(v_name, reconcile_internal._with_cleared(v_name, v_fields, p_declaration.arguments -> 'clear'), false,
        reconcile_internal._decided_by(p_declaration));
end
$$;

comment on function reconcile_internal._alter_provider(reconcile.declarations) is 'Does what alter_provider was called for.';

create function reconcile.alter_provider(
    name text,
    url text default null,
    status_map jsonb default null,
    status_path jsonpath default null,
    method text default null,
    auth jsonb default null,
    headers jsonb default null,
    body jsonb default null,
    variables jsonb default null,
    rules jsonb default null,
    http_outcomes jsonb default null,
    captures jsonb default null,
    transaction_id_path jsonpath default null,
    amount_path jsonpath default null,
    amount_unit text default null,
    currency_path jsonpath default null,
    currency text default null,
    currency_exponents jsonb default null,
    refunded_path jsonpath default null,
    reference_path jsonpath default null,
    may_be_silent_on text[] default null,
    sensitive text[] default null,
    schedule text default null,
    max_tries integer default null,
    deadline interval default null,
    not_found_grace interval default null,
    not_found_as text default null,
    gives_up_as text default null,
    late_success text default null,
    late_watch text default null,
    refund_watch text default null,
    rate_limit integer default null,
    rate_interval interval default null,
    burst integer default null,
    gap interval default null,
    concurrency integer default null,
    breaker_after integer default null,
    timeout interval default null,
    webhook jsonb default null,
    without_reference jsonb default null,
    amounts_add_up boolean default null,
    lookup regprocedure default null,
    lookup_table regclass default null,
    lookup_columns jsonb default null,
    clear text[] default '{}'
) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_id bigint := reconcile_doors.declare('alter_provider', jsonb_build_object(
        'name', name, 'url', url, 'status_map', status_map, 'status_path', status_path::text, 'method', method, 'auth', auth,
        'headers', headers, 'body', body, 'variables', variables, 'rules', rules, 'http_outcomes', http_outcomes,
        'captures', captures, 'transaction_id_path', transaction_id_path::text, 'amount_path', amount_path::text,
        'amount_unit', amount_unit, 'currency_path', currency_path::text, 'currency', currency, 'currency_exponents',
        currency_exponents, 'refunded_path', refunded_path::text, 'reference_path', reference_path::text,
        'may_be_silent_on', to_jsonb(may_be_silent_on), 'sensitive', to_jsonb(sensitive), 'schedule', schedule, 'max_tries', max_tries, 'deadline', deadline, 'not_found_grace',
        not_found_grace, 'not_found_as', not_found_as, 'gives_up_as', gives_up_as, 'late_success', late_success,
        'late_watch', late_watch, 'refund_watch', refund_watch, 'rate_limit', rate_limit, 'rate_interval',
        rate_interval, 'burst', burst, 'gap', gap, 'concurrency', concurrency, 'breaker_after', breaker_after,
        'timeout', timeout, 'webhook', webhook, 'without_reference', without_reference, 'amounts_add_up', amounts_add_up, 'lookup_call', lookup::oid, 'lookup_table', lookup_table::oid,
        'lookup_columns', lookup_columns, 'clear', to_jsonb(clear)
    ));
    v_done jsonb;
begin
    v_done := reconcile_doors.do_declared(v_id);
end
$$;

comment on function reconcile.alter_provider is
    'Changes what is given and keeps the rest. NULL counts as not given, so deadline => null keeps the deadline: clear names the fields '
    'that are to be empty, as in clear => ''{deadline}''.';

create function reconcile_internal._pause_provider(p_declaration reconcile.declarations) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_provider reconcile.providers := reconcile_internal._provider(p_declaration.arguments ->> 'name');
    v_reason text := p_declaration.arguments ->> 'reason';
begin
    if coalesce(trim(v_reason), '') = '' or length(v_reason) > 2000 then
        raise exception 'a pause needs a reason of 1 to 2000 characters' using errcode = 'RC005', hint = 'Say why: the next person on call reads it.';
    end if;
    update reconcile.providers as p
    set paused_at = coalesce(p.paused_at, clock_timestamp()), paused_by = reconcile_internal._decided_by(p_declaration), paused_reason = v_reason
    where p.provider_id = v_provider.provider_id;
end
$$;

comment on function reconcile_internal._pause_provider(reconcile.declarations) is 'Does what pause_provider was called for.';

create function reconcile.pause_provider(name text, reason text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_id bigint := reconcile_doors.declare('pause_provider', jsonb_build_object('name', name, 'reason', reason));
    v_done jsonb;
begin
    v_done := reconcile_doors.do_declared(v_id);
end
$$;

comment on function reconcile.pause_provider(text, text) is 'Stops asking a provider; what is in flight is still reported.';

create function reconcile_internal._resume_provider(p_declaration reconcile.declarations) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_provider reconcile.providers := reconcile_internal._provider(p_declaration.arguments ->> 'name');
begin
    update reconcile.providers as p
    set paused_at = null, paused_by = null, paused_reason = null
    where p.provider_id = v_provider.provider_id;
    -- Whoever resumes has mended what was wrong, a secret of the sidecar for instance.
    perform reconcile_internal._ask_anew(v_provider.provider_id);
    perform pg_notify('reconcile_due', '');
end
$$;

comment on function reconcile_internal._resume_provider(reconcile.declarations) is 'Does what resume_provider was called for.';

create function reconcile.resume_provider(name text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_id bigint := reconcile_doors.declare('resume_provider', jsonb_build_object('name', name));
    v_done jsonb;
begin
    v_done := reconcile_doors.do_declared(v_id);
end
$$;

comment on function reconcile.resume_provider(text) is
    'Asks a provider again, and at once: after a pause, or when what opened its breaker is mended.';
