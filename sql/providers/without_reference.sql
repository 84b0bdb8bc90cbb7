-- The second way to ask: by the order's number, for an order without the reference that its provider asks by. A crash between taking the
-- money and keeping the reference leaves such orders behind. Owns what this way may say, and how it is laid over the first.
-- Requires: provider_times.

create function reconcile_internal._second_way(p_row reconcile.providers) returns reconcile.providers
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    v_way jsonb := p_row.without_reference || '{"without_reference": {}}';
begin
    if v_way ? 'captures' then
        v_way := v_way || jsonb_build_object('captures', coalesce(reconcile_internal.full_captures(v_way -> 'captures'), v_way -> 'captures'));
    end if;
    return jsonb_populate_record(p_row, v_way);
end
$$;

comment on function reconcile_internal._second_way(reconcile.providers) is
    'A provider as it is asked and read by the order''s number: the fields of without_reference over its own.';

create function reconcile_internal._asked_without(p_reference text, p_way jsonb) returns boolean
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$
    select p_reference is null and p_way <> '{}'
$$;

comment on function reconcile_internal._asked_without(text, jsonb) is
    'Whether an order with this reference, or none, is asked about by its number, a provider having such a way or not.';

-- What is the same for all questions of a provider, such as how they are signed and how often they are put, has no second way.
create function reconcile_internal._shape_of_second_way_problem(p_way jsonb) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp
as $$
declare
    v_members constant text[] := '{url,method,headers,body,variables,status_path,status_map,rules,http_outcomes,captures,transaction_id_path,'
        'amount_path,amount_unit,amounts_add_up,currency_path,currency,currency_exponents,refunded_path,reference_path,may_be_silent_on}';
    v_may_be_null constant text[] :=
        '{body,transaction_id_path,amount_path,currency_path,currency,refunded_path,reference_path}';
    v_member text;
begin
    if jsonb_typeof(p_way) <> 'object' then
        return 'it is not an object';
    end if;
    v_member := (select min(way.key) from jsonb_each(p_way) as way where way.key <> all (v_members));
    if v_member is not null then
        return format('%L is not one of its members: use %s', left(v_member, 40), array_to_string(v_members, ', '));
    end if;
    v_member := (select min(way.key) from jsonb_each(p_way) as way where way.value = 'null' and way.key <> all (v_may_be_null));
    return case when v_member is not null then format('%L can''t be null', v_member) end;
end
$$;

comment on function reconcile_internal._shape_of_second_way_problem(jsonb) is
    'What is wrong with the members of without_reference, whatever they say; NULL when nothing is.';

-- Such an order has no reference: what names it could never be asked, or never be read.
create function reconcile_internal._names_reference(p_row reconcile.providers) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    if reconcile_internal.needs_reference(p_row.url, p_row.headers, p_row.body) then
        return 'its request names {reference}, which such an order does not have: name {order_number}';
    end if;
    return (
        select format('%s names $reference, which such an order does not have: name $order_number', path.field)
        from (
            select *
            from (values (1, 'status_path', p_row.status_path), (2, 'amount_path', p_row.amount_path), (3, 'currency_path', p_row.currency_path),
                (4, 'reference_path', p_row.reference_path), (5, 'transaction_id_path', p_row.transaction_id_path),
                (6, 'refunded_path', p_row.refunded_path)) as each (place, field, path)
            union all
            select 7, 'rules', (rule ->> 'when')::jsonpath from jsonb_array_elements(p_row.rules) as rule
            union all
            select 8, 'captures', (capture.value ->> 'path')::jsonpath from jsonb_each(p_row.captures) as capture
        ) as path
        where 'reference' = any (reconcile_internal._variables_of(path.path))
        order by path.place
        limit 1
    );
end
$$;

comment on function reconcile_internal._names_reference(reconcile.providers) is
    'Where a way to ask without a reference names one all the same; NULL where it does not.';

create function reconcile_internal._second_way_problem(p_row reconcile.providers) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    v_problem text := reconcile_internal._shape_of_second_way_problem(p_row.without_reference);
    v_row reconcile.providers;
begin
    -- The rest is seen in the whole row: a part of it does not say what the way is laid over.
    if v_problem is not null or p_row.provider_id is null or coalesce(p_row.without_reference, '{}') = '{}' then
        return v_problem;
    elsif p_row.kind = 'sql' then
        return 'of kind sql, it has one lookup, which is given the order number and the reference';
    end if;
    v_row := reconcile_internal._second_way(p_row);
    v_row.webhook := '{}';
    perform reconcile_internal._refuse_unsound(v_row);
    return reconcile_internal._names_reference(v_row);
exception
    when others then
        return regexp_replace(sqlerrm, '^provider [^:]*: ', '');
end
$$;

comment on function reconcile_internal._second_way_problem(reconcile.providers) is
    'What is wrong with how a provider is asked without a reference; NULL when it will do.';
