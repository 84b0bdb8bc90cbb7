-- A hook is called again, for transitions that it missed: those of before it was added, and those whose effect was lost. Each order by
-- itself and as when it is settled; who asked for it stays on record.
-- Locks: the order, for as long as the caller's transaction lasts; what the hook locks, for less than deadlock_timeout.
-- Requires: effects.

create sequence reconcile.hook_call_ids;

create table reconcile.recorded_hook_calls (
    hook_call_id bigint primary key default nextval('reconcile.hook_call_ids'),
    hook text not null,
    call text not null,
    order_id bigint not null,
    transition_id bigint not null,
    called_at timestamptz not null default clock_timestamp(),
    called_by name not null
);

create index recorded_hook_calls_order on reconcile.recorded_hook_calls (order_id);

comment on table reconcile.recorded_hook_calls is 'Hooks that were called again, by call_hook_again.';
comment on column reconcile.recorded_hook_calls.hook_call_id is 'The call.';
comment on column reconcile.recorded_hook_calls.hook is 'The hook''s name.';
comment on column reconcile.recorded_hook_calls.call is 'The function that was called.';
comment on column reconcile.recorded_hook_calls.order_id is 'The order.';
comment on column reconcile.recorded_hook_calls.transition_id is 'The transition that it was told of.';
comment on column reconcile.recorded_hook_calls.called_at is 'When.';
comment on column reconcile.recorded_hook_calls.called_by is 'The role that asked for it.';

create trigger recorded_hook_calls_stay before update or delete on reconcile.recorded_hook_calls
    for each row execute function reconcile_internal._refuse_change();
create trigger recorded_hook_calls_stay_whole before truncate on reconcile.recorded_hook_calls
    for each statement execute function reconcile_internal._refuse_change();

-- Whether it missed one is told from when a hook of its name was there: a transition and its hooks are one transaction, but for those on
-- the way to review. One that was removed and added again is the same to whoever names it.
create function reconcile_internal._was_there(p_hook reconcile.registered_hooks, p_transition reconcile.transitions, p_provider_id integer)
returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    return coalesce((
        select d.what = 'add_hook' and d.arguments ->> 'on_state' = p_transition.to_state
            and coalesce(d.arguments ->> 'provider' = (select p.name from reconcile.providers as p where p.provider_id = p_provider_id), true)
        from reconcile.declarations as d
        where d.what in ('add_hook', 'remove_hook') and d.arguments ->> 'name' = p_hook.name and d.done_at < p_transition.changed_at
        order by d.declaration_id desc
        limit 1
    ), false);
end
$$;

comment on function reconcile_internal._was_there(reconcile.registered_hooks, reconcile.transitions, integer) is
    'Whether a hook of this name was called for such transitions when this one was made.';

create function reconcile_internal._why_not_again(
    p_hook reconcile.registered_hooks, p_order reconcile.tracked_orders, p_transition reconcile.transitions, p_even_called boolean
) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    v_called_at timestamptz := (
        select max(c.called_at) from reconcile.recorded_hook_calls as c
        where c.order_id = p_order.order_id and c.transition_id = p_transition.transition_id and c.hook = p_hook.name
    );
begin
    return case
        when p_order.state <> p_hook.on_state then format('it is %s, and the hook is for %s', p_order.state, p_hook.on_state)
        when p_transition.transition_id is null then format('it began as %s and has not come to it', p_order.state)
        when not reconcile_internal._is_meant_for(p_hook, p_order.provider_id, p_order.attachment_id)
            then 'the hook is for another provider''s or table''s orders'
        when p_transition.cause = 'application' then 'the application decided itself, and hooks are not called for that'
        when p_even_called then null
        when v_called_at is not null then format('it was called again for this transition at %s: even_called => true calls it once more',
            date_trunc('second', v_called_at))
        when reconcile_internal._was_there(p_hook, p_transition, p_order.provider_id) and not exists (
            select from reconcile.recorded_failures as f where f.order_id = p_order.order_id and f.effect = 'hook ' || p_hook.name
        ) then format('it was there when the order came to %s, and was called: even_called => true calls it once more', p_order.state)
    end;
end
$$;

comment on function reconcile_internal._why_not_again(
    reconcile.registered_hooks, reconcile.tracked_orders, reconcile.transitions, boolean
) is 'Why a hook is not called again for an order''s latest transition; NULL when it is.';

create function reconcile_internal._call_hook_for(
    p_hook reconcile.registered_hooks, p_order_number text, p_even_called boolean, p_called_by name
) returns text
language plpgsql set search_path = pg_catalog, pg_temp
-- As when an order is settled: nobody is waited for, and no session of the application is sacrificed.
set lock_timeout = '900ms'
as $$
declare
    v_order reconcile.tracked_orders;
    v_transition reconcile.transitions;
    v_problem text;
    v_context text;
