-- Rows of attached tables that no trigger told of at once: noted arrivals, rows that were there before, rows that came in while triggers
-- were off. Taken in by the page, in the order of an index; what is known already is compared without a lock.
-- Requires: paging.

-- An order that a transaction of the application has just taken in, and that has not ended, is not waited for: it is found by halves and
-- noted for later.
create function reconcile_internal._follow_or_note(p_attachment_id integer, p_order_numbers text[]) returns integer
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '50ms'
as $$
declare
    v_half integer := cardinality(p_order_numbers) / 2;
begin
    begin
        return reconcile_internal._follow(p_attachment_id, p_order_numbers);
    exception
        when lock_not_available or deadlock_detected then
            if cardinality(p_order_numbers) <= 1 then
                insert into reconcile.arrivals (attachment_id, order_numbers) values (p_attachment_id, p_order_numbers);
                return 0;
            end if;
    end;
    return reconcile_internal._follow_or_note(p_attachment_id, p_order_numbers[:v_half])
        + reconcile_internal._follow_or_note(p_attachment_id, p_order_numbers[v_half + 1:]);
end
$$;

comment on function reconcile_internal._follow_or_note(integer, text[]) is
    'Follows rows as _follow does, and notes those that can''t be followed without waiting; answers how many orders have changed.';

-- One attachment's arrivals, a note at a time, until they are done or the time is over. Only those that were there at the beginning:
-- an order that is busy is noted anew.
create function reconcile_internal._take_arrivals(
    p_row reconcile.attachments, p_until timestamptz, out followed integer, out problem text
)
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_last bigint := (select max(a.arrival_id) from reconcile.arrivals as a where a.attachment_id = p_row.attachment_id);
    v_note reconcile.arrivals;
    v_sweep reconcile.attachment_sweeps;
    v_context text;
begin
    followed := 0;
    -- Nor while another transaction takes in the table: what that has brought in is not to be seen yet.
    perform from reconcile.attachment_sweeps as s where s.attachment_id = p_row.attachment_id for update skip locked;
    if not found then
        return;
    end if;
    loop
        select next.* into v_note
        from reconcile.arrivals as next
        where next.attachment_id = p_row.attachment_id and next.arrival_id > coalesce(v_note.arrival_id, 0) and next.arrival_id <= v_last
        order by next.arrival_id
        limit 1
        for update skip locked;
        exit when not found;
        begin
            if v_note.order_numbers is null then
                -- Anything may have changed, so all is searched, by as much as there is time for; until then the note stays.
                update reconcile.attachment_sweeps as s
                set phase = 1, after = null, began_at = clock_timestamp(), rows_seen = 0, rows_followed = 0
                where s.attachment_id = p_row.attachment_id and s.began_at < v_note.noted_at;
                v_sweep := reconcile_internal._search(p_row, p_until);
                followed := followed + v_sweep.rows_followed::integer;
                delete from reconcile.arrivals as a
                where a.attachment_id = p_row.attachment_id and a.order_numbers is null and a.noted_at < v_sweep.began_at
                  and v_sweep.phase > reconcile_internal._last_phase(p_row);
            else
                delete from reconcile.arrivals as a where a.arrival_id = v_note.arrival_id;
                followed := followed + reconcile_internal._follow_or_note(p_row.attachment_id, v_note.order_numbers);
            end if;
        exception
            when data_exception then
                -- A number that can't be one of this table's: the others are looked at by themselves, and it is dropped.
                delete from reconcile.arrivals as a where a.arrival_id = v_note.arrival_id;
                insert into reconcile.arrivals (attachment_id, order_numbers)
                select p_row.attachment_id, array[given.order_number]
                from unnest(v_note.order_numbers) as given (order_number)
                where cardinality(v_note.order_numbers) > 1;
            when others or assert_failure or query_canceled then
                get stacked diagnostics v_context = pg_exception_context;
                if reconcile_internal._is_cancelled(sqlstate, v_context) then
                    raise;
                end if;
                -- The note stays.
                problem := format('%s (%s)', reconcile_internal._problem_of(sqlerrm, 1000), sqlstate);
        end;
        exit when clock_timestamp() > p_until;
    end loop;
end
$$;

comment on function reconcile_internal._take_arrivals(reconcile.attachments, timestamptz) is
    'Follows the noted rows of an attached table until a time; answers how many orders have changed, and what was in the way.';

-- One page of the search. The phases are the tracked statuses, one after the other, then the open orders, then the rows that are not watched.
create function reconcile_internal._search_page(p_row reconcile.attachments, p_most integer, p_has_index boolean) returns reconcile.attachment_sweeps
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_statuses constant integer := cardinality(p_row.track);
    v_sweep reconcile.attachment_sweeps;
    v_page record;
