-- What the schedule calls: the same as reconcile_stale_orders(1000), each application's part in a transaction of its own.
--
-- Code of an application that raises, loops or waits costs its own table or provider this run, and nobody else anything: what the others
-- have done is committed. Each part has the whole time limit, which would end the first that needs it and no other. Each comes first once in
-- as many runs as there are parts, since a run that takes too long in all is ended. What belongs to no part, the beginning and the end,
-- calls nobody's code.
-- The schedule says a name and not who made it, so this lives in the extension's own schema.
-- Requires: housekeeping.

create sequence reconcile.scheduled_turns;

create type reconcile_doors.part as (
    attachment_id integer,
    provider_id integer
);

comment on type reconcile_doors.part is 'A part of a run: an attached table, or a provider.';
comment on column reconcile_doors.part.attachment_id is 'The attached table; NULL for a provider''s part.';
comment on column reconcile_doors.part.provider_id is 'The provider; NULL for an attached table''s part.';

create function reconcile_doors.parts_of_run() returns reconcile_doors.part[]
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    v_parts constant reconcile_doors.part[] := array(
        select row(a.attachment_id, null)::reconcile_doors.part from reconcile.attachments as a order by a.attachment_id
    ) || array(
        select row(null, p.provider_id)::reconcile_doors.part from reconcile.providers as p order by p.provider_id
    );
    v_first constant integer := 1 + nextval('reconcile.scheduled_turns') % greatest(cardinality(v_parts), 1);
begin
    return v_parts[v_first:] || v_parts[:v_first - 1];
end
$$;

comment on function reconcile_doors.parts_of_run() is
    'The attached tables and the providers, for check_stale_orders: each run begins with the next one.';

create function reconcile_doors.search_attached(p_attachment_id integer, out given_up integer)
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    v_row reconcile.attachments;
begin
    perform reconcile_internal._renew_time_limit();
    perform reconcile_internal._check_session();
    select a.* into v_row from reconcile.attachments as a where a.attachment_id = p_attachment_id;
    if found then
        perform reconcile_internal._take_in_one(v_row, clock_timestamp() + interval '2 seconds', true);
    end if;
    given_up := reconcile_internal._give_up(array(
        select u.order_id from reconcile_internal._unasked_orders as u where u.attachment_id = p_attachment_id order by u.created_at limit 1000));
end
$$;

comment on function reconcile_doors.search_attached(integer) is
    'Follows what was noted of one attached table and searches it, for two seconds, and gives up what of it could not be asked about; answers '
    'how many those are.';

create function reconcile_doors.settle_due(p_provider_id integer, out closed integer, out given_up integer)
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    v_due bigint[];
begin
    perform reconcile_internal._renew_time_limit();
    perform reconcile_internal._check_session();
    closed := 0;
    given_up := reconcile_internal._give_up(array(
        select u.order_id from reconcile_internal._unasked_orders as u
        where u.provider_id = p_provider_id and u.attachment_id is null
        order by u.created_at
        limit 1000
    ));
    perform reconcile_internal._take_kept_evidence(p_provider_id);
    v_due := array(
        select d.order_id
        from reconcile.due_checks as d
        join reconcile.providers as p on p.provider_id = d.provider_id and p.kind = 'sql' and p.paused_at is null
        where d.provider_id = p_provider_id and d.due_at <= clock_timestamp()
        order by d.due_at
        limit 1000
    );
    if v_due <> '{}' then
        closed := reconcile_internal._settle_due_here(v_due);
        perform reconcile_internal._fold_here();
    end if;
end
$$;

comment on function reconcile_doors.settle_due(integer) is
    'Gives up what of a provider could not be asked about, settles orders by webhooks that were kept and, where this database knows, those '
    'that are due; answers how many are given up and how many are closed now.';

