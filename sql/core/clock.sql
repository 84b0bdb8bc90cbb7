-- The steady clock: what limits, rests and leases are counted by.
--
-- The date of a machine steps: a person sets it, a time server corrects it, a virtual machine is resumed. Whatever says "no earlier than"
-- or "no longer than" is therefore a steady time. It began as the date, moves on with the machine's uptime, and nobody sets it. What
-- people read, and schedules and deadlines, are dates.
-- Another life of the machine, and another machine after a failover, go on from the latest steady time that was written down. The time in
-- between counts as none: a window is never shorter than it should be, and a rest never longer than it was from the first look on.
-- Requires: server.

create table reconcile.steady_clock (
    only_row boolean primary key default true check (only_row),
    boot text not null,
    zero_at timestamptz not null,
    steady_at timestamptz not null,
    dated timestamptz not null,
    stepped_at timestamptz,
    stepped_by interval
) with (fillfactor = 50);

comment on table reconcile.steady_clock is 'How steady time is told: one row.';
comment on column reconcile.steady_clock.only_row is 'Always true: there is one row.';
comment on column reconcile.steady_clock.boot is 'Which life of which machine the row is about: see reconcile_internal._boot.';
comment on column reconcile.steady_clock.zero_at is 'The steady time at which that life began.';
comment on column reconcile.steady_clock.steady_at is 'The latest steady time that was written down, by a heartbeat.';
comment on column reconcile.steady_clock.dated is 'What the date was then.';
comment on column reconcile.steady_clock.stepped_at is 'The steady time at which it was noticed that the date had been set; NULL when it never was.';
comment on column reconcile.steady_clock.stepped_by is 'How far it was set then.';

insert into reconcile.steady_clock (boot, zero_at, steady_at, dated)
select boot.id, now.at - reconcile_internal._since_boot(boot.id) * interval '1 microsecond', now.at, now.at
from reconcile_internal._boot() as boot (id)
cross join clock_timestamp() as now (at);

-- A restore brings a row of its own, and CREATE EXTENSION has written one before it.
create function reconcile_internal._replace_clock() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    delete from reconcile.steady_clock;
    return new;
end
$$;

comment on function reconcile_internal._replace_clock() is 'Keeps the steady clock at one row: a new one takes the place of the old.';

create trigger clock_replaced before insert on reconcile.steady_clock
    for each row execute function reconcile_internal._replace_clock();

-- Writes nothing: in another life the time stands still until a claim or a heartbeat has begun to tell it.
create function reconcile_internal._steady_now() returns timestamptz
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select coalesce(c.zero_at + reconcile_internal._since_boot(c.boot) * interval '1 microsecond', reconcile_internal._latest_steady())
        from reconcile.steady_clock as c
    );
end
$$;

comment on function reconcile_internal._steady_now() is
    'The time by which limits, rests and leases are counted: it goes on whatever becomes of the date.';

create function reconcile_internal._date_of_steady() returns interval
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select case
            when reconcile_internal._since_boot(c.boot) is null then c.dated - c.steady_at
            else clock_timestamp() - (c.zero_at + reconcile_internal._since_boot(c.boot) * interval '1 microsecond')
        end
        from reconcile.steady_clock as c
    );
end
$$;

comment on function reconcile_internal._date_of_steady() is
    'What to add to a steady time so that people can read it beside the date; some microseconds, unless the date was set.';

-- The latest time that anything says: no rest and no window that was written down may begin later than what follows.
create function reconcile_internal._latest_steady() returns timestamptz
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    return greatest(
        (select c.steady_at from reconcile.steady_clock as c),
        (select max(t.folded_through) from reconcile.provider_traffic as t where t.folded_through < 'infinity'),
        (select max(s.heartbeat_at) from reconcile.registered_sidecars as s),
        -- Those of calls that were called off lie ahead.
        (select max(e.ended_at) from reconcile.ended_calls as e where e.answered or e.faults > 0 or e.rejected > 0)
    );
end
$$;

comment on function reconcile_internal._latest_steady() is 'The latest steady time that is known to have been.';

