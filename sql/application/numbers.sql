-- What an order is called: by its number in the ledger, which is one order's, and by its row's own number, before which the attachment may
-- put a prefix. Outside the ledger nobody knows the prefix: the row, a lookup and, where its template says so, the provider know the own
-- number; calls, views, events and hooks go by the ledger's.
-- Locks: attached tables for reading, as following does, and without waiting.
-- Requires: following.

create function reconcile_internal._prefixes() returns text[]
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    return array(
        select a.order_number_prefix from reconcile.attachments as a where a.order_number_prefix <> ''
        union
        select d.order_number_prefix from reconcile.detached_tables as d where d.order_number_prefix <> ''
    );
end
$$;

comment on function reconcile_internal._prefixes() is 'The prefixes that orders of attached tables have, and of those that were.';

create function reconcile_internal._numbers_of(p_row reconcile.attachments, p_own_numbers text[]) returns text[]
language plpgsql immutable set search_path = pg_catalog, pg_temp
as $$
begin
    -- A row without a number stays one.
    return case when p_row.order_number_prefix = '' or p_own_numbers is null then p_own_numbers else array(
        select case when own.number <> '' then p_row.order_number_prefix || own.number else own.number end
        from unnest(p_own_numbers) with ordinality as own (number, place)
        order by own.place
    ) end;
end
$$;

comment on function reconcile_internal._numbers_of(reconcile.attachments, text[]) is 'The ledger''s numbers for a table''s own.';

create function reconcile_internal._own_number(p_row reconcile.attachments, p_order_number text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp
as $$
begin
    return case when p_row.order_number_prefix <> '' and starts_with(p_order_number, p_row.order_number_prefix)
        then substr(p_order_number, length(p_row.order_number_prefix) + 1) end;
end
$$;

comment on function reconcile_internal._own_number(reconcile.attachments, text) is
    'The row''s own number of an order of a table with a prefix; NULL for a number that can''t be one of that table''s, and without a prefix.';

-- In a table, whether watched or not: who decides by a number means a row. In one that he may not read himself he means none.
create function reconcile_internal._stands_in(p_row reconcile.attachments, p_order_number text) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_context text;
begin
    return exists (select from reconcile.tracked_orders as o where o.order_number = p_order_number and o.attachment_id = p_row.attachment_id)
        or not current_setting('transaction_read_only')::boolean
            and coalesce(has_any_column_privilege(session_user, p_row.relation, 'select'), false)
            and cardinality(reconcile_internal._rows_of(p_row, array[p_order_number])) > 0;
exception
    when data_exception then
        -- It can't be a number of that table.
        return false;
    when others or assert_failure or query_canceled then
        get stacked diagnostics v_context = pg_exception_context;
        if reconcile_internal._is_cancelled(sqlstate, v_context) then
            raise;
        end if;
        -- The table has changed or is locked, so it can't be told.
        return null;
end
$$;

comment on function reconcile_internal._stands_in(reconcile.attachments, text) is
    'Whether an order of this number is known or a row of it stands in an attached table; NULL when that can''t be looked at.';

create function reconcile_internal._refuse_two(p_own_number text, p_named text[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    raise exception '% is the number of more than one: %', quote_literal(left(p_own_number, 80)), array_to_string(p_named, ', ')
        using errcode = 'RC016', hint = 'Name the one that is meant by its number in the ledger, with its prefix.';
end
$$;

comment on function reconcile_internal._refuse_two(text, text[]) is 'Raises that a number could be either of several orders.';

create function reconcile_internal._number_by_own(p_own_number text) returns text
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_row reconcile.attachments;
    v_number text;
    v_numbers text[] := '{}';
    v_named text[] := '{}';
    v_stands boolean;
begin
    if coalesce(p_own_number, '') = '' or reconcile_internal._prefixes() = '{}' then
        return null;
    end if;
    foreach v_row in array array(select a from reconcile.attachments as a order by a.attachment_id) loop
        v_number := v_row.order_number_prefix || p_own_number;
        v_stands := reconcile_internal._stands_in(v_row, v_number);
        continue when not v_stands;
        v_numbers := v_numbers || v_number;
        v_named := v_named || format('%L (%s%s)', left(v_number, 80), v_row.relation,
            case when v_stands is null then ', which can''t be looked at now' end);
    end loop;
    -- Orders of tables that are detached.
    select v_numbers || coalesce(array_agg(o.order_number), '{}'), v_named || coalesce(array_agg(format('%L', o.order_number)), '{}')
    into v_numbers, v_named
    from unnest(reconcile_internal._prefixes()) as known (prefix)
    join reconcile.tracked_orders as o on o.order_number = known.prefix || p_own_number
    where o.own_number = p_own_number and o.order_number <> all (v_numbers);
    if cardinality(v_numbers) > 1 then
        perform reconcile_internal._refuse_two(p_own_number, v_named);
    end if;
    return v_numbers[1];
end
$$;

comment on function reconcile_internal._number_by_own(text) is
    'The ledger''s number of what a row''s own number means; NULL when that is nothing. Raises RC016 when it stands in more than one table.';

-- Whether its answer about a row could be about another table's row of the same own number: nothing else is said in the question.
create function reconcile_internal._could_be_another_tables(p_row reconcile.attachments) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select format('provider %s is asked by the row''s own number, and by that of %s as well: an answer could be about either', p.name, a.relation)
        from reconcile.providers as p
        join reconcile.attachments as a on a.provider_id = p.provider_id
        left join reconcile.registered_lookups as l on l.provider = p.name
        where p.provider_id = p_row.provider_id and a.attachment_id <> p_row.attachment_id and a.order_number_prefix <> p_row.order_number_prefix
          and case
              when p.without_reference::text ~ 'own_number' and p.without_reference::text !~ 'order_number' then true
              when p.kind = 'http' then concat(p.url, p.headers, p.body, p.status_path, p.rules) ~ 'own_number'
                  and concat(p.url, p.headers, p.body, p.status_path, p.rules) !~ 'order_number'
                  and not reconcile_internal.needs_reference(p.url, p.headers, p.body)
              when l.relation is not null then not l.columns ? 'reference'
              else p_row.reference is null or a.reference is null
          end
        order by a.attachment_id
        limit 1
    );
end
$$;

comment on function reconcile_internal._could_be_another_tables(reconcile.attachments) is
    'Why a table under another prefix can''t have this provider; NULL when it can.';
