-- What people read. Every view is a window on the ledger for roles that may not touch its tables.
-- Requires: testing.

create function reconcile_internal._counted(p_count bigint, p_one text, p_many text) returns text
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$
begin
    return p_count || ' ' || case when p_count = 1 then p_one else p_many end;
end
$$;

comment on function reconcile_internal._counted(bigint, text, text) is 'A number with what is counted: 1 order waits, 2 orders wait.';

create view reconcile.orders as
select
    o.order_number, o.state, o.settled_by, p.name as provider, o.reference, o.amount, o.currency, o.details,
    o.transaction_id,
    (
        -- Shown is what the provider's row calls harmless: not what it called sensitive before it changed.
        select coalesce(jsonb_object_agg(
            c.key, case when not coalesce(said.own or said.of_webhook, said.own, said.of_webhook) then c.value
                else to_jsonb('[redacted]'::text) end), '{}')
        from jsonb_each(o.captured) as c
        -- By either: a webhook may have a capture of the same name.
        cross join lateral (select (p.captures -> c.key ->> 'sensitive')::boolean as own,
            (p.webhook -> 'captures' -> c.key ->> 'sensitive')::boolean as of_webhook) as said
    ) as captured,
    o.refunded_amount, o.provider_status, o.last_outcome, o.last_checked_at, o.tries, o.faults,
    d.due_at as next_check_at, l.claimed_at is not null as in_flight,
    o.created_at, o.tracked_at, o.state_changed_at, coalesce(o.own_number, o.order_number) as own_number
from reconcile.tracked_orders as o
join reconcile.providers as p on p.provider_id = o.provider_id
left join reconcile.due_checks as d on d.order_id = o.order_id
left join reconcile.leases as l on l.order_id = o.order_id;

comment on view reconcile.orders is 'Every tracked order, where it stands, and when it is asked about next.';
comment on column reconcile.orders.order_number is 'The order.';
comment on column reconcile.orders.state is 'Where it stands.';
comment on column reconcile.orders.settled_by is 'Who put it there: provider, giving_up, operator, application; NULL while it is open.';
comment on column reconcile.orders.provider is 'Who is asked about it.';
comment on column reconcile.orders.reference is 'The provider''s own id for it.';
comment on column reconcile.orders.amount is 'What it should cost, in major units.';
comment on column reconcile.orders.currency is 'ISO 4217 code of amount.';
comment on column reconcile.orders.details is 'Whatever the application wants kept with it.';
comment on column reconcile.orders.transaction_id is 'The provider''s transaction id.';
comment on column reconcile.orders.captured is 'Values of the answers, by the provider''s captures; sensitive ones masked.';
comment on column reconcile.orders.refunded_amount is 'What was paid back so far, in major units.';
comment on column reconcile.orders.provider_status is 'The provider''s word.';
comment on column reconcile.orders.last_outcome is 'What the latest check meant.';
comment on column reconcile.orders.last_checked_at is 'When the latest check came back.';
comment on column reconcile.orders.tries is 'Answers without a final word.';
comment on column reconcile.orders.faults is 'Checks without an answer, in a row.';
comment on column reconcile.orders.next_check_at is 'When it is asked about next; NULL when it is not.';
comment on column reconcile.orders.in_flight is 'Whether it is being asked about now.';
comment on column reconcile.orders.created_at is 'When the application created it.';
comment on column reconcile.orders.tracked_at is 'When it became known here.';
comment on column reconcile.orders.state_changed_at is 'Since when it is in its state.';
comment on column reconcile.orders.own_number is 'The number of its row in the application''s table: the order''s without the prefix.';

create view reconcile.stale_orders as
select
    o.order_number, o.state, p.name as provider, o.reference, d.due_at, (select clock_timestamp()) - d.due_at as overdue,
    d.urgent, o.last_checked_at, o.last_outcome, o.created_at
from reconcile.providers as p
join reconcile.due_checks as d on d.provider_id = p.provider_id
join reconcile.tracked_orders as o on o.order_id = d.order_id
where d.due_at <= (select clock_timestamp());

