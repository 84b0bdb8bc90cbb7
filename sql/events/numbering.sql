-- Numbering: each event gets a position, which is its event_id, and the positions are dense.
--
-- Sequences and transaction ids are given before an order's lock is waited for and a commit is decided, so neither is an order of events.
-- What is visible is one: locks on orders last to the commit, so whoever sees a transition of an order sees those before it. One
-- sequencer at a time gives positions to all transitions that it sees and that have none, by their numbers. What is under way is numbered
-- by a later one, and nobody waits for it.
--
-- What has none is found without looking at what has: each row here keeps the snapshot by which it was made. What was invisible to it was
-- written by one of the transactions that it names, or by a later one; and both are found by index. Rows are written once and stay, so that
-- an old snapshot costs nothing. (A queue of its own would cost an insert, a delete and dead rows an event.)
--
-- Locks: the row of event_sequencer, tried and never waited for, and held to the end of a transaction that ends with its statement.
-- Requires: claim.

create table reconcile.event_sequencer (
    only_row boolean primary key default true check (only_row),
    era integer not null default 0,
    history text
);

insert into reconcile.event_sequencer default values;

comment on table reconcile.event_sequencer is
    'Whoever holds this row gives positions to events. One row, which no dump has: so a database that was restored does not know the history that it continues.';
comment on column reconcile.event_sequencer.only_row is 'Always true: there is one row.';
comment on column reconcile.event_sequencer.era is 'The era of the positions that are given now.';
comment on column reconcile.event_sequencer.history is
    'Whose history they continue, by reconcile_internal._history: where that is another, an era begins. NULL before the first one.';

create table reconcile.event_eras (
    era integer primary key check (era between 0 and 8388607),
    begun_after bigint not null,
    history text not null,
    begun_at timestamptz not null default clock_timestamp()
);

comment on table reconcile.event_eras is
    'The histories that events are numbered in: one more after each promotion of a standby, restore, or copy of the database.';
comment on column reconcile.event_eras.era is 'The era: what stands in an event_id above its 40 lower bits.';
comment on column reconcile.event_eras.begun_after is
    'The last event before it, 0 for none. Higher ones of earlier eras were given in a history that was lost.';
comment on column reconcile.event_eras.history is 'By reconcile_internal._history: system identifier, timeline and database.';
comment on column reconcile.event_eras.begun_at is 'When its first sequencer found that the history is another one.';

create table reconcile.event_positions (
    last_number bigint primary key check (last_number between 1 and 1099511627775),
    era integer not null,
    transition_ids bigint[] not null check (cardinality(transition_ids) between 1 and 200),
    seen pg_snapshot not null,
    seen_on bigint not null,
    numbered_by bigint not null,
    ids_up_to bigint not null
);

comment on table reconcile.event_positions is
    'The positions of events, a row for up to 200 that were numbered together. Written by reconcile_internal._number_events, and never changed.';
comment on column reconcile.event_positions.last_number is 'The number of its last event. They are dense, over all eras; an event_id is era * 2^40 + number.';
comment on column reconcile.event_positions.era is 'The era in which they were numbered.';
comment on column reconcile.event_positions.transition_ids is 'The transitions that are these events, in their order.';
comment on column reconcile.event_positions.seen is 'The snapshot by which they were found: with this row, all that was visible is numbered.';
comment on column reconcile.event_positions.seen_on is 'The cluster whose transactions that snapshot names; see transitions.written_on.';
comment on column reconcile.event_positions.numbered_by is 'The transaction that numbered them. What it writes itself afterwards is not numbered.';
comment on column reconcile.event_positions.ids_up_to is 'The highest transition_id that was given out by then.';

create function reconcile_internal._number_of(p_event_id bigint) returns bigint
language sql immutable set search_path = pg_catalog, pg_temp
as $$
    select p_event_id & ((1::bigint << 40) - 1)
$$;

comment on function reconcile_internal._number_of(bigint) is 'An event''s number, without its era.';

create view reconcile_internal._last_positions as
select p.last_number, (p.era::bigint << 40) + p.last_number as event_id, p.seen, p.seen_on, p.numbered_by, p.ids_up_to
from reconcile.event_positions as p
order by p.last_number desc
limit 1;

comment on view reconcile_internal._last_positions is 'The newest row of event_positions; none before the first event was numbered.';
comment on column reconcile_internal._last_positions.last_number is 'Of event_positions.';
comment on column reconcile_internal._last_positions.event_id is 'The last event that has a position.';
comment on column reconcile_internal._last_positions.seen is 'Of event_positions.';
comment on column reconcile_internal._last_positions.seen_on is 'Of event_positions.';
comment on column reconcile_internal._last_positions.numbered_by is 'Of event_positions.';
comment on column reconcile_internal._last_positions.ids_up_to is 'Of event_positions.';

