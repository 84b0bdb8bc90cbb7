-- Providers of kind sql: a function or a table of this database answers instead of HTTP.
--
-- The database is its own sidecar, with the id 0: it takes leases on due checks, asks, and settles the answers by the same rules and with
-- the same audit. What it asks runs as the owner of the function or table, and never
-- with the extension's rights or those of the role that wrote the provider, which has to have the owner's role.
-- Requires: report.

create sequence reconcile.lookup_ids as integer;

create table reconcile.registered_lookups (
    lookup_id integer primary key default nextval('reconcile.lookup_ids'),
    provider text not null unique,
    call text,
    call_schema name,
    call_name name,
    relation regclass,
    relation_name text,
    kind "char",
    owner regrole not null,
    columns jsonb not null default '{}',
    registered_by regrole not null,
    registered_at timestamptz not null default clock_timestamp(),
    check ((call is null) <> (relation is null))
);

comment on table reconcile.registered_lookups is 'What answers for providers of kind sql. Written by add_provider and alter_provider.';
comment on column reconcile.registered_lookups.lookup_id is 'The lookup; its function ends with this number.';
comment on column reconcile.registered_lookups.provider is 'The provider''s name.';
comment on column reconcile.registered_lookups.call is 'The function that answers, given order number and reference.';
comment on column reconcile.registered_lookups.call_schema is 'The schema of that function.';
comment on column reconcile.registered_lookups.call_name is 'Its name.';
comment on column reconcile.registered_lookups.relation_name is 'What the table was called when it was registered.';
comment on column reconcile.registered_lookups.kind is 'What it was then, by pg_class.relkind.';
comment on column reconcile.registered_lookups.owner is 'Whose the function or the table was then, and whose rights it is asked with: another owner''s is not asked.';
comment on column reconcile.registered_lookups.relation is 'The table that answers: its rows as JSON.';
comment on column reconcile.registered_lookups.columns is 'By which columns the rows are found: {"order_number": column, "reference": column}.';
comment on column reconcile.registered_lookups.registered_by is 'The role that registered it.';
comment on column reconcile.registered_lookups.registered_at is 'Since when.';

create function reconcile_internal._lookup_function_problem(p_call regprocedure, p_registered_by regrole) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    return coalesce((
        select case
            when p.prokind <> 'f' or p.proretset then 'it is no plain function'
            when p.proargtypes <> format('%1$s %1$s', 'text'::regtype::oid)::oidvector
                then format('its arguments are (%s), and not (order_number text, reference text)', pg_get_function_identity_arguments(p.oid))
            when p.prorettype <> 'jsonb'::regtype then format('it returns %s, and not jsonb', format_type(p.prorettype, null))
            when p.pronamespace::regnamespace::text ~ '^pg_temp' then 'it is in a temporary schema'
            else coalesce(reconcile_internal._lending_problem(p_registered_by, p.proowner), '')
        end
        from pg_proc as p where p.oid = p_call
    ), 'there is no such function');
end
$$;

comment on function reconcile_internal._lookup_function_problem(regprocedure, regrole) is 'Why a function can''t answer; empty when it can.';

create function reconcile_internal._lookup_table_problem(p_lookup reconcile.registered_lookups) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    return case
        when p_lookup.kind is null then 'there is no such table'
        when jsonb_typeof(p_lookup.columns) <> 'object' then 'lookup_columns is not an object such as {"order_number": "order_no"}'
        when (select c.relpersistence = 't' from pg_class as c where c.oid = p_lookup.relation) then 'it is a temporary table'
        when reconcile_internal._lending_problem(p_lookup.registered_by, p_lookup.owner) is not null
            then reconcile_internal._lending_problem(p_lookup.registered_by, p_lookup.owner)
        when p_lookup.columns = '{}' or exists (select from jsonb_object_keys(p_lookup.columns) as k where k not in ('order_number', 'reference'))
            then 'lookup_columns has to say by which columns its rows are found, as in {"order_number": "order_no"}'
        else coalesce((
            select format('there is no column %s', coalesce(quote_ident(named.value), 'NULL'))
            from jsonb_each_text(p_lookup.columns) as named
            where reconcile_internal._column_type(p_lookup.relation, named.value) is null
            limit 1
        ), (
            select format('no index begins with its column %I, so every order would read the whole table', named.value)
            from jsonb_each_text(p_lookup.columns) as named
            where p_lookup.kind in ('r', 'p') and not exists (
                select from pg_index as i
                join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
                where i.indrelid = p_lookup.relation and i.indisvalid and a.attname = named.value
            )
            limit 1
        ), '')
    end;
