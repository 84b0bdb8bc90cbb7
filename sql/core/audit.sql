-- The audit: every check and every transition leaves a row that nobody changes afterwards.
--
-- Checks are partitioned by month, so that retention drops a table instead of deleting rows. The partitions are made by
-- housekeeping and belong to no extension, so that a dump carries them; until there is one, the default partition serves.
-- Requires: tables.

create sequence reconcile.check_ids;

create table reconcile.recorded_checks (
    order_id bigint not null,
    check_id bigint not null,
    answered_at timestamptz not null default clock_timestamp(),
    claimed_at timestamptz not null,
    duration_ms integer,
    provider_id integer not null,
    provider_version integer not null,
    source text not null default 'sidecar',
    sidecar_id bigint,
    token bigint not null,
    fault text,
    http_status integer,
    detail text,
    response jsonb,
    provider_status text,
    outcome text not null,
    retry_after_ms bigint,
    from_state text not null,
    from_settled_by text,
    from_attempt integer not null,
    from_tries integer not null,
    from_faults integer not null,
    to_state text not null,
    reason text not null,
    problem text,
    next_check_at timestamptz,
    by_order_number boolean not null default false
) partition by range (answered_at);

-- Each partition has its own key, and the whole has none: a dump restores the key of a partition by itself, and would
-- find one there already if attaching it had made one.
create table reconcile.recorded_checks_otherwise partition of reconcile.recorded_checks (primary key (order_id, check_id)) default;

comment on table reconcile.recorded_checks is 'Every question put to a provider, its answer, and the decision with all of its inputs.';
comment on table reconcile.recorded_checks_otherwise is 'Checks of months that have no partition of their own.';
comment on column reconcile.recorded_checks.order_id is 'The order.';
comment on column reconcile.recorded_checks.check_id is 'The check.';
comment on column reconcile.recorded_checks.answered_at is 'When the answer was recorded.';
comment on column reconcile.recorded_checks.claimed_at is 'When the check was handed to a sidecar.';
comment on column reconcile.recorded_checks.duration_ms is 'How long the call took.';
comment on column reconcile.recorded_checks.provider_id is 'Who was asked.';
comment on column reconcile.recorded_checks.provider_version is 'By which version of the provider''s row.';
comment on column reconcile.recorded_checks.source is 'Who asked: a sidecar, a lookup in this database, or nobody, where a webhook told.';
comment on column reconcile.recorded_checks.sidecar_id is 'Which sidecar; NULL for the others.';
comment on column reconcile.recorded_checks.token is 'The lease''s token.';
comment on column reconcile.recorded_checks.fault is 'What went wrong on the wire.';
comment on column reconcile.recorded_checks.http_status is 'The answer''s HTTP status.';
comment on column reconcile.recorded_checks.detail is 'For people: what was wrong with the call or the answer.';
comment on column reconcile.recorded_checks.response is 'The provider''s own words, with secrets masked.';
comment on column reconcile.recorded_checks.provider_status is 'The word that status_path found.';
comment on column reconcile.recorded_checks.outcome is 'What it means.';
comment on column reconcile.recorded_checks.retry_after_ms is 'How long the provider asks to be left alone.';
comment on column reconcile.recorded_checks.from_state is 'Input of the decision: the order''s state.';
comment on column reconcile.recorded_checks.from_settled_by is 'Input of the decision: who had settled it.';
comment on column reconcile.recorded_checks.from_attempt is 'Input of the decision: its place in the schedule.';
comment on column reconcile.recorded_checks.from_tries is 'Input of the decision: answers without a final word.';
comment on column reconcile.recorded_checks.from_faults is 'Input of the decision: checks without an answer, in a row.';
comment on column reconcile.recorded_checks.to_state is 'The decision: the order''s state from here on.';
comment on column reconcile.recorded_checks.reason is 'The decision: why.';
comment on column reconcile.recorded_checks.problem is
    'What kept the decision from being carried out: a hook, a write-back or a locked row. Nothing changed then.';
comment on column reconcile.recorded_checks.next_check_at is 'The decision: when it is asked about again.';
comment on column reconcile.recorded_checks.by_order_number is 'Whether it was asked without a reference, by the order''s number.';

create sequence reconcile.transition_ids;

create table reconcile.transitions (
    transition_id bigint primary key default nextval('reconcile.transition_ids'),
    order_id bigint not null,
    changed_at timestamptz not null default clock_timestamp(),
    from_state text not null,
    to_state text not null,
    cause text not null check (cause in ('provider', 'giving_up', 'operator', 'application')),
    check_id bigint,
    reason text not null,
    changed_by text not null default session_user,
    -- No order of events: an id is given before the order's lock is waited for. By it numbering.sql finds what is new.
    written_on bigint not null default reconcile_internal._system_identifier(),
    written_in bigint not null default pg_current_xact_id()::text::bigint,
    check (from_state <> to_state)
);

create index transitions_order on reconcile.transitions (order_id);
create index transitions_written on reconcile.transitions (written_on, written_in);

