-- Hooks: functions of the application that are called in the transaction of a transition.
--
-- A hook runs as the owner of its function, who can put anything into it, and never with the extension's rights or those of the role that
-- added it, which has to have the owner's role. It finds what is in its own schema.
-- When hooks are called, and what becomes of one that raises, is in effects.sql.
-- Requires: following.

create sequence reconcile.hook_ids as integer;

create table reconcile.registered_hooks (
    hook_id integer primary key default nextval('reconcile.hook_ids'),
    name text not null unique check (name ~ '^[a-z][a-z0-9_]{0,62}$'),
    on_state text not null check (on_state in ('pending', 'processing', 'succeeded', 'failed', 'cancelled', 'refunded', 'review')),
    call text not null,
    call_schema name not null,
    call_name name not null,
    call_owner regrole not null,
    provider_id integer references reconcile.providers,
    relation regclass,
    relation_name text,
    registered_by regrole not null,
    registered_at timestamptz not null default clock_timestamp(),
    check ((relation is null) = (relation_name is null))
);

comment on table reconcile.registered_hooks is 'Functions of the application that are called with a transition. Written by add_hook.';
comment on column reconcile.registered_hooks.hook_id is 'The hook; its function ends with this number.';
comment on column reconcile.registered_hooks.name is 'Its name, by which it is removed.';
comment on column reconcile.registered_hooks.on_state is 'It is called when an order comes to this state.';
comment on column reconcile.registered_hooks.call is 'The function, with the order number and the facts as its arguments.';
comment on column reconcile.registered_hooks.call_schema is 'The schema of that function.';
comment on column reconcile.registered_hooks.call_name is 'Its name.';
comment on column reconcile.registered_hooks.call_owner is 'Whose it was when the hook was added, and whose rights it runs with: another owner''s is not called.';
comment on column reconcile.registered_hooks.provider_id is 'Only for orders of this provider; NULL for all.';
comment on column reconcile.registered_hooks.relation is 'Only for orders of this attached table, by its number; NULL for all.';
comment on column reconcile.registered_hooks.relation_name is 'Its name when the hook was added.';
comment on column reconcile.registered_hooks.registered_by is 'The role that added it, and may remove it.';
comment on column reconcile.registered_hooks.registered_at is 'Since when.';

-- Whoever owns a function or a table decides what it does, so it runs as that role, and only a role that has that one may lend it.
create function reconcile_internal._lending_problem(p_registered_by regrole, p_owner oid) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    return case when not pg_has_role(p_registered_by, p_owner, 'USAGE')
        then format('it belongs to %s, and %s has not that role', p_owner::regrole, p_registered_by) end;
end
$$;

comment on function reconcile_internal._lending_problem(regrole, oid) is
    'Why a role may not have what belongs to another one called; NULL when it may.';

-- By the catalog and not by name: a look-up by name needs rights on the schema.
create function reconcile_internal._function_of(p_schema name, p_name name, p_first regtype, p_second regtype) returns oid
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select p.oid from pg_proc as p join pg_namespace as n on n.oid = p.pronamespace
        where n.nspname = p_schema and p.proname = p_name and p.proargtypes = format('%s %s', p_first::oid, p_second::oid)::oidvector
    );
end
$$;

comment on function reconcile_internal._function_of(name, name, regtype, regtype) is
    'A function of an application with two arguments; NULL when it is gone.';

-- An owner who drops everything that is his (DROP OWNED) takes the hook away with it, and nobody's orders wait for that.
create function reconcile_internal._is_withdrawn(p_hook reconcile.registered_hooks) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    return not exists (
        select from pg_proc as p where p.pronamespace = 'reconcile_generated'::regnamespace and p.proname = '_hook_' || p_hook.hook_id
    );
end
$$;

comment on function reconcile_internal._is_withdrawn(reconcile.registered_hooks) is
    'Whether the owner of a hook''s function has dropped all that it owned: the hook is called no longer, and reconcile.alerts says so.';

-- Who drops a function and makes another of its name would have that one called by the rights of who registered the hook.
create function reconcile_internal._hold_hook(p_hook reconcile.registered_hooks) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_problem text := reconcile_internal._hold_function(
        reconcile_internal._function_of(p_hook.call_schema, p_hook.call_name, 'text', 'jsonb'), p_hook.call_owner, p_hook.call);
begin
    if v_problem is null and (
        select p.proowner from pg_proc as p where p.pronamespace = 'reconcile_generated'::regnamespace and p.proname = '_hook_' || p_hook.hook_id
    ) is distinct from p_hook.call_owner::oid then
        v_problem := format('what was made for it does not belong to %s', p_hook.call_owner);
    end if;
    if v_problem is not null then
        raise exception 'hook %: %: %', p_hook.name, p_hook.call, v_problem using errcode = 'RC011',
            hint = 'It is tried again by itself. To take another function, remove the hook and add it again.';
    end if;