end
$$;

comment on function reconcile_internal._lookup_table_problem(reconcile.registered_lookups) is 'Why a table can''t answer; empty when it can.';

-- Locks what answers and looks at what it is under the lock: what has another owner, or took the name, would be asked by the rights of
-- the role that registered it.
create function reconcile_internal._hold_lookup(p_lookup reconcile.registered_lookups) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_problem text;
begin
    if p_lookup.relation is null then
        v_problem := reconcile_internal._hold_function(
            reconcile_internal._function_of(p_lookup.call_schema, p_lookup.call_name, 'text', 'text'), p_lookup.owner, p_lookup.call);
    else
        v_problem := reconcile_internal._hold_relation(p_lookup.relation, p_lookup.kind, p_lookup.owner, p_lookup.relation_name, false);
        if v_problem is null and exists (
            select from unnest(reconcile_internal._partitions(p_lookup.relation)) as part (relid)
            where not reconcile_internal._try_lock_relation(part.relid, false)
        ) then
            v_problem := 'somebody else has locked one of its partitions';
        end if;
    end if;
    if v_problem is null and (
        select p.proowner from pg_proc as p where p.pronamespace = 'reconcile_generated'::regnamespace and p.proname = '_lookup_' || p_lookup.lookup_id
    ) is distinct from p_lookup.owner::oid then
        v_problem := format('what was made for it is gone or does not belong to %s', p_lookup.owner);
    end if;
    if v_problem is not null then
        raise exception '%: %', coalesce(p_lookup.call, p_lookup.relation_name), v_problem using errcode = 'RC011',
            hint = 'It is asked again by itself. To ask another one, name it with reconcile.alter_provider.';
    end if;
end
$$;

comment on function reconcile_internal._hold_lookup(reconcile.registered_lookups) is
    'Locks the function or table that answers for a provider, or raises RC011: it is not the one that was registered.';

create function reconcile_internal._make_lookup(p_lookup reconcile.registered_lookups) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_answer text;
begin
    if p_lookup.call is not null then
        v_answer := format('%I.%I(asked.order_number, asked.reference)', p_lookup.call_schema, p_lookup.call_name);
    else
        -- One row is an object, several are an array, which jsonpath reads alike.
        v_answer := format(
            '(select case when pg_catalog.count(*) operator(pg_catalog.=) 1 then (pg_catalog.jsonb_agg(pg_catalog.to_jsonb(t))) '
            'operator(pg_catalog.->) 0 else pg_catalog.jsonb_agg(pg_catalog.to_jsonb(t)) end from %s as t where %s)',
            p_lookup.relation, (
                select string_agg(format('t.%I %s asked.%s::%s', named.value, reconcile_internal._operator(p_lookup.relation, named.value, 3), named.key,
                    reconcile_internal._column_type(p_lookup.relation, named.value)), ' and ')
                from jsonb_each_text(p_lookup.columns) as named
            ));
    end if;
    perform reconcile_internal._define(format(
        'create function reconcile_generated._lookup_%s(p_order_numbers text[], p_references text[]) returns table (place bigint, answer jsonb) '
        'language plpgsql security definer set search_path = pg_catalog, %s pg_temp as %L',
        p_lookup.lookup_id, coalesce(quote_ident(p_lookup.call_schema) || ',', ''), format(
            'begin perform reconcile_doors.confine(%L); return query select asked.place, %s '
            'from unnest(p_order_numbers, p_references) with ordinality as asked (order_number, reference, place); end',
            pg_get_userbyid(p_lookup.owner), v_answer)
    ));
    perform reconcile_internal._hand_over(format('reconcile_generated._lookup_%s(text[], text[])', p_lookup.lookup_id)::regprocedure,
        p_lookup.owner, format('Answers for provider %s with the rights of %s.', p_lookup.provider, p_lookup.owner));