comment on view reconcile.stale_orders is 'Orders whose check is due and not made yet.';
comment on column reconcile.stale_orders.order_number is 'The order.';
comment on column reconcile.stale_orders.state is 'Where it stands.';
comment on column reconcile.stale_orders.provider is 'Who is asked about it.';
comment on column reconcile.stale_orders.reference is 'The provider''s own id for it.';
comment on column reconcile.stale_orders.due_at is 'When its check was due.';
comment on column reconcile.stale_orders.overdue is 'For how long that is over.';
comment on column reconcile.stale_orders.urgent is 'Whether a person waits for the answer.';
comment on column reconcile.stale_orders.last_checked_at is 'When the latest check came back.';
comment on column reconcile.stale_orders.last_outcome is 'What the latest check meant.';
comment on column reconcile.stale_orders.created_at is 'When the application created it.';

create view reconcile.stuck_orders as
select
    o.order_number, o.state, p.name as provider, o.reference, (select clock_timestamp()) - o.created_at as age, o.tries, o.faults,
    o.last_outcome, o.last_checked_at, d.due_at as next_check_at,
    case
        when o.state = 'review' then 'a person has to decide: reconcile.resolve_order'
            || coalesce('; what follows from the provider''s word failed: ' || f.problem, '')
        when f.order_id is not null then format('what follows from the provider''s word fails: %s', f.problem)
        when p.paused_at is not null then 'the provider is paused: ' || p.paused_reason
        when o.faults > 0 then format('%s no answer (%s)', reconcile_internal._counted(o.faults, 'check had', 'checks in a row had'), o.last_outcome)
        when o.last_checked_at is null then 'it was never asked about: is a sidecar running?'
        else format('the provider''s latest word is %s', coalesce(o.provider_status, o.last_outcome))
    end as why
from reconcile.providers as p
join reconcile.tracked_orders as o on o.provider_id = p.provider_id
left join reconcile.due_checks as d on d.order_id = o.order_id
left join reconcile.recorded_failures as f on f.order_id = o.order_id
where (o.state in ('pending', 'processing') and o.created_at < (select clock_timestamp()) - (select s.stuck_after from reconcile.settings as s))
   or o.state = 'review';

comment on view reconcile.stuck_orders is
    'Orders open for longer than settings.stuck_after, and orders in review: what is stuck, why, and since when.';
comment on column reconcile.stuck_orders.order_number is 'The order.';
comment on column reconcile.stuck_orders.state is 'Where it stands.';
comment on column reconcile.stuck_orders.provider is 'Who is asked about it.';
comment on column reconcile.stuck_orders.reference is 'The provider''s own id for it.';
comment on column reconcile.stuck_orders.age is 'Since its creation.';
comment on column reconcile.stuck_orders.tries is 'Answers without a final word.';
comment on column reconcile.stuck_orders.faults is 'Checks without an answer, in a row.';
comment on column reconcile.stuck_orders.last_outcome is 'What the latest check meant.';
comment on column reconcile.stuck_orders.last_checked_at is 'When the latest check came back.';
comment on column reconcile.stuck_orders.next_check_at is 'When it is asked about next; NULL when it is not.';
comment on column reconcile.stuck_orders.why is 'Why it is stuck.';

create view reconcile.order_history as
select
    o.order_number, t.changed_at, t.from_state, t.to_state, t.cause, t.reason, t.changed_by, t.check_id
from reconcile.transitions as t
join reconcile.tracked_orders as o on o.order_id = t.order_id;

comment on view reconcile.order_history is 'Every transition of every order, and by whose word.';
comment on column reconcile.order_history.order_number is 'The order.';
comment on column reconcile.order_history.changed_at is 'When.';
comment on column reconcile.order_history.from_state is 'From where.';
comment on column reconcile.order_history.to_state is 'To where.';
comment on column reconcile.order_history.cause is 'By whose word: provider, giving_up, operator or application.';
comment on column reconcile.order_history.reason is 'Why.';
comment on column reconcile.order_history.changed_by is 'The role whose session did it; for a person''s decision the role that decided, and whose session it was if that is another.';
comment on column reconcile.order_history.check_id is 'The check.';