begin
    v_order := reconcile_internal._order(p_order_number);
    select o.* into v_order from reconcile.tracked_orders as o where o.order_id = v_order.order_id for no key update;
    select t.* into v_transition from reconcile.transitions as t where t.order_id = v_order.order_id order by t.transition_id desc limit 1;
    v_problem := reconcile_internal._why_not_again(p_hook, v_order, v_transition, p_even_called);
    if v_problem is null then
        perform reconcile_internal._call_hook(p_hook, array[v_order.order_number], array[
            reconcile_internal._facts(v_order, v_transition, (
                select p.name from reconcile.providers as p where p.provider_id = v_order.provider_id
            ))
        ]);
        insert into reconcile.recorded_hook_calls (hook, call, order_id, transition_id, called_by)
        values (p_hook.name, p_hook.call, v_order.order_id, v_transition.transition_id, p_called_by);
    end if;
    return v_problem;
exception
    when others or assert_failure or query_canceled then
        get stacked diagnostics v_context = pg_exception_context;
        if reconcile_internal._is_own_trouble(sqlstate, v_context) then
            raise;
        end if;
        return format('%s: %s', sqlstate, reconcile_internal._problem_of(sqlerrm, 4000, array[v_order.order_id]));
end
$$;

comment on function reconcile_internal._call_hook_for(reconcile.registered_hooks, text, boolean, name) is
    'Calls a hook again for one order; answers why that was not done or what failed, and NULL when it was called.';

create function reconcile_internal._call_hook_again(p_declaration reconcile.declarations) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_name text := p_declaration.arguments ->> 'name';
    v_even_called boolean := coalesce((p_declaration.arguments ->> 'even_called')::boolean, false);
    -- In one order, so that two of these calls don't wait for each other's.
    v_numbers text[] := array(
        select distinct given.order_number collate "C"
        from jsonb_array_elements_text(coalesce(p_declaration.arguments -> 'order_numbers', '[]')) as given (order_number)
        where given.order_number is not null
        order by 1
    );
    v_hook reconcile.registered_hooks;
    v_number text;
    v_problem text;
    v_done jsonb := jsonb_build_array();
begin
    -- Not removed meanwhile.
    select h.* into v_hook from reconcile.registered_hooks as h where h.name = v_name for share;
    if not found or reconcile_internal._is_withdrawn(v_hook) then
        raise exception 'there is no hook %', coalesce(quote_literal(left(v_name, 80)), 'NULL')
            using errcode = 'RC010', hint = 'The hooks are in reconcile.hooks.';
    end if;
    if cardinality(v_numbers) not between 1 and 1000 then
        raise exception 'hook %: it can''t be called for % orders at once', v_name, cardinality(v_numbers)
            using errcode = 'RC005', hint = 'Give 1 to 1000 order numbers, as in ''{ORD-1,ORD-2}''.';
    end if;
    perform reconcile_internal._check_pending();
    foreach v_number in array v_numbers loop
        v_problem := reconcile_internal._call_hook_for(v_hook, v_number, v_even_called, p_declaration.declared_by);
        v_done := v_done || jsonb_build_object('order_number', v_number, 'called', v_problem is null, 'problem', v_problem);
    end loop;
    perform reconcile_internal._defer_again();
    return v_done;
end
$$;

comment on function reconcile_internal._call_hook_again(reconcile.declarations) is
    'Does what call_hook_again was called for; answers what came of each order.';

create function reconcile.call_hook_again(name text, order_numbers text[], even_called boolean default false)
returns table (order_number text, called boolean, problem text)
language plpgsql set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
    v_id bigint := reconcile_doors.declare('call_hook_again', jsonb_build_object(
        'name', name, 'order_numbers', to_jsonb(order_numbers), 'even_called', even_called
    ));
    v_done jsonb;
begin
    v_done := reconcile_doors.do_declared(v_id);
    return query select done.order_number, done.called, done.problem
    from jsonb_to_recordset(v_done) as done (order_number text, called boolean, problem text);
end
$$;

comment on function reconcile.call_hook_again(text, text[], boolean) is
    'Calls a hook for these orders'' transitions to its state, which it missed: each order by itself, with the facts of its transition. One for '
    'which it was called already is left out, unless even_called says otherwise. Kept in reconcile.hook_calls with the role that asked.';

select pg_catalog.pg_extension_config_dump('reconcile.hook_call_ids', '');
select pg_catalog.pg_extension_config_dump('reconcile.recorded_hook_calls', '');
