-- What attaching a table comes to, in words: said in earnest and in a dry run alike.
-- Requires: zones.

create function reconcile_internal._what_attaching_does(p_row reconcile.attachments) returns table (what text, detail text)
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select 'watch', format('rows of %s whose %I is one of: %s; by order number %I%s%s%s%s%s', p_row.relation, p_row.status,
        array_to_string(p_row.track, ', '), p_row.order_number,
        case when p_row.order_number_prefix <> '' then format(' after %L', p_row.order_number_prefix) end, ', reference ' || quote_ident(p_row.reference),
        ', amount ' || quote_ident(p_row.amount) || ' in ' || p_row.amount_unit || ' units',
        ', currency ' || quote_ident(p_row.currency), ', created at ' || quote_ident(p_row.created_at))
    union all
    select 'write', format('%s: %s', written.key, (
        select string_agg(format('%I = %s', assigned.key, assigned.value), ', ') from jsonb_each(written.value) as assigned
    ))
    from jsonb_each(p_row.write) as written
    union all
    select 'capture', format('%s into %I', captured.key, captured.value #>> '{}') from jsonb_each(p_row.capture) as captured
    union all
    select 'hook', format('%s is called when an order comes to %s', h.name, h.on_state)
    from reconcile.registered_hooks as h
    where coalesce(h.provider_id = p_row.provider_id, true) and coalesce(h.relation = p_row.relation, true)
    union all
    select 'no hook', 'none is called for its orders. Add those that have to be first: orders that are settled before a hook is there don''t call it'
    where not exists (
        select from reconcile.registered_hooks as h
        where coalesce(h.provider_id = p_row.provider_id, true) and coalesce(h.relation = p_row.relation, true)
    )
    union all
    select 'triggers', format('reconcile_note_insert, _update, _delete and _truncate on %s', p_row.relation)
    union all
    select 'index missing', missing.index || '; until then rows that no trigger told of are not looked for'
    from reconcile_internal._missing_index(p_row) as missing (index)
    where missing.index is not null;
end
$$;

comment on function reconcile_internal._what_attaching_does(reconcile.attachments) is 'What attaching a table comes to, a line each.';

create function reconcile_internal._count_rows(
    p_row reconcile.attachments, out to_watch bigint, out waiting bigint, out taken bigint, out taken_number text, out taken_by text
)
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_level integer;
begin
    perform reconcile_internal._hold_attached(p_row, false);
    v_level := reconcile_internal._hold_settings();
    -- By the owner's function, and no further than it takes to know what one is in for.
    execute format(
        'select count(*) filter (where not waits and other is null), count(*) filter (where waits), count(other) filter (where not waits), '
        'min(number) filter (where not waits and other is not null), min(other) filter (where not waits) from ('
        'select $2 and nullif(r.reference, '''') is null as waits, r.order_number as number, '
        -- An order of nobody's else is this table's from now on.
        'case when o.provider_id <> $5 or a.attachment_id is not null then coalesce(a.relation::text, ''another provider'') end as other '
        'from unnest($1) as tracked (status) '
        'cross join lateral reconcile_generated._page_%s(tracked.status, null, 1000000) as r '
        'left join reconcile.tracked_orders as o on o.order_number = $4 || r.order_number and o.attachment_id is distinct from $6 '
        'left join reconcile.attachments as a on a.attachment_id = o.attachment_id '
        'where r.created_at is distinct from ''-infinity'' and ($3 is null or r.created_at >= $3) limit 1000000) as rows', p_row.attachment_id
    ) into to_watch, waiting, taken, taken_number, taken_by
    using p_row.track, reconcile_internal._waits_for_references(p_row), p_row.created_after, p_row.order_number_prefix, p_row.provider_id,
        p_row.attachment_id;
    perform reconcile_internal._give_back_settings(v_level);
end
$$;

comment on function reconcile_internal._count_rows(reconcile.attachments) is
    'Rows of an attached table in a tracked status, a million at most: those that can be watched, those that wait for a reference, and those '
    'whose number is an order of another table or provider, with one of each.';

-- Ids of two tables that begin at 1 meet sooner or later.
create function reconcile_internal._numbered_alike(p_row reconcile.attachments) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    v_plain constant text[] := '{smallint,integer,bigint}';
begin
    return (
        select a.relation::text from reconcile.attachments as a
        where a.attachment_id <> p_row.attachment_id and a.order_number_prefix = p_row.order_number_prefix
          and reconcile_internal._column_type(a.relation, a.order_number) = any (v_plain)
          and reconcile_internal._column_type(p_row.relation, p_row.order_number) = any (v_plain)
        order by a.attachment_id
        limit 1
    );
end
$$;

comment on function reconcile_internal._numbered_alike(reconcile.attachments) is
    'An attached table whose orders have plain numbers, as those of this one do, and the same prefix; NULL when there is none.';

create function reconcile_internal._what_rows_there_are(p_row reconcile.attachments, p_dry_run boolean) returns table (what text, detail text)
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_counts record := reconcile_internal._count_rows(p_row);
    v_alike text := reconcile_internal._numbered_alike(p_row);
    v_remedy constant text := format('tell them apart, as by order_number_prefix => ''%s-''',
        (select upper(left(c.relname, 1)) from pg_class as c where c.oid = p_row.relation));
begin
    what := 'rows';
    detail := format('%s to be watched now%s', reconcile_internal._counted(v_counts.to_watch, 'row is', 'rows are'), case when not p_dry_run
        then format(': they are taken in by and by, or at once by select * from reconcile.take_in(%L)', p_row.relation) end);
    return next;
    if v_counts.waiting > 0 then
        what := 'rows without a reference';
        detail := format('%s rows wait for a reference in %I, by which provider %s asks: they are watched as soon as they have one',
            v_counts.waiting, p_row.reference, (select p.name from reconcile.providers as p where p.provider_id = p_row.provider_id));
        return next;
    end if;
    what := 'order numbers';
    if v_counts.taken > 0 then
        detail := format('%s rows have the number of an order of %s, %L for one, and can''t be watched: %s', v_counts.taken, v_counts.taken_by,
            v_counts.taken_number, v_remedy);
        return next;
    elsif v_alike is not null then
        detail := format('those of %s are plain numbers, too, and an order number is one order''s: %s', v_alike, v_remedy);
        return next;
    end if;
end
$$;

comment on function reconcile_internal._what_rows_there_are(reconcile.attachments, boolean) is
    'How many rows a table has that are to be watched, what others wait for, and whether their numbers are other orders''.';
