-- What becomes of an attached table's rows: one that enters a tracked status is watched, one that leaves it is let go.
--
-- Everything here starts from order numbers and reads the rows as they stand now, so it may run late, twice or in any order. A trigger
-- follows a few rows at once; many, or those of a transaction with a fixed snapshot, it only notes. The scheduled search finds what
-- no trigger told of. Never waits for a lock: an order that is locked is noted for later.
-- Locks: tracked_orders with SKIP LOCKED, before the rows are read: a report holds both until they agree.
-- Requires: heeding.

create sequence reconcile.arrival_ids;

create table reconcile.arrivals (
    arrival_id bigint primary key default nextval('reconcile.arrival_ids'),
    attachment_id integer not null,
    order_numbers text[],
    noted_at timestamptz not null default clock_timestamp()
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

create index arrivals_attachment on reconcile.arrivals (attachment_id, arrival_id);

comment on table reconcile.arrivals is 'Order numbers of attached tables whose rows have changed and were not looked at yet.';
comment on column reconcile.arrivals.arrival_id is 'Their place in the order of arrival.';
comment on column reconcile.arrivals.attachment_id is 'The attachment.';
comment on column reconcile.arrivals.order_numbers is 'The order numbers; NULL for all orders of the table.';
comment on column reconcile.arrivals.noted_at is 'When they were noted.';

create table reconcile.refused_rows (
    attachment_id integer not null,
    order_number text collate "C" not null,
    problem text not null,
    noted_at timestamptz not null default clock_timestamp(),
    waits_since timestamptz,
    primary key (attachment_id, order_number)
);

comment on table reconcile.refused_rows is
    'Rows of attached tables that are not watched, and why: those that can''t be, and those that wait for their reference; gone when they are.';
comment on column reconcile.refused_rows.attachment_id is 'The attachment.';
comment on column reconcile.refused_rows.order_number is 'The order number; empty when the row has none.';
comment on column reconcile.refused_rows.problem is 'What is wrong with the row.';
comment on column reconcile.refused_rows.noted_at is 'Since when.';
comment on column reconcile.refused_rows.waits_since is
    'Since when a row without a reference waits for one: since it was created, or noted where that is not known; NULL for what is wrong.';

-- By another name the generated functions would look at another table, or at none.
create function reconcile_internal._renamed(p_row reconcile.attachments) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp set quote_all_identifiers = off
as $$
begin
    return case when p_row.relation::text <> p_row.relation_name
        then format('%s was attached and is %s now: rename it back, or detach %2$s and attach what takes its place',
            p_row.relation_name, p_row.relation)
    end;
end
$$;

comment on function reconcile_internal._renamed(reconcile.attachments) is 'What an attached table is called now, if not as it was; NULL when all is well.';

-- What the table says, in the ledger's words.
create function reconcile_internal._as_known(p_row reconcile.attachments, p_rows reconcile.application_row[]) returns reconcile.application_row[]
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    return array(
        select row(
            -- A row without a number stays one.
            case when r.order_number <> '' then p_row.order_number_prefix || r.order_number else r.order_number end,
            nullif(r.reference, ''), r.amount, r.currency, r.created_at, r.status
        )::reconcile.application_row
        from unnest(p_rows) with ordinality as r (order_number, reference, amount, currency, created_at, status, place)
        order by r.place
    );
end
$$;

comment on function reconcile_internal._as_known(reconcile.attachments, reconcile.application_row[]) is
    'Rows of an attached table as the ledger knows them: by its numbers, and an empty reference is none.';

create function reconcile_internal._waits_for_references(p_row reconcile.attachments) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select p.without_reference = '{}' and reconcile_internal.needs_reference(p.url, p.headers, p.body)
        from reconcile.providers as p where p.provider_id = p_row.provider_id
    );
end
$$;

comment on function reconcile_internal._waits_for_references(reconcile.attachments) is
    'Whether a row without a reference can''t be asked about: by the order number, the first way or the second, it can.';