comment on table reconcile.transitions is 'Every change of an order''s state.';
comment on column reconcile.transitions.transition_id is 'The transition.';
comment on column reconcile.transitions.order_id is 'The order.';
comment on column reconcile.transitions.changed_at is 'When.';
comment on column reconcile.transitions.from_state is 'From where.';
comment on column reconcile.transitions.to_state is 'To where.';
comment on column reconcile.transitions.cause is 'By whose word: provider, giving_up, operator or application.';
comment on column reconcile.transitions.check_id is 'The check that is its evidence.';
comment on column reconcile.transitions.reason is 'Why.';
comment on column reconcile.transitions.changed_by is 'The role whose session did it; for a person''s decision the role that decided, and whose session it was if that is another.';
comment on column reconcile.transitions.written_on is 'The cluster that it was written on, by its system identifier.';
comment on column reconcile.transitions.written_in is 'The transaction of that cluster that wrote it.';

create function reconcile_internal._refuse_change() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    -- What retention would have dropped with its month may go from the partition that serves all other months, too.
    if tg_op = 'DELETE' and tg_table_name = 'recorded_checks_otherwise' then
        if old.answered_at < (select clock_timestamp() - s.checks_kept from reconcile.settings as s) then
            return old;
        end if;
    end if;
    raise exception 'the audit table % can''t be changed', tg_table_name
        using errcode = 'RC008', hint = 'Old checks go by retention: see reconcile.settings.checks_kept.';
end
$$;

comment on function reconcile_internal._refuse_change() is 'Keeps the audit as it was written.';

create trigger recorded_checks_stay before update or delete on reconcile.recorded_checks
    for each row execute function reconcile_internal._refuse_change();
create trigger recorded_checks_stay_whole before truncate on reconcile.recorded_checks
    for each statement execute function reconcile_internal._refuse_change();
create trigger recorded_checks_otherwise_stay_whole before truncate on reconcile.recorded_checks_otherwise
    for each statement execute function reconcile_internal._refuse_change();
create trigger transitions_stay before update or delete on reconcile.transitions
    for each row execute function reconcile_internal._refuse_change();
create trigger transitions_stay_whole before truncate on reconcile.transitions
    for each statement execute function reconcile_internal._refuse_change();

-- Attached, not created in place, and with a short wait for locks: reports go on meanwhile, and what can't be done now is
-- done by the next run.
create function reconcile_internal._ensure_partitions() returns integer
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '2s' set datestyle = 'ISO'
as $$
declare
    v_from timestamptz;
    v_to timestamptz;
    v_name text;
    v_made integer := 0;
begin
    -- One maker at a time; who comes second finds the work done. Not by an advisory lock, which anybody may hold.
    lock table only reconcile.recorded_checks in share update exclusive mode;
    for v_from in
        select (date_trunc('month', clock_timestamp() at time zone 'UTC') + make_interval(months => ahead)) at time zone 'UTC'
        from generate_series(0, 2) as ahead
    loop
        v_name := 'recorded_checks_' || to_char(v_from at time zone 'UTC', 'YYYY_MM');
        v_to := (v_from at time zone 'UTC' + interval '1 month') at time zone 'UTC';
        continue when to_regclass(format('reconcile.%I', v_name)) is not null;
        -- A month that has begun in the default partition stays there.
        continue when exists (
            select from reconcile.recorded_checks_otherwise where answered_at >= v_from and answered_at < v_to
        );
        perform reconcile_internal._define(format(
            'create table reconcile.%I (like reconcile.recorded_checks including defaults, primary key (order_id, check_id))', v_name
        ));
        perform reconcile_internal._define(format(
            'alter table reconcile.recorded_checks attach partition reconcile.%I for values from (%L) to (%L)',
            v_name, v_from, v_to
        ));
        perform reconcile_internal._define(format(
            'create trigger %I before truncate on reconcile.%I for each statement execute function reconcile_internal._refuse_change()',
            v_name || '_stay_whole', v_name
        ));
        v_made := v_made + 1;
    end loop;
    return v_made;
exception
    when lock_not_available then
        return 0;
end
$$;

comment on function reconcile_internal._ensure_partitions() is
    'Makes the partitions of checks for this month and the next two; answers how many were made.';

create function reconcile_internal._drop_old_partitions() returns integer
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '2s'
as $$
declare
    v_kept_from timestamptz := (select clock_timestamp() - checks_kept from reconcile.settings);
    v_partition regclass;
    v_dropped integer := 0;
begin
    delete from reconcile.recorded_checks_otherwise as c where c.answered_at < v_kept_from;
    for v_partition in
        select child.oid::regclass
        from pg_inherits
        join pg_class as child on child.oid = inhrelid
        where inhparent = 'reconcile.recorded_checks'::regclass
          and child.relname ~ '^recorded_checks_[0-9]{4}_[0-9]{2}$'
          and (to_date(substr(child.relname, 17), 'YYYY_MM') + interval '1 month') at time zone 'UTC' < v_kept_from
    loop
        perform reconcile_internal._define(format('drop table %s', v_partition));
        v_dropped := v_dropped + 1;
    end loop;
    return v_dropped;
exception
    when lock_not_available then
        return 0;
end
$$;

comment on function reconcile_internal._drop_old_partitions() is
    'Drops the months of checks that are older than settings.checks_kept; answers how many.';

select pg_catalog.pg_extension_config_dump('reconcile.check_ids', '');
select pg_catalog.pg_extension_config_dump('reconcile.recorded_checks_otherwise', '');
select pg_catalog.pg_extension_config_dump('reconcile.transition_ids', '');
select pg_catalog.pg_extension_config_dump('reconcile.transitions', '');
