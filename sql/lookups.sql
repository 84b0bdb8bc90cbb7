-- Providers of kind sql: a function or a table of this database answers instead of HTTP.
--
-- The database is its own sidecar, with the id 0: it takes leases on due checks, asks, and settles the answers by the same rules and with
-- the same audit. What it asks runs with the rights of the role that wrote the provider, and never with the extension's.
-- Requires: report.

create sequence reconcile.lookup_ids as integer;

create table reconcile.registered_lookups (
    lookup_id integer primary key default nextval('reconcile.lookup_ids'),
    provider text not null unique,
    call text,
    relation regclass,
    columns jsonb not null default '{}',
    registered_by name not null,
    registered_at timestamptz not null default clock_timestamp(),
    check ((call is null) <> (relation is null))
);

comment on table reconcile.registered_lookups is 'What answers for providers of kind sql. Written by add_provider and alter_provider.';
comment on column reconcile.registered_lookups.lookup_id is 'The lookup; its function ends with this number.';
comment on column reconcile.registered_lookups.provider is 'The provider''s name.';
comment on column reconcile.registered_lookups.call is 'The function that answers, given order number and reference.';
comment on column reconcile.registered_lookups.relation is 'The table that answers: its rows as JSON.';
comment on column reconcile.registered_lookups.columns is 'By which columns the rows are found: {"order_number": column, "reference": column}.';
comment on column reconcile.registered_lookups.registered_by is 'The role whose rights it is asked with.';
comment on column reconcile.registered_lookups.registered_at is 'Since when.';

create function reconcile._lookup_problem(p_lookup reconcile.registered_lookups) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    if p_lookup.call is not null then
        return coalesce((
            select case
                when p.prokind <> 'f' or p.proretset then 'it is no plain function'
                when p.pronargs <> 2 or p.proargtypes[0] <> 'text'::regtype or p.proargtypes[1] <> 'text'::regtype
                    then format('its arguments are (%s), and not (order_number text, reference text)', pg_get_function_identity_arguments(p.oid))
                when p.prorettype <> 'jsonb'::regtype then format('it returns %s, and not jsonb', format_type(p.prorettype, null))
                when not has_function_privilege(p_lookup.registered_by, p.oid, 'execute') then format('%s may not execute it', p_lookup.registered_by)
                when p.pronamespace::regnamespace::text ~ '^pg_temp' then 'it is in a temporary schema'
                else coalesce(reconcile._lent_rights(p_lookup.registered_by, p.proowner), '')
            end
            from pg_proc as p where p.oid = case when p_lookup.call ~ '[(]' then to_regprocedure(p_lookup.call) end
        ), 'there is no such function');
    end if;
    return case
        when not has_table_privilege(p_lookup.registered_by, p_lookup.relation, 'select')
            then format('%s may not read it', p_lookup.registered_by)
        when jsonb_typeof(p_lookup.columns) <> 'object' then 'lookup_columns is not an object such as {"order_number": "order_no"}'
        when (select c.relpersistence = 't' from pg_class as c where c.oid = p_lookup.relation) then 'it is a temporary table'
        when reconcile._lent_rights(p_lookup.registered_by, (select c.relowner from pg_class as c where c.oid = p_lookup.relation)) is not null
            then reconcile._lent_rights(p_lookup.registered_by, (select c.relowner from pg_class as c where c.oid = p_lookup.relation))
        when p_lookup.columns = '{}' or exists (select from jsonb_object_keys(p_lookup.columns) as k where k not in ('order_number', 'reference'))
            then 'lookup_columns has to say by which columns its rows are found, as in {"order_number": "order_no"}'
        else coalesce((
            select format('there is no column %s', coalesce(quote_ident(named.value), 'NULL'))
            from jsonb_each_text(p_lookup.columns) as named
            where reconcile._column_type(p_lookup.relation, named.value) is null
            limit 1
        ), (
            select format('no index begins with its column %I, so every order would read the whole table', named.value)
            from jsonb_each_text(p_lookup.columns) as named
            join pg_class as c on c.oid = p_lookup.relation
            where c.relkind in ('r', 'p') and not exists (
                select from pg_index as i
                join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
                where i.indrelid = p_lookup.relation and i.indisvalid and a.attname = named.value
            )
            limit 1
        ), '')
    end;
end
$$;

comment on function reconcile._lookup_problem(reconcile.registered_lookups) is 'Why a lookup can''t answer; empty when it can.';

create function reconcile._make_lookup(p_lookup reconcile.registered_lookups) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_lookup reconcile.registered_lookups := p_lookup;
    v_problem text := reconcile._lookup_problem(p_lookup);
    v_answer text;
    v_schema text;
