-- What follows from a transition, in its transaction: the application's row is written, and hooks are called.
--
-- An effect that fails takes its transition back, and only that one: the failure is recorded, the order is asked about again with growing
-- delays, and after settings.effect_tries it goes to review. A row that somebody has locked is tried again and not counted.
-- On the way to review, where a person looks anyway, a failing effect holds nothing up.
-- Locks: the application's rows with SKIP LOCKED; what hooks lock, for less than deadlock_timeout.
-- Requires: hooks.

create table reconcile.recorded_failures (
    order_id bigint primary key,
    failures integer not null default 0,
    waits integer not null default 0,
    effect text,
    sqlstate text not null,
    problem text not null,
    first_failed_at timestamptz not null default clock_timestamp(),
    failed_at timestamptz not null default clock_timestamp()
);

comment on table reconcile.recorded_failures is 'Orders whose hook or write-back failed, until it succeeds or a person decides.';
comment on column reconcile.recorded_failures.order_id is 'The order.';
comment on column reconcile.recorded_failures.failures is 'How often it failed; settings.effect_tries is the end.';
comment on column reconcile.recorded_failures.waits is 'How often a row was locked by somebody else, which is not counted.';
comment on column reconcile.recorded_failures.effect is 'What failed: a hook, by its name, or the write-back.';
comment on column reconcile.recorded_failures.sqlstate is 'The latest error''s SQLSTATE.';
comment on column reconcile.recorded_failures.problem is 'The latest error''s message.';
comment on column reconcile.recorded_failures.first_failed_at is 'Since when.';
comment on column reconcile.recorded_failures.failed_at is 'When it failed last.';

-- Whether an error is the database's own trouble and says nothing of any order: the batch is kept and reported again. Of class 57 a cancelled
-- statement is the only one that can be caught at all. What a RAISE or an ASSERT of the application's code, or another server, calls by that
-- name is its own.
create function reconcile_internal._is_own_trouble(p_sqlstate text, p_context text) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    return p_sqlstate = '57014' and p_context !~ E'(?n) at (RAISE|ASSERT)$|^remote SQL command: | dblink connection'
        or left(p_sqlstate, 2) = '40' and p_sqlstate <> '40P01' and current_setting('transaction_isolation') <> 'read committed';
end
$$;

comment on function reconcile_internal._is_own_trouble(text, text) is
    'Whether a SQLSTATE means the server (cancellation) and not the order that was being worked on. Want of room or memory may be '
    'one order''s; if it is the server''s, recording that fails too.';

-- An error of the application's code is marked where that code was called, in a field that is written here last: whatever it says of itself
-- is taken for nothing else. RC011, which is waited out without being counted, is not the application's to say.
create function reconcile_internal._blame(
    p_effect text, p_sqlstate text, p_message text, p_detail text, p_hint text, p_context text
) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_is_ours constant boolean := p_sqlstate = 'RC011';
begin
    raise exception using
        errcode = case when v_is_ours then 'P0001' else p_sqlstate end,
        message = case when v_is_ours then p_sqlstate || ': ' else '' end || coalesce(nullif(p_message, ''), 'an error without a message'),
        detail = concat_ws(E'\n', nullif(p_detail, ''), left(p_context, 2000)), hint = coalesce(p_hint, ''), schema = p_effect;
end
$$;

comment on function reconcile_internal._blame(text, text, text, text, text, text) is
    'Raises an error of an application''s code again, marked with the effect that it belongs to: a hook, by its name, or the write-back.';

