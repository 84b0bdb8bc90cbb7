-- What the schedule calls: the same as reconcile_stale_orders(1000), each application's part in a transaction of its own.
--
-- Code of an application that raises, loops or waits costs its own table or provider this run, and nobody else anything: what the others
-- have done is committed. Who comes first changes from run to run, since what has used up the time limit of a run leaves none to those
-- that come after it. The schedule says a name and not who made it, so this lives in the extension's own schema.
-- Requires: housekeeping.

create sequence reconcile.scheduled_turns;

create function reconcile_internal._from_turn(p_ids integer[]) returns integer[]
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_first integer := 1 + nextval('reconcile.scheduled_turns') % greatest(cardinality(p_ids), 1);
begin
    return p_ids[v_first:] || p_ids[:v_first - 1];
end
$$;

comment on function reconcile_internal._from_turn(integer[]) is 'The same, beginning with another one each time.';

create function reconcile_doors.attachments_to_search() returns integer[]
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    return reconcile_internal._from_turn(array(select a.attachment_id from reconcile.attachments as a order by a.attachment_id));
end
$$;

comment on function reconcile_doors.attachments_to_search() is 'The attached tables, for check_stale_orders: each run begins with the next one.';

create function reconcile_doors.providers_to_settle() returns integer[]
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    return reconcile_internal._from_turn(array(select p.provider_id from reconcile.providers as p order by p.provider_id));
end
$$;

comment on function reconcile_doors.providers_to_settle() is 'The providers, for check_stale_orders: each run begins with the next one.';

create function reconcile_doors.search_attached(p_attachment_id integer) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    v_row reconcile.attachments;
begin
    select a.* into v_row from reconcile.attachments as a where a.attachment_id = p_attachment_id;
    return case when found then reconcile_internal._take_in_one(v_row, clock_timestamp() + interval '2 seconds', true) else 0 end;
end
$$;

comment on function reconcile_doors.search_attached(integer) is
    'Follows what was noted of one attached table and searches it, for two seconds; answers how many orders changed.';

create function reconcile_doors.settle_due(p_provider_id integer) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    v_due bigint[];
    v_closed integer := 0;
begin
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
        v_closed := reconcile_internal._settle_here(v_due, true);
        perform reconcile_internal._fold_here();
    end if;
    return v_closed;
end
$$;

comment on function reconcile_doors.settle_due(integer) is
    'Settles a provider''s orders by webhooks that were kept and, where this database knows, those that are due; answers how many are closed now.';

create function reconcile_doors.begin_run() returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    v_given_up integer;
    v_run_id bigint;
begin
    perform reconcile_internal._put_back_expired();
    perform reconcile_internal._match_webhooks();
    v_given_up := reconcile_internal._give_up_unasked(1000);
    insert into reconcile.recorded_runs as r (arguments, selected, closed, given_up)
    select '{"max_orders": 1000}', count(*), 0, v_given_up
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
    'Puts back lost leases, gives up what could not be asked about, signals the sidecars, and records the run; touches no application''s table.';

create function reconcile_doors.end_run(p_run_id bigint, p_closed integer) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    update reconcile.recorded_runs as r set closed = p_closed where r.run_id = p_run_id and r.closed = 0;
end
$$;

comment on function reconcile_doors.end_run(bigint, integer) is 'Notes how many orders a run has closed.';

-- No SET and not the extension's rights: either would forbid it to commit. So every name and operator here says its schema.
create procedure reconcile.check_stale_orders()
language plpgsql
as $$
declare
    v_id integer;
    v_run_id bigint;
    v_closed integer := 0;
begin
    if pg_catalog.pg_is_in_recovery() then
        raise exception 'this server is a standby, which can''t ask providers'
            using errcode = 'RC007', hint = 'Call check_stale_orders on the primary.';
    end if;
    v_run_id := reconcile_doors.begin_run();
    commit;
    foreach v_id in array reconcile_doors.attachments_to_search() loop
        begin
            perform reconcile_doors.search_attached(v_id);
        exception
            when others or assert_failure or query_canceled then
                perform reconcile_doors.note_trouble(sqlstate, sqlerrm, 'an attached table');
        end;
        commit;
    end loop;
    foreach v_id in array reconcile_doors.providers_to_settle() loop
        begin
            v_closed := v_closed operator(pg_catalog.+) reconcile_doors.settle_due(v_id);
        exception
            when others or assert_failure or query_canceled then
                perform reconcile_doors.note_trouble(sqlstate, sqlerrm, 'a provider');
        end;
        commit;
    end loop;
    perform reconcile_doors.end_run(v_run_id, v_closed);
end
$$;

comment on procedure reconcile.check_stale_orders() is
    'For a schedule: as reconcile_stale_orders(1000), each attached table and each provider in a transaction of its own. CALL it outside of any transaction.';

-- A time limit ends one part, and the others go on; whoever cancels by hand has the whole ended.
create function reconcile_doors.note_trouble(p_sqlstate text, p_message text, p_part text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_limit_ms constant integer := (select s.setting::integer from pg_settings as s where s.name = 'statement_timeout');
begin
    if p_sqlstate = '57014' and (v_limit_ms = 0 or clock_timestamp() - statement_timestamp() < make_interval(secs => v_limit_ms / 1000.0)) then
        raise exception '%', left(p_message, 1000) using errcode = p_sqlstate;
    end if;
    raise warning '% could not be seen to, and the others are: % (%)', p_part, left(p_message, 1000), p_sqlstate;
end
$$;

comment on function reconcile_doors.note_trouble(text, text, text) is
    'Warns of what kept one part of a run from being done; raises it again where somebody has cancelled the run.';

select pg_catalog.pg_extension_config_dump('reconcile.scheduled_turns', '');