begin
    if v_problem <> '' then
        raise exception 'provider %: lookup: %: %', left(v_lookup.provider, 80), coalesce(v_lookup.call, v_lookup.relation::text), v_problem
            using errcode = 'RC003', hint = 'Use lookup => ''shop.payment_of(text, text)'' or lookup_table => ''shop.payments''.';
    end if;
    if v_lookup.call is not null then
        v_answer := format('%s(asked.order_number, asked.reference)', to_regprocedure(v_lookup.call)::regproc);
        v_schema := (select p.pronamespace::regnamespace::text from pg_proc as p where p.oid = to_regprocedure(v_lookup.call));
    else
        -- One row is an object, several are an array, which jsonpath reads alike.
        v_answer := format(
            '(select case when count(*) = 1 then (jsonb_agg(to_jsonb(t)))->0 else jsonb_agg(to_jsonb(t)) end from %s as t where %s)',
            v_lookup.relation, (
                select string_agg(format('t.%I %s asked.%s::%s', named.value, reconcile._operator(v_lookup.relation, named.value, 3), named.key,
                    reconcile._column_type(v_lookup.relation, named.value)), ' and ')
                from jsonb_each_text(v_lookup.columns) as named
            ));
        v_schema := 'pg_catalog';
    end if;
    execute format(
        'create function reconcile_generated._lookup_%s(p_order_numbers text[], p_references text[]) returns table (place bigint, answer jsonb) '
        'language plpgsql security definer set search_path = pg_catalog, %s, pg_temp as %L',
        v_lookup.lookup_id, v_schema, format(
            'begin %sreturn query select asked.place, %s from unnest(p_order_numbers, p_references) with ordinality '
            'as asked (order_number, reference, place); end',
            reconcile._still_lent_check(to_regprocedure(v_lookup.call), v_lookup.relation), v_answer)
    );
    perform reconcile._hand_over(format('_lookup_%s(text[], text[])', v_lookup.lookup_id), v_lookup.registered_by,
        format('Answers for provider %s with the rights of %s.', v_lookup.provider, v_lookup.registered_by));
end
$$;

comment on function reconcile._make_lookup(reconcile.registered_lookups) is
    'Makes the function that answers for a provider; it belongs to the role that wrote the provider.';

