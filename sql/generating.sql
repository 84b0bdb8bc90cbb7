-- What is generated for each attached table: four functions that belong to its owner, and its triggers.
--
-- Their SQL is static, names everything by its schema, and begins with a look at whose the table is now. They know the table by its
-- name, as a dump restores it.
-- Requires: effects.

-- What is generated belongs to the table's owner, and is for nobody else to call.
create function reconcile._hand_over(p_function text, p_owner name, p_comment text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    execute format('comment on function reconcile_generated.%s is %L', p_function, p_comment);
    execute format('revoke all on function reconcile_generated.%s from public', p_function);
    execute format('alter function reconcile_generated.%s owner to %I', p_function, p_owner);
end
$$;

comment on function reconcile._hand_over(text, name, text) is 'Gives a generated function its comment and its owner.';

-- A table that has changed hands since may run its new owner's code: not with the old one's rights.
create function reconcile._owner_check(p_relation regclass) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    return format(
        'if exists (select from pg_class as c where c.oid = to_regclass(%L) and pg_get_userbyid(c.relowner) <> current_user) then '
        'raise exception using errcode = ''RC011'', message = %L; end if; ',
        p_relation, format('%s has another owner than when it was attached: detach it, and attach it again', p_relation));
end
$$;

comment on function reconcile._owner_check(regclass) is 'What every generated function begins with: it works for the owner of the table alone.';

-- Of the column's own type, as its index has it, and named with its schema: citext's are not in pg_catalog, and a schema in the
-- search_path may have others of the same name.
create function reconcile._operator(p_relation regclass, p_column text, p_strategy integer) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    return coalesce((
        select format('operator(%I.%s)', n.nspname, o.oprname)
        from pg_attribute as a
        join pg_type as t on t.oid = a.atttypid
        join pg_opclass as c on c.opcintype = coalesce(nullif(t.typbasetype, 0), t.oid) and c.opcdefault
        join pg_am as m on m.oid = c.opcmethod and m.amname = 'btree'
        join pg_amop as s on s.amopfamily = c.opcfamily and s.amoplefttype = c.opcintype and s.amoprighttype = c.opcintype
            and s.amopstrategy = p_strategy
        join pg_operator as o on o.oid = s.amopopr
        join pg_namespace as n on n.oid = o.oprnamespace
        where a.attrelid = p_relation and a.attname = p_column
    -- Those that are compared as another type: varchar, enums.
    ), format('operator(pg_catalog.%s)', case p_strategy when 3 then '=' else '>' end));
end
$$;

comment on function reconcile._operator(regclass, text, integer) is 'How values of a column are compared: by btree strategy, 3 for = and 5 for >.';

create function reconcile._make_row_functions(p_row reconcile.attachments, p_owner name) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_number_type text := reconcile._column_type(p_row.relation, p_row.order_number);
    v_status_type text := reconcile._column_type(p_row.relation, p_row.status);
    v_columns text;
    v_function text;
begin
    v_columns := (
        select string_agg(case when named.column_name is null then 'null::' || named.type
            else format('t.%I::%s', named.column_name, named.type) end, ', '
            order by named.place)
        from (
            values (1, p_row.order_number, 'text'), (2, p_row.reference, 'text'), (3, p_row.amount, 'text'), (4, p_row.currency, 'text'),
                (5, p_row.created_at, 'timestamptz'), (6, p_row.status, 'text')
        ) as named (place, column_name, type)
    );
    -- A timestamp without a time zone means what it means to the one who attaches.
    v_function := format('_rows_%s(text[])', p_row.attachment_id);
    execute format(
        'create function reconcile_generated._rows_%s(p_order_numbers text[]) returns setof reconcile.application_row '
        'language plpgsql stable security definer set search_path = pg_catalog, pg_temp set timezone = %L '
        'set enable_seqscan = off set jit = off as %L',
        p_row.attachment_id, current_setting('TimeZone'),
        format('begin %sreturn query select %s from %s as t where t.%I %s any ($1::%s[]); end', reconcile._owner_check(p_row.relation),
            v_columns, p_row.relation, p_row.order_number, reconcile._operator(p_row.relation, p_row.order_number, 3), v_number_type)
    );
    perform reconcile._hand_over(v_function, p_owner, format('Rows of %s by their order numbers.', p_row.relation));

    v_function := format('_page_%s(text, text, integer)', p_row.attachment_id);
    execute format(
        'create function reconcile_generated._page_%s(p_status text, p_after text, p_limit integer) returns setof reconcile.application_row '
        'language plpgsql stable security definer set search_path = pg_catalog, pg_temp set timezone = %L '
        -- Statuses differ in how many rows they have, and a partial index serves only one that the plan knows.
        'set plan_cache_mode = force_custom_plan as %L',
        p_row.attachment_id, current_setting('TimeZone'),
        format(
            'begin %7$sif $2 is null then '
            'return query select %1$s from %2$s as t where t.%3$I %8$s $1::%4$s and t.%5$I is not null order by t.%5$I limit $3; '
            'else '
            'return query select %1$s from %2$s as t where t.%3$I %8$s $1::%4$s and t.%5$I %9$s $2::%6$s order by t.%5$I limit $3; '
            'end if; end',
            v_columns, p_row.relation, p_row.status, v_status_type, p_row.order_number, v_number_type, reconcile._owner_check(p_row.relation),
            reconcile._operator(p_row.relation, p_row.status, 3), reconcile._operator(p_row.relation, p_row.order_number, 5))
    );
    perform reconcile._hand_over(v_function, p_owner, format('The next rows of %s in a status.', p_row.relation));
end
$$;

comment on function reconcile._make_row_functions(reconcile.attachments, name) is 'Makes the two functions that read an attached table.';

create function reconcile._make_write_function(p_row reconcile.attachments, p_owner name) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_number_type text := reconcile._column_type(p_row.relation, p_row.order_number);
    v_function text := format('_write_%s(text[], text[], text[], jsonb[], boolean)', p_row.attachment_id);
    v_assignments text;
    v_own text;
    -- Where the table's own triggers expect to find things; not if anybody may put things there.
    v_schema text := coalesce((
        select format('%I,', n.nspname)
        from pg_class as c
        join pg_namespace as n on n.oid = c.relnamespace
        where c.oid = p_row.relation and not has_schema_privilege('public', n.oid, 'create')
    ), '');
begin
    v_assignments := (
        select string_agg(format('%I = case %s else t.%I end', assigned.column_name, assigned.cases, assigned.column_name), ', ')
        from (
            select each.column_name, string_agg(each.one, ' ' order by each.one) as cases
            from (
                select assigned.key as column_name, format('when h.to_state = %L then %s', written.key,
                    case
                        when assigned.value = 'null' then 'null'
                        else format('%L::%s', case when reconcile._column_type(p_row.relation, assigned.key) in ('json', 'jsonb')
                            then assigned.value::text else assigned.value #>> '{}' end, reconcile._column_type(p_row.relation, assigned.key))
                    end) as one
                from jsonb_each(p_row.write) as written, jsonb_each(written.value) as assigned
                union all
                select captured.value #>> '{}', case
                    when reconcile._column_type(p_row.relation, captured.value #>> '{}') in ('json', 'jsonb')
                        then format('when h.found ? %1$L then (h.found -> %1$L)::%2$s', captured.key,
                            reconcile._column_type(p_row.relation, captured.value #>> '{}'))
                    -- A time that says its zone is written as what it is where the one who attaches is.
                    when reconcile._column_type(p_row.relation, captured.value #>> '{}') in ('timestamp without time zone', 'date')
                        then format('when h.found ? %1$L then (h.found ->> %1$L)::timestamptz::%2$s', captured.key,
                            reconcile._column_type(p_row.relation, captured.value #>> '{}'))
                    else format('when h.found ? %1$L then (h.found ->> %1$L)::%2$s', captured.key,
                        reconcile._column_type(p_row.relation, captured.value #>> '{}'))
                end
                from jsonb_each(p_row.capture) as captured
            ) as each
            group by each.column_name
        ) as assigned
    );
    if v_assignments is null then
        return;
    end if;
    -- A status that was written here for the state the order comes from is no decision of the application.
    v_own := coalesce((
        select string_agg(format('when %L then %L', written.key, written.value ->> p_row.status), ' ')
        from jsonb_each(p_row.write) as written
        where written.value ? p_row.status
    ), 'when '''' then null');
    execute format(
        'create function reconcile_generated._write_%s(
            p_order_numbers text[], p_from_states text[], p_to_states text[], p_found jsonb[], p_ends_here boolean
        ) '
        'returns table (order_number text, verdict text) '
        'language plpgsql security definer set search_path = pg_catalog, %s pg_temp set timezone = %L '
        'set enable_seqscan = off set jit = off as %L',
        p_row.attachment_id, v_schema, current_setting('TimeZone'),
        format($body$
#variable_conflict use_column
begin
    %9$s
    -- A row that somebody has locked is not waited for.
    return query
    with given as materialized (
        select g.* from unnest($1, $2, $3, $4) as g (order_number, from_state, to_state, found)
    ),
    locked as materialized (
        select t.%1$I as number, t.%1$I::text as order_number, t.%2$I::text as status
        from %3$s as t
        where t.%1$I %10$s any ($1::%4$s[])
        for no key update of t skip locked
    ),
    held as materialized (
        select g.order_number, g.to_state, g.found, l.number, l.status, count(*) over (partition by g.order_number) as rows,
            l.status = any (%5$L::text[]) or l.status = (case g.from_state %6$s end)
                or g.from_state = 'operator' and l.status = any (%8$L::text[]) as is_ours
        from given as g
        join locked as l on l.order_number = g.order_number
    ),
    written as (
        update %3$s as t set %7$s
        from held as h
        where t.%1$I %10$s h.number and h.is_ours and h.rows = 1
        returning h.order_number
    )
    select g.order_number,
        case
            when w.order_number is not null then 'written'
            when h.rows > 1 then 'twice'
            when h.order_number is null and exists (select from %3$s as t where t.%1$I %10$s any (array[g.order_number]::%4$s[])) then 'locked'
            when h.order_number is null then 'gone'
            when h.is_ours then 'refused'
            else 'decided'
        end
    from given as g
    left join held as h on h.order_number = g.order_number
    left join written as w on w.order_number = g.order_number;
    if p_ends_here then
        set constraints all immediate;
        set constraints all deferred;
    end if;
end
            $body$, p_row.order_number, p_row.status, p_row.relation, v_number_type, p_row.track, v_own, v_assignments,
            array(select written.value ->> p_row.status from jsonb_each(p_row.write) as written where written.value ? p_row.status),
            reconcile._owner_check(p_row.relation), reconcile._operator(p_row.relation, p_row.order_number, 3))
    );
    perform reconcile._hand_over(v_function, p_owner,
        format('Writes states back to %s, where its rows are still tracked; answers what came of each.', p_row.relation));
end
$$;

comment on function reconcile._make_write_function(reconcile.attachments, name) is
    'Makes the function that writes states back to an attached table, if anything is to be written.';

create function reconcile._make_triggers(p_row reconcile.attachments, p_owner name) returns void
language plpgsql set search_path = pg_catalog, pg_temp
-- Who waits for this lock makes every writer of the table wait behind him.
set lock_timeout = '5s'
as $$
declare
    v_watched text := (
        select string_agg(format('r.%I::text as watched_%s', named.column_name, named.place), ', ' order by named.place)
        from unnest(array[p_row.order_number, p_row.status, p_row.reference, p_row.amount, p_row.currency])
            with ordinality as named (column_name, place)
        where named.column_name is not null
    );
    v_tracked text := format('r.%I::text = any (%L::text[])', p_row.status, p_row.track);
    v_event record;
begin
    -- Never in the application's way: what can't be told now is looked for later.
    execute format(
        'create function reconcile_generated._tell_%s() returns trigger language plpgsql security definer '
        'set search_path = pg_catalog, pg_temp as %L',
        p_row.attachment_id,
        format($body$
declare
    v_order_numbers text[];
begin
    -- Not even the texts of its rows, once somebody else owns it.
    if exists (select from pg_class as c where c.oid = tg_relid and pg_get_userbyid(c.relowner) <> current_user) then
        perform reconcile._rows_changed(%1$s, null);
        return null;
    end if;
    if tg_op = 'INSERT' then
        v_order_numbers := array(select r.%2$I::text from new_rows as r where %4$s);
    elsif tg_op = 'DELETE' then
        v_order_numbers := array(select r.%2$I::text from old_rows as r where %4$s);
    elsif tg_op = 'UPDATE' then
        v_order_numbers := array(
            select changed.watched_1
            from (
                (select %3$s from new_rows as r where %4$s except all select %3$s from old_rows as r where %4$s)
                union
                (select %3$s from old_rows as r where %4$s except all select %3$s from new_rows as r where %4$s)
            ) as changed
        );
    end if;
    perform reconcile._rows_changed(%1$s, v_order_numbers);
    return null;
exception
    when others then
        begin
            perform reconcile._rows_changed(%1$s, v_order_numbers, sqlerrm);
        exception
            -- Such as an owner who has not the rights that the one who attached was given.
            when others then
                raise warning 'reconcile: changed rows of an attached table could not be told, and are looked for later: %%', sqlerrm;
        end;
        return null;
end
        $body$, p_row.attachment_id, p_row.order_number, v_watched, v_tracked)
    );
    perform reconcile._hand_over(format('_tell_%s()', p_row.attachment_id), p_owner, format('Tells which rows of %s have changed.', p_row.relation));
    for v_event in
        select event.*
        from (
            values ('insert', 'referencing new table as new_rows'), ('update', 'referencing old table as old_rows new table as new_rows'),
                ('delete', 'referencing old table as old_rows'), ('truncate', '')
        ) as event (name, rows)
    loop
        execute format('create trigger reconcile_tell_%s after %s on %s %s for each statement execute function reconcile_generated._tell_%s()',
            v_event.name, v_event.name, p_row.relation, v_event.rows, p_row.attachment_id);
    end loop;
exception
    when lock_not_available then
        raise exception 'attach %: the table is in use by a transaction that has not ended for 5 s', p_row.relation
            using errcode = 'RC009', hint = 'Nothing was changed. Look for it in pg_stat_activity, or try again at a quieter moment.';
end
$$;

comment on function reconcile._make_triggers(reconcile.attachments, name) is 'Makes the triggers that tell which rows have changed.';
