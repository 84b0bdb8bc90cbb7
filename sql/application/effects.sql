-- What follows from a transition, in its transaction: the application's row is written, and hooks are called.
--
-- An effect that fails takes its transition back, and only that one: the failure is recorded, the order is asked about again with growing
-- delays, and after settings.effect_tries it goes to review. A row that somebody has locked is tried again and not counted.
-- On the way to review, where a person looks anyway, a failing effect holds nothing up.
-- Locks: after the order's own, the application's rows with SKIP LOCKED; what hooks lock, for less than deadlock_timeout.
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

-- The first of them. A name in it may hold anything, a line break too, and is quoted then. One whose end can't be seen is the
-- application's: the server's own are short.
create function reconcile_internal._innermost_frame(p_context text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp
as $$
declare
    v_frame constant text := substring(left(p_context, 4000) from E'^(?:[^"\n]|"[^"]*")*');
begin
    return case when substr(p_context, length(v_frame) + 1, 1) in ('', E'\n') then regexp_replace(v_frame, '"[^"]*"', '', 'g') end;
end
$$;

comment on function reconcile_internal._innermost_frame(text) is
    'The innermost frame of an error''s context, without what is quoted in it; NULL when its end is not to be seen.';

-- As PostgreSQL tells it. Where that was not seen, as the innermost frame says.
create function reconcile_internal._is_raised(p_context text) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    return coalesce(reconcile_internal._maker_of(p_context) = 'raised',
        reconcile_internal._innermost_frame(p_context) ~ '(^|[^A-Za-z0-9_])(RAISE|ASSERT)([^A-Za-z0-9_]|$)', true);
end
$$;

comment on function reconcile_internal._is_raised(text) is
    'Whether an error is what a RAISE or an ASSERT says, by its context, and not what the server found.';

-- Of class 57 a cancelled statement is the only one that can be caught at all. What code of the application or another server calls by
-- that name is its own, and always leaves a function that was made for an owner. What was not seen to is the ledger's own statement.
create function reconcile_internal._is_cancelled(p_sqlstate text, p_context text) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    return p_sqlstate = '57014' and coalesce(reconcile_internal._maker_of(p_context) = 'cancelled',
        not reconcile_internal._is_raised(p_context)
            and reconcile_internal._innermost_frame(p_context) !~ '^remote SQL command: | dblink connection');
end
$$;

comment on function reconcile_internal._is_cancelled(text, text) is 'Whether a person or a time limit has cancelled the statement that is running.';

-- Whether an error is the database's own trouble and says nothing of any order: the batch is kept and reported again. What _blame has
-- marked is raised there, and is none, whatever its class.
create function reconcile_internal._is_own_trouble(p_sqlstate text, p_context text) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    return reconcile_internal._is_cancelled(p_sqlstate, p_context)
        or left(p_sqlstate, 2) = '40' and p_sqlstate <> '40P01' and current_setting('transaction_isolation') <> 'read committed'
            and not reconcile_internal._is_raised(p_context);
end
$$;

comment on function reconcile_internal._is_own_trouble(text, text) is
    'Whether a SQLSTATE means the server (cancellation) and not the order that was being worked on. Want of room or memory may be '
    'one order''s; if it is the server''s, recording that fails too.';

create function reconcile_internal._wants_room(p_sqlstate text, p_context text) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    -- 53400 is a limit of the session, such as temp_file_limit, which waiting does not raise.
    return p_sqlstate ~ '^53' and p_sqlstate <> '53400' and not reconcile_internal._is_raised(p_context);
end
$$;

comment on function reconcile_internal._wants_room(text, text) is
    'Whether an error means that the server lacks room or memory, which is waited out; what code of an application raises by itself is its own.';

-- An error of the application's code is marked where that code was called, in a field that is written here last: whatever it says of itself
-- is taken for nothing else. RC011, which is waited out without being counted, is not the application's to say. However long it is, it
-- is masked and cut here, before anybody formats, keeps or logs it.
create function reconcile_internal._blame(
    p_effect text, p_sqlstate text, p_message text, p_detail text, p_hint text, p_context text, p_order_ids bigint[]
) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_is_ours constant boolean := p_sqlstate = 'RC011';
    v_waits constant boolean := p_sqlstate in ('55P03', '40P01', '40001') or reconcile_internal._wants_room(p_sqlstate, p_context);
begin
    raise exception using
        errcode = case when v_is_ours then 'P0001' else p_sqlstate end,
        message = case when v_is_ours then p_sqlstate || ': ' else '' end || coalesce(nullif(reconcile_internal._problem_of(p_message, 4000, p_order_ids), ''), 'an error without a message'),
        detail = concat_ws(E'\n', nullif(reconcile_internal._problem_of(p_detail, 2000, p_order_ids), ''),
            reconcile_internal._problem_of(p_context, 2000, p_order_ids)),
        hint = coalesce(reconcile_internal._problem_of(p_hint, 1000, p_order_ids), ''), schema = p_effect,
        table = case when v_waits then 'waits' else '' end;
end
$$;

comment on function reconcile_internal._blame(text, text, text, text, text, text, bigint[]) is
    'Raises an error of an application''s code again, masked, and marked with the effect that it belongs to, a hook by its name or the write-back, and '
    'whether it is waited out.';

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
        'order_number', p_order.order_number, 'own_number', coalesce(p_order.own_number, p_order.order_number),
        'state', p_transition.to_state, 'previous_state', p_transition.from_state,
        'cause', p_transition.cause, 'reason', p_transition.reason, 'changed_at', p_transition.changed_at,
        'transition_id', p_transition.transition_id, 'provider', p_provider, 'reference', p_order.reference,
        'transaction_id', p_order.transaction_id, 'provider_status', p_order.provider_status, 'amount', p_order.amount,
        'refunded_amount', p_order.refunded_amount, 'currency', p_order.currency,
        'relation', (select a.relation_name from reconcile.attachments as a where a.attachment_id = p_order.attachment_id), 'details', p_order.details, 'captured', p_order.captured
    );
