-- Hooks: functions of the application that are called in the transaction of a transition.
--
-- What is generated from a hook belongs to the role that registered it,
-- so a hook runs with the rights of who registered it, and never with the extension's, and finds what is in its own schema.
-- When hooks are called, and what becomes of one that raises, is in effects.sql.
-- Requires: following.

create sequence reconcile.hook_ids as integer;

create table reconcile.registered_hooks (
    hook_id integer primary key default nextval('reconcile.hook_ids'),
    name text not null unique check (name ~ '^[a-z][a-z0-9_]{0,62}$'),
    on_state text not null check (on_state in ('pending', 'processing', 'succeeded', 'failed', 'cancelled', 'refunded', 'review')),
    call text not null,
    provider_id integer references reconcile.providers,
    registered_by name not null,
    registered_at timestamptz not null default clock_timestamp()
);

comment on table reconcile.registered_hooks is 'Functions of the application that are called with a transition. Written by add_hook.';
comment on column reconcile.registered_hooks.hook_id is 'The hook; its function ends with this number.';
comment on column reconcile.registered_hooks.name is 'Its name, by which it is removed.';
comment on column reconcile.registered_hooks.on_state is 'It is called when an order comes to this state.';
comment on column reconcile.registered_hooks.call is 'The function, with the order number and the facts as its arguments.';
comment on column reconcile.registered_hooks.provider_id is 'Only for orders of this provider; NULL for all.';
comment on column reconcile.registered_hooks.registered_by is 'The role whose rights it runs with.';
comment on column reconcile.registered_hooks.registered_at is 'Since when.';

-- Whoever owns a function can put another in its place, and that would run with the rights of who registered it.
create function reconcile._lent_rights(p_registered_by name, p_owner oid) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select format('it belongs to %s, who would get the rights of the superuser %s: set role %1$I first', owner.rolname, registrar.rolname)
        from pg_roles as registrar
        cross join pg_roles as owner
        where registrar.rolname = p_registered_by and registrar.rolsuper and owner.oid = p_owner and not owner.rolsuper
    );
end
$$;

comment on function reconcile._lent_rights(name, oid) is 'Why a superuser does not register what belongs to somebody else; NULL when he may.';

-- The owner of its schema can drop it and make another of its name, after it was registered.
create function reconcile._still_lent_check(p_call regprocedure, p_relation regclass) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    return format(
        'if (select r.rolsuper from pg_roles as r where r.rolname = current_user) '
        'and exists (select from pg_roles as o where not o.rolsuper and o.oid in ('
        '(select p.proowner from pg_proc as p where p.oid = to_regprocedure(%L)), '
        '(select c.relowner from pg_class as c where c.oid = to_regclass(%L)))) then '
        'raise exception using errcode = ''RC010'', message = %L; end if; ',
        p_call, p_relation,
        format('%s has another owner than when it was registered, who would get a superuser''s rights',
            coalesce(p_call::text, p_relation::text)));
end
$$;

comment on function reconcile._still_lent_check(regprocedure, regclass) is
    'What the function of a superuser''s hook or lookup begins with.';

create function reconcile._make_hook(p_hook reconcile.registered_hooks) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    -- A number that is no function's is handed over as it is.
    v_call regprocedure := case when p_hook.call ~ '[(]' then to_regprocedure(p_hook.call) end;
    v_problem text := coalesce((
        select case
            when p.prokind <> 'f' or p.prorettype = 'trigger'::regtype then 'it is no plain function'
            when p.pronargs <> 2 or p.proargtypes[0] <> 'text'::regtype or p.proargtypes[1] <> 'jsonb'::regtype
                then format('its arguments are (%s), and not (text, jsonb)', pg_get_function_identity_arguments(p.oid))
            when not has_function_privilege(p_hook.registered_by, p.oid, 'execute') then format('%s may not execute it', p_hook.registered_by)
            when p.pronamespace::regnamespace::text ~ '^pg_temp' then 'it is in a temporary schema'
            else coalesce(reconcile._lent_rights(p_hook.registered_by, p.proowner), '')
        end
        from pg_proc as p where p.oid = v_call
    ), 'there is no such function');
