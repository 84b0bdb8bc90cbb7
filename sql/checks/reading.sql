-- How an answer is read, before it is judged: as JSON, by the first rule that holds, and what is kept of it.
-- Requires: claim.

create function reconcile_internal._parsed(p_body text) returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp
as $$
begin
    return case when reconcile_internal.has_sane_numbers(p_body) then p_body::jsonb end;
exception
    -- Not JSON, or JSON that jsonb refuses: \u0000, a number out of range, nesting beyond the stack.
    when others then
        return null;
end
$$;

comment on function reconcile_internal._parsed(text) is 'An answer as jsonb; NULL when it can''t be read.';

create function reconcile_internal._matching_rule(p_rules jsonb, p_answer jsonb, p_variables jsonb) returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp
as $$
    select rule.value || jsonb_build_object('number', rule.number)
    from jsonb_array_elements(p_rules) with ordinality as rule (value, number)
    where jsonb_path_match(p_answer, (rule.value ->> 'when')::jsonpath, p_variables, true)
    order by rule.number
    limit 1
$$;

comment on function reconcile_internal._matching_rule(jsonb, jsonb, jsonb) is 'The first rule that holds for an answer, with its number; NULL when none does.';

-- A sensitive capture's path ends with a member's name: see provider_checks.
create function reconcile_internal._never_kept(p_provider reconcile.providers) returns text[]
language sql immutable set search_path = pg_catalog, pg_temp
as $$
    select p_provider.sensitive || array(
        -- A name in a path is written as in JSON.
        select (regexp_match((capture.value ->> 'path')::jsonpath::text, E'\\.("(?:[^"\\\\]|\\\\.)*")(?:\\[[^]"]*\\])*$'))[1]::jsonb #>> '{}'
        from (
            select * from jsonb_each(p_provider.captures)
            union all
            select * from jsonb_each(p_provider.webhook -> 'captures')
            union all
            select * from jsonb_each(p_provider.without_reference -> 'captures')
        ) as capture (name, value)
        where (capture.value ->> 'sensitive')::boolean
    )
$$;

comment on function reconcile_internal._never_kept(reconcile.providers) is
    'Names of members of an answer or an event that are never stored: the provider''s sensitive ones, and those that sensitive captures read, of '
    'answers or of events.';

-- What is sensitive is kept on the order, for who is meant to have it; all else as it may be kept anywhere.
create function reconcile_internal._captured(p_captures jsonb, p_answer jsonb, p_shown jsonb, p_variables jsonb) returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp
as $$
    select coalesce(jsonb_object_agg(found.name, found.value) filter (where found.value is not null), '{}')
    from (
        select capture.key as name, jsonb_path_query_first(
            case when (capture.value ->> 'sensitive')::boolean then p_answer else p_shown end,
            (capture.value ->> 'path')::jsonpath, p_variables, true) as value
        from jsonb_each(p_captures) as capture
    ) as found
    where octet_length(found.value::text) <= 4000
$$;

comment on function reconcile_internal._captured(jsonb, jsonb, jsonb, jsonb) is
    'The values that a provider''s captures find in an answer: sensitive ones in the answer, others in what is shown of it.';

-- By their names: one that either calls sensitive is.
create function reconcile_internal._captures_of_both(p_captures jsonb, p_webhook jsonb) returns jsonb
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$
    select case when p_webhook -> 'captures' is null then p_captures else (
        select coalesce(jsonb_object_agg(named.name, jsonb_build_object('sensitive', named.sensitive)), '{}')
        from (
            select capture.name, bool_or(coalesce((capture.value ->> 'sensitive')::boolean, false)) as sensitive
            from (select * from jsonb_each(p_captures) union all select * from jsonb_each(p_webhook -> 'captures')) as capture (name, value)
            group by capture.name
        ) as named
    ) end
$$;

comment on function reconcile_internal._captures_of_both(jsonb, jsonb) is
    'Which captures a provider''s row and its webhook have, and which of them are sensitive.';

create function reconcile_internal._texts(p_found jsonb) returns text[]
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$
    select array(select found.value from jsonb_array_elements_text(p_found) with ordinality as found (value, place)
        where found.value is not null order by found.place)
$$;

comment on function reconcile_internal._texts(jsonb) is 'What a path found, as texts, without nulls.';

-- A ** finds what stands in a list twice, unless the path is strict: there only what differs counts.
create function reconcile_internal._several(
    p_provider reconcile.providers, p_statuses jsonb, p_transaction_ids jsonb, p_amounts jsonb, p_currencies jsonb, p_mentions jsonb
) returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp
as $$
    select jsonb_object_agg(found.name, found.texts)
    from (
        select each.name, to_jsonb(case when reconcile_internal._finds_twice(each.path)
            then array(select distinct text from unnest(reconcile_internal._texts(each.found)) as text order by text)
            else reconcile_internal._texts(each.found) end) as texts
        from (values
            ('status_path', p_provider.status_path, p_statuses), ('transaction_id_path', p_provider.transaction_id_path, p_transaction_ids),
            ('amount_path', p_provider.amount_path, p_amounts), ('currency_path', p_provider.currency_path, p_currencies),
            ('reference_path', p_provider.reference_path, p_mentions)
        ) as each (name, path, found)
        where jsonb_array_length(each.found) > 1
    ) as found
    where jsonb_array_length(found.texts) > 1
$$;

comment on function reconcile_internal._several(reconcile.providers, jsonb, jsonb, jsonb, jsonb, jsonb) is
    'What was found by each path that found more than one value, by the path''s name; NULL when none did.';