create view reconcile.checks as
select
    o.order_number, c.check_id, c.answered_at, p.name as provider, c.provider_version, c.outcome, c.http_status, c.fault,
    c.provider_status, c.detail, c.response, c.duration_ms, c.from_state, c.to_state, c.reason, c.problem, c.next_check_at, s.name as sidecar,
    c.by_order_number, c.source
from reconcile.recorded_checks as c
join reconcile.tracked_orders as o on o.order_id = c.order_id
join reconcile.providers as p on p.provider_id = c.provider_id
left join reconcile.registered_sidecars as s on s.sidecar_id = c.sidecar_id;

comment on view reconcile.checks is 'Every question put to a provider, with the answer and the decision.';
comment on column reconcile.checks.order_number is 'The order.';
comment on column reconcile.checks.check_id is 'The check.';
comment on column reconcile.checks.answered_at is 'When the answer was recorded.';
comment on column reconcile.checks.provider is 'Who is asked about it.';
comment on column reconcile.checks.provider_version is 'By which version of the provider''s row.';
comment on column reconcile.checks.outcome is 'What it means.';
comment on column reconcile.checks.http_status is 'The answer''s HTTP status.';
comment on column reconcile.checks.fault is 'What went wrong on the wire.';
comment on column reconcile.checks.provider_status is 'The provider''s word.';
comment on column reconcile.checks.detail is 'For people: what was wrong with the call or the answer.';
comment on column reconcile.checks.response is 'The provider''s own words, with secrets masked.';
comment on column reconcile.checks.duration_ms is 'How long the call took, in milliseconds.';
comment on column reconcile.checks.from_state is 'From where.';
comment on column reconcile.checks.to_state is 'To where.';
comment on column reconcile.checks.reason is 'Why.';
comment on column reconcile.checks.problem is 'What kept the decision from being carried out; nothing changed then.';
comment on column reconcile.checks.next_check_at is 'When it is asked about next; NULL when it is not.';
comment on column reconcile.checks.sidecar is 'Which sidecar asked; NULL where none did.';
comment on column reconcile.checks.source is 'Who asked: a sidecar, a lookup in this database, or nobody, where a webhook told.';
comment on column reconcile.checks.by_order_number is 'Whether it was asked the second way, by the order''s number, for want of a reference.';

create view reconcile.runs as
select r.run_id, r.started_at, r.started_by, r.arguments, r.selected, r.closed, r.given_up from reconcile.recorded_runs as r;

comment on view reconcile.runs is 'Each call of reconcile_stale_orders.';
comment on column reconcile.runs.run_id is 'The run.';
comment on column reconcile.runs.started_at is 'When it began.';
comment on column reconcile.runs.started_by is 'The role that called it.';
comment on column reconcile.runs.arguments is 'What it was called with.';
comment on column reconcile.runs.selected is 'Orders whose check was made due.';
comment on column reconcile.runs.closed is 'Orders settled inside the database.';
comment on column reconcile.runs.given_up is 'Orders that went to review because their provider could not be asked.';

create view reconcile.provider_health as
select
    p.name, p.version,
    case
        when p.paused_at is not null then 'paused'
        when breaker.is_open and t.last_fault = 'refused' then 'refused'
        when t.last_fault = 'throttled' and (t.faults > 0 or t.rests_until > (select clock_timestamp())) then 'throttled'
        when breaker.is_open then 'failing'
        when t.faults > 0 then 'faltering'
        when t.rejected >= p.breaker_after then 'rejecting'
        when t.last_answer_at is not null then 'healthy'
        when t.last_rejection_at is not null then 'no answer yet'
        else 'not asked yet'
    end as health,
    p.paused_at, p.paused_by, p.paused_reason, t.in_flight, p.concurrency, p.rate_limit, p.rate_interval,
    case when breaker.is_open then 'open' else 'closed' end as breaker,
    greatest(t.rests_until, case when breaker.is_open then t.probe_at end) as asked_again_at,
    t.faults, t.last_fault, t.last_fault_detail, t.last_fault_at, t.last_answer_at, t.rejected, t.last_rejection, t.last_rejection_at,
    t.unknown_status, t.unknown_status_at,
    (
        select count(*)
        from (
            select from reconcile.due_checks as d where d.provider_id = p.provider_id and d.due_at <= (select clock_timestamp()) limit 10000
        ) as due
    ) as due_up_to_10000,
    p.url, p.auth, p.schedule, p.deadline, p.max_tries
