-- Outcomes: what deliveries have come to, counted on their endpoint. Whoever pauses or alters an endpoint may hold its row for long; nobody
-- waits for that: what is to be counted is noted, and counted by the next claim or report that holds it.
-- Locks: event_endpoints, by their number.
-- Requires: messages.

create table reconcile.noted_outcomes (
    endpoint_id integer not null,
    noted_at timestamptz not null default clock_timestamp(),
    taken integer not null,
    failed integer not null,
    problem text,
    is_gone boolean not null,
    retry_after_s integer
);

alter table reconcile.noted_outcomes replica identity full;

comment on table reconcile.noted_outcomes is 'What came of deliveries while somebody held their endpoint, a row a report; counted by the next claim or report.';
comment on column reconcile.noted_outcomes.endpoint_id is 'The endpoint.';
comment on column reconcile.noted_outcomes.noted_at is 'When it was reported.';
comment on column reconcile.noted_outcomes.taken is 'How many were taken.';
comment on column reconcile.noted_outcomes.failed is 'How many were not.';
comment on column reconcile.noted_outcomes.problem is 'What was wrong with the last of these.';
comment on column reconcile.noted_outcomes.is_gone is 'Whether one was answered by 410.';
comment on column reconcile.noted_outcomes.retry_after_s is 'How long the endpoint asked to be left alone.';

-- A claim or another report ends at once and is waited for; who holds a row for longer is a person.
create function reconcile_internal._hold_endpoints(p_endpoint_ids integer[]) returns integer[]
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '100ms'
as $$
declare
    v_held integer[] := array(
        select e.endpoint_id from reconcile.event_endpoints as e
        where e.endpoint_id = any (p_endpoint_ids) order by e.endpoint_id for update skip locked
    );
    v_endpoint_id integer;
begin
    foreach v_endpoint_id in array array(
        select e.endpoint_id from reconcile.event_endpoints as e
        where e.endpoint_id = any (p_endpoint_ids) and e.endpoint_id <> all (v_held) order by e.endpoint_id
    ) loop
        begin
            perform from reconcile.event_endpoints as e where e.endpoint_id = v_endpoint_id for update;
            v_held := v_held || v_endpoint_id;
        exception
            when lock_not_available or deadlock_detected then
                null;
        end;
    end loop;
    return v_held;
end
$$;

comment on function reconcile_internal._hold_endpoints(integer[]) is 'Locks endpoints, those that nobody holds for long; answers which.';

-- Called with the endpoints locked.
create function reconcile_internal._count_outcomes(p_endpoint_ids integer[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    with noted as (
        delete from reconcile.noted_outcomes as n where n.endpoint_id = any (p_endpoint_ids) returning n.*
    ),
    sums as (
        select
            n.endpoint_id, sum(n.taken) as taken, sum(n.failed) as failed, max(n.noted_at) as noted_at,
            -- Of the reports since the last one that told of something taken.
            coalesce(sum(n.failed) filter (where n.taken = 0 and n.noted_at > coalesce(success.at, '-infinity')), 0) as faults,
            success.at as succeeded_at,
            (array_agg(n.problem order by n.noted_at desc) filter (where n.failed > 0))[1] as problem,
            max(n.noted_at) filter (where n.failed > 0) as failed_at, bool_or(n.is_gone) as is_gone,
            max(n.noted_at + make_interval(secs => reconcile_internal.granted_ms('rest', n.retry_after_s * 1000::bigint) / 1000)) filter (where n.retry_after_s > 0) as rests_until
        from noted as n
        cross join lateral (select max(s.noted_at) from noted as s where s.endpoint_id = n.endpoint_id and s.taken > 0) as success (at)
        group by n.endpoint_id, success.at
    )
    update reconcile.event_endpoints as e
    set faults = case when s.taken > 0 then 0 else e.faults end + s.faults,
        delivered = e.delivered + s.taken,
        last_success_at = coalesce(s.succeeded_at, e.last_success_at),
        last_problem = coalesce(s.problem, e.last_problem),
        last_problem_at = coalesce(s.failed_at, e.last_problem_at),
        disabled_at = case when s.is_gone then coalesce(e.disabled_at, s.noted_at) else e.disabled_at end,
        rests_until = greatest(e.rests_until, s.rests_until)
    from sums as s
    where e.endpoint_id = s.endpoint_id;
end
$$;

comment on function reconcile_internal._count_outcomes(integer[]) is 'Counts on their endpoints, whose rows are locked, what was noted of deliveries.';

select pg_catalog.pg_extension_config_dump('reconcile.noted_outcomes', '');