-- By index, and what is numbered is not read. Of the snapshot of whoever calls this.
create function reconcile_internal._unnumbered() returns table (transition_id bigint, changed_at timestamptz, written_in bigint)
language plpgsql stable security definer rows 10 set search_path = pg_catalog, pg_temp
-- Whatever the statistics say, and planned once a session.
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    v_last record;
begin
    select l.seen_on, l.numbered_by, l.ids_up_to, pg_snapshot_xmax(l.seen)::text::bigint as unseen_from,
        array(
            select x::text::bigint from pg_snapshot_xip(l.seen) as x
            union all
            -- No snapshot names the transaction that took it.
            select l.numbered_by where l.numbered_by < pg_snapshot_xmax(l.seen)::text::bigint
        ) as under_way
    into v_last
    from reconcile_internal._last_positions as l;
    if not found then
        return query select t.transition_id, t.changed_at, t.written_in from reconcile.transitions as t;
        return;
    end if;
    return query
    select t.transition_id, t.changed_at, t.written_in
    from reconcile.transitions as t
    where t.written_on = v_last.seen_on and t.written_in >= v_last.unseen_from
      and (t.written_in <> v_last.numbered_by or t.transition_id > v_last.ids_up_to)
    union all
    select t.transition_id, t.changed_at, t.written_in
    from unnest(v_last.under_way) as under_way (xid)
    -- One at a time: of a list, a plan from before there were statistics would read all that this cluster has written.
    cross join lateral (
        select every.* from reconcile.transitions as every
        where every.written_on = v_last.seen_on and every.written_in = under_way.xid
        offset 0
    ) as t
    where t.written_in <> v_last.numbered_by or t.transition_id > v_last.ids_up_to;
    -- Another cluster counts its transactions anew.
    if v_last.seen_on <> reconcile_internal._system_identifier() then
        return query
        select t.transition_id, t.changed_at, t.written_in
        from reconcile.transitions as t
        where t.transition_id > v_last.ids_up_to and t.written_on <> v_last.seen_on;
    end if;
end
$$;

comment on function reconcile_internal._unnumbered() is 'Transitions without a position, as the next sequencer finds them.';

create function reconcile_internal._begin_era() returns integer
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    -- A timeline's number is taken once, as far as its archive knows: so is an era's.
    v_era constant integer := coalesce(
        (select greatest(max(e.era) + 1, split_part(reconcile_internal._history(), '/', 2)::integer - 1) from reconcile.event_eras as e), 0);
begin
    insert into reconcile.event_eras (era, begun_after, history)
    values (v_era, coalesce((select l.event_id from reconcile_internal._last_positions as l), 0), reconcile_internal._history());
    update reconcile.event_sequencer set era = v_era, history = reconcile_internal._history();
    return v_era;
end
$$;

comment on function reconcile_internal._begin_era() is 'Begins an era after the last event that has a position; answers it. By the sequencer alone.';

create function reconcile_internal._number_events() returns boolean
language plpgsql set search_path = pg_catalog, pg_temp
-- By index, whatever the statistics say, and planned once a session.
set enable_seqscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_sequencer reconcile.event_sequencer;
    v_ids bigint[];
    v_seen pg_snapshot;
    v_own bigint;
    v_last bigint;
begin
    -- Nobody may hold the row for longer than a statement; and a snapshot older than the lock does not show what others numbered.
    if not reconcile_internal._commits_at_once() then
        return false;
    end if;
    select s.* into v_sequencer from reconcile.event_sequencer as s for update skip locked;
    if not found then
        return false;
    end if;
    if v_sequencer.history is distinct from reconcile_internal._history() then
        v_sequencer.era := reconcile_internal._begin_era();
    end if;
    -- One statement: what it does not see, its snapshot says.
    select array_agg(u.transition_id order by u.transition_id), pg_current_snapshot(), pg_current_xact_id()::text::bigint,
        coalesce((select l.last_number from reconcile_internal._last_positions as l), 0)
    into v_ids, v_seen, v_own, v_last
    from reconcile_internal._unnumbered() as u;
    if v_ids is null then
        return true;
    end if;
    insert into reconcile.event_positions (last_number, era, transition_ids, seen, seen_on, numbered_by, ids_up_to)
    select v_last + least(first + 199, cardinality(v_ids)), v_sequencer.era, v_ids[first:first + 199], v_seen,
        reconcile_internal._system_identifier(), v_own, (select s.last_value from reconcile.transition_ids as s)
    from generate_series(1, cardinality(v_ids), 200) as first;
    -- What a reader has seen must not be given to another event after a crash.
    if current_setting('synchronous_commit') = 'off' then
        perform set_config('synchronous_commit', 'on', true);
    end if;
    return true;