begin
    select s.* into v_sweep from reconcile.attachment_sweeps as s where s.attachment_id = p_row.attachment_id for update skip locked;
    if not found then
        return null;
    end if;
    if v_sweep.phase <= v_statuses and not p_has_index then
        v_sweep.phase := v_statuses + 1;
    end if;
    if v_sweep.phase <= v_statuses then
        v_page := reconcile_internal._page_of_rows(p_row, p_row.track[v_sweep.phase], v_sweep.after, p_most);
    elsif v_sweep.phase = v_statuses + 1 then
        v_page := reconcile_internal._page_of_orders(p_row, v_sweep.after, p_most);
    else
        v_page := reconcile_internal._page_of_notes(p_row, v_sweep.after, p_most);
    end if;
    v_sweep.after := v_page.after;
    v_sweep.rows_seen := v_sweep.rows_seen + v_page.seen;
    if v_page.order_numbers <> '{}' then
        v_sweep.rows_followed := v_sweep.rows_followed + reconcile_internal._follow_or_note(p_row.attachment_id, v_page.order_numbers);
    end if;
    if v_page.seen < p_most then
        v_sweep.phase := v_sweep.phase + 1;
        v_sweep.after := null;
        if v_sweep.phase > reconcile_internal._last_phase(p_row) and p_has_index then
            v_sweep.finished_at := clock_timestamp();
            -- Which row had no order number can't be told, so neither whether it has one now.
            delete from reconcile.refused_rows as u
            where u.attachment_id = p_row.attachment_id and u.order_number = '' and u.noted_at < clock_timestamp() - interval '1 day';
        end if;
    end if;
    update reconcile.attachment_sweeps as s
    set phase = case when v_sweep.phase > reconcile_internal._last_phase(p_row) then 1 else v_sweep.phase end,
        after = v_sweep.after, finished_at = v_sweep.finished_at, problem = null, problem_at = null,
        rows_seen = v_sweep.rows_seen, rows_followed = v_sweep.rows_followed
    where s.attachment_id = p_row.attachment_id;
    return v_sweep;
end
$$;

comment on function reconcile_internal._search_page(reconcile.attachments, integer, boolean) is
    'Looks at the next rows of an attached table, if it has an index for that, at the next of its open orders, or at the next of the rows '
    'that are not watched; answers how far the search has come.';

create function reconcile_internal._search(p_row reconcile.attachments, p_until timestamptz) returns reconcile.attachment_sweeps
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_page constant integer := 2000;
    v_missing_index text;
    v_sweep reconcile.attachment_sweeps;
begin
    -- First of all: even to look at its size would wait for who has locked it.
    perform reconcile_internal._hold_attached(p_row, false);
    v_missing_index := reconcile_internal._missing_index(p_row);
    update reconcile.attachment_sweeps as s
    set missing_index = v_missing_index
    where s.attachment_id in (
        select free.attachment_id from reconcile.attachment_sweeps as free
        where free.attachment_id = p_row.attachment_id and free.missing_index is distinct from v_missing_index
        for update skip locked
    );
    update reconcile.attachment_sweeps as s
    set began_at = clock_timestamp(), rows_seen = 0, rows_followed = 0
    where s.attachment_id in (
        select free.attachment_id from reconcile.attachment_sweeps as free
        where free.attachment_id = p_row.attachment_id and free.phase = 1 and free.after is null
        for update skip locked
    );
    loop
        v_sweep := reconcile_internal._search_page(p_row, v_page, v_missing_index is null);
        exit when v_sweep is null or v_sweep.phase > reconcile_internal._last_phase(p_row) or clock_timestamp() > p_until;
    end loop;
    return v_sweep;
end
$$;

comment on function reconcile_internal._search(reconcile.attachments, timestamptz) is
    'Searches an attached table from where the search stands, to its end or until a time.';

-- One table by itself: what is wrong with it is kept with it and stops no other.
create function reconcile_internal._take_in_one(p_row reconcile.attachments, p_until timestamptz, p_with_search boolean) returns integer
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_before bigint;
    v_sweep reconcile.attachment_sweeps;
    v_problem text;
    v_context text;
    v_looked boolean := exists (select from reconcile.arrivals as n where n.attachment_id = p_row.attachment_id);
    v_followed integer := 0;