-- Due times are dates. One that lies no further ahead than the date went back would be waited for twice as long as it should, or longer;
-- one that lies further ahead comes late by less than its own length, and is left alone. Deliveries' leases and rests are dates as well.
create function reconcile_internal._move_with_date(p_step interval) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    v_now constant timestamptz := clock_timestamp();
begin
    perform reconcile_internal._move_due_times(p_step);
    with late as materialized (
        select d.delivery_id from reconcile.deliveries as d
        where d.token is null and d.due_at > v_now and d.due_at <= v_now - 2 * p_step
        limit 50000
        for update skip locked
    )
    update reconcile.deliveries as d set due_at = d.due_at + p_step from late where d.delivery_id = late.delivery_id;
    with leased as materialized (
        select d.delivery_id from reconcile.deliveries as d where d.token is not null for update skip locked
    )
    update reconcile.deliveries as d set lease_expires_at = d.lease_expires_at + p_step from leased where d.delivery_id = leased.delivery_id;
    with resting as materialized (
        select e.endpoint_id from reconcile.event_endpoints as e where e.rests_until > v_now for update skip locked
    )
    update reconcile.event_endpoints as e set rests_until = e.rests_until + p_step from resting where e.endpoint_id = resting.endpoint_id;
end
$$;

comment on function reconcile_internal._move_with_date(interval) is
    'Moves what waits for a date along with it, after it was set: due times that lie within as long as it went back, 50,000 of each provider '
    'at most, and the leases and rests of deliveries.';

-- No row is written that says nothing new: an old snapshot keeps each of them, and everybody reads this table.
create function reconcile_internal._is_clock_to_be_tended() returns boolean
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select reconcile_internal._since_boot(c.boot) is null
            or now.at not between c.steady_at and c.steady_at + interval '1 minute'
            or (clock_timestamp() - c.dated) - (now.at - c.steady_at) not between interval '-1 second' and interval '1 second'
        from reconcile.steady_clock as c
        cross join lateral (select c.zero_at + reconcile_internal._since_boot(c.boot) * interval '1 microsecond' as at) as now
    );
end
$$;

comment on function reconcile_internal._is_clock_to_be_tended() is
    'Whether the clock has something new to say: another life of the machine, a date that was set, or that a minute has passed.';

-- One that somebody else is just writing is left to him.
create function reconcile_internal._tend_clock() returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_clock reconcile.steady_clock;
    v_now timestamptz;
    v_date timestamptz;
    v_step interval := interval '0';
begin
    if not reconcile_internal._is_clock_to_be_tended() then
        return;
    end if;
    select c.* into v_clock from reconcile.steady_clock as c for update skip locked;
    if not found then
        return;
    end if;
    v_now := v_clock.zero_at + reconcile_internal._since_boot(v_clock.boot) * interval '1 microsecond';
    v_date := clock_timestamp();
    -- NULL in another life.
    if v_now >= v_clock.steady_at then
        v_step := (v_date - v_clock.dated) - (v_now - v_clock.steady_at);
    else
        -- Another life, or one that a snapshot of the machine has taken back. How long it was between the two, nobody knows.
        v_now := reconcile_internal._latest_steady();
        v_clock.boot := reconcile_internal._boot();
        v_clock.zero_at := v_now - reconcile_internal._since_boot(v_clock.boot) * interval '1 microsecond';
    end if;
    update reconcile.steady_clock as c
    set boot = v_clock.boot, zero_at = v_clock.zero_at, steady_at = v_now, dated = v_date;
    if v_step not between interval '-1 second' and interval '1 second' then
        update reconcile.steady_clock as c set stepped_at = v_now, stepped_by = v_step;
        perform reconcile_internal._move_with_date(v_step);
    end if;
end
$$;

comment on function reconcile_internal._tend_clock() is
    'Writes down what the steady time is and what the date, and whether that was set meanwhile; in another life of the machine, from when '
    'on it counts. Each heartbeat and each run looks whether there is something to write down.';

create function reconcile_internal._was_set_within(p_time interval) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select coalesce(c.stepped_at > now.at - p_time, false)
            -- Not noticed yet.
            or (clock_timestamp() - c.dated) - (now.at - c.steady_at) not between interval '-1 second' and interval '1 second'
        from reconcile.steady_clock as c
        cross join (select reconcile_internal._steady_now() as at) as now
    );
end
$$;

comment on function reconcile_internal._was_set_within(interval) is 'Whether the date was set lately, by more than a second.';

select pg_catalog.pg_extension_config_dump('reconcile.steady_clock', '');
