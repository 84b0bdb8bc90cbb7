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

-- Whether an error is the database's own trouble and says nothing of any order: the batch is kept and reported again. What a RAISE or an
-- ASSERT of the application's code says is its own, whatever it calls it.
create function reconcile._is_own_trouble(p_sqlstate text, p_context text) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    return split_part(p_context, E'\n', 1) !~ '\m(RAISE|ASSERT)$' and (
        left(p_sqlstate, 2) = '57'
        or left(p_sqlstate, 2) = '40' and p_sqlstate <> '40P01' and current_setting('transaction_isolation') <> 'read committed'
    );
end
$$;

comment on function reconcile._is_own_trouble(text, text) is
    'Whether a SQLSTATE means the server (shutdown, cancellation) and not the order that was being worked on. Want of room or memory may be '
    'one order''s; if it is the server''s, recording that fails too.';

create function reconcile._effect_of(p_context text) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    return coalesce(
        (
            select 'hook ' || h.name from reconcile.registered_hooks as h
            where h.hook_id = substring(p_context from 'reconcile_generated\._hook_([0-9]+)\(')::integer
        ),
        case when p_context ~ 'reconcile\._write_back\(' then 'write-back' end
    );
end
$$;

comment on function reconcile._effect_of(text) is 'Which effect an error came from, by its context; NULL when it was none.';

create function reconcile._facts(p_order reconcile.tracked_orders, p_transition reconcile.transitions, p_provider text) returns jsonb
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

comment on function reconcile._facts(reconcile.tracked_orders, reconcile.transitions, text) is 'What a hook is told about a transition.';

-- Asked to write nothing: what fails then is no order's fault, and passes when the table is as it was.
create function reconcile._cannot_write(p_attachment_id integer) returns text
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    execute format('select from reconcile_generated._write_%s(%2$L, %2$L, %2$L, %2$L, false)', p_attachment_id, '{}');
    return null;
exception
    when others then
        return sqlerrm;
end
$$;

comment on function reconcile._cannot_write(integer) is 'Why nothing at all can be written to an attached table; NULL when something can.';

create function reconcile._write_back(p_transition_ids bigint[], p_ends_here boolean) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_part record;
    v_refused record;
    v_level integer;
    v_changed text;
begin
    for v_part in
        select a.attachment_id, a.relation, array_agg(o.order_number order by o.order_id) as order_numbers,
            -- Where a person decides, every status that was written here may be written over.
            array_agg(case when t.cause = 'operator' then 'operator' else t.from_state end order by o.order_id) as from_states,
            array_agg(t.to_state order by o.order_id) as to_states,
            array_agg(o.captured || jsonb_strip_nulls(jsonb_build_object(
                'transaction_id', o.transaction_id, 'provider_status', o.provider_status, 'reference', o.reference,
                'refunded_amount', o.refunded_amount, 'state', t.to_state, 'changed_at', t.changed_at
            )) order by o.order_id) as found
        from reconcile.transitions as t
        join reconcile.tracked_orders as o on o.order_id = t.order_id
        join reconcile.attachments as a on a.attachment_id = o.attachment_id
        where t.transition_id = any (p_transition_ids) and t.cause <> 'application'
          and (a.write -> t.to_state <> '{}' or t.to_state = 'succeeded' and a.capture <> '{}')
        group by a.attachment_id, a.relation
        order by a.attachment_id
    loop
        v_changed := (select reconcile._renamed(a) from reconcile.attachments as a where a.attachment_id = v_part.attachment_id);
        if v_changed is not null then
            raise exception '%', v_changed using errcode = 'RC011';
        end if;
        v_level := reconcile._hold_settings();
        begin
            execute format(
                'select w.order_number, w.verdict from reconcile_generated._write_%s($1, $2, $3, $4, $5) as w where w.verdict <> ''written'' limit 1',
                v_part.attachment_id
            ) into v_refused using v_part.order_numbers, v_part.from_states, v_part.to_states, v_part.found, p_ends_here;
        exception
            when undefined_column or undefined_table or undefined_function then
                v_changed := reconcile._cannot_write(v_part.attachment_id);
                if v_changed is null then
                    raise;
                end if;
                raise exception '% is not as it was attached: %', v_part.relation, v_changed using errcode = 'RC011';
        end;
        perform reconcile._give_back_settings(v_level);
        if v_refused.order_number is null then
            continue;
        elsif v_refused.verdict = 'locked' then
            raise exception 'the row of % in % is locked', v_refused.order_number, v_part.relation using errcode = 'RC011';
        elsif v_refused.verdict = 'twice' then
            raise exception '% stands in two rows of %', v_refused.order_number, v_part.relation using errcode = 'RC012';
        elsif v_refused.verdict = 'gone' and not reconcile._sees_all_rows(v_part.relation) then
            raise exception 'the row of % in % is not to be seen: deleted, or hidden by row level security', v_refused.order_number,
                v_part.relation using errcode = 'RC012';
        elsif v_refused.verdict = 'refused' then
            raise exception 'the row of % in % was not written, by a trigger or a policy', v_refused.order_number, v_part.relation
                using errcode = 'RC012';
        else
            raise exception 'the application decided about % in % meanwhile', v_refused.order_number, v_part.relation using errcode = 'RC013';
        end if;
    end loop;