end
$$;

comment on function reconcile_internal._make_lookup(reconcile.registered_lookups) is
    'Makes the function that answers for a provider; it belongs to the owner of what is asked.';

create function reconcile_internal._forget_lookup(p_provider text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_lookup_id integer;
begin
    delete from reconcile.registered_lookups as l where l.provider = p_provider returning l.lookup_id into v_lookup_id;
    perform reconcile_internal._define(format('drop function if exists reconcile_generated._lookup_%s(text[], text[])', v_lookup_id));
end
$$;

comment on function reconcile_internal._forget_lookup(text) is 'Takes away what answers for a provider, before something else does.';

create function reconcile_internal._register_lookup(p_provider text, p_declaration reconcile.declarations) returns text
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    -- By their numbers: a look-up by name needs rights on the schema.
    v_call regprocedure := (p_declaration.arguments ->> 'lookup_call')::oid;
    v_relation regclass := (p_declaration.arguments ->> 'lookup_table')::oid;
    v_lookup reconcile.registered_lookups;
    v_problem text;
begin
    if num_nonnulls(v_call, v_relation) <> 1 then
        raise exception 'provider %: lookup: a provider of kind sql has a function or a table that answers', left(p_provider, 80)
            using errcode = 'RC003', hint = 'Use lookup => ''shop.payment_of(text, text)'' or lookup_table => ''shop.payments''.';
    end if;
    v_lookup.lookup_id := nextval('reconcile.lookup_ids');
    v_lookup.provider := p_provider;
    v_lookup.registered_by := quote_ident(p_declaration.declared_by)::regrole;
    v_lookup.registered_at := clock_timestamp();
    v_lookup.columns := '{}';
    if v_call is not null then
        v_lookup.call := v_call::text;
        select n.nspname, p.proname, p.proowner into v_lookup.call_schema, v_lookup.call_name, v_lookup.owner
        from pg_proc as p join pg_namespace as n on n.oid = p.pronamespace where p.oid = v_call;
        v_problem := reconcile_internal._lookup_function_problem(v_call, v_lookup.registered_by);
    else
        v_lookup.relation := v_relation;
        v_lookup.relation_name := v_relation::text;
        select c.relkind, c.relowner into v_lookup.kind, v_lookup.owner from pg_class as c where c.oid = v_relation;
        v_lookup.columns := coalesce(p_declaration.arguments -> 'lookup_columns', (
            select jsonb_build_object('order_number', usual.name)
            from reconcile_internal._usual_column(v_relation, null, '{order_number,number,order_no,order_id}') as usual (name)
            where usual.name is not null
        ), '{}');
        v_problem := reconcile_internal._lookup_table_problem(v_lookup);
    end if;
    if v_problem <> '' then
        raise exception 'provider %: lookup: %: %', left(p_provider, 80), coalesce(v_lookup.call, v_lookup.relation_name), v_problem
            using errcode = 'RC003', hint = 'Use lookup => ''shop.payment_of(text, text)'' or lookup_table => ''shop.payments''.';
    end if;
    insert into reconcile.registered_lookups select v_lookup.*;
    perform reconcile_internal._make_lookup(v_lookup);
    return coalesce(v_lookup.call, v_lookup.relation_name || ' ' || v_lookup.columns);
exception
    when unique_violation then
        raise exception 'provider % exists already', p_provider using errcode = 'RC003', hint = 'Change it with reconcile.alter_provider.';
end
$$;

comment on function reconcile_internal._register_lookup(text, reconcile.declarations) is
    'Writes what answers for a provider of kind sql; answers how the provider''s row names it.';

-- Answers of one provider. What raises an error is found by halves, and costs itself a fault.
create function reconcile_internal._look_up(
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
        perform reconcile_internal._hold_lookup(l) from reconcile.registered_lookups as l where l.lookup_id = p_lookup_id;
        perform reconcile_internal._check_constraints_now();
        v_level := reconcile_internal._hold_settings();
        execute format('select array_agg(answer::text order by place) from reconcile_generated._lookup_%s($1, $2)', p_lookup_id)
        into bodies using p_order_numbers, p_references;
        perform reconcile_internal._give_back_settings(v_level);
        faults := array_fill(null::text, array[v_count]);
        details := array(select case when body is null then 'there is no row of this order' end from unnest(bodies) as body);
        return;
    exception
        when others or assert_failure or query_canceled then
            get stacked diagnostics v_context = pg_exception_context;
            if reconcile_internal._is_cancelled(sqlstate, v_context) then
                raise;
            end if;
            -- What answers is locked or another one: that is no single order's trouble.
            if v_count <= 1 or sqlstate = 'RC011' then
                bodies := array_fill(null::text, array[v_count]);
                faults := array_fill('lookup_failed'::text, array[v_count]);
                details := array_fill(format('%s: %s', sqlstate, reconcile_internal._problem_of(sqlerrm, 500)), array[v_count]);
                return;
            end if;
    end;
    v_first := reconcile_internal._look_up(p_lookup_id, p_order_numbers[:v_half], p_references[:v_half]);
    v_second := reconcile_internal._look_up(p_lookup_id, p_order_numbers[v_half + 1:], p_references[v_half + 1:]);
    bodies := v_first.bodies || v_second.bodies;
    faults := v_first.faults || v_second.faults;
    details := v_first.details || v_second.details;
end
$$;

comment on function reconcile_internal._look_up(integer, text[], text[]) is 'Asks the function or table of a provider about orders; answers in their order.';

-- Of several rows the one that means most comes first: who was declined and then paid has paid. Equals by their text.
create function reconcile_internal._best_first(p_provider reconcile.providers, p_body text, p_variables jsonb) returns text
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select case when left(p_body, 1) <> '[' then p_body else coalesce((
        select jsonb_agg(each.row order by array_position(
            '{succeeded,refunded,pending}', reconcile_internal._row_means(p_provider, each.row, p_variables)
        ), each.row::text)::text
        from jsonb_array_elements(p_body::jsonb) as each (row)
    ), p_body) end
$$;

comment on function reconcile_internal._best_first(reconcile.providers, text, jsonb) is
    'An answer of several rows, those first that mean succeeded, then refunded, then pending; any other answer as it is.';

create function reconcile_internal._lease_lookups(p_order_ids bigint[])
returns table (
    lookup_id integer, provider_id integer, order_ids bigint[], tokens bigint[], order_numbers text[], own_numbers text[], refs text[]
)
language plpgsql set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    return query
    with held as materialized (
        -- The tables of the application know it by its row's own number.
        select o.order_id, o.provider_id, o.order_number, coalesce(o.own_number, o.order_number) as own_number, o.reference
        from reconcile.tracked_orders as o
        join reconcile.providers as p on p.provider_id = o.provider_id and p.kind = 'sql' and p.paused_at is null
        join reconcile.registered_lookups as k on k.provider = p.name
        where o.order_id = any (p_order_ids)
          and not exists (select from reconcile.leases as l where l.order_id = o.order_id)
        order by o.order_id
        for no key update of o skip locked
    ),
    leased as materialized (
        select l.order_id, l.token from reconcile_internal._lease(array(select held.order_id from held), 'lookup') as l
    )
    select k.lookup_id, p.provider_id, array_agg(held.order_id order by held.order_id) as order_ids,
        array_agg(leased.token order by held.order_id) as tokens, array_agg(held.order_number order by held.order_id) as order_numbers,
        array_agg(held.own_number order by held.order_id) as own_numbers, array_agg(held.reference order by held.order_id) as refs
    from held
    join leased on leased.order_id = held.order_id
    join reconcile.providers as p on p.provider_id = held.provider_id
    join reconcile.registered_lookups as k on k.provider = p.name
    group by k.lookup_id, p.provider_id;
end
$$;

comment on function reconcile_internal._lease_lookups(bigint[]) is
    'Takes leases on orders whose provider is of kind sql, those that nobody asks about; by the lookup that answers.';

create function reconcile_internal._settle_here(p_order_ids bigint[]) returns integer
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_parts jsonb[];
    v_part record;
    v_answers record;
    v_bodies text[];
    v_began_at timestamptz;
    v_ms integer;
    v_closed integer := 0;
    v_settled bigint[];
begin
    v_parts := array(select to_jsonb(part) from reconcile_internal._lease_lookups(p_order_ids) as part);
    -- No query is open while code of an application runs, which could read on in its portal.
    for v_nr in 1 .. cardinality(v_parts) loop
        select * into v_part from jsonb_to_record(v_parts[v_nr])
        as part (
            lookup_id integer, provider_id integer, order_ids bigint[], tokens bigint[], order_numbers text[], own_numbers text[], refs text[]
        );
        v_began_at := clock_timestamp();
        v_answers := reconcile_internal._look_up(v_part.lookup_id, v_part.own_numbers, v_part.refs);
        v_bodies := array(
            select reconcile_internal._best_first(p, answer.body, reconcile_internal._path_variables(
                v_part.order_numbers[answer.place], v_part.refs[answer.place], v_part.own_numbers[answer.place]))
            from unnest(v_answers.bodies) with ordinality as answer (body, place)
            join reconcile.providers as p on p.provider_id = v_part.provider_id
            order by answer.place
        );
        v_ms := (extract(epoch from clock_timestamp() - v_began_at) * 1000 / cardinality(v_part.order_ids))::integer;
        v_settled := reconcile_internal._settle(null, array(
            select row(g.order_id, g.token, g.fault, null, g.body, g.detail, v_ms, null)::reconcile_internal.given_answer
            from unnest(v_part.order_ids, v_part.tokens, v_answers.faults, v_bodies, v_answers.details) as g (order_id, token, fault, body, detail)
        ));
        v_closed := v_closed + (
            select count(*) from reconcile.tracked_orders as o where o.order_id = any (v_settled) and o.state not in ('pending', 'processing')
        );
    end loop;
    return v_closed;
end
$$;

comment on function reconcile_internal._settle_here(bigint[]) is
    'Asks about orders whose provider is of kind sql, and settles the answers; answers how many of them are closed now.';

-- What another run has settled since it was selected is in the queue no longer, or not where it was.
create function reconcile_internal._settle_due_here(p_order_ids bigint[]) returns integer
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_closed constant integer := reconcile_internal._settle_here(array(
        select d.order_id from reconcile.due_checks as d where d.order_id = any (p_order_ids) order by d.order_id for update skip locked
    ));
begin
    if v_closed > 0 then
        perform reconcile_internal._tell_listeners();
    end if;
    return v_closed;
end
$$;

comment on function reconcile_internal._settle_due_here(bigint[]) is
    'As _settle_here, of those that still wait in the queue, for who ends the transaction with it.';

select pg_catalog.pg_extension_config_dump('reconcile.lookup_ids', '');
select pg_catalog.pg_extension_config_dump('reconcile.registered_lookups', '');