from reconcile.providers as p
-- With what has ended and no claim has counted yet.
cross join lateral (
    select
        counted.in_flight - ended.calls as in_flight,
        greatest(counted.last_answer_at, ended.answered_at) + date.ahead as last_answer_at,
        case when not mended.is_mended then greatest(counted.rests_until, ended.rests_until) + date.ahead end as rests_until,
        case when not mended.is_mended then counted.probe_at + date.ahead end as probe_at,
        case when ended.answered_at is null and not mended.is_mended then counted.faults + ended.faults else 0 end as faults,
        case when ended.faults > 0 then ended.last_fault else counted.last_fault end as last_fault,
        case when ended.faults > 0 then ended.last_fault_detail else counted.last_fault_detail end as last_fault_detail,
        greatest(counted.last_fault_at, ended.faulted_at) + date.ahead as last_fault_at,
        case when ended.answered_at is null and not mended.is_mended then counted.rejected + ended.rejected else 0 end as rejected,
        coalesce(ended.last_rejection, counted.last_rejection) as last_rejection,
        greatest(counted.last_rejection_at, ended.rejected_at) + date.ahead as last_rejection_at,
        coalesce(ended.unknown_status, counted.unknown_status) as unknown_status,
        greatest(counted.unknown_status_at, ended.unknown_status_at) + date.ahead as unknown_status_at
    from reconcile.provider_traffic as counted
    -- Steady times, as dates.
    cross join (select reconcile_internal._date_of_steady() as ahead) as date
    cross join lateral (
        select
            coalesce(sum(e.calls), 0) as calls, coalesce(sum(e.faults), 0)::integer as faults, coalesce(sum(e.rejected), 0)::integer as rejected,
            max(e.ended_at) filter (where e.answered) as answered_at,
            max(e.ended_at) filter (where e.faults > 0) as faulted_at, max(e.ended_at) filter (where e.rejected > 0) as rejected_at,
            max(e.ended_at + least(e.retry_after_ms, 300000) * interval '1 millisecond') filter (where e.retry_after_ms > 0) as rests_until,
            (array_agg(e.last_fault order by e.ended_at desc) filter (where e.faults > 0))[1] as last_fault,
            (array_agg(e.last_fault_detail order by e.ended_at desc) filter (where e.faults > 0))[1] as last_fault_detail,
            (array_agg(e.last_rejection order by e.ended_at desc) filter (where e.rejected > 0))[1] as last_rejection,
            max(e.unknown_status) as unknown_status, max(e.ended_at) filter (where e.unknown_status is not null) as unknown_status_at
        from reconcile.ended_calls as e
        where e.provider_id = p.provider_id
    ) as ended
    cross join lateral (select exists (select from reconcile.mended_providers as m where m.provider_id = p.provider_id) as is_mended) as mended
    where counted.provider_id = p.provider_id
) as t
cross join lateral (
    select t.faults >= case when t.last_fault = 'refused' then least(3, p.breaker_after) else p.breaker_after end as is_open
) as breaker;

comment on view reconcile.provider_health is 'Each provider: whether it answers, what is in flight and due, and what was wrong last.';
comment on column reconcile.provider_health.name is 'Its name.';
comment on column reconcile.provider_health.version is 'Its version.';
comment on column reconcile.provider_health.health is
    'healthy: it answers; faltering: the latest checks had no answer, and the breaker is closed still; failing, refused: it is open; '
    'throttled: it asks for fewer calls; rejecting: it answers, with a 4xx for every order; paused; not asked yet; no answer yet.';
