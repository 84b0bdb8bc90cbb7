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

create function reconcile_internal._matching_rule(p_rules jsonb, p_answer jsonb) returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp
as $$
    select rule.value || jsonb_build_object('number', rule.number)
    from jsonb_array_elements(p_rules) with ordinality as rule (value, number)
    where jsonb_path_match(p_answer, (rule.value ->> 'when')::jsonpath, '{}', true)
    order by rule.number
    limit 1
$$;

comment on function reconcile_internal._matching_rule(jsonb, jsonb) is 'The first rule that holds for an answer, with its number; NULL when none does.';

-- A sensitive capture's path ends with a member's name: see provider_checks.
create function reconcile_internal._never_kept(p_provider reconcile.providers) returns text[]
language sql immutable set search_path = pg_catalog, pg_temp
as $$
    select p_provider.sensitive || array(
        -- A name in a path is written as in JSON.
        select (regexp_match((capture.value ->> 'path')::jsonpath::text, E'\\.("(?:[^"\\\\]|\\\\.)*")(?:\\[[^]"]*\\])*$'))[1]::jsonb #>> '{}'
        from jsonb_each(p_provider.captures) as capture
        where (capture.value ->> 'sensitive')::boolean
    )
$$;

comment on function reconcile_internal._never_kept(reconcile.providers) is
    'Names of members of an answer that are never stored: the provider''s sensitive ones, and those that sensitive captures read.';

-- What is sensitive is kept on the order, for who is meant to have it; all else as it may be kept anywhere.
create function reconcile_internal._captured(p_captures jsonb, p_answer jsonb, p_shown jsonb) returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp
as $$
    select coalesce(jsonb_object_agg(found.name, found.value) filter (where found.value is not null), '{}')
    from (
        select capture.key as name, jsonb_path_query_first(
            case when (capture.value ->> 'sensitive')::boolean then p_answer else p_shown end,
            (capture.value ->> 'path')::jsonpath, '{}', true) as value
        from jsonb_each(p_captures) as capture
    ) as found
    where octet_length(found.value::text) <= 4000
$$;

comment on function reconcile_internal._captured(jsonb, jsonb, jsonb) is
    'The values that a provider''s captures find in an answer: sensitive ones in the answer, others in what is shown of it.';
