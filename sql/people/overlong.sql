-- Sessions of the ledger that no time limit ends: code of an application may catch its own cancellation and go on.
--
-- What can't be caught is the end of the session, which another session of the same role may ask for, and nobody else: so sidecars and the
-- schedule look after each other's. Ends nothing that a person runs under a role of his own.
-- Requires: sidecars.

create function reconcile.overlong_sessions() returns table (pid integer, role name, since timestamptz)
language plpgsql stable security definer rows 1 set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    return query
    select a.pid, a.usename, a.xact_start
    from pg_stat_activity as a
    where a.datname = current_database() and a.state = 'active' and a.pid <> pg_backend_pid()
      and a.xact_start < clock_timestamp() - (select s.longest_run from reconcile.settings as s)
      -- They began by the date. One that was set since then says nothing of how long ago that was.
      and not reconcile_internal._was_set_within((select s.longest_run from reconcile.settings as s))
      -- One that only reads is a report or a dump.
      and exists (
          select from pg_locks as l
          join pg_class as c on c.oid = l.relation
          where l.pid = a.pid and l.granted and l.mode <> 'AccessShareLock' and c.relnamespace = 'reconcile'::regnamespace
            and l.database = (select d.oid from pg_database as d where d.datname = current_database())
      );
end
$$;

comment on function reconcile.overlong_sessions() is
    'Sessions that have worked on orders in one statement for longer than settings.longest_run, which no time limit has ended.';

-- With the rights of the caller: a role may end its own sessions, and the extension's may end nobody's.
create function reconcile.end_overlong_sessions() returns integer
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    return (select count(*) filter (where pg_terminate_backend(o.pid)) from reconcile.overlong_sessions() as o where o.role = session_user);
end
$$;

comment on function reconcile.end_overlong_sessions() is
    'Ends the caller''s own sessions among overlong_sessions, for sidecars and for a schedule; answers how many. Their orders are asked about again.';