end
$$;

comment on function reconcile_internal._hold_hook(reconcile.registered_hooks) is
    'Locks the function of a hook against being dropped, or raises RC011: it is not the one that was registered.';

create function reconcile_internal._hook_problem(p_call regprocedure, p_registered_by regrole) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    return coalesce((
        select case
            when p.prokind <> 'f' or p.prorettype = 'trigger'::regtype then 'it is no plain function'
            when p.proargtypes <> format('%s %s', 'text'::regtype::oid, 'jsonb'::regtype::oid)::oidvector
                then format('its arguments are (%s), and not (text, jsonb)', pg_get_function_identity_arguments(p.oid))
            when p.pronamespace::regnamespace::text ~ '^pg_temp' then 'it is in a temporary schema'
            else coalesce(reconcile_internal._lending_problem(p_registered_by, p.proowner), '')
        end
        from pg_proc as p where p.oid = p_call
    ), 'there is no such function');
end
$$;

comment on function reconcile_internal._hook_problem(regprocedure, regrole) is 'Why a function can''t be a hook; empty when it can.';

-- The table is known by its number: another one that takes its name is not meant.
create function reconcile_internal._is_meant_for(p_hook reconcile.registered_hooks, p_provider_id integer, p_attachment_id integer) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    return coalesce(p_hook.provider_id = p_provider_id, true) and (
        p_hook.relation is null
        or exists (select from reconcile.attachments as a where a.attachment_id = p_attachment_id and a.relation = p_hook.relation)
    );
end
$$;

comment on function reconcile_internal._is_meant_for(reconcile.registered_hooks, integer, integer) is
    'Whether a hook is for orders of a provider and an attachment.';

-- Said by whoever adds it: one that fires for all orders breaks others that nobody thought of.
create function reconcile_internal._scope_problem(p_given jsonb) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    v_every boolean := coalesce((p_given ->> 'every_provider')::boolean, false);
    v_relation regclass := (p_given ->> 'relation')::oid;
begin
    return case
        when v_every and p_given ->> 'provider' is not null then 'it is for every provider, and for one'
        when v_every and v_relation is not null then 'it is for every provider, and for one table'
        when not v_every and p_given ->> 'provider' is null and v_relation is null then 'it does not say for which orders'
        when v_relation is not null and not exists (select from pg_class as c where c.oid = v_relation and c.relkind in ('r', 'p'))
            then format('%s is no table', v_relation)
    end;
end
$$;

comment on function reconcile_internal._scope_problem(jsonb) is 'Why add_hook''s arguments don''t say for which orders a hook is; NULL when they do.';

create function reconcile_internal._make_hook(p_hook reconcile.registered_hooks) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    perform reconcile_internal._define(format(
        'create function reconcile_generated._hook_%s(p_order_number text, p_facts jsonb) returns void '
        'language plpgsql security definer set search_path = pg_catalog, %I, pg_temp '
        -- Planned as anywhere else, and not as the report that it is called from.
        'set enable_seqscan = on set plan_cache_mode = auto as %L',
        p_hook.hook_id, p_hook.call_schema,
        format('begin perform reconcile_doors.confine(%L); perform %I.%I(p_order_number, p_facts); end',
            pg_get_userbyid(p_hook.call_owner), p_hook.call_schema, p_hook.call_name)
    ));
    perform reconcile_internal._hand_over(format('reconcile_generated._hook_%s(text, jsonb)', p_hook.hook_id)::regprocedure,
        p_hook.call_owner, format('Calls the hook %s with the rights of %s.', p_hook.name, p_hook.call_owner));
end
$$;

comment on function reconcile_internal._make_hook(reconcile.registered_hooks) is 'Makes the function of a hook, which belongs to the owner of what it calls.';

create function reconcile_internal._add_hook(p_declaration reconcile.declarations) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_name text := p_declaration.arguments ->> 'name';
    v_state text := p_declaration.arguments ->> 'on_state';
    v_provider text := p_declaration.arguments ->> 'provider';
    -- By its number: a look-up by name needs rights on the schema. A number that is no function's is handed over as it is.
    v_call regprocedure := (p_declaration.arguments ->> 'call')::oid;
    v_relation regclass := (p_declaration.arguments ->> 'relation')::oid;
    v_problem text;
    v_hook reconcile.registered_hooks;