begin
    begin
        if v_looked then
            select taken.followed, taken.problem into v_followed, v_problem
            from reconcile_internal._take_arrivals(p_row, p_until) as taken;
        end if;
        if p_with_search then
            -- A restore without privileges has left out what its owner needs to note rows.
            perform reconcile_internal._let_enter(p_row.owner);
            perform reconcile_internal._write_owed(p_row.attachment_id);
            v_before := (select s.rows_followed from reconcile.attachment_sweeps as s where s.attachment_id = p_row.attachment_id);
            v_sweep := reconcile_internal._search(p_row, p_until);
            v_followed := v_followed + coalesce(greatest(0, v_sweep.rows_followed - v_before), 0)::integer;
        end if;
    exception
        when others or assert_failure or query_canceled then
            get stacked diagnostics v_context = pg_exception_context;
            if reconcile_internal._is_cancelled(sqlstate, v_context) then
                raise;
            end if;
            v_problem := format('%s (%s)', reconcile_internal._problem_of(sqlerrm, 1000), sqlstate);
    end;
    if v_looked or v_problem is not null then
        update reconcile.attachment_sweeps as s
        set problem = v_problem, problem_at = case when v_problem is not null then coalesce(s.problem_at, clock_timestamp()) end
        where s.attachment_id in (
            select free.attachment_id from reconcile.attachment_sweeps as free
            where free.attachment_id = p_row.attachment_id and free.problem is distinct from v_problem
            for update skip locked
        );
    end if;
    return v_followed;
end
$$;

comment on function reconcile_internal._take_in_one(reconcile.attachments, timestamptz, boolean) is
    'Follows what was noted of an attached table and, if asked to, searches it, until a time; answers how many orders changed.';

create function reconcile_internal._take_in_all(p_time interval) returns integer
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_row reconcile.attachments;
    v_until timestamptz := clock_timestamp() + p_time;
    v_followed integer := 0;
begin
    -- The one that was searched longest ago first, since the time is for all of them; each gets a page at least.
    -- No query is open while triggers of an application run, which could read on in its portal.
    foreach v_row in array array(
        select a from reconcile.attachments as a
        join reconcile.attachment_sweeps as s on s.attachment_id = a.attachment_id
        order by s.finished_at nulls first, a.attachment_id
    ) loop
        v_followed := v_followed + reconcile_internal._take_in_one(v_row, v_until, true);
    end loop;
    return v_followed;
end
$$;

comment on function reconcile_internal._take_in_all(interval) is
    'Follows what was noted of all attached tables and searches them, for so long in all; answers how many orders changed.';

create function reconcile.take_in(relation regclass, max_seconds integer default 5)
returns table (rows_seen bigint, rows_followed bigint, arrivals_waiting bigint, finished boolean)
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    v_row reconcile.attachments;
    v_sweep reconcile.attachment_sweeps;
    v_until timestamptz := clock_timestamp() + make_interval(secs => least(greatest(take_in.max_seconds, 1), 600));
    v_context text;
begin
    select a.* into v_row from reconcile.attachments as a where a.relation = take_in.relation;
    if not found then
        raise exception 'take_in %: it is not attached', take_in.relation
            using errcode = 'RC009', hint = 'The attached tables are in reconcile.attached_tables.';
    end if;
    perform reconcile_internal._check_session();
    perform reconcile_internal._hold_attached(v_row, false);
    if reconcile_internal._missing_index(v_row) is not null then
        raise exception 'take_in %: its rows can''t be looked for without an index', take_in.relation
            using errcode = 'RC009', hint = reconcile_internal._missing_index(v_row) || ';';
    end if;
    perform reconcile_internal._take_arrivals(v_row, v_until);
    begin
        v_sweep := reconcile_internal._search(v_row, v_until);
    exception
        when others or assert_failure or query_canceled then
            get stacked diagnostics v_context = pg_exception_context;
            if reconcile_internal._is_cancelled(sqlstate, v_context) then
                raise;
            end if;
            -- Code of the table's, which may be another's than the caller's.
            raise exception 'take_in %: %', take_in.relation, reconcile_internal._problem_of(sqlerrm, 1000) using errcode = sqlstate;
    end;
    return query
    select v_sweep.rows_seen, v_sweep.rows_followed,
        (select coalesce(sum(cardinality(n.order_numbers)), 0) from reconcile.arrivals as n where n.attachment_id = v_row.attachment_id),
        coalesce(v_sweep.phase > reconcile_internal._last_phase(v_row), false)
            and not exists (select from reconcile.arrivals as n where n.attachment_id = v_row.attachment_id);
end
$$;

comment on function reconcile.take_in(regclass, integer) is
    'Takes in rows of an attached table for so many seconds, and says how far it has come; again and again (\watch) until finished.';