create function reconcile_doors.begin_run() returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    v_run_id bigint;
begin
    perform reconcile_internal._tend_clock();
    perform reconcile_internal._put_back_expired();
    perform reconcile_internal._match_webhooks();
    insert into reconcile.recorded_runs as r (arguments, selected, closed, given_up)
    select '{"max_orders": 1000}', count(*), 0, 0
    from (
        select from reconcile.providers as p
        join reconcile.due_checks as d on d.provider_id = p.provider_id and d.due_at <= clock_timestamp()
        limit 1000
    ) as due
    returning r.run_id into v_run_id;
    perform pg_notify('reconcile_due', '');
    return v_run_id;
end
$$;

comment on function reconcile_doors.begin_run() is
    'Puts back lost leases, signals the sidecars, and records the run; calls nobody''s code and touches no application''s table.';

create function reconcile_doors.end_run(p_run_id bigint, p_closed integer, p_given_up integer) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    -- Once, by the role that began it.
    update reconcile.recorded_runs as r
    set closed = p_closed, given_up = p_given_up
    where r.run_id = p_run_id and r.closed = 0 and r.given_up = 0 and r.started_by = session_user;
end
$$;

comment on function reconcile_doors.end_run(bigint, integer, integer) is 'Notes how many orders a run has closed and given up.';

create function reconcile_doors.number_events() returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    perform reconcile_internal._have_numbered();
end
$$;

comment on function reconcile_doors.number_events() is 'Gives positions to events that have none, for check_stale_orders.';

-- No SET and not the extension's rights: either would forbid it to commit. So every name and operator here says its schema.
create procedure reconcile.check_stale_orders()
language plpgsql
as $$
declare
    v_run_id bigint;
    v_part reconcile_doors.part;
    v_done record;
    v_closed integer := 0;
    v_given_up integer := 0;
begin
    if pg_catalog.pg_is_in_recovery() then
        raise exception 'this server is a standby, which can''t ask providers'
            using errcode = 'RC007', hint = 'Call check_stale_orders on the primary.';
    end if;
    v_run_id := reconcile_doors.begin_run();
    commit;
    foreach v_part in array reconcile_doors.parts_of_run() loop
        begin
            if v_part.attachment_id is not null then
                v_given_up := v_given_up operator(pg_catalog.+) reconcile_doors.search_attached(v_part.attachment_id);
            else
                v_done := reconcile_doors.settle_due(v_part.provider_id);
                v_closed := v_closed operator(pg_catalog.+) v_done.closed;
                v_given_up := v_given_up operator(pg_catalog.+) v_done.given_up;
            end if;
        exception
            when others or assert_failure or query_canceled then
                perform reconcile_doors.note_trouble(
                    sqlstate, sqlerrm, case when v_part.attachment_id is not null then 'an attached table' else 'a provider' end);
        end;
        commit;
    end loop;
    perform reconcile_doors.end_run(v_run_id, v_closed, v_given_up);
    commit;
    perform reconcile_doors.number_events();
end
$$;

comment on procedure reconcile.check_stale_orders() is
    'For a schedule: as reconcile_stale_orders(1000), each attached table and each provider in a transaction of its own. CALL it outside of any transaction.';

-- A time limit ends one part, and the others go on; whoever cancels by hand has the whole ended.
create function reconcile_doors.note_trouble(p_sqlstate text, p_message text, p_part text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    v_problem constant text := reconcile_internal._problem_of(p_message, 1000);
begin
    if p_sqlstate = '57014' and not reconcile_internal._time_is_up() then
        raise exception '%', v_problem using errcode = p_sqlstate;
    end if;
    raise warning '% could not be seen to, and the others are: % (%)', left(p_part, 40), v_problem, left(p_sqlstate, 5);
end
$$;

comment on function reconcile_doors.note_trouble(text, text, text) is
    'Warns of what kept one part of a run from being done; raises it again where somebody has cancelled the run.';

select pg_catalog.pg_extension_config_dump('reconcile.scheduled_turns', '');
