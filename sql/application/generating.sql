-- What is generated for each attached table: four functions that belong to its owner, and its triggers.
--
-- Their SQL is static and names everything by its schema, operators too. Each begins by confining itself: it runs as the owner that was
-- recorded and as nobody else, and leaves nothing for COMMIT. They know the table by its name, as a dump restores it; whether the name
-- still means that table is looked at under its lock before they are called, by _hold_attached.
-- Requires: calling_again.

-- What is generated belongs to the role with whose rights it runs, and is for nobody else to call.
create function reconcile_internal._hand_over(p_function regprocedure, p_owner regrole, p_comment text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    perform reconcile_internal._define(format('comment on function %s is %L', p_function, p_comment));
    perform reconcile_internal._define(format('revoke all on function %s from public', p_function));
    perform reconcile_internal._let_enter(p_owner);
    perform reconcile_internal._give_to(p_function, p_owner);
end
$$;

comment on function reconcile_internal._hand_over(regprocedure, regrole, text) is 'Gives a generated function its comment and its owner.';

-- What functions that are made for a role call with that role's rights, and nothing else.
create function reconcile_internal._let_enter(p_role regrole) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    if not has_schema_privilege(p_role, 'reconcile_doors', 'usage') then
        perform reconcile_internal._define(format('grant usage on schema reconcile_doors to %s', p_role));
    end if;
    if not has_function_privilege(p_role, 'reconcile_doors.confine(text)', 'execute') then
        perform reconcile_internal._define(format('grant execute on function reconcile_doors.confine(text) to %s', p_role));
    end if;
end
$$;

comment on function reconcile_internal._let_enter(regrole) is
    'Lets a role''s generated functions confine themselves, if they may not yet.';

create function reconcile_internal._let_enter_no_more() returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_role regrole;
begin
    for v_role in
        select distinct given.grantee
        from pg_namespace as n
        cross join lateral aclexplode(n.nspacl) as given
        where n.nspname = 'reconcile_doors' and given.grantee <> n.nspowner
          -- This one has it from the migration.
          and pg_get_userbyid(given.grantee) <> 'reconcile_operator'
          and not exists (
              select from pg_proc as p
              where p.pronamespace in ('reconcile_generated'::regnamespace, 'reconcile_doors'::regnamespace) and p.proowner = given.grantee
          )
    loop
        perform reconcile_internal._define(format('revoke all on function reconcile_doors.confine(text) from %s', v_role));
        perform reconcile_internal._define(format('revoke usage on schema reconcile_doors from %s', v_role));
    end loop;
end
$$;

comment on function reconcile_internal._let_enter_no_more() is
    'Takes back what _let_enter gave, from every role that has no generated function any more.';

-- Of the column's own type, as its index has it, and named with its schema: citext's are not in pg_catalog, and a schema in the
-- search_path may have others of the same name.
create function reconcile_internal._operator(p_relation regclass, p_column text, p_strategy integer) returns text
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

comment on function reconcile_internal._operator(regclass, text, integer) is 'How values of a column are compared: by btree strategy, 3 for = and 5 for >.';

-- A time without a time zone means what the attachment says.
create function reconcile_internal._moment(p_row reconcile.attachments, p_expression text, p_column text) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    return format(case when reconcile_internal._column_type(p_row.relation, p_column) in ('timestamp without time zone', 'date')
        then '(%s::timestamp at time zone %L)' else '%s::timestamptz' end, p_expression, p_row.time_zone);
end
$$;

comment on function reconcile_internal._moment(reconcile.attachments, text, text) is
    'The SQL for a time of an attached table, from the expression that reads its column.';

-- An enum that has an implicit cast to a type with a comparison of its own can be compared with itself in two ways, of which PostgreSQL takes
-- neither. What is left is without an index on it: pages go by that on the order numbers.
create function reconcile_internal._compared_as_text(p_relation regclass, p_column text) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    return exists (
        select from pg_attribute as a
        join pg_type as t on t.oid = a.atttypid and t.typtype = 'e'
        join pg_cast as c on c.castsource = t.oid and c.castcontext = 'i'
        join pg_operator as o on o.oprleft = c.casttarget and o.oprright = c.casttarget and o.oprname = '='
            and o.oprnamespace = 'pg_catalog'::regnamespace
        where a.attrelid = p_relation and a.attname = p_column
    );
end
$$;

comment on function reconcile_internal._compared_as_text(regclass, text) is
    'Whether values of a column can be compared as texts only.';

create function reconcile_internal._make_row_functions(p_row reconcile.attachments) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_number_type text := reconcile_internal._column_type(p_row.relation, p_row.order_number);
    v_as_text boolean := reconcile_internal._compared_as_text(p_row.relation, p_row.status);
    v_status_type text := case when v_as_text then 'text' else reconcile_internal._column_type(p_row.relation, p_row.status) end;
    v_columns text;
begin
    v_columns := (
        select string_agg(case
                when named.column_name is null then 'null::' || named.type
                when named.type = 'timestamptz' then reconcile_internal._moment(p_row, format('t.%I', named.column_name), named.column_name)
                else format('t.%I::%s', named.column_name, named.type)
            end, ', ' order by named.place)
        from (
            values (1, p_row.order_number, 'text'), (2, p_row.reference, 'text'), (3, p_row.amount, 'text'), (4, p_row.currency, 'text'),
                (5, p_row.created_at, 'timestamptz'), (6, p_row.status, 'text')
        ) as named (place, column_name, type)
    );
    perform reconcile_internal._define(format(
        'create function reconcile_generated._rows_%s(p_order_numbers text[]) returns setof reconcile.application_row '
        'language plpgsql security definer set search_path = pg_catalog, pg_temp set timezone = %L '
        'set enable_seqscan = off set jit = off as %L',
        p_row.attachment_id, p_row.time_zone,
        format('begin perform reconcile_doors.confine(%L); return query select %s from %s as t where t.%I %s any ($1::%s[]); end', pg_get_userbyid(p_row.owner),
            v_columns, p_row.relation, p_row.order_number, reconcile_internal._operator(p_row.relation, p_row.order_number, 3), v_number_type)
    ));
    perform reconcile_internal._hand_over(format('reconcile_generated._rows_%s(text[])', p_row.attachment_id)::regprocedure, p_row.owner,
        format('Rows of %s by their order numbers.', p_row.relation));

    perform reconcile_internal._define(format(
        'create function reconcile_generated._page_%s(p_status text, p_after text, p_limit integer) returns setof reconcile.application_row '
        'language plpgsql security definer set search_path = pg_catalog, pg_temp set timezone = %L '
        -- Statuses differ in how many rows they have, and a partial index serves only one that the plan knows.
        'set plan_cache_mode = force_custom_plan as %L',
        p_row.attachment_id, p_row.time_zone,
        format(
            'begin perform reconcile_doors.confine(%7$L); if $2 is null then '
            'return query select %1$s from %2$s as t where t.%3$I%10$s %8$s $1::%4$s and t.%5$I is not null order by t.%5$I limit $3; '
            'else '
            'return query select %1$s from %2$s as t where t.%3$I%10$s %8$s $1::%4$s and t.%5$I %9$s $2::%6$s order by t.%5$I limit $3; '
            'end if; end',
            v_columns, p_row.relation, p_row.status, v_status_type, p_row.order_number, v_number_type, pg_get_userbyid(p_row.owner),
            reconcile_internal._operator(p_row.relation, p_row.status, 3), reconcile_internal._operator(p_row.relation, p_row.order_number, 5),
            case when v_as_text then '::text' else '' end)
    ));
    perform reconcile_internal._hand_over(format('reconcile_generated._page_%s(text, text, integer)', p_row.attachment_id)::regprocedure,
        p_row.owner, format('The next rows of %s in a status.', p_row.relation));
end
$$;

comment on function reconcile_internal._make_row_functions(reconcile.attachments) is 'Makes the two functions that read an attached table.';

create function reconcile_internal._make_write_function(p_row reconcile.attachments) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_number_type text := reconcile_internal._column_type(p_row.relation, p_row.order_number);
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
                select assigned.key as column_name, format('when h.to_state operator(pg_catalog.=) %L then %s', written.key,
                    case
                        when assigned.value = 'null' then 'null'
                        else format('%L::%s', case when reconcile_internal._column_type(p_row.relation, assigned.key) in ('json', 'jsonb')
                            then assigned.value::text else assigned.value #>> '{}' end, reconcile_internal._column_type(p_row.relation, assigned.key))
                    end) as one
                from jsonb_each(p_row.write) as written, jsonb_each(written.value) as assigned
                union all
                select captured.value #>> '{}', case
                    when reconcile_internal._column_type(p_row.relation, captured.value #>> '{}') in ('json', 'jsonb')
                        then format('when h.found operator(pg_catalog.?) %1$L then (h.found operator(pg_catalog.->) %1$L)::%2$s', captured.key,
                            reconcile_internal._column_type(p_row.relation, captured.value #>> '{}'))
                    -- A time that says its zone is written as what it is in the table's.
                    when reconcile_internal._column_type(p_row.relation, captured.value #>> '{}') in ('timestamp without time zone', 'date')
                        then format('when h.found operator(pg_catalog.?) %1$L '
                            'then ((h.found operator(pg_catalog.->>) %1$L)::timestamptz at time zone %3$L)::%2$s', captured.key,
                            reconcile_internal._column_type(p_row.relation, captured.value #>> '{}'), p_row.time_zone)
                    -- The reference that was found is not put in the place of one that the row has.
                    when captured.key = 'reference' and captured.value #>> '{}' = p_row.reference
                        then format('when h.found operator(pg_catalog.?) %1$L and (t.%3$I is null or t.%3$I::text operator(pg_catalog.=) '''') '
                            'then (h.found operator(pg_catalog.->>) %1$L)::%2$s', captured.key,
                            reconcile_internal._column_type(p_row.relation, captured.value #>> '{}'), p_row.reference)
                    else format('when h.found operator(pg_catalog.?) %1$L then (h.found operator(pg_catalog.->>) %1$L)::%2$s', captured.key,
                        reconcile_internal._column_type(p_row.relation, captured.value #>> '{}'))
                end
                from jsonb_each(p_row.capture) as captured
            ) as each
            group by each.column_name
        ) as assigned
    );
    -- A status that was written here for the state that the row was left by is no decision of the application.
    v_own := coalesce((
        select string_agg(format('when g.from_state operator(pg_catalog.=) %L then %L', written.key, written.value ->> p_row.status), ' ')
        from jsonb_each(p_row.write) as written
        where written.value ? p_row.status
    ), 'when false then null');
    perform reconcile_internal._define(format(
        'create function reconcile_generated._write_%s(
            p_order_numbers text[], p_from_states text[], p_to_states text[], p_found jsonb[]
        ) '
        'returns table (order_number text, verdict text, status text) '
        'language plpgsql security definer set search_path = pg_catalog, %s pg_temp set timezone = %L '
        'set enable_seqscan = off set jit = off as %L',
        p_row.attachment_id, v_schema, p_row.time_zone,
        format($body$
#variable_conflict use_column
begin
    perform reconcile_doors.confine(%9$L);
    -- The row is locked before it is looked at, where nothing is written too; one that somebody else has locked is not waited for.
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
        select g.order_number, g.to_state, g.found, l.number, l.status, pg_catalog.count(*) over (partition by g.order_number) as rows,
            l.status operator(pg_catalog.=) any (%5$L::text[]) or l.status operator(pg_catalog.=) (case %6$s end)
                or g.from_state operator(pg_catalog.=) 'operator' and l.status operator(pg_catalog.=) any (%8$L::text[]) as is_ours,
            g.to_state operator(pg_catalog.=) any (%11$L::text[]) as is_written
        from given as g
        join locked as l on l.order_number operator(pg_catalog.=) g.order_number
    ),
    written as (
        %7$s
    )
    select g.order_number,
        case
            when w.order_number is not null then 'written'
            when h.rows operator(pg_catalog.>) 1 and h.is_written then 'twice'
            when h.order_number is null and exists (select from %3$s as t where t.%1$I %10$s any (array[g.order_number]::%4$s[])) then 'locked'
            when h.order_number is null and g.to_state operator(pg_catalog.=) any (%11$L::text[]) then 'gone'
            when h.order_number is null then 'missing'
            when not h.is_written and (h.is_ours or h.rows operator(pg_catalog.>) 1) then 'written'
            when h.is_ours then 'refused'
            else 'decided'
        end,
        h.status
    from given as g
    left join held as h on h.order_number operator(pg_catalog.=) g.order_number
    left join written as w on w.order_number operator(pg_catalog.=) g.order_number;
end
            $body$, p_row.order_number, p_row.status, p_row.relation, v_number_type, p_row.track, v_own,
            case when v_assignments is null then 'select h.order_number from held as h where false' else format(
                'update %1$s as t set %2$s from held as h '
                'where t.%3$I %4$s h.number and h.is_ours and h.is_written and h.rows operator(pg_catalog.=) 1 returning h.order_number',
                p_row.relation, v_assignments, p_row.order_number, reconcile_internal._operator(p_row.relation, p_row.order_number, 3)) end,
            array(select written.value ->> p_row.status from jsonb_each(p_row.write) as written where written.value ? p_row.status),
            pg_get_userbyid(p_row.owner), reconcile_internal._operator(p_row.relation, p_row.order_number, 3),
            array(select written.key from jsonb_each(p_row.write) as written where written.value <> '{}'
                union select 'succeeded' where p_row.capture <> '{}'))
    ));
    perform reconcile_internal._hand_over(
        format('reconcile_generated._write_%s(text[], text[], text[], jsonb[])', p_row.attachment_id)::regprocedure, p_row.owner,
        format('Locks rows of %s, and writes states back where they are still tracked; answers what came of each.', p_row.relation));
end
$$;

comment on function reconcile_internal._make_write_function(reconcile.attachments) is
    'Makes the function that locks rows of an attached table and writes states back to them, where something is to be written.';

-- Whose triggers they are is told by who may call it: a function for each table, for its owner alone.
create function reconcile_internal._make_note_door(p_row reconcile.attachments) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_door text := format('reconcile_doors.note_rows_of_%s(text[], text)', p_row.attachment_id);
begin
    perform reconcile_internal._define(format(
        'create function reconcile_doors.note_rows_of_%1$s(p_order_numbers text[], p_problem text default null) returns void '
        'language plpgsql security definer set search_path = pg_catalog, pg_temp '
        -- The application waits for nobody: an order that another transaction is just taking in is noted after this.
        'set lock_timeout = ''50ms'' set log_error_verbosity = terse as %2$L',
        p_row.attachment_id, format(
            -- A dump without owners gives it to whoever restores it.
            'begin perform reconcile_doors.confine(''reconcile_owner''); perform reconcile_internal._note_rows(%s, $1, $2); end', p_row.attachment_id
        )
    ));
    perform reconcile_internal._define(format('comment on function %s is %L', v_door,
        format('What the triggers of %s say: the order numbers of changed rows.', p_row.relation)));
    perform reconcile_internal._define(format('revoke all on function %s from public', v_door));
    perform reconcile_internal._define(format('grant execute on function %s to %s', v_door, p_row.owner));
end
$$;

comment on function reconcile_internal._make_note_door(reconcile.attachments) is
    'Makes the function by which the triggers of an attached table tell of its rows, and of no other''s.';

create function reconcile_internal._make_note_function(p_row reconcile.attachments) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_watched text := (
        select string_agg(format('r.%I::text as watched_%s', named.column_name, named.place), ', ' order by named.place)
        from unnest(array[p_row.order_number, p_row.status, p_row.reference, p_row.amount, p_row.currency])
            with ordinality as named (column_name, place)
        where named.column_name is not null
    );
    v_tracked text := format('r.%I::text operator(pg_catalog.=) any (%L::text[])', p_row.status, p_row.track);
begin
    -- Never in the application's way: what can't be noted now is looked for later.
    perform reconcile_internal._define(format(
        'create function reconcile_doors.note_rows_%s() returns trigger language plpgsql security definer '
        'set search_path = pg_catalog, pg_temp as %L',
        p_row.attachment_id,
        format($body$
declare
    v_order_numbers text[];
begin
    perform reconcile_doors.confine(%5$L);
    -- Not even the texts of its rows, once somebody else owns it.
    if not exists (
        select from pg_catalog.pg_class as c
        where c.oid operator(pg_catalog.=) tg_relid and pg_catalog.pg_get_userbyid(c.relowner) operator(pg_catalog.=) current_user
    ) then
        perform reconcile_doors.note_rows_of_%1$s(null);
        return null;
    end if;
    if tg_op operator(pg_catalog.=) 'INSERT' then
        v_order_numbers := array(select r.%2$I::text from new_rows as r where %4$s);
    elsif tg_op operator(pg_catalog.=) 'DELETE' then
        v_order_numbers := array(select r.%2$I::text from old_rows as r where %4$s);
    elsif tg_op operator(pg_catalog.=) 'UPDATE' then
        v_order_numbers := array(
            select changed.watched_1
            from (
                (select %3$s from new_rows as r where %4$s except all select %3$s from old_rows as r where %4$s)
                union
                (select %3$s from old_rows as r where %4$s except all select %3$s from new_rows as r where %4$s)
            ) as changed
        );
    end if;
    perform reconcile_doors.note_rows_of_%1$s(v_order_numbers);
    return null;
exception
    when others then
        -- From here on nothing of the application's runs.
        begin
            perform reconcile_doors.note_rows_of_%1$s(v_order_numbers, pg_catalog.left(sqlerrm, 1000));
        exception
            -- Such as an owner who has not the rights that the one who attached was given.
            when others then
                raise warning 'reconcile: changed rows of an attached table could not be noted, and are looked for later: %%', pg_catalog.left(sqlerrm, 1000);
        end;
        return null;
end
        $body$, p_row.attachment_id, p_row.order_number, v_watched, v_tracked, pg_get_userbyid(p_row.owner))
    ));
    perform reconcile_internal._hand_over(format('reconcile_doors.note_rows_%s()', p_row.attachment_id)::regprocedure, p_row.owner,
        format('Notes which rows of %s have changed.', p_row.relation));
end
$$;

comment on function reconcile_internal._make_note_function(reconcile.attachments) is
    'Makes the function of the triggers that note which rows have changed.';

-- With the rights of the caller, who has the role of the table's owner: the extension's own role may make no trigger there.
create function reconcile_doors.make_triggers(p_relation regclass, p_attachment_id integer) returns void
language plpgsql set search_path = pg_catalog, pg_temp
-- Who waits for this lock makes every writer of the table wait behind.
set lock_timeout = '5s'
as $$
declare
    v_event record;
begin
    for v_event in
        select event.*
        from (
            values ('insert', 'referencing new table as new_rows'), ('update', 'referencing old table as old_rows new table as new_rows'),
                ('delete', 'referencing old table as old_rows'), ('truncate', '')
        ) as event (name, rows)
    loop
        execute format('create trigger reconcile_note_%s after %s on %s %s for each statement execute function reconcile_doors.note_rows_%s()',
            v_event.name, v_event.name, p_relation, v_event.rows, p_attachment_id);
    end loop;
exception
    when lock_not_available then
        raise exception 'attach %: the table is in use by a transaction that has not ended for 5 s', p_relation
            using errcode = 'RC009', hint = 'Nothing was changed. Look for it in pg_stat_activity, or try again at a quieter moment.';
end
$$;

comment on function reconcile_doors.make_triggers(regclass, integer) is
    'Makes the triggers that note which rows of an attached table have changed, with the caller''s own rights.';
