-- What a search for rows that no trigger told of looks at, a page at a time: rows in a tracked status, open orders, and the notes of
-- rows that are not watched. Each answers which of them are not as they are known, and how far it has come. Changes nothing.
-- Requires: telling.

create function reconcile_internal._last_phase(p_row reconcile.attachments) returns integer
language plpgsql immutable set search_path = pg_catalog, pg_temp
as $$
begin
    return cardinality(p_row.track) + 2;
end
$$;

comment on function reconcile_internal._last_phase(reconcile.attachments) is
    'In how many phases an attached table is searched: one for each tracked status, one for the open orders, one for the notes.';

create function reconcile_internal._page_of_rows(
    p_row reconcile.attachments, p_status text, p_after text, p_most integer, out seen integer, out after text, out order_numbers text[]
)
language plpgsql set search_path = pg_catalog, pg_temp
-- An index of it may be locked where the table is not.
set lock_timeout = '50ms'
as $$
declare
    v_rows reconcile.application_row[];
    v_level integer;
    v_waits boolean := reconcile_internal._waits_for_references(p_row);
begin
    perform reconcile_internal._hold_attached(p_row, false);
    v_level := reconcile_internal._hold_settings();
    execute format('select coalesce(array_agg(r), ''{}'') from reconcile_generated._page_%s($1, $2, $3) as r', p_row.attachment_id)
    into v_rows using p_status, p_after, p_most;
    perform reconcile_internal._give_back_settings(v_level);
    seen := cardinality(v_rows);
    after := v_rows[seen].order_number;
    v_rows := reconcile_internal._as_known(p_row, v_rows);
    order_numbers := array(
        select r.order_number
        from unnest(v_rows) as r
        left join reconcile.tracked_orders as o on o.order_number = r.order_number
        where o.order_id is null and not (
                v_waits and r.reference is null and exists (
                    select from reconcile.refused_rows as u
                    where u.attachment_id = p_row.attachment_id and u.order_number = r.order_number and u.waits_since is not null))
           or o.attachment_id is distinct from p_row.attachment_id and o.order_id is not null
           or o.state in ('pending', 'processing') and (
               o.reference is distinct from r.reference and r.reference is not null
               or o.amount is distinct from reconcile_internal.said_amount(r.amount, p_row.amount_unit, upper(r.currency), null)::numeric
               or o.currency is distinct from upper(r.currency))
           or o.state not in ('pending', 'processing') and (o.settled_by = 'application' or p_row.write -> o.state ? p_row.status)
    );
end
$$;

comment on function reconcile_internal._page_of_rows(reconcile.attachments, text, text, integer) is
    'The next rows of an attached table in a status: how many, the last one''s number, and the orders that are not as their rows are.';

create function reconcile_internal._page_of_orders(
    p_row reconcile.attachments, p_after text, p_most integer, out seen integer, out after text, out order_numbers text[]
)
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_order_ids bigint[];
    v_rows reconcile.application_row[];
begin
    select coalesce(array_agg(open.order_id), '{}'), coalesce(array_agg(open.order_number), '{}') into v_order_ids, order_numbers
    from (
        select o.order_id, o.order_number
        from reconcile.tracked_orders as o
        where o.attachment_id = p_row.attachment_id and o.state in ('pending', 'processing', 'review')
          and o.order_id > coalesce(p_after::bigint, 0)
        order by o.order_id
        limit p_most
    ) as open;
    seen := cardinality(v_order_ids);
    after := v_order_ids[seen]::text;
    v_rows := reconcile_internal._rows_of(p_row, order_numbers);
    order_numbers := array(
        select open.order_number
        from unnest(order_numbers) as open (order_number)
        left join unnest(v_rows) as r on r.order_number = open.order_number
        where r.status is null or r.status <> all (p_row.track)
    );
end
$$;

comment on function reconcile_internal._page_of_orders(reconcile.attachments, text, integer) is
    'The next open orders of an attached table: how many, the last one''s id, and those whose rows have left.';

create function reconcile_internal._page_of_notes(
    p_row reconcile.attachments, p_after text, p_most integer, out seen integer, out after text, out order_numbers text[]
)
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_rows reconcile.application_row[];
    v_waits boolean := reconcile_internal._waits_for_references(p_row);
begin
    -- A number that was cut off is no row's.
    order_numbers := array(
        select u.order_number from reconcile.refused_rows as u
        where u.attachment_id = p_row.attachment_id and u.order_number > coalesce(p_after, '') and length(u.order_number) < 500
        order by u.order_number
        limit p_most
    );
    seen := cardinality(order_numbers);
    after := order_numbers[seen];
    v_rows := reconcile_internal._rows_of(p_row, order_numbers);
    order_numbers := array(
        select u.order_number
        from reconcile.refused_rows as u
        where u.attachment_id = p_row.attachment_id and u.order_number = any (order_numbers)
          and not exists (
              select from unnest(v_rows) as r
              where r.order_number = u.order_number and r.status = any (p_row.track)
                and (u.waits_since is null or v_waits and r.reference is null)
          )
    );
end
$$;

comment on function reconcile_internal._page_of_notes(reconcile.attachments, text, integer) is
    'The next rows that are noted as not watched: how many, the last one''s number, and those that have left or need not wait any more.';