begin
    if v_problem <> '' then
        raise exception 'hook %: %: %', p_hook.name, p_hook.call, v_problem
            using errcode = 'RC010', hint = 'A hook is a function (order_number text, facts jsonb), as in ''shop.commit_order(text, jsonb)''::regprocedure.';
    end if;
    execute format(
        'create function reconcile_generated._hook_%s(p_order_number text, p_facts jsonb, p_ends_here boolean) returns void '
        'language plpgsql security definer set search_path = pg_catalog, %s, pg_temp '
        -- Planned as anywhere else, and not as the report that it is called from.
        'set enable_seqscan = on set plan_cache_mode = auto as %L',
        p_hook.hook_id, (select p.pronamespace::regnamespace::text from pg_proc as p where p.oid = v_call),
        format('begin %sperform %s(p_order_number, p_facts); '
            'if p_ends_here then set constraints all immediate; set constraints all deferred; end if; end',
            reconcile._still_lent_check(v_call, null), v_call::regproc)
    );
    perform reconcile._hand_over(format('_hook_%s(text, jsonb, boolean)', p_hook.hook_id), p_hook.registered_by,
        format('Calls the hook %s with the rights of %s.', p_hook.name, p_hook.registered_by));
end
$$;

comment on function reconcile._make_hook(reconcile.registered_hooks) is 'Makes the function of a hook, which belongs to the role that registered it.';

create function reconcile._add_hook(p_declaration_id bigint) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    v_declaration reconcile.declarations := reconcile._declaration(p_declaration_id, 'add_hook');
    v_name text := v_declaration.arguments ->> 'name';
    v_state text := v_declaration.arguments ->> 'on_state';
    v_provider text := v_declaration.arguments ->> 'provider';
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
    if v_declaration.arguments ->> 'call' is null then
        raise exception 'hook %: call is NULL', v_name using errcode = 'RC010', hint = 'As in call => ''shop.commit_order(text, jsonb)''.';
    end if;
    insert into reconcile.registered_hooks as h (name, on_state, call, provider_id, registered_by)
    values (
        v_name, v_state, v_declaration.arguments ->> 'call',
        case when v_provider is not null then (reconcile._provider(v_provider)).provider_id end, v_declaration.declared_by
    )
    returning h.* into v_hook;
    perform reconcile._make_hook(v_hook);
exception
    when unique_violation then
        raise exception 'hook % exists already', v_name using errcode = 'RC010', hint = 'Remove it first: select reconcile.remove_hook(…).';
end
$$;

comment on function reconcile._add_hook(bigint) is 'Does what add_hook was called for.';

create function reconcile.add_hook(name text, on_state text, call regprocedure, provider text default null) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_id bigint := reconcile._declare('add_hook', jsonb_build_object(
        'name', name, 'on_state', on_state, 'call', call::text, 'provider', provider
    ));
    v_done text;
begin
    v_done := reconcile._add_hook(v_id);
end
$$;

comment on function reconcile.add_hook(text, text, regprocedure, text) is
    'Calls a function (order_number text, facts jsonb) in the transaction of every transition to a state, with the rights of who adds it.';

create function reconcile._remove_hook(p_declaration_id bigint) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    v_declaration reconcile.declarations := reconcile._declaration(p_declaration_id, 'remove_hook');
    v_name text := v_declaration.arguments ->> 'name';
    v_hook reconcile.registered_hooks;
begin
    select h.* into v_hook from reconcile.registered_hooks as h where h.name = v_name for update;
    if not found then
        raise exception 'there is no hook %', coalesce(quote_literal(left(v_name, 80)), 'NULL')
            using errcode = 'RC010', hint = 'The hooks are in reconcile.hooks.';
    end if;
    if exists (select from pg_roles as r where r.rolname = v_hook.registered_by)
        and not pg_has_role(v_declaration.declared_by, v_hook.registered_by, 'USAGE')
    then
        raise exception 'hook %: it was added by %, and % has not that role', v_name, v_hook.registered_by, v_declaration.declared_by
            using errcode = 'RC010', hint = 'A hook is removed by the role that added it.';
    end if;
    delete from reconcile.registered_hooks as h where h.hook_id = v_hook.hook_id;
    execute format('drop function if exists reconcile_generated._hook_%s(text, jsonb, boolean)', v_hook.hook_id);
end
$$;

comment on function reconcile._remove_hook(bigint) is 'Does what remove_hook was called for.';

create function reconcile.remove_hook(name text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_id bigint := reconcile._declare('remove_hook', jsonb_build_object('name', name));
    v_done text;
begin
    v_done := reconcile._remove_hook(v_id);
end
$$;

comment on function reconcile.remove_hook(text) is 'Calls a hook no longer.';

select pg_catalog.pg_extension_config_dump('reconcile.hook_ids', '');
select pg_catalog.pg_extension_config_dump('reconcile.registered_hooks', '');