begin
    if v_name is null or v_name !~ '^[a-z][a-z0-9_]{0,62}$' then
        raise exception '% is not a hook''s name', coalesce(quote_literal(left(v_name, 80)), 'NULL')
            using errcode = 'RC010', hint = 'Use small letters, digits and _, beginning with a letter, 63 at most.';
    end if;
    if v_state is null or v_state not in ('pending', 'processing', 'succeeded', 'failed', 'cancelled', 'refunded', 'review') then
        raise exception 'hook %: % is not a state', v_name, coalesce(quote_literal(left(v_state, 80)), 'NULL')
            using errcode = 'RC010', hint = 'Use pending, processing, succeeded, failed, cancelled, refunded or review.';
    end if;
    if v_call is null then
        raise exception 'hook %: call is NULL', v_name using errcode = 'RC010', hint = 'As in call => ''shop.commit_order(text, jsonb)''.';
    end if;
    v_problem := reconcile_internal._hook_problem(v_call, quote_ident(p_declaration.declared_by)::regrole);
    if v_problem <> '' then
        raise exception 'hook %: %: %', v_name, v_call, v_problem
            using errcode = 'RC010', hint = 'A hook is a function (order_number text, facts jsonb), as in ''shop.commit_order(text, jsonb)''::regprocedure.';
    end if;
    v_problem := reconcile_internal._scope_problem(p_declaration.arguments);
    if v_problem is not null then
        raise exception 'hook %: %', v_name, v_problem using errcode = 'RC010',
            hint = 'Name the provider (provider => ''vendor''), the table (relation => ''shop.orders''), or say every_provider => true.';
    end if;
    insert into reconcile.registered_hooks as h (
        name, on_state, call, call_schema, call_name, call_owner, provider_id, relation, relation_name, registered_by
    )
    select v_name, v_state, v_call::text, n.nspname, p.proname, p.proowner::regrole,
        case when v_provider is not null then (reconcile_internal._provider(v_provider)).provider_id end,
        v_relation, v_relation::text, quote_ident(p_declaration.declared_by)::regrole
    from pg_proc as p
    join pg_namespace as n on n.oid = p.pronamespace
    where p.oid = v_call
    returning h.* into v_hook;
    perform reconcile_internal._make_hook(v_hook);
exception
    when unique_violation then
        raise exception 'hook % exists already', v_name using errcode = 'RC010', hint = 'Remove it first: select reconcile.remove_hook(…).';
end
$$;

comment on function reconcile_internal._add_hook(reconcile.declarations) is 'Does what add_hook was called for.';

create function reconcile.add_hook(
    name text, on_state text, call regprocedure, provider text default null, relation regclass default null, every_provider boolean default false
) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_id bigint := reconcile_doors.declare('add_hook', jsonb_build_object(
        'name', name, 'on_state', on_state, 'call', call::oid, 'provider', provider, 'relation', relation::oid, 'every_provider', every_provider
    ));
    v_done jsonb;
begin
    v_done := reconcile_doors.do_declared(v_id);
end
$$;

comment on function reconcile.add_hook(text, text, regprocedure, text, regclass, boolean) is
    'Calls a function (order_number text, facts jsonb) in the transaction of every transition to a state, of a provider''s orders, of a '
    'table''s, which need not be attached yet, or of all, with the rights of the function''s owner, whose role the caller has. Its facts hold what was captured in clear, what is marked as sensitive too.';

create function reconcile_internal._remove_hook(p_declaration reconcile.declarations) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_name text := p_declaration.arguments ->> 'name';
    v_hook reconcile.registered_hooks;
begin
    select h.* into v_hook from reconcile.registered_hooks as h where h.name = v_name for update;
    if not found then
        raise exception 'there is no hook %', coalesce(quote_literal(left(v_name, 80)), 'NULL')
            using errcode = 'RC010', hint = 'The hooks are in reconcile.hooks.';
    end if;
    -- One whose role is gone is anybody's to remove.
    if exists (select from pg_roles as r where r.oid = v_hook.registered_by)
        and not pg_has_role(p_declaration.declared_by, v_hook.registered_by, 'USAGE')
    then
        raise exception 'hook %: it was added by %, and % has not that role', v_name, v_hook.registered_by, p_declaration.declared_by
            using errcode = 'RC010', hint = 'A hook is removed by the role that added it.';
    end if;
    delete from reconcile.registered_hooks as h where h.hook_id = v_hook.hook_id;
    perform reconcile_internal._define(format('drop function if exists reconcile_generated._hook_%s(text, jsonb)', v_hook.hook_id));
    perform reconcile_internal._let_enter_no_more();
end
$$;

comment on function reconcile_internal._remove_hook(reconcile.declarations) is 'Does what remove_hook was called for.';

create function reconcile.remove_hook(name text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_id bigint := reconcile_doors.declare('remove_hook', jsonb_build_object('name', name));
    v_done jsonb;
begin
    v_done := reconcile_doors.do_declared(v_id);
end
$$;

comment on function reconcile.remove_hook(text) is 'Calls a hook no longer.';

select pg_catalog.pg_extension_config_dump('reconcile.hook_ids', '');
select pg_catalog.pg_extension_config_dump('reconcile.registered_hooks', '');