comment on column reconcile.provider_health.paused_at is 'Since when it is not asked.';
comment on column reconcile.provider_health.paused_by is 'The role that paused it.';
comment on column reconcile.provider_health.paused_reason is 'Why it was paused.';
comment on column reconcile.provider_health.in_flight is 'Calls in flight, of all sidecars together.';
comment on column reconcile.provider_health.concurrency is 'Calls at the same time, of all sidecars together.';
comment on column reconcile.provider_health.rate_limit is 'Calls in any rate_interval.';
comment on column reconcile.provider_health.rate_interval is 'The window of rate_limit.';
comment on column reconcile.provider_health.breaker is 'open when too many checks in a row had no answer: one probe at a time.';
comment on column reconcile.provider_health.asked_again_at is 'Until when it is left alone: by its Retry-After (throttled until …), or until the next probe.';
comment on column reconcile.provider_health.faults is 'Checks without an answer, in a row, that say something of the provider: what the breaker counts.';
comment on column reconcile.provider_health.last_fault is 'Outcome of the latest check without an answer.';
comment on column reconcile.provider_health.last_fault_detail is 'What was wrong with it.';
comment on column reconcile.provider_health.last_fault_at is 'When that was.';
comment on column reconcile.provider_health.last_answer_at is 'When it last answered about an order.';
comment on column reconcile.provider_health.rejected is
    'Checks in a row that were answered by a 4xx about their order, or could not be put: each is its order''s trouble, all of them are the '
    'description''s.';
comment on column reconcile.provider_health.last_rejection is 'What was said by the latest of them.';
comment on column reconcile.provider_health.last_rejection_at is 'When that was.';
comment on column reconcile.provider_health.unknown_status is 'The latest word that its status map did not have.';
comment on column reconcile.provider_health.unknown_status_at is 'When that was.';
comment on column reconcile.provider_health.due_up_to_10000 is 'Checks that are due, counted up to 10000.';
comment on column reconcile.provider_health.url is 'URL template.';
comment on column reconcile.provider_health.auth is 'How requests are signed; secrets are named, never held.';
comment on column reconcile.provider_health.schedule is 'When an open order is asked about.';
comment on column reconcile.provider_health.deadline is 'After so long the next check is the last.';
comment on column reconcile.provider_health.max_tries is 'Answers without a final word before the last check.';

create view reconcile.sidecars as
select
    s.sidecar_id, s.name, s.version, s.slots, s.in_flight, s.started_at, s.heartbeat_at + date.ahead as heartbeat_at, s.stopped_at,
    s.stopped_at is null and s.heartbeat_at + date.ahead > (select clock_timestamp()) - reconcile_internal._sidecar_alive_within() as alive,
    s.reported, s.stale_reports
from reconcile.registered_sidecars as s
cross join (select reconcile_internal._date_of_steady() as ahead) as date;

comment on view reconcile.sidecars is 'The processes that ask providers, and whether they live.';
comment on column reconcile.sidecars.sidecar_id is 'One run of one process.';
comment on column reconcile.sidecars.name is 'Its name.';
comment on column reconcile.sidecars.version is 'Its version.';
comment on column reconcile.sidecars.slots is 'Most calls at a time.';
comment on column reconcile.sidecars.in_flight is 'Calls that it is making.';
comment on column reconcile.sidecars.started_at is 'When it began.';
comment on column reconcile.sidecars.heartbeat_at is 'When it was last heard of.';
comment on column reconcile.sidecars.stopped_at is 'When it said goodbye.';
comment on column reconcile.sidecars.alive is 'Whether it was heard of within 20 s.';
comment on column reconcile.sidecars.reported is 'Checks that it has reported.';
comment on column reconcile.sidecars.stale_reports is 'Reports that came after their lease had run out.';