create function reconcile_internal._must_say(p_provider reconcile.providers) returns text[]
language sql immutable set search_path = pg_catalog, pg_temp
as $$
    select array(
        select path.name
        from (values ('amount', p_provider.amount_path), ('currency', p_provider.currency_path), ('reference', p_provider.reference_path))
            as path (name, path)
        where path.path is not null and path.name <> all (p_provider.may_be_silent_on)
    )
$$;

comment on function reconcile_internal._must_say(reconcile.providers) is
    'What an answer that says succeeded has to say of the order: what has a path and is not in may_be_silent_on.';

create function reconcile_internal._not_compared(
    p_provider reconcile.providers, p_amount numeric, p_currency text, p_reference text,
    p_said_amount text, p_said_currency text, p_said_reference text
) returns text
language sql immutable set search_path = pg_catalog, pg_temp
as $$
    select nullif(concat_ws('; ',
        'the answer is silent on ' || string_agg(pair.name, ', ') filter (where pair.ours is not null and pair.said is null)
            || ', as may_be_silent_on allows',
        'the order has no ' || string_agg(pair.name, ', ') filter (where pair.ours is null and pair.said is not null) || ' to compare'), '')
    from (values
        ('amount', p_provider.amount_path, p_amount::text, p_said_amount), ('currency', p_provider.currency_path, p_currency, p_said_currency),
        ('reference', p_provider.reference_path, p_reference, p_said_reference)
    ) as pair (name, path, ours, said)
    where pair.path is not null
$$;

comment on function reconcile_internal._not_compared(reconcile.providers, numeric, text, text, text, text, text) is
    'What a success was not compared in although there is a path for it, as a sentence; NULL when all was.';

-- What one of several rows means, by itself.
create function reconcile_internal._row_means(p_provider reconcile.providers, p_row jsonb, p_variables jsonb) returns text
language sql immutable set search_path = pg_catalog, pg_temp
as $$
    select coalesce(
        reconcile_internal._matching_rule(p_provider.rules, p_row, p_variables) ->> 'means',
        p_provider.status_map ->> (jsonb_path_query_first(p_row, p_provider.status_path, p_variables, true) #>> '{}'))
$$;

comment on function reconcile_internal._row_means(reconcile.providers, jsonb, jsonb) is 'What a row means by a provider''s rules and status map; NULL when it is unknown.';

-- Of several rows of this database, which stand as _best_first has put them: all that say succeeded, or else the first. Where the first
-- means nothing by itself, all are read together.
create function reconcile_internal._decisive_rows(p_provider reconcile.providers, p_rows jsonb, p_variables jsonb) returns integer
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select case
        when meaning.first = 'succeeded' then (
            select count(*) from jsonb_array_elements(p_rows) as each (row)
            where reconcile_internal._row_means(p_provider, each.row, p_variables) = 'succeeded'
        )
        when meaning.first is not null then 1
    end
    from (select reconcile_internal._row_means(p_provider, p_rows -> 0, p_variables) as first) as meaning
$$;

comment on function reconcile_internal._decisive_rows(reconcile.providers, jsonb, jsonb) is
    'How many of the first rows of an answer are read; NULL for all.';

create function reconcile_internal._first_rows(p_rows jsonb, p_count integer) returns jsonb
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$
    select case when p_count = 1 then p_rows -> 0 else (
        select jsonb_agg(each.row order by each.place) from jsonb_array_elements(p_rows) with ordinality as each (row, place)
        where each.place <= p_count
    ) end
$$;

comment on function reconcile_internal._first_rows(jsonb, integer) is 'The first rows of an answer, one as the object that it is.';

-- What is not JSON is not kept, but for its beginning, masked as a text: a maintenance page and a gateway's complaint tell what is wrong.
-- Where names alone say what is sensitive a text can't be looked through: JSON that is broken, and whatever a provider answers that has
-- members to hide, are not shown.
create function reconcile_internal._excerpt(p_body text, p_never_kept text[]) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp
as $$
declare
    -- Masked before it is cut, so that no half of a secret is left over.
    v_read constant text := left(p_body, 65536);
    v_shown text;
begin
    if p_never_kept <> '{}' or p_body ~ '^[[:space:]]*[[{"]' then
        return '';
    end if;
    v_shown := trim(regexp_replace(
        coalesce(reconcile_internal.redact_text(v_read, p_never_kept), v_read), '[[:cntrl:][:space:]]+', ' ', 'g'));
    return left(v_shown, 200) || case when length(v_shown) > 200 then '…' else '' end;
end
$$;

comment on function reconcile_internal._excerpt(text, text[]) is 'The first 200 characters of an answer that is not JSON, masked; empty where that can''t be done.';

create function reconcile_internal._remark_about(
    p_wire text, p_fault text, p_http_status integer, p_body text, p_is_json boolean, p_detail text, p_never_kept text[]
) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp
as $$
declare
    v_shown text;
begin
    if p_fault is not null or p_wire is not null and p_http_status is null then
        return coalesce(p_detail, 'HTTP ' || p_http_status);
    elsif coalesce(p_body, '') = '' or p_is_json then
        v_shown := '';
    else
        -- Without a fault, the detail is the content type.
        v_shown := format(' (%s characters%s)', length(p_body), ' of ' || reconcile_internal._masked(p_detail, p_never_kept, 100))
            || coalesce(': ' || nullif(reconcile_internal._excerpt(p_body, p_never_kept), ''), '');
    end if;
    return case
        when p_wire is not null then format('HTTP %s', p_http_status)
            || case when p_http_status between 300 and 399 then ': redirects are not followed' else '' end || v_shown
        when coalesce(p_body, '') = '' then 'the answer is empty'
        when not p_is_json then 'the answer is not JSON that can be kept' || v_shown
    end;
end
$$;

comment on function reconcile_internal._remark_about(text, text, integer, text, boolean, text, text[]) is
    'What is said of an answer that is not read: why, and how it begins if it is not JSON; NULL where there is more to read.';