end
$$;

comment on function reconcile._write_back(bigint[], boolean) is
    'Writes transitions to the rows of attached tables. Raises RC011 for a locked row or a table that has lost a column, RC013 for a row '
    'that the application has moved.';

create function reconcile._call_hooks(p_transition_ids bigint[], p_ends_here boolean) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_part record;
    v_level integer;
begin
    for v_part in
        select h.hook_id, array_agg(o.order_number order by o.order_id) as order_numbers,
            array_agg(reconcile._facts(o, t, p.name) order by o.order_id) as facts
        from reconcile.registered_hooks as h
        join reconcile.transitions as t on t.to_state = h.on_state and t.transition_id = any (p_transition_ids) and t.cause <> 'application'
        join reconcile.tracked_orders as o on o.order_id = t.order_id
        join reconcile.providers as p on p.provider_id = o.provider_id
        where h.provider_id is null or h.provider_id = o.provider_id
        group by h.hook_id
        order by h.hook_id
    loop
        v_level := reconcile._hold_settings();
        execute format(
            'select reconcile_generated._hook_%s(g.order_number, g.facts, $3) from unnest($1, $2) as g (order_number, facts)', v_part.hook_id
        )
        using v_part.order_numbers, v_part.facts, p_ends_here;
        perform reconcile._give_back_settings(v_level);
    end loop;
end
$$;

comment on function reconcile._call_hooks(bigint[], boolean) is 'Calls the hooks of transitions, by the order in which the hooks were added.';

-- Raises what an effect raises. The application's own decisions have no effects: it knows of them. Where the transaction ends with it,
-- deferred constraints are looked at as soon as an effect is done: while it is known whose it is, and by the rights of its role.
create function reconcile._carry_out(p_transition_ids bigint[], p_ends_here boolean) returns void
language plpgsql set search_path = pg_catalog, pg_temp
-- Below deadlock_timeout, so that a session of the application is never the one that is sacrificed.
set lock_timeout = '900ms'
as $$
declare
    v_to_review bigint[];
    v_others bigint[];
    v_id bigint;
    v_context text;
begin
    if not exists (select from reconcile.attachments) and not exists (select from reconcile.registered_hooks) then
        return;
    end if;
    v_to_review := array(
        select t.transition_id from reconcile.transitions as t where t.transition_id = any (p_transition_ids) and t.to_state = 'review'
    );
    v_others := array(select id from unnest(p_transition_ids) as id where id <> all (v_to_review));
    perform reconcile._write_back(v_others, p_ends_here);
    perform reconcile._call_hooks(v_others, p_ends_here);
    foreach v_id in array v_to_review loop
        begin
            perform reconcile._write_back(array[v_id], p_ends_here);
            perform reconcile._call_hooks(array[v_id], p_ends_here);
        exception
            when others or assert_failure or query_canceled then
                get stacked diagnostics v_context = pg_exception_context;
                if reconcile._is_own_trouble(sqlstate, v_context) then
                    raise;
                end if;
                insert into reconcile.recorded_failures as f (order_id, failures, effect, sqlstate, problem)
                select t.order_id, 1, reconcile._effect_of(v_context), sqlstate, left(sqlerrm, 1000) from reconcile.transitions as t where t.transition_id = v_id
                on conflict (order_id) do update
                set failures = f.failures + 1, effect = excluded.effect, sqlstate = excluded.sqlstate, problem = excluded.problem, failed_at = excluded.failed_at;
        end;
    end loop;
end
$$;

comment on function reconcile._carry_out(bigint[], boolean) is
    'Does what follows from transitions: writes them back to attached tables, and calls hooks.';

-- The application has moved a row while its provider was asked. Its decision stands, but money taken for it is seen by a person.
create function reconcile._yield_to_application(p_order_id bigint, p_outcome text) returns boolean
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
    v_row := (reconcile._rows_of(v_attachment.attachment_id, array[v_order.order_number]))[1];
    if v_row.status = any (v_attachment.track) then
        return false;
    end if;
    v_state := coalesce(reconcile._state_of_status(v_attachment, v_row.status), 'cancelled');
    if p_outcome = 'succeeded' and v_state <> 'succeeded' then
        perform reconcile._let_go(array[p_order_id], array['review'], array[format(
            'the provider says succeeded, and the application %s', case when v_row.order_number is null then 'deleted its row'
            else format('moved its row to %L', left(v_row.status, 80)) end)]);
    else
        perform reconcile._let_go(array[p_order_id], array[v_state], array[case when v_row.order_number is null
            then 'the application deleted its row' else format('the application moved its row to %L', left(v_row.status, 80)) end]);
    end if;
    return true;
end
$$;

comment on function reconcile._yield_to_application(bigint, text) is
    'Closes an order by the application''s word; one that was paid meanwhile goes to review. False when its row is still tracked.';

select pg_catalog.pg_extension_config_dump('reconcile.recorded_failures', '');
