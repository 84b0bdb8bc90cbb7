-- What a path or a predicate of a provider's row may be: jsonpath that PostgreSQL can evaluate on every answer, and that leads to nothing
-- that is masked. Owns which variables there are.
-- Requires: declarations.

-- The variables that a path names. It is read as PostgreSQL writes it, every name and text in quotes; a variable's follows a $.
create function reconcile_internal._variables_of(p_path jsonpath) returns text[]
language sql immutable parallel safe strict set search_path = pg_catalog, pg_temp
as $$
    select array(
        select found.part[2]::jsonb #>> '{}'
        from regexp_matches(p_path::text, E'(\\$?)("(?:[^"\\\\]|\\\\.)*")', 'g') as found (part)
        where found.part[1] = '$'
    )
$$;

comment on function reconcile_internal._variables_of(jsonpath) is 'The names of the variables in a path, in the order in which they stand.';

create function reconcile_internal._finds_twice(p_path jsonpath) returns boolean
language sql immutable parallel safe strict set search_path = pg_catalog, pg_temp
as $$
    select p_path::text not like 'strict %' and strpos(regexp_replace(p_path::text, E'"(?:[^"\\\\]|\\\\.)*"', '', 'g'), '**') > 0
$$;

comment on function reconcile_internal._finds_twice(jsonpath) is
    'Whether a path can find one value twice: a ** does, what stands in a list, where the path is not strict.';

-- A path can be well formed and still fail on an answer, by a variable that nobody gives or a function that needs a time zone, however
-- deep inside a filter. So both are looked for, and it is tried, on an answer without anything in it.
create function reconcile_internal._path_problem(p_path text, p_is_predicate boolean) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    v_known constant jsonb := jsonb '{"order_number": "", "own_number": "", "reference": ""}';
    v_path jsonpath := p_path::jsonpath;
    v_unknown text;
    v_bare text;
begin
    v_unknown := (
        select min(used.name) from unnest(reconcile_internal._variables_of(v_path)) as used (name) where not v_known ? used.name
    );
    if v_unknown is not null then
        return format('there is no variable $%s', left(v_unknown, 40));
    end if;
    -- By itself a time is read or is none; one beside another may need a time zone, which no path has.
    v_bare := regexp_replace(v_path::text, E'"(?:[^"\\\\]|\\\\.)*"', '', 'g');
    if v_bare ~ E'\\.(datetime|date|time|time_tz|timestamp|timestamp_tz)\\(' and v_bare ~ '[=<>]' then
        return 'times can''t be compared here, where no time zone is certain';
    end if;
    perform jsonb_path_query('{}', v_path, v_known, true);
    if p_is_predicate then
        -- Not silent: a path that is no predicate has no answer of yes or no.
        perform jsonb_path_match('{}', v_path, v_known);
    end if;
    return null;
exception
    when others then
        return sqlerrm;
end
$$;

comment on function reconcile_internal._path_problem(text, boolean) is 'Why a path, or a predicate, can''t be evaluated on every answer; NULL when it can.';

create function reconcile_internal._bad_path(p_row reconcile.providers, out field text, out problem text)
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    v_path record;
begin
    for v_path in
        select 'status_path' as field, p_row.status_path::text as path, false as is_predicate
        union all select 'transaction_id_path', p_row.transaction_id_path::text, false
        union all select 'amount_path', p_row.amount_path::text, false
        union all select 'currency_path', p_row.currency_path::text, false
        union all select 'refunded_path', p_row.refunded_path::text, false
        union all select 'reference_path', p_row.reference_path::text, false
        union all
        select 'captures', c.value ->> 'path', false
        from jsonb_each(coalesce(reconcile_internal.full_captures(p_row.captures), '{}')) as c
        union all
        select 'rules', r.value ->> 'when', true
        from jsonb_array_elements(
            case when reconcile_internal.rules_error(p_row.rules) is null then coalesce(p_row.rules, '[]') else '[]' end
        ) as r
    loop
        continue when v_path.path is null;
        problem := reconcile_internal._path_problem(v_path.path, v_path.is_predicate);
        if problem is not null then
            field := v_path.field;
            problem := format('%s: %s', left(v_path.path, 200), problem);
            return;
        end if;
    end loop;
end
$$;

comment on function reconcile_internal._bad_path(reconcile.providers) is
    'The first of a provider''s paths that can''t be evaluated, and why.';

-- What a path leads to is kept and shown, so it may not lead through a member that is masked everywhere else.
create function reconcile_internal._masked_path(p_row reconcile.providers, out field text, out problem text)
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    select path.field, format('%s leads to %s, which is masked wherever it is kept', path.path, path.member) into field, problem
    from (
        select named.field, named.path, found.member[1] as member
        from (
            select 'status_path' as field, p_row.status_path::text as path
            union all select 'transaction_id_path', p_row.transaction_id_path::text
            union all select 'reference_path', p_row.reference_path::text
            union all
            select 'captures', (c.value ->> 'path')::jsonpath::text
            from jsonb_each(coalesce(reconcile_internal.full_captures(p_row.captures), '{}')) as c
            where not (c.value ->> 'sensitive')::boolean
        ) as named
        -- A name in a path is written as in JSON.
        cross join lateral regexp_matches(named.path, E'\\.("(?:[^"\\\\]|\\\\.)*")', 'g') as found (member)
    ) as path
    where reconcile_internal.is_sensitive(path.member::jsonb #>> '{}') or path.member::jsonb #>> '{}' = any (p_row.sensitive)
    limit 1;
end
$$;

comment on function reconcile_internal._masked_path(reconcile.providers) is
    'The first of a provider''s paths that leads to what is masked, and what that is.';