end
$$;

comment on function reconcile_internal._number_events() is
    'Gives positions to all events that are visible and have none. False when somebody else is about to, or this transaction goes on after '
    'its statement: then it is left to the next one.';

create function reconcile_internal._number_what_waits() returns boolean
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
declare
    -- What a transaction has written itself nobody else can see.
    v_own constant bigint := coalesce(pg_current_xact_id_if_assigned()::text::bigint, 0);
begin
    if pg_is_in_recovery() then
        return false;
    end if;
    for attempt in 1 .. 25 loop
        if not exists (select from reconcile_internal._unnumbered() as u where u.written_in <> v_own)
            and exists (select from reconcile.event_sequencer as s where s.history = reconcile_internal._history())
        then
            return true;
        end if;
        if reconcile_internal._number_events() then
            return true;
        end if;
        if reconcile_internal._commits_at_once() then
            -- Somebody else numbers, and commits.
            perform pg_sleep(0.002);
        elsif not reconcile_internal._wake_to_number() or attempt = 3 or current_setting('transaction_isolation') <> 'read committed' then
            return false;
        end if;
    end loop;
    return false;
end
$$;

comment on function reconcile_internal._number_what_waits() is
    'For sidecars. Has what is visible numbered, by a worker where this transaction goes on after its statement or sees one moment; writes nothing when all is. '
    'False when it was not to be had.';

-- Whoever calls for events may have his statement last for as long as he likes, and would hold the sequencer as long: a worker, which ends
-- at once, numbers for him.
create function reconcile_internal._have_numbered() returns boolean
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
declare
    -- What a transaction has written itself nobody else can see.
    v_own constant bigint := coalesce(pg_current_xact_id_if_assigned()::text::bigint, 0);
begin
    if pg_is_in_recovery() then
        return false;
    end if;
    for attempt in 1 .. 3 loop
        if not exists (select from reconcile_internal._unnumbered() as u where u.written_in <> v_own)
            and exists (select from reconcile.event_sequencer as s where s.history = reconcile_internal._history())
        then
            return true;
        end if;
        if not reconcile_internal._wake_to_number() or current_setting('transaction_isolation') <> 'read committed' then
            return false;
        end if;
    end loop;
    return false;
end
$$;

comment on function reconcile_internal._have_numbered() is
    'Has what is visible numbered by a worker; writes nothing itself. False when it was not to be had: then the next report or heartbeat does it.';

-- There should be none: a hand has written to the ledger, or a cluster's transaction ids were set back.
create function reconcile_internal._number_missed() returns integer
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_era integer;
    v_missed bigint[];
begin
    if not reconcile_internal._commits_at_once()
        or not exists (select from reconcile.found_violations as f where f.invariant = 'transition_is_one_event')
    then
        return 0;
    end if;
    select s.era into v_era from reconcile.event_sequencer as s where s.history = reconcile_internal._history() for update skip locked;
    if not found then
        return 0;
    end if;
    v_missed := array(
        select t.transition_id from reconcile.transitions as t
        except select every.transition_id from reconcile.event_positions as p cross join lateral unnest(p.transition_ids) as every (transition_id)
        except select u.transition_id from reconcile_internal._unnumbered() as u
        order by transition_id
    );
    -- What the newest row says of its snapshot holds as it did.
    insert into reconcile.event_positions (last_number, era, transition_ids, seen, seen_on, numbered_by, ids_up_to)
    select l.last_number + least(first + 199, cardinality(v_missed)), v_era, v_missed[first:first + 199], l.seen, l.seen_on, l.numbered_by, l.ids_up_to
    from reconcile_internal._last_positions as l
    cross join generate_series(1, cardinality(v_missed), 200) as first;
    return cardinality(v_missed);
end
$$;

comment on function reconcile_internal._number_missed() is 'Gives positions to transitions that no sequencer would find, where a look found such; answers how many.';

select pg_catalog.pg_extension_config_dump('reconcile.event_eras', '');
select pg_catalog.pg_extension_config_dump('reconcile.event_positions', '');