-- An error without a mark is the ledger's, and so is its context.
create function reconcile_internal._effect_of(p_mark text, p_context text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp
as $$
begin
    return case when p_mark = 'write-back' or p_mark like 'hook %' then p_mark
        when p_context ~ E'reconcile_internal\\._write_back\\(' then 'write-back' end;
end
$$;

comment on function reconcile_internal._effect_of(text, text) is
    'Which effect an error came from, as _blame has marked it or as it stands in its context; NULL when it was none.';

create function reconcile_internal._facts(p_order reconcile.tracked_orders, p_transition reconcile.transitions, p_provider text) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    return jsonb_build_object(
        'order_number', p_order.order_number, 'state', p_transition.to_state, 'previous_state', p_transition.from_state,
        'cause', p_transition.cause, 'reason', p_transition.reason, 'changed_at', p_transition.changed_at,
        'transition_id', p_transition.transition_id, 'provider', p_provider, 'reference', p_order.reference,
        'transaction_id', p_order.transaction_id, 'provider_status', p_order.provider_status, 'amount', p_order.amount,
        'refunded_amount', p_order.refunded_amount, 'currency', p_order.currency,
        'relation', (select a.relation_name from reconcile.attachments as a where a.attachment_id = p_order.attachment_id), 'details', p_order.details, 'captured', p_order.captured
    );
end
$$;

comment on function reconcile_internal._facts(reconcile.tracked_orders, reconcile.transitions, text) is 'What a hook is told about a transition.';

-- Asked to write nothing: what fails then is no order's fault, and passes when the table is as it was.
create function reconcile_internal._cannot_write(p_attachment_id integer) returns text
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    execute format('select from reconcile_generated._write_%s(%2$L, %2$L, %2$L, %2$L)', p_attachment_id, '{}');
    return null;
exception
    when others then
        return sqlerrm;
end
$$;

comment on function reconcile_internal._cannot_write(integer) is 'Why nothing at all can be written to an attached table; NULL when something can.';

-- What a write-back that was not one means, as an error of its own.
create function reconcile_internal._refuse_unwritten(p_relation regclass, p_order_number text, p_verdict text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    if p_verdict = 'locked' then
        raise exception 'the row of % in % is locked', p_order_number, p_relation using errcode = 'RC011';
    elsif p_verdict = 'twice' then
        raise exception '% stands in two rows of %', p_order_number, p_relation using errcode = 'RC012';
    elsif p_verdict = 'gone' and not reconcile_internal._sees_all_rows(p_relation) then
        raise exception 'the row of % in % is not to be seen: deleted, or hidden by row level security', p_order_number, p_relation
            using errcode = 'RC012';
    elsif p_verdict = 'refused' then
        raise exception 'the row of % in % was not written, by a trigger or a policy', p_order_number, p_relation using errcode = 'RC012';
    elsif p_verdict is not null then
        raise exception 'the application decided about % in % meanwhile', p_order_number, p_relation using errcode = 'RC013';
    end if;
end
$$;

comment on function reconcile_internal._refuse_unwritten(regclass, text, text) is
    'Raises what it means that a row was not written; nothing when all were.';

create function reconcile_internal._write_back(p_transition_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_attachment_id reconcile.attachments.attachment_id%type;
    v_part record;
    v_refused record;
    v_level integer;
    v_changed text;
    v_refusal text;
    v_detail text;
    v_hint text;
    v_context text;
begin
    -- No query is open while code of the application runs: it could read on in its portal, as the ledger.
    foreach v_attachment_id in array array(
        select distinct o.attachment_id from reconcile.transitions as t
        join reconcile.tracked_orders as o on o.order_id = t.order_id
        where t.transition_id = any (p_transition_ids) and t.cause <> 'application' and o.attachment_id is not null
        order by o.attachment_id
    ) loop
        select a as attachment, a.attachment_id, a.relation, array_agg(o.order_number order by o.order_id) as order_numbers,
            -- Where a person decides, every status that was written here may be written over.
            array_agg(case when t.cause = 'operator' then 'operator' else t.from_state end order by o.order_id) as from_states,
            array_agg(t.to_state order by o.order_id) as to_states,
            array_agg(o.captured || jsonb_strip_nulls(jsonb_build_object(
                'transaction_id', o.transaction_id, 'provider_status', o.provider_status, 'reference', o.reference,
                'refunded_amount', o.refunded_amount, 'state', t.to_state, 'changed_at', t.changed_at
            )) order by o.order_id) as found
        into v_part
        from reconcile.transitions as t
        join reconcile.tracked_orders as o on o.order_id = t.order_id
        join reconcile.attachments as a on a.attachment_id = o.attachment_id
        where t.transition_id = any (p_transition_ids) and t.cause <> 'application' and a.attachment_id = v_attachment_id
          and (a.write -> t.to_state <> '{}' or t.to_state = 'succeeded' and a.capture <> '{}')
        group by a.attachment_id;
        continue when not found;
        perform reconcile_internal._hold_attached(v_part.attachment, true);
        perform reconcile_internal._check_constraints_now();
        v_level := reconcile_internal._hold_settings();
        begin
            execute format(
                'select w.order_number, w.verdict from reconcile_generated._write_%s($1, $2, $3, $4) as w where w.verdict <> ''written'' limit 1',
                v_part.attachment_id
            ) into v_refused using v_part.order_numbers, v_part.from_states, v_part.to_states, v_part.found;
        exception
            when undefined_column or undefined_table or undefined_function then
                v_changed := reconcile_internal._cannot_write(v_part.attachment_id);
                if v_changed is null then
                    get stacked diagnostics v_detail = pg_exception_detail, v_hint = pg_exception_hint, v_context = pg_exception_context;
                    v_refusal := reconcile_internal._blame('write-back', sqlstate, sqlerrm, v_detail, v_hint, v_context);
                end if;
                raise exception '% is not as it was attached: %', v_part.relation, v_changed using errcode = 'RC011';
            when others or assert_failure or query_canceled then
                get stacked diagnostics v_detail = pg_exception_detail, v_hint = pg_exception_hint, v_context = pg_exception_context;
                if reconcile_internal._is_own_trouble(sqlstate, v_context) then
                    raise;
                end if;
                v_refusal := reconcile_internal._blame('write-back', sqlstate, sqlerrm, v_detail, v_hint, v_context);
        end;
        perform reconcile_internal._give_back_settings(v_level);
        v_refusal := reconcile_internal._refuse_unwritten(v_part.relation, v_refused.order_number, v_refused.verdict);
    end loop;
end
$$;

comment on function reconcile_internal._write_back(bigint[]) is
    'Writes transitions to the rows of attached tables. Raises RC011 for a locked row or table or one that is not as it was attached, RC013 '
    'for a row that the application has moved.';

create function reconcile_internal._call_hooks(p_transition_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_hook_id reconcile.registered_hooks.hook_id%type;
    v_part record;
    v_level integer;
    v_held text;
    v_detail text;
    v_hint text;
    v_context text;
begin
    foreach v_hook_id in array array(
        select h.hook_id from reconcile.registered_hooks as h
        where exists (
            select from reconcile.transitions as t where t.transition_id = any (p_transition_ids) and t.to_state = h.on_state
        )
        order by h.hook_id
    ) loop
        select h as hook, h.hook_id, h.name, array_agg(o.order_number order by o.order_id) as order_numbers,
            array_agg(reconcile_internal._facts(o, t, p.name) order by o.order_id) as facts
        into v_part
        from reconcile.registered_hooks as h
        join reconcile.transitions as t on t.to_state = h.on_state and t.transition_id = any (p_transition_ids) and t.cause <> 'application'
        join reconcile.tracked_orders as o on o.order_id = t.order_id
        join reconcile.providers as p on p.provider_id = o.provider_id
        where h.hook_id = v_hook_id and (h.provider_id is null or h.provider_id = o.provider_id) and not reconcile_internal._is_withdrawn(h)
        group by h.hook_id;
        continue when not found;
        v_held := reconcile_internal._hold_hook(v_part.hook);
        perform reconcile_internal._check_constraints_now();
        v_level := reconcile_internal._hold_settings();
        begin
            execute format('select reconcile_generated._hook_%s(g.order_number, g.facts) from unnest($1, $2) as g (order_number, facts)', v_part.hook_id)
            using v_part.order_numbers, v_part.facts;
        exception
            when others or assert_failure or query_canceled then
                get stacked diagnostics v_detail = pg_exception_detail, v_hint = pg_exception_hint, v_context = pg_exception_context;
                if reconcile_internal._is_own_trouble(sqlstate, v_context) then
                    raise;
                end if;
                v_held := reconcile_internal._blame('hook ' || v_part.name, sqlstate, sqlerrm, v_detail, v_hint, v_context);
        end;
        perform reconcile_internal._give_back_settings(v_level);
    end loop;
end
$$;

comment on function reconcile_internal._call_hooks(bigint[]) is 'Calls the hooks of transitions, by the order in which the hooks were added.';

-- What is pending of the caller's is checked as the role that the session has, as COMMIT would, and not with our rights.
create function reconcile_internal._check_as_session() returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    if reconcile_internal._become_session() then
        set constraints all immediate;
    end if;
end
$$;

comment on function reconcile_internal._check_as_session() is
    'SET CONSTRAINTS ALL IMMEDIATE with the rights of the session, for _check_constraints_now.';

create function reconcile_internal._check_constraints_now() returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    -- A trigger that is checked may set things as code of an application may.
    v_level integer := reconcile_internal._hold_settings();
begin
    perform reconcile_internal._check_as_session();
    perform reconcile_internal._give_back_settings(v_level);
end
$$;

comment on function reconcile_internal._check_constraints_now() is
    'Before code of an application is called: every constraint is immediate from here on, and what was deferred is checked.';

-- Around a call that may run code of applications in a caller's own transaction. What the caller has pending is checked before, so that it
-- is the caller's error and no order's; and that transaction goes on afterwards, and inserts a child before its parent, as it may.
create function reconcile_internal._lends() returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    return exists (select from reconcile.attachments) or exists (select from reconcile.registered_hooks)
        or exists (select from reconcile.registered_lookups);
end
$$;

comment on function reconcile_internal._lends() is 'Whether there is any code of an application that may be called.';

-- Code of others finds a cursor by its name, and reads on in it with the rights of whoever opened it. A superuser's may hold anything. Others
-- loop over orders, as applications do, and are not refused: what their loop reads is orders.
create function reconcile_internal._refuse_open_cursors() returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_cursor text := (
        select c.name from pg_cursors as c
        where (select r.rolsuper from pg_roles as r where r.rolname = session_user) and reconcile_internal._can_be_read(c.name)
        order by c.creation_time
        limit 1
    );
begin
    if v_cursor is not null then
        raise exception 'cursor % of a superuser is open, and hooks or tables of others could read on in it', quote_ident(v_cursor)
            using errcode = 'RC014', hint = 'Close it first. A loop over a query is a cursor too: call for all of its rows in one statement, '
                'as in select reconcile.resolve_order(order_number, …) from reconcile.stuck_orders, or loop over an array.';
    end if;
end
$$;

comment on function reconcile_internal._refuse_open_cursors() is
    'Refuses to go on where code of an application that is called next could read in a cursor of a superuser.';

create function reconcile_internal._check_pending() returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    if reconcile_internal._lends() then
        perform reconcile_internal._refuse_open_cursors();
        perform reconcile_internal._check_constraints_now();
    end if;
end
$$;

comment on function reconcile_internal._check_pending() is
    'Checks what the caller''s transaction has deferred, before code of an application may run in it.';

create function reconcile_internal._defer_again() returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    if reconcile_internal._lends() then
        perform reconcile_internal._defer_constraints(array_agg(n.nspname::text), array_agg(c.conname::text))
        from pg_constraint as c
        join pg_namespace as n on n.oid = c.connamespace
        where c.condeferred and not pg_is_other_temp_schema(c.connamespace)
          -- SET CONSTRAINTS knows a constraint by its schema and name, and refuses a name that one has which can't be deferred.
          and not exists (
            select from pg_constraint as s where s.connamespace = c.connamespace and s.conname = c.conname and not s.condeferrable
        );
    end if;
exception
    when undefined_object or undefined_table or invalid_schema_name or wrong_object_type then
        -- One of them was dropped meanwhile. They stay immediate, which refuses sooner and lets nothing pass.
        null;
end
$$;

comment on function reconcile_internal._defer_again() is
    'Has every constraint that is initially deferred deferred again, for the rest of the caller''s transaction.';

create function reconcile_internal._carry_out_review(p_transition_id bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_context text;
    v_mark text;
begin
    perform reconcile_internal._write_back(array[p_transition_id]);
    perform reconcile_internal._call_hooks(array[p_transition_id]);
exception
    when others or assert_failure or query_canceled then
        get stacked diagnostics v_context = pg_exception_context, v_mark = schema_name;
        if reconcile_internal._is_own_trouble(sqlstate, v_context) then
            raise;
        end if;
        insert into reconcile.recorded_failures as f (order_id, failures, effect, sqlstate, problem)
        select t.order_id, 1, reconcile_internal._effect_of(v_mark, v_context), sqlstate, left(sqlerrm, 1000)
        from reconcile.transitions as t where t.transition_id = p_transition_id
        on conflict (order_id) do update
        set failures = f.failures + 1, effect = excluded.effect, sqlstate = excluded.sqlstate, problem = excluded.problem,
            failed_at = excluded.failed_at;
end
$$;

comment on function reconcile_internal._carry_out_review(bigint) is
    'Does what follows from a transition to review; what can''t be done is recorded and holds nothing up.';

-- Raises what an effect raises. The application's own decisions have no effects: it knows of them. Nothing of an effect is left for
-- COMMIT: deferred constraints are immediate meanwhile.
create function reconcile_internal._carry_out(p_transition_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
-- Below deadlock_timeout, so that a session of the application is never the one that is sacrificed.
set lock_timeout = '900ms'
as $$
declare
    v_to_review bigint[];
    v_others bigint[];
begin
    if not exists (select from reconcile.attachments) and not exists (select from reconcile.registered_hooks) then
        return;
    end if;
    v_to_review := array(
        select t.transition_id from reconcile.transitions as t where t.transition_id = any (p_transition_ids) and t.to_state = 'review'
    );
    v_others := array(select id from unnest(p_transition_ids) as id where id <> all (v_to_review));
    perform reconcile_internal._write_back(v_others);
    perform reconcile_internal._call_hooks(v_others);
    perform reconcile_internal._carry_out_review(id) from unnest(v_to_review) as id;
end
$$;

comment on function reconcile_internal._carry_out(bigint[]) is
    'Does what follows from transitions: writes them back to attached tables, and calls hooks.';

-- The application has moved a row while its provider was asked. Its decision stands, but money taken for it is seen by a person.
create function reconcile_internal._yield_to_application(p_order_id bigint, p_outcome text) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_order reconcile.tracked_orders;
    v_attachment reconcile.attachments;
    v_row reconcile.application_row;
    v_state text;
begin
    select o.* into v_order from reconcile.tracked_orders as o where o.order_id = p_order_id;
    select a.* into v_attachment from reconcile.attachments as a where a.attachment_id = v_order.attachment_id;
    if not found then
        -- A hook of the application has used this extension's word for it.
        return false;
    end if;
    v_row := (reconcile_internal._rows_of(v_attachment, array[v_order.order_number]))[1];
    if v_row.status = any (v_attachment.track) then
        return false;
    end if;
    v_state := coalesce(reconcile_internal._state_of_status(v_attachment, v_row.status), 'cancelled');
    if p_outcome = 'succeeded' and v_state <> 'succeeded' then
        perform reconcile_internal._let_go(array[p_order_id], array['review'], array[format(
            'the provider says succeeded, and the application %s', case when v_row.order_number is null then 'deleted its row'
            else format('moved its row to %L', left(v_row.status, 80)) end)]);
    else
        perform reconcile_internal._let_go(array[p_order_id], array[v_state], array[case when v_row.order_number is null
            then 'the application deleted its row' else format('the application moved its row to %L', left(v_row.status, 80)) end]);
    end if;
    return true;
end
$$;

comment on function reconcile_internal._yield_to_application(bigint, text) is
    'Closes an order by the application''s word; one that was paid meanwhile goes to review. False when its row is still tracked.';

select pg_catalog.pg_extension_config_dump('reconcile.recorded_failures', '');