create function reconcile._forget_lookup(p_provider text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_lookup_id integer;
begin
    delete from reconcile.registered_lookups as l where l.provider = p_provider returning l.lookup_id into v_lookup_id;
    execute format('drop function if exists reconcile_generated._lookup_%s(text[], text[])', v_lookup_id);
end
$$;

comment on function reconcile._forget_lookup(text) is 'Takes away what answers for a provider, before something else does.';

create function reconcile._register_lookup(p_provider text, p_declaration reconcile.declarations) returns text
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_call text := p_declaration.arguments ->> 'lookup_call';
    v_relation regclass := p_declaration.arguments ->> 'lookup_table';
    v_lookup reconcile.registered_lookups;
begin
    if num_nonnulls(v_call, v_relation) <> 1 then
        raise exception 'provider %: lookup: a provider of kind sql has a function or a table that answers', left(p_provider, 80)
            using errcode = 'RC003', hint = 'Use lookup => ''shop.payment_of(text, text)'' or lookup_table => ''shop.payments''.';
    end if;
    insert into reconcile.registered_lookups as l (provider, call, relation, columns, registered_by)
    values (
        p_provider, v_call, v_relation,
        coalesce(p_declaration.arguments -> 'lookup_columns', (
            select jsonb_build_object('order_number', usual.name)
            from reconcile._usual_column(v_relation, null, '{order_number,number,order_no,order_id}') as usual (name)
            where usual.name is not null
        ), '{}'),
        p_declaration.declared_by
    )
    returning l.* into v_lookup;
    perform reconcile._make_lookup(v_lookup);
    return coalesce(v_call, v_relation::text || ' ' || v_lookup.columns);
exception
    when unique_violation then
        raise exception 'provider % exists already', p_provider using errcode = 'RC003', hint = 'Change it with reconcile.alter_provider.';
end
$$;

comment on function reconcile._register_lookup(text, reconcile.declarations) is
    'Writes what answers for a provider of kind sql; answers how the provider''s row names it.';

-- Answers of one provider. What raises an error is found by halves, and costs itself a fault.
create function reconcile._look_up(
    p_lookup_id integer, p_order_numbers text[], p_references text[], out bodies text[], out faults text[], out details text[]
)
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '900ms'
as $$
declare
    v_count integer := cardinality(p_order_numbers);
    v_half integer := v_count / 2;
    v_first record;
    v_second record;
    v_level integer;
    v_context text;
begin
    begin
        v_level := reconcile._hold_settings();
        execute format('select array_agg(answer::text order by place) from reconcile_generated._lookup_%s($1, $2)', p_lookup_id)
        into bodies using p_order_numbers, p_references;
        perform reconcile._give_back_settings(v_level);
        faults := array_fill(null::text, array[v_count]);
        details := array(select case when body is null then 'there is no row of this order' end from unnest(bodies) as body);
        return;
    exception
        when others or assert_failure or query_canceled then
            get stacked diagnostics v_context = pg_exception_context;
            if reconcile._is_own_trouble(sqlstate, v_context) then
                raise;
            end if;
            if v_count <= 1 then
                bodies := array[null::text];
                faults := '{lookup_failed}';
                details := array[format('%s: %s', sqlstate, left(sqlerrm, 500))];
                return;
            end if;
    end;
    v_first := reconcile._look_up(p_lookup_id, p_order_numbers[:v_half], p_references[:v_half]);
    v_second := reconcile._look_up(p_lookup_id, p_order_numbers[v_half + 1:], p_references[v_half + 1:]);
    bodies := v_first.bodies || v_second.bodies;
    faults := v_first.faults || v_second.faults;
    details := v_first.details || v_second.details;
end
$$;

comment on function reconcile._look_up(integer, text[], text[]) is 'Asks the function or table of a provider about orders; answers in their order.';

-- Of several rows the one that means most comes first, for every path: who was declined and then paid has paid. Equals by their text.
create function reconcile._best_first(p_provider_id integer, p_body text) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    v_path jsonpath;
    v_map jsonb;
begin
    if left(p_body, 1) <> '[' then
        return p_body;
    end if;
    select p.status_path, p.status_map into v_path, v_map from reconcile.providers as p where p.provider_id = p_provider_id;
    return coalesce((
        select jsonb_agg(each.row order by array_position(
            '{succeeded,refunded,pending}', v_map ->> (jsonb_path_query_first(each.row, v_path, '{}', true) #>> '{}')
        ), each.row::text)::text
        from jsonb_array_elements(p_body::jsonb) as each (row)
    ), p_body);
end
$$;

comment on function reconcile._best_first(integer, text) is
    'An answer of several rows, those first that mean succeeded, then refunded, then pending; any other answer as it is.';

create function reconcile._settle_here(p_order_ids bigint[], p_ends_here boolean) returns integer
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_part record;
    v_answers record;
    v_bodies text[];
    v_began_at timestamptz;
    v_closed integer := 0;
    v_settled bigint[];
    -- What another run has settled since it was selected is in the queue no longer, or not where it was.
    v_order_ids bigint[] := case when p_ends_here
        then array(select d.order_id from reconcile.due_checks as d where d.order_id = any (p_order_ids) order by d.order_id for update skip locked)
        else p_order_ids end;
begin
    for v_part in
        with held as materialized (
            select o.order_id, o.provider_id, o.order_number, o.reference
            from reconcile.tracked_orders as o
            join reconcile.providers as p on p.provider_id = o.provider_id and p.kind = 'sql' and p.paused_at is null
            join reconcile.registered_lookups as k on k.provider = p.name
            where o.order_id = any (v_order_ids)
              and not exists (select from reconcile.leases as l where l.order_id = o.order_id)
            order by o.order_id
            for no key update of o skip locked
        ),
        taken as (
            delete from reconcile.due_checks as d using held where d.order_id = held.order_id
        ),
        leased as (
            insert into reconcile.leases as l (order_id, provider_id, provider_version, sidecar_id, claimed_at, expires_at, awaited)
            select held.order_id, held.provider_id, p.version, 0, clock_timestamp(), clock_timestamp() + interval '1 hour', false
            from held
            join reconcile.providers as p on p.provider_id = held.provider_id
            returning l.order_id, l.token
        )
        select k.lookup_id, p.provider_id, array_agg(held.order_id order by held.order_id) as order_ids,
            array_agg(leased.token order by held.order_id) as tokens, array_agg(held.order_number order by held.order_id) as order_numbers,
            array_agg(held.reference order by held.order_id) as refs
        from held
        join leased on leased.order_id = held.order_id
        join reconcile.providers as p on p.provider_id = held.provider_id
        join reconcile.registered_lookups as k on k.provider = p.name
        group by k.lookup_id, p.provider_id
    loop
        -- Negative, before the calls are noted as ended: they were never counted as in flight.
        insert into reconcile.ended_calls (provider_id, calls, faults, answered)
        values (v_part.provider_id, -cardinality(v_part.order_ids), 0, false);
        v_began_at := clock_timestamp();
        v_answers := reconcile._look_up(v_part.lookup_id, v_part.order_numbers, v_part.refs);
        v_bodies := array(
            select reconcile._best_first(v_part.provider_id, answer.body) from unnest(v_answers.bodies) with ordinality as answer (body, place)
            order by answer.place
        );
        v_settled := reconcile._settle(
            0, v_part.order_ids, v_part.tokens, v_answers.faults, null, v_bodies, v_answers.details,
            array_fill(
                (extract(epoch from clock_timestamp() - v_began_at) * 1000 / cardinality(v_part.order_ids))::integer,
                array[cardinality(v_part.order_ids)]
            ),
            null, p_ends_here
        );
        v_closed := v_closed + (
            select count(*) from reconcile.tracked_orders as o where o.order_id = any (v_settled) and o.state not in ('pending', 'processing')
        );
    end loop;
    return v_closed;
end
$$;

comment on function reconcile._settle_here(bigint[], boolean) is
    'Asks about orders whose provider is of kind sql, and settles the answers; answers how many of them are closed now.';

select pg_catalog.pg_extension_config_dump('reconcile.lookup_ids', '');
select pg_catalog.pg_extension_config_dump('reconcile.registered_lookups', '');