end
$$;

comment on function reconcile_internal._facts(reconcile.tracked_orders, reconcile.transitions, text) is 'What a hook is told about a transition.';

-- By the catalog alone: what the table's own code says of it is that code's word.
create function reconcile_internal._missing_column(p_row reconcile.attachments) returns text
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select min(named.column_name)
        from (
            select unnest(array[p_row.order_number, p_row.reference, p_row.status, p_row.amount, p_row.currency, p_row.created_at])
            union all
            select assigned.column_name
            from jsonb_each(p_row.write) as written, jsonb_object_keys(written.value) as assigned (column_name)
            union all
            select captured.value #>> '{}' from jsonb_each(p_row.capture) as captured
        ) as named (column_name)
        where named.column_name is not null and not exists (
            select from pg_attribute as a
            where a.attrelid = p_row.relation and a.attname = named.column_name and a.attnum > 0 and not a.attisdropped
        )
    );
end
$$;

comment on function reconcile_internal._missing_column(reconcile.attachments) is
    'A column that an attachment names and its table has no longer; NULL when it has all of them.';

-- What a write-back that was not one means, as an error of its own.
create function reconcile_internal._refuse_unwritten(p_relation regclass, p_own_number text, p_verdict text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    if p_verdict = 'locked' then
        raise exception 'the row of % in % is locked', p_own_number, p_relation using errcode = 'RC011';
    elsif p_verdict = 'twice' then
        raise exception '% stands in two rows of %', p_own_number, p_relation using errcode = 'RC012';
    elsif p_verdict = 'gone' and not reconcile_internal._sees_all_rows(p_relation) then
        raise exception 'the row of % in % is not to be seen: deleted, or hidden by row level security', p_own_number, p_relation
            using errcode = 'RC012';
    elsif p_verdict = 'refused' then
        raise exception 'the row of % in % was not written, by a trigger or a policy', p_own_number, p_relation using errcode = 'RC012';
    -- Nothing would be written to a row that is missing: hidden, it may be as it was.
    elsif p_verdict <> 'missing' or p_verdict = 'missing' and reconcile_internal._sees_all_rows(p_relation) then
        raise exception 'the application decided about % in % meanwhile', p_own_number, p_relation using errcode = 'RC013';
    end if;
end
$$;

comment on function reconcile_internal._refuse_unwritten(regclass, text, text) is
    'Raises what it means that a row was not written; nothing when all were.';

-- The state by whose status a row was left, as far as it is not in a tracked one. Where a person decides, every status that is written
-- here may be written over.
create function reconcile_internal._left_by(p_row reconcile.attachments, p_transition reconcile.transitions) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    return case when p_transition.cause = 'operator' then 'operator'
        else coalesce((reconcile_internal._last_told(p_row, p_transition.order_id, p_transition.transition_id)).to_state, p_transition.from_state) end;
end
$$;

comment on function reconcile_internal._left_by(reconcile.attachments, reconcile.transitions) is
    'The state for which the row of a transition''s order was last written, or operator.';

-- What came of one attached table's part. Against what its row says, a person can always have an order reviewed, or put where nothing is
-- written: the row stays as it is, and its word is heard.
create function reconcile_internal._mind_unwritten(p_row reconcile.attachments, p_own_number text, p_verdict text, p_status text, p_is_heard boolean)
returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    if p_is_heard and p_verdict in ('decided', 'gone', 'missing') then
        perform reconcile_internal._hear(o.order_id, reconcile_internal._word_of(p_row, p_verdict = 'decided', p_status), p_status)
        from reconcile.tracked_orders as o
        where o.order_number = p_row.order_number_prefix || p_own_number and o.attachment_id = p_row.attachment_id;
    else
        perform reconcile_internal._refuse_unwritten(p_row.relation, p_own_number, p_verdict);
    end if;
end
$$;

comment on function reconcile_internal._mind_unwritten(reconcile.attachments, text, text, text, boolean) is
    'Keeps what a row says against which a person has decided, and raises what else kept it from being written.';

create function reconcile_internal._write_to(p_row reconcile.attachments, p_transition_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_part record;
    v_unwritten record;
    v_level integer;
    v_changed text;
    v_refusal text;
    v_detail text;
    v_hint text;
    v_context text;
begin
    select array_agg(coalesce(o.own_number, o.order_number) order by o.order_id) as own_numbers,
        -- Most orders move once, and are spared the call.
        array_agg(case when t.cause = 'operator' or exists (
            select from reconcile.transitions as before where before.order_id = t.order_id and before.transition_id < t.transition_id
        ) then reconcile_internal._left_by(p_row, t) else t.from_state end order by o.order_id) as from_states,
        array_agg(t.to_state order by o.order_id) as to_states,
        array_agg(o.captured || jsonb_strip_nulls(jsonb_build_object(
            'transaction_id', o.transaction_id, 'provider_status', o.provider_status, 'reference', o.reference,
            'refunded_amount', o.refunded_amount, 'state', t.to_state, 'changed_at', t.changed_at
        )) order by o.order_id) as found,
        bool_and(t.cause = 'operator' and (t.to_state = 'review'
            or coalesce(p_row.write -> t.to_state, '{}') = '{}' and (t.to_state <> 'succeeded' or p_row.capture = '{}'))) as is_heard
    into v_part
    from reconcile.transitions as t
    join reconcile.tracked_orders as o on o.order_id = t.order_id
    where t.transition_id = any (p_transition_ids) and t.cause <> 'application' and o.attachment_id = p_row.attachment_id;
    perform reconcile_internal._hold_attached(p_row, true);
    perform reconcile_internal._check_constraints_now();
    v_level := reconcile_internal._hold_settings();
    begin
        execute format(
            'select w.order_number, w.verdict, w.status from reconcile_generated._write_%s($1, $2, $3, $4) as w '
            'order by w.verdict = ''written'', w.verdict = ''missing'' limit 1', p_row.attachment_id
        ) into v_unwritten using v_part.own_numbers, v_part.from_states, v_part.to_states, v_part.found;
    exception
        when others or assert_failure or query_canceled then
            get stacked diagnostics v_detail = pg_exception_detail, v_hint = pg_exception_hint, v_context = pg_exception_context;
            if reconcile_internal._is_cancelled(sqlstate, v_context) then
                raise;
            end if;
            v_changed := case when sqlstate = '42703' then reconcile_internal._missing_column(p_row) end;
            if v_changed is not null then
                raise exception '% is not as it was attached: it has no column %', p_row.relation_name, quote_ident(v_changed) using errcode = 'RC011',
                    hint = 'It is tried again by itself. Where the column is gone for good, detach the table and attach it again.';
            end if;
            v_refusal := reconcile_internal._blame('write-back', sqlstate, sqlerrm, v_detail, v_hint, v_context,
                array(select t.order_id from reconcile.transitions as t where t.transition_id = any (p_transition_ids)));
    end;
    perform reconcile_internal._give_back_settings(v_level);
    if v_unwritten.verdict <> 'written' then
        v_refusal := reconcile_internal._mind_unwritten(p_row, v_unwritten.order_number, v_unwritten.verdict, v_unwritten.status, v_part.is_heard);
    end if;
end
$$;

comment on function reconcile_internal._write_to(reconcile.attachments, bigint[]) is
    'Locks the rows of transitions in one attached table, looks at them, and writes what is to be written.';

-- Locks, in this order and never another: the order (by whoever makes the transition), its lease and its place in the queue, the
-- application's table, its rows, and what their triggers lock. Rows of other tables come later only, by the attachment's number.
create function reconcile_internal._write_back(p_transition_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_row reconcile.attachments;
begin
    -- No query is open while code of the application runs: it could read on in its portal, as the ledger.
    foreach v_row in array array(
        select a from reconcile.attachments as a
        where a.attachment_id in (
            select o.attachment_id from reconcile.transitions as t
            join reconcile.tracked_orders as o on o.order_id = t.order_id
            where t.transition_id = any (p_transition_ids) and t.cause <> 'application'
        )
        order by a.attachment_id
    ) loop
        perform reconcile_internal._write_to(v_row, p_transition_ids);
    end loop;
    -- What was owed before is behind what stands there now.
    if exists (select from reconcile.owed_writes) then
        delete from reconcile.owed_writes as w using reconcile.transitions as t
        where t.transition_id = any (p_transition_ids) and w.order_id = t.order_id;
    end if;
end
$$;

comment on function reconcile_internal._write_back(bigint[]) is
    'Writes transitions to the rows of attached tables. Raises RC011 for a locked row or table or one that is not as it was attached, RC013 '
    'for a row that the application has moved.';

create function reconcile_internal._call_hook(p_hook reconcile.registered_hooks, p_order_numbers text[], p_facts jsonb[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    -- Assigned, not performed: an error's context then is short.
    v_held text := reconcile_internal._hold_hook(p_hook);
    v_level integer;
    v_detail text;
    v_hint text;
    v_context text;
begin
    perform reconcile_internal._check_constraints_now();
    v_level := reconcile_internal._hold_settings();
    begin
        execute format('select reconcile_generated._hook_%s(g.order_number, g.facts) from unnest($1, $2) as g (order_number, facts)', p_hook.hook_id)
        using p_order_numbers, p_facts;
    exception
        when others or assert_failure or query_canceled then
            get stacked diagnostics v_detail = pg_exception_detail, v_hint = pg_exception_hint, v_context = pg_exception_context;
            if reconcile_internal._is_cancelled(sqlstate, v_context) then
                raise;
            end if;
            v_held := reconcile_internal._blame('hook ' || p_hook.name, sqlstate, sqlerrm, v_detail, v_hint, v_context,
                array(select o.order_id from reconcile.tracked_orders as o where o.order_number = any (p_order_numbers)));
    end;
    perform reconcile_internal._give_back_settings(v_level);
end
$$;

comment on function reconcile_internal._call_hook(reconcile.registered_hooks, text[], jsonb[]) is
    'Calls a hook with orders and their facts: the function that was registered, by its owner''s rights, leaving nothing for COMMIT. Its errors '
    'are marked as its own.';

create function reconcile_internal._call_hooks(p_transition_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_hook_id reconcile.registered_hooks.hook_id%type;
    v_part record;
begin
    foreach v_hook_id in array array(
        select h.hook_id from reconcile.registered_hooks as h
        where exists (
            select from reconcile.transitions as t where t.transition_id = any (p_transition_ids) and t.to_state = h.on_state
        )
        order by h.hook_id
    ) loop
        select h as hook, array_agg(o.order_number order by o.order_id) as order_numbers,
            array_agg(reconcile_internal._facts(o, t, p.name) order by o.order_id) as facts
        into v_part
        from reconcile.registered_hooks as h
        join reconcile.transitions as t on t.to_state = h.on_state and t.transition_id = any (p_transition_ids) and t.cause <> 'application'
        join reconcile.tracked_orders as o on o.order_id = t.order_id
        join reconcile.providers as p on p.provider_id = o.provider_id
        where h.hook_id = v_hook_id and reconcile_internal._is_meant_for(h, o.provider_id, o.attachment_id) and not reconcile_internal._is_withdrawn(h)
        group by h.hook_id;
        continue when not found;
        perform reconcile_internal._call_hook(v_part.hook, v_part.order_numbers, v_part.facts);
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

-- Code of others finds a cursor by its name, and reads on in it with the rights of whoever opened it. A superuser's may hold anything; who
-- has SET SESSION AUTHORIZATION to somebody else has opened it before. Others loop over orders, as applications do, and are not refused:
-- what their loop reads is orders.
create function reconcile_internal._refuse_open_cursors() returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_cursor text := (select c.name from pg_cursors as c where reconcile_internal._can_be_read(c.name) order by c.creation_time limit 1);
begin
    -- Who has logged in costs more than to see that nothing is open.
    if v_cursor is not null and not exists (
        select from pg_roles as r
        where r.rolsuper and (
            r.rolname = session_user or r.oid = (select own.usesysid from pg_stat_get_activity(pg_backend_pid()) as own)
        )
    ) then
        return;
    end if;
    if v_cursor is not null then
        raise exception 'cursor % of a superuser is open, and hooks or tables of others could read on in it', quote_ident(v_cursor)
            using errcode = 'RC014', hint = 'Close it first. A loop over a query is a cursor too: call for all of its rows in one statement, '
                'as in select reconcile.resolve_order(order_number, …) from reconcile.stuck_orders, or loop over an array.';
    end if;
end
$$;

comment on function reconcile_internal._refuse_open_cursors() is
    'Refuses to go on where code of an application that is called next could read in a cursor of a superuser.';

-- A temporary table or type comes before all others wherever a search_path does not name pg_temp last, so that who made it would have his
-- triggers run by code of others, with their rights. A superuser has all rights already.
create function reconcile_internal._strange_object() returns text
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    if pg_my_temp_schema() = 0 then
        return null;
    end if;
    return (
        select made.name
        from (
            select c.relname::text, c.relowner from pg_class as c where c.relnamespace = pg_my_temp_schema()
            union all
            select t.typname::text, t.typowner from pg_type as t where t.typnamespace = pg_my_temp_schema()
        ) as made (name, owner)
        join pg_roles as r on r.oid = made.owner and not r.rolsuper
        where exists (
            select from reconcile.attachments as a where a.owner::oid <> made.owner
            union all
            select from reconcile.registered_hooks as h where h.call_owner::oid <> made.owner
            union all
            select from reconcile.registered_lookups as l where l.owner::oid <> made.owner
        )
        limit 1
    );
end
$$;

comment on function reconcile_internal._strange_object() is
    'A temporary table or type of this session that code of another role could take for its own; NULL when there is none.';

create function reconcile_internal._refuse_strange_objects() returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_object text := reconcile_internal._strange_object();
begin
    if v_object is not null then
        raise exception 'this session has a temporary %, which hooks or tables of others could take for their own', quote_ident(v_object)
            using errcode = 'RC018', hint = 'Call from a session without temporary tables and types: DISCARD TEMP drops them.';
    end if;
end
$$;

comment on function reconcile_internal._refuse_strange_objects() is
    'Refuses to go on where code of an application that is called next could meet a temporary table of somebody else''s.';

create function reconcile_internal._check_session() returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    perform reconcile_internal._refuse_open_cursors();
    perform reconcile_internal._refuse_strange_objects();
end
$$;

comment on function reconcile_internal._check_session() is
    'Refuses to go on where code of an application that is called next would meet what somebody else has left in this session.';

create function reconcile_internal._check_pending() returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    if reconcile_internal._lends() then
        -- First what is deferred: code of the caller's, which may leave something in the session.
        perform reconcile_internal._check_constraints_now();
        perform reconcile_internal._check_session();
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
        -- What code of an application has had deferred. Nothing is pending by now: it could leave nothing.
        perform reconcile_internal._check_constraints_now();
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
    'Has every constraint as it initially is, immediate or deferred, for the rest of the caller''s transaction.';

-- On the way to review: what fails is recorded, and a row that could not be written is owed what it would have said.
create function reconcile_internal._put_up_with(p_transition_id bigint, p_effect text, p_sqlstate text, p_problem text, p_waits boolean)
returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    insert into reconcile.recorded_failures as f (order_id, failures, waits, effect, sqlstate, problem)
    select t.order_id, 1 - p_waits::integer, p_waits::integer, p_effect, p_sqlstate, left(p_problem, 1000)
    from reconcile.transitions as t where t.transition_id = p_transition_id
    on conflict (order_id) do update
    set failures = f.failures + excluded.failures, waits = f.waits + excluded.waits, effect = excluded.effect, sqlstate = excluded.sqlstate,
        problem = excluded.problem, failed_at = excluded.failed_at;
    insert into reconcile.owed_writes (order_id, attachment_id, transition_id)
    select t.order_id, o.attachment_id, t.transition_id
    from reconcile.transitions as t
    join reconcile.tracked_orders as o on o.order_id = t.order_id and o.attachment_id is not null
    where t.transition_id = p_transition_id and p_effect = 'write-back'
    on conflict (order_id) do update set transition_id = excluded.transition_id;
end
$$;

comment on function reconcile_internal._put_up_with(bigint, text, text, text, boolean) is
    'Records what could not be done on the way to review, and owes it to the row where it was the write-back.';

-- For who holds a lock, for room on the server, or for what the judge makes of the application's word: none says anything against the effect.
create function reconcile_internal._is_waiting(p_sqlstate text, p_context text, p_mark text, p_waits text) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    return case when reconcile_internal._effect_of(p_mark, '') is not null then p_waits = 'waits'
        else p_sqlstate in ('RC011', 'RC013', '55P03', '40P01', '40001') or reconcile_internal._wants_room(p_sqlstate, p_context) end;
end
$$;

comment on function reconcile_internal._is_waiting(text, text, text, text) is
    'Whether an error is waited out, and not counted against what failed: as _blame has marked it, or by what it is.';

-- Each by itself: a hook that fails takes nothing back of what was written to the row.
create function reconcile_internal._carry_out_review(p_transition_id bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_context text;
    v_mark text;
    v_waits text;
    v_decided boolean;
begin
    for v_step in 1 .. 2 loop
        begin
            if v_step = 1 then
                perform reconcile_internal._write_back(array[p_transition_id]);
            else
                perform reconcile_internal._call_hooks(array[p_transition_id]);
            end if;
        exception
            when others or assert_failure or query_canceled then
                get stacked diagnostics v_context = pg_exception_context, v_mark = schema_name, v_waits = table_name;
                -- Not what code of the application calls by this name.
                v_decided := sqlstate = 'RC013' and v_mark = '';
                -- Whose word holds is for the judge, if the provider has said anything; else the next look follows the application's.
                if reconcile_internal._is_own_trouble(sqlstate, v_context) or v_decided and exists (
                    select from reconcile.transitions as t where t.transition_id = p_transition_id and t.check_id is not null
                ) then
                    raise;
                end if;
                continue when v_decided;
                perform reconcile_internal._put_up_with(p_transition_id,
                    coalesce(reconcile_internal._effect_of(v_mark, v_context), case when v_step = 1 then 'write-back' end), sqlstate,
                    reconcile_internal._problem_of(sqlerrm, 4000,
                        array(select t.order_id from reconcile.transitions as t where t.transition_id = p_transition_id)),
                    reconcile_internal._is_waiting(sqlstate, v_context, v_mark, v_waits));
        end;
    end loop;
end
$$;

comment on function reconcile_internal._carry_out_review(bigint) is
    'Does what follows from a transition to review; what can''t be done is recorded and holds nothing up.';

-- One at a time, each by itself: who still holds its row keeps nobody else's waiting.
create function reconcile_internal._write_owed(p_attachment_id integer) returns void
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '900ms'
as $$
declare
    v_transition_id reconcile.transitions.transition_id%type;
    v_order_id reconcile.tracked_orders.order_id%type;
    v_mark text;
begin
    -- No query is open while code of the application runs, which could read on in its portal.
    foreach v_transition_id in array array(
        select w.transition_id from reconcile.owed_writes as w
        join reconcile.tracked_orders as o on o.order_id = w.order_id
        where w.attachment_id = p_attachment_id
        order by w.order_id limit 100
        -- By the order's row, which whoever writes to the other holds.
        for update of o skip locked
    ) loop
        v_order_id := (select t.order_id from reconcile.transitions as t where t.transition_id = v_transition_id);
        begin
            perform reconcile_internal._write_back(array[v_transition_id]);
            delete from reconcile.recorded_failures as f where f.order_id = v_order_id and f.effect = 'write-back';
        exception
            when others then
                get stacked diagnostics v_mark = schema_name;
                update reconcile.recorded_failures as f
                set waits = f.waits + 1, sqlstate = latest.code, problem = latest.problem, failed_at = clock_timestamp()
                from (select sqlstate as code, reconcile_internal._problem_of(sqlerrm, 1000, array[v_order_id]) as problem) as latest
                where f.order_id = v_order_id and f.effect = 'write-back';
                -- The application has decided since: the search follows that.
                delete from reconcile.owed_writes as w where w.order_id = v_order_id and sqlstate = 'RC013' and v_mark = '';
        end;
    end loop;
end
$$;

comment on function reconcile_internal._write_owed(integer) is 'Writes to rows of an attached table what could not be written on the way to review, 100 at most.';

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
    v_word text;
    v_ruling text;
    v_reason text;
begin
    select o.* into v_order from reconcile.tracked_orders as o where o.order_id = p_order_id;
    select a.* into v_attachment from reconcile.attachments as a where a.attachment_id = v_order.attachment_id;
    if not found then
        -- A hook of the application has used this extension's word for it.
        return false;
    end if;
    v_row := (reconcile_internal._rows_of(v_attachment, array[v_order.order_number]))[1];
    v_word := reconcile_internal._word_of(v_attachment, v_row.order_number is not null, v_row.status);
    if v_word = 'tracked' then
        return false;
    end if;
    v_ruling := reconcile_internal.heed(v_order.state, v_order.settled_by, v_word,
        reconcile_internal._known_of(v_attachment, v_order, v_word, v_row.status), p_outcome);
    v_reason := case when v_row.order_number is null then 'the application deleted its row'
        else format('the application moved its row to %s', coalesce(quote_literal(left(v_row.status, 80)), 'NULL')) end;
    if v_ruling = 'stays' then
        -- Nothing comes of this answer, so nothing is tried again for it.
        if v_order.state not in ('pending', 'processing') then
            perform reconcile_internal._unqueue(array[p_order_id]);
        end if;
    else
        perform reconcile_internal._close_by_application(array[p_order_id], array[v_ruling], array[case
            when v_ruling in ('review', 'refunded') and v_ruling <> v_word
                then format('the provider says %s, and %s', p_outcome, v_reason)
            else v_reason end]);
        perform reconcile_internal._hear(p_order_id, v_word, v_row.status);
    end if;
    return true;
end
$$;

comment on function reconcile_internal._yield_to_application(bigint, text) is
    'Closes an order by the application''s word; one that was paid meanwhile goes to review. False when its row is still tracked.';

select pg_catalog.pg_extension_config_dump('reconcile.recorded_failures', '');