create function reconcile_internal._rows_of(p_row reconcile.attachments, p_order_numbers text[]) returns reconcile.application_row[]
language plpgsql set search_path = pg_catalog, pg_temp
-- An index of it may be locked where the table is not.
set lock_timeout = '50ms'
as $$
declare
    v_rows reconcile.application_row[];
    v_level integer;
    v_own_numbers text[] := p_order_numbers;
begin
    if p_row.order_number_prefix <> '' then
        v_own_numbers := array(
            select substr(given.order_number, length(p_row.order_number_prefix) + 1) from unnest(p_order_numbers) as given (order_number)
            where starts_with(given.order_number, p_row.order_number_prefix)
        );
    end if;
    perform reconcile_internal._hold_attached(p_row, false);
    v_level := reconcile_internal._hold_settings();
    execute format('select array_agg(r) from reconcile_generated._rows_%s($1) as r', p_row.attachment_id) into v_rows using v_own_numbers;
    perform reconcile_internal._give_back_settings(v_level);
    return reconcile_internal._as_known(p_row, v_rows);
end
$$;

comment on function reconcile_internal._rows_of(reconcile.attachments, text[]) is
    'The rows of an attached table with these order numbers, by its owner''s rights.';

-- A payment that is under way does not know of it. Asked about again once nothing can come of it any more.
create function reconcile_internal._watch_closed(p_order_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_order_ids bigint[];
    v_due_at timestamptz[];
begin
    select array_agg(o.order_id), array_agg(greatest(clock_timestamp(), o.created_at + coalesce(p.deadline, '0'))
        + make_interval(secs => reconcile.schedule_delay_ms(p.late_watch, 0, o.order_number) / 1000.0))
    into v_order_ids, v_due_at
    from reconcile.tracked_orders as o
    join reconcile.providers as p on p.provider_id = o.provider_id
    where o.order_id = any (p_order_ids) and o.state in ('failed', 'cancelled') and p.late_watch <> 'none';
    perform reconcile_internal._enqueue(v_order_ids, v_due_at);
end
$$;

comment on function reconcile_internal._watch_closed(bigint[]) is
    'Puts orders on the late watch that the application has closed without money.';

-- The application decided: the order is closed by its word, and a check in flight loses its lease.
create function reconcile_internal._close_by_application(p_order_ids bigint[], p_states text[], p_reasons text[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_moving constant bigint[] := array(
        select o.order_id from unnest(p_order_ids, p_states) as given (order_id, state)
        join reconcile.tracked_orders as o on o.order_id = given.order_id
        where o.state <> given.state
    );
begin
    perform reconcile_internal._move(p_order_ids, p_states, 'application', p_reasons);
    perform reconcile_internal._call_off(v_moving);
    perform reconcile_internal._unqueue(v_moving);
    perform reconcile_internal._watch_closed(v_moving);
    delete from reconcile.recorded_failures as f where f.order_id = any (p_order_ids);
    delete from reconcile.owed_writes as w where w.order_id = any (p_order_ids);
    delete from reconcile.heard_words as h where h.order_id = any (p_order_ids);
end
$$;

comment on function reconcile_internal._close_by_application(bigint[], text[], text[]) is 'Closes orders by the application''s word, and has those without money on the late watch; their rows are locked by the caller.';

create function reconcile_internal._follow_changed(p_row reconcile.attachments, p_order_ids bigint[], p_rows reconcile.application_row[])
returns integer
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_changed bigint[];
    v_references text[];
    v_amounts numeric[];
    v_currencies text[];
begin
    select array_agg(o.order_id), array_agg(r.reference), array_agg(a.amount), array_agg(upper(r.currency))
    into v_changed, v_references, v_amounts, v_currencies
    from unnest(p_rows) as r
    cross join lateral (
        select reconcile_internal.said_amount(r.amount, p_row.amount_unit, upper(r.currency), null)::numeric as amount
    ) as a
    join reconcile.tracked_orders as o on o.order_number = r.order_number
    where o.order_id = any (p_order_ids) and o.attachment_id = p_row.attachment_id and o.state in ('pending', 'processing')
      and r.status = any (p_row.track)
      and (r.reference <> o.reference or o.reference is null and r.reference is not null
          or a.amount is distinct from o.amount and a.amount is not null
          or upper(r.currency) is distinct from o.currency and r.currency is not null)
      and reconcile_internal._order_problem(p_row.provider_id, r.order_number, r.reference, a.amount, r.currency, o.created_at,
          p_own_number => o.own_number) is null;
    if v_changed is null then
        return 0;
    end if;
    perform reconcile_internal._describe(v_changed, v_references, v_amounts, v_currencies);
    perform reconcile_internal._ask_now(v_changed);
    return cardinality(v_changed);
end
$$;

comment on function reconcile_internal._follow_changed(reconcile.attachments, bigint[], reconcile.application_row[]) is
    'Takes over what rows say of their open orders by now: references, amounts, currencies; answers how many have changed.';

-- Back in a tracked status after it had left: by the application's hand, since what is written back leads out.
create function reconcile_internal._follow_back(p_row reconcile.attachments, p_order_ids bigint[], p_rows reconcile.application_row[])
returns integer
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_back bigint[];
    v_references text[];
    v_reasons text[];
begin
    select array_agg(o.order_id), array_agg(r.reference), array_agg(format('the application moved its row back to %L', left(r.status, 80)))
    into v_back, v_references, v_reasons
    from reconcile.tracked_orders as o
    join unnest(p_rows) as r on r.order_number = o.order_number
    where o.order_id = any (p_order_ids) and o.attachment_id = p_row.attachment_id and o.state not in ('pending', 'processing')
      and r.status = any (p_row.track)
      and reconcile_internal.heed(
          o.state, o.settled_by, 'tracked', reconcile_internal._known_of(p_row, o, 'tracked', r.status), null) = 'reopens';
    if v_back is null then
        return 0;
    end if;
    perform reconcile_internal._move(v_back, array_fill('pending'::text, array[cardinality(v_back)]), 'application', v_reasons);
    perform reconcile_internal._describe(v_back, v_references, '{}', '{}');
    delete from reconcile.heard_words as h where h.order_id = any (v_back);
    perform reconcile_internal._ask_now(v_back);
    return cardinality(v_back);
end
$$;

comment on function reconcile_internal._follow_back(reconcile.attachments, bigint[], reconcile.application_row[]) is
    'Opens orders again whose rows are back in a tracked status; answers how many.';

-- Orders that are known and whose rows may have changed. Their rows in tracked_orders are locked by the caller.
create function reconcile_internal._follow_known(p_row reconcile.attachments, p_order_ids bigint[], p_rows reconcile.application_row[]) returns integer
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_left_ids bigint[];
    v_left_states text[];
    v_left_reasons text[];
    v_changed integer;
begin
    select array_agg(w.order_id), array_agg(w.ruling), array_agg(w.reason)
    into v_left_ids, v_left_states, v_left_reasons
    from (
        select o.order_id, reconcile_internal.heed(
            o.state, o.settled_by, said.word, reconcile_internal._known_of(p_row, o, said.word, r.status), null) as ruling,
            case when r.order_number is null then 'the application deleted its row'
                else format('the application moved its row to %s', coalesce(quote_literal(left(r.status, 80)), 'NULL')) end as reason
        from reconcile.tracked_orders as o
        left join unnest(p_rows) as r on r.order_number = o.order_number
        cross join lateral (select reconcile_internal._word_of(p_row, r.order_number is not null, r.status) as word) as said
        where o.order_id = any (p_order_ids) and o.attachment_id = p_row.attachment_id and said.word <> 'tracked'
          and o.state in ('pending', 'processing', 'review')
          and (r.order_number is not null or reconcile_internal._sees_all_rows(p_row.relation))
        offset 0
    ) as w
    where w.ruling not in ('stays', 'writes');
    if v_left_ids is not null then
        perform reconcile_internal._close_by_application(v_left_ids, v_left_states, v_left_reasons);
    end if;

    v_changed := reconcile_internal._follow_changed(p_row, p_order_ids, p_rows);

    return coalesce(cardinality(v_left_ids), 0) + v_changed + reconcile_internal._follow_back(p_row, p_order_ids, p_rows);
end
$$;

comment on function reconcile_internal._follow_known(reconcile.attachments, bigint[], reconcile.application_row[]) is
    'Lets go orders whose rows have left, follows what has changed, opens again what has come back; answers how many.';

-- Rows in a tracked status that are not known yet.
create function reconcile_internal._follow_new(p_row reconcile.attachments, p_rows reconcile.application_row[]) returns integer
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_provider reconcile.providers;
    v_needs_reference boolean := reconcile_internal._waits_for_references(p_row);
    v_waits constant text := 'waits for a reference';
    v_new reconcile_internal.new_order[];
    v_watched bigint[];
begin
    select p.* into v_provider from reconcile.providers as p where p.provider_id = p_row.provider_id;
    with wanted as materialized (
        select
            r.order_number, r.reference, a.amount, upper(r.currency) as currency,
            coalesce(r.created_at, clock_timestamp()) as created_at,
            case
                when coalesce(r.order_number, '') = '' then 'it has no order number'
                when count(*) over (partition by r.order_number) > 1 then 'two rows have this order number'
                -- Not yet: it is looked at again when it gets one.
                when v_needs_reference and r.reference is null then v_waits
                when r.amount is not null and a.amount is null then format('%L is not an amount', left(r.amount, 40))
                else reconcile_internal._order_problem(v_provider.provider_id, r.order_number, r.reference, a.amount, r.currency,
                    coalesce(r.created_at, clock_timestamp()), p_own_number => reconcile_internal._own_number(p_row, r.order_number))
            end as problem
        from unnest(p_rows) as r
        cross join lateral (select reconcile_internal.said_amount(r.amount, p_row.amount_unit, upper(r.currency), null)::numeric as amount) as a
        where r.status = any (p_row.track) and r.created_at is distinct from '-infinity'
          and (p_row.created_after is null or r.created_at >= p_row.created_after)
    ),
    noted as (
        insert into reconcile.refused_rows as u (attachment_id, order_number, problem, waits_since)
        select distinct on (left(coalesce(w.order_number, ''), 500)) p_row.attachment_id, left(coalesce(w.order_number, ''), 500), w.problem,
            case when w.problem = v_waits then least(w.created_at, clock_timestamp()) end
        from wanted as w
        where w.problem is not null
        on conflict (attachment_id, order_number) do update set problem = excluded.problem, waits_since = excluded.waits_since
        where u.problem <> excluded.problem
    )
    select array_agg(row(
        w.order_number, v_provider.provider_id, w.reference, w.amount, w.currency, null, 'pending', w.created_at, p_row.attachment_id,
        reconcile_internal._own_number(p_row, w.order_number))::reconcile_internal.new_order)
    into v_new
    from wanted as w
    where w.problem is null;
    if v_new is null then
        return 0;
    end if;
    v_watched := reconcile_internal._watch(v_new);
    perform reconcile_internal._answer_early_webhooks(v_watched);
    return cardinality(v_watched);
end
$$;

comment on function reconcile_internal._follow_new(reconcile.attachments, reconcile.application_row[]) is
    'Watches rows in a tracked status that are not known yet, and notes those that can''t be and those that wait for a reference; answers '
    'how many are watched.';

-- An order that was there before the table was attached: tracked by hand, as whoever attached it knew, or watched for a table of the same
-- owner. A later one stays its own, and one of another table stays with that: a row that anybody may write takes nobody's order.
create function reconcile_internal._may_take_over(p_row reconcile.attachments, p_order reconcile.tracked_orders) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    return p_order.provider_id = p_row.provider_id and p_order.order_id < p_row.first_order_id and (
        p_order.attachment_id is null
        or exists (select from reconcile.detached_tables as d where d.attachment_id = p_order.attachment_id and d.owner = p_row.owner)
    );
end
$$;

comment on function reconcile_internal._may_take_over(reconcile.attachments, reconcile.tracked_orders) is
    'Whether a row of an attached table gets an order that is not of this table yet.';

create function reconcile_internal._follow(p_attachment_id integer, p_order_numbers text[], p_by_trigger boolean default false) returns integer
language plpgsql set search_path = pg_catalog, pg_temp
-- By index, whatever the statistics say, and planned once a session: planning for one row costs more than following it.
set enable_seqscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_row reconcile.attachments;
    v_order_ids bigint[];
    v_known text[];
    v_others text[];
    v_busy text[];
    v_rows reconcile.application_row[];
    v_new reconcile.application_row[];
    v_left text[];
    v_twice text[];
    v_followed integer := 0;
begin
    select a.* into v_row from reconcile.attachments as a where a.attachment_id = p_attachment_id;
    if not found then
        return 0;
    end if;
    -- An order that is not this table's is not locked: anybody may write any number into his own table, and keep his transaction open.
    v_others := array(
        select o.order_number from reconcile.tracked_orders as o
        where o.order_number = any (p_order_numbers)
          and (o.attachment_id = p_attachment_id or reconcile_internal._may_take_over(v_row, o)) is not true
    );
    with held as (
        select o.order_id, o.order_number from reconcile.tracked_orders as o
        where o.order_number = any (p_order_numbers) and o.order_number <> all (v_others)
        for no key update skip locked
    )
    select coalesce(array_agg(h.order_id), '{}'), coalesce(array_agg(h.order_number), '{}') into v_order_ids, v_known from held as h;
    -- Order numbers that others hold: not new, and not to be looked at before they are done.
    v_busy := array(
        select o.order_number from reconcile.tracked_orders as o
        where o.order_number = any (p_order_numbers) and o.order_number <> all (v_known || v_others)
    );
    if v_busy <> '{}' then
        insert into reconcile.arrivals (attachment_id, order_numbers) values (p_attachment_id, v_busy);
    end if;
    -- A new statement: it sees what the holders of the locks have committed.
    v_rows := reconcile_internal._rows_of(v_row, array(
        select given.order_number from unnest(p_order_numbers) as given (order_number) where given.order_number <> all (v_busy)
    ));
    v_twice := array(
        select r.order_number from unnest(v_rows) as r where r.order_number <> '' group by r.order_number having count(*) > 1
    );
    if v_twice <> '{}' then
        -- Which of the rows is the order's can't be told, so neither is followed.
        insert into reconcile.refused_rows as u (attachment_id, order_number, problem)
        select p_attachment_id, left(twice.order_number, 500), 'two rows have this order number' from unnest(v_twice) as twice (order_number)
        on conflict (attachment_id, order_number) do update set problem = excluded.problem, waits_since = null
        where u.problem <> excluded.problem;
        v_order_ids := array(
            select o.order_id from reconcile.tracked_orders as o where o.order_id = any (v_order_ids) and o.order_number <> all (v_twice)
        );
        v_rows := array(select r from unnest(v_rows) as r where r.order_number <> all (v_twice));
    end if;
    if array_position(p_order_numbers, null) is not null or array_position(p_order_numbers, '') is not null then
        insert into reconcile.refused_rows (attachment_id, order_number, problem)
        values (p_attachment_id, '', 'it has no order number')
        on conflict (attachment_id, order_number) do nothing;
    end if;
    if v_others <> '{}' then
        perform reconcile_internal._refuse_others(v_row, v_others, v_rows);
    end if;
    if v_order_ids <> '{}' then
        perform reconcile_internal._adopt(v_row, v_order_ids, v_rows);
        v_followed := reconcile_internal._follow_known(v_row, v_order_ids, v_rows);
    end if;
    v_new := array(select r from unnest(v_rows) as r where r.order_number <> all (v_known || v_others));
    if v_new <> '{}' then
        v_followed := v_followed + reconcile_internal._follow_new(v_row, v_new);
    end if;
    if p_by_trigger then
        -- Not known, and left already: a transaction that is taking in the table may just be bringing it in as it was.
        v_left := array(
            select given.order_number from unnest(p_order_numbers) as given (order_number)
            where given.order_number <> all (v_known || v_others || v_busy)
              and not exists (select from unnest(v_rows) as r where r.order_number = given.order_number and r.status = any (v_row.track))
        );
        if v_left <> '{}' then
            insert into reconcile.arrivals (attachment_id, order_numbers) values (p_attachment_id, v_left);
        end if;
    end if;
    delete from reconcile.refused_rows as u
    where u.attachment_id = p_attachment_id and u.order_number <> '' and u.order_number <> all (v_twice)
      and u.order_number = any (array(select left(given.order_number, 500) from unnest(p_order_numbers) as given (order_number)))
      and (exists (select from reconcile.tracked_orders as o where o.order_number = u.order_number and o.attachment_id = p_attachment_id)
          or not exists (select from unnest(v_rows) as r where left(r.order_number, 500) = u.order_number and r.status = any (v_row.track)));
    return v_followed;
end
$$;

comment on function reconcile_internal._follow(integer, text[], boolean) is
    'Brings what is known of these orders in line with their rows in an attached table; answers how many have changed. A trigger notes '
    'those that it can''t know yet.';

create function reconcile_internal._refuse_others(p_row reconcile.attachments, p_order_numbers text[], p_rows reconcile.application_row[])
returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    insert into reconcile.refused_rows as u (attachment_id, order_number, problem)
    select p_row.attachment_id, o.order_number, case
        when o.provider_id <> p_row.provider_id then format('an order of this number is asked about at provider %s', p.name)
        when a.attachment_id is not null then format('the order of this number is watched for %s', a.relation)
        when o.attachment_id is not null then 'the order of this number was watched for a table of another owner, which is detached'
        else 'the order of this number was tracked by hand after this table was attached' end
    from reconcile.tracked_orders as o
    join reconcile.providers as p on p.provider_id = o.provider_id
    left join reconcile.attachments as a on a.attachment_id = o.attachment_id
    where o.order_number = any (p_order_numbers)
      and exists (select from unnest(p_rows) as r where r.order_number = o.order_number and r.status = any (p_row.track))
    on conflict (attachment_id, order_number) do update set problem = excluded.problem, waits_since = null
        where u.problem <> excluded.problem;
end
$$;

comment on function reconcile_internal._refuse_others(reconcile.attachments, text[], reconcile.application_row[]) is
    'Notes the rows of an attached table whose numbers are orders of somebody else.';

create function reconcile_internal._adopt(p_row reconcile.attachments, p_order_ids bigint[], p_rows reconcile.application_row[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_order_ids bigint[];
    v_own_numbers text[];
begin
    select array_agg(o.order_id), array_agg(reconcile_internal._own_number(p_row, o.order_number)) into v_order_ids, v_own_numbers
    from reconcile.tracked_orders as o
    where o.order_id = any (p_order_ids) and o.attachment_id is distinct from p_row.attachment_id
      and exists (select from unnest(p_rows) as r where r.order_number = o.order_number and r.status = any (p_row.track));
    if v_order_ids is not null then
        perform reconcile_internal._assign(v_order_ids, p_row.attachment_id, v_own_numbers);
    end if;
end
$$;

comment on function reconcile_internal._adopt(reconcile.attachments, bigint[], reconcile.application_row[]) is
    'Makes orders that an attached table may take over those of this one, where they have a row in it.';

select pg_catalog.pg_extension_config_dump('reconcile.arrival_ids', '');
select pg_catalog.pg_extension_config_dump('reconcile.arrivals', '');
select pg_catalog.pg_extension_config_dump('reconcile.refused_rows', '');
