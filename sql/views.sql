-- What people read. Every view is a window on the ledger for roles that may not touch its tables.
-- Requires: testing.

-- Readers see only their own sessions in pg_stat_activity, so this looks for them, and shows no query.
create function reconcile._vacuum_holders() returns table (subject text, since timestamptz, message text)
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
    select format('pid %s', a.pid), a.xact_start,
        format('a transaction of %s holds back vacuum', coalesce(nullif(a.application_name, ''), a.usename::text, 'an unnamed client'))
    from pg_stat_activity as a
    where a.datname = current_database() and a.backend_xmin is not null and a.xact_start < clock_timestamp() - interval '30 minutes'
    union all
    select t.gid, t.prepared, 'a prepared transaction holds back vacuum: commit it or roll it back'
    from pg_prepared_xacts as t
    where t.prepared < clock_timestamp() - interval '30 minutes'
    union all
    select r.slot_name, null, 'a replication slot that nobody reads holds back vacuum'
    from pg_replication_slots as r
    where not r.active and coalesce(r.xmin, r.catalog_xmin) is not null
$$;

comment on function reconcile._vacuum_holders() is 'Transactions and replication slots that have held back vacuum for half an hour.';

create view reconcile.orders as
select
    o.order_number, o.state, o.settled_by, p.name as provider, o.reference, o.amount, o.currency, o.details,
    o.transaction_id,
    (
        -- Shown is what the provider's row calls harmless: not what it called sensitive before it changed.
        select coalesce(jsonb_object_agg(
            c.key, case when not (p.captures -> c.key ->> 'sensitive')::boolean then c.value else to_jsonb('[redacted]'::text) end), '{}')
        from jsonb_each(o.captured) as c
    ) as captured,
    o.refunded_amount, o.provider_status, o.last_outcome, o.last_checked_at, o.tries, o.faults,
    d.due_at as next_check_at, l.claimed_at is not null as in_flight,
    o.created_at, o.tracked_at, o.state_changed_at
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
        when o.faults > 0 then format('%s checks in a row had no answer (%s)', o.faults, o.last_outcome)
        when o.last_checked_at is null then 'it was never asked about: is a sidecar running?'
        else format('the provider''s latest word is %s', coalesce(o.provider_status, o.last_outcome))
    end as why
from reconcile.providers as p
join reconcile.tracked_orders as o on o.provider_id = p.provider_id
left join reconcile.due_checks as d on d.order_id = o.order_id
left join reconcile.recorded_failures as f on f.order_id = o.order_id
where (o.state in ('pending', 'processing') and o.created_at < (select clock_timestamp()) - (select s.stuck_after from reconcile.settings as s))
   or o.state = 'review';

comment on view reconcile.stuck_orders is 'Orders open for longer than settings.stuck_after, and orders in review: what is stuck, why, and since when.';
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
comment on column reconcile.order_history.changed_by is 'The role whose session did it.';
comment on column reconcile.order_history.check_id is 'The check.';

create view reconcile.checks as
select
    o.order_number, c.check_id, c.answered_at, p.name as provider, c.provider_version, c.outcome, c.http_status, c.fault,
    c.provider_status, c.detail, c.response, c.duration_ms, c.from_state, c.to_state, c.reason, c.problem, c.next_check_at, s.name as sidecar
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
comment on column reconcile.checks.sidecar is 'Who asked.';

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
        when breaker.is_open then 'failing'
        when t.last_answer_at is null then 'not asked yet'
        else 'healthy'
    end as health,
    p.paused_at, p.paused_by, p.paused_reason,
    t.in_flight - (select coalesce(sum(e.calls), 0) from reconcile.ended_calls as e where e.provider_id = p.provider_id) as in_flight,
    p.concurrency, p.rate_limit, p.rate_interval,
    case when breaker.is_open then 'open' else 'closed' end as breaker,
    greatest(t.rests_until, case when breaker.is_open then t.probe_at end) as asked_again_at,
    t.faults, t.last_fault, t.last_fault_detail, t.last_fault_at, t.last_answer_at,
    t.unknown_status, t.unknown_status_at,
    (
        select count(*)
        from (
            select from reconcile.due_checks as d where d.provider_id = p.provider_id and d.due_at <= (select clock_timestamp()) limit 10000
        ) as due
    ) as due_up_to_10000,
    p.url, p.auth, p.schedule, p.deadline, p.max_tries
from reconcile.providers as p
join reconcile.provider_traffic as t on t.provider_id = p.provider_id
cross join lateral (
    select t.faults >= case when t.last_fault = 'refused' then least(3, p.breaker_after) else p.breaker_after end as is_open
) as breaker;

comment on view reconcile.provider_health is 'Each provider: whether it answers, what is in flight and due, and what was wrong last.';
comment on column reconcile.provider_health.name is 'Its name.';
comment on column reconcile.provider_health.version is 'Its version.';
comment on column reconcile.provider_health.health is 'healthy, not asked yet, failing, refused or paused.';
comment on column reconcile.provider_health.paused_at is 'Since when it is not asked.';
comment on column reconcile.provider_health.paused_by is 'The role that paused it.';
comment on column reconcile.provider_health.paused_reason is 'Why it was paused.';
comment on column reconcile.provider_health.in_flight is 'Calls in flight, of all sidecars together.';
comment on column reconcile.provider_health.concurrency is 'Calls at the same time, of all sidecars together.';
comment on column reconcile.provider_health.rate_limit is 'Calls in any rate_interval.';
comment on column reconcile.provider_health.rate_interval is 'The window of rate_limit.';
comment on column reconcile.provider_health.breaker is 'open when too many checks in a row had no answer: one probe at a time.';
comment on column reconcile.provider_health.asked_again_at is 'Until when it is left alone.';
comment on column reconcile.provider_health.faults is 'Checks without an answer, in a row.';
comment on column reconcile.provider_health.last_fault is 'Outcome of the latest check without an answer.';
comment on column reconcile.provider_health.last_fault_detail is 'What was wrong with it.';
comment on column reconcile.provider_health.last_fault_at is 'When that was.';
comment on column reconcile.provider_health.last_answer_at is 'When it last answered about an order.';
comment on column reconcile.provider_health.unknown_status is 'The latest word that its status map did not have.';
comment on column reconcile.provider_health.unknown_status_at is 'When that was.';
comment on column reconcile.provider_health.due_up_to_10000 is 'Checks that are due, counted up to 10000.';
comment on column reconcile.provider_health.url is 'URL template.';
comment on column reconcile.provider_health.auth is 'How requests are signed; secrets are named, never held.';
comment on column reconcile.provider_health.schedule is 'When an open order is asked about.';
comment on column reconcile.provider_health.deadline is 'Age from which the next check is the last.';
comment on column reconcile.provider_health.max_tries is 'Answers without a final word before the last check.';

create view reconcile.sidecars as
select
    s.sidecar_id, s.name, s.version, s.slots, s.in_flight, s.started_at, s.heartbeat_at, s.stopped_at,
    s.stopped_at is null and s.heartbeat_at > (select clock_timestamp()) - reconcile._sidecar_alive_within() as alive,
    s.reported, s.stale_reports
from reconcile.registered_sidecars as s;

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

create view reconcile.alerts as
select 'no_sidecar' as alert, 'critical' as severity, null::text as subject, max(s.heartbeat_at) as since,
    'no sidecar is running: no provider is asked. Start reconcile-sidecar.' as message
from reconcile.registered_sidecars as s
having coalesce(bool_and(s.stopped_at is not null or s.heartbeat_at <= (select clock_timestamp()) - reconcile._sidecar_alive_within()), true)
   and exists (select from reconcile.providers as p where p.kind = 'http')
union all
select 'provider_' || h.health, case h.health when 'paused' then 'warning' else 'critical' end, h.name,
    coalesce(h.paused_at, h.last_fault_at),
    case h.health
        when 'paused' then format('paused by %s: %s', h.paused_by, h.paused_reason)
        when 'refused' then format('refuses every call: look at auth, the secret and the URL. The latest: %s', coalesce(h.last_fault_detail, h.last_fault))
        else format('%s checks in a row had no answer. The latest: %s', h.faults, coalesce(h.last_fault_detail, h.last_fault))
    end
from reconcile.provider_health as h
where h.health in ('paused', 'refused', 'failing')
union all
select 'unknown_status', 'warning', h.name, h.unknown_status_at,
    format('answers %L, which its status map does not have: see reconcile.checks, and alter_provider', h.unknown_status)
from reconcile.provider_health as h
where h.unknown_status_at > (select clock_timestamp()) - interval '1 day'
union all
select 'stuck_orders', 'warning', p.name, min(o.created_at),
    format('%s%s orders are open for longer than settings.stuck_after: see reconcile.stuck_orders', count(*), case when count(*) = 1000 then ' or more' end)
from reconcile.providers as p
cross join lateral (
    select o.created_at
    from reconcile.tracked_orders as o
    where o.state in ('pending', 'processing') and o.provider_id = p.provider_id
      and o.created_at < (select clock_timestamp()) - (select s.stuck_after from reconcile.settings as s)
    order by o.created_at
    limit 1000
) as o
group by p.name
union all
select 'orders_in_review', 'warning', p.name, min(o.state_changed_at),
    format('%s orders wait for a decision: see reconcile.stuck_orders, decide with reconcile.resolve_order', count(*))
from reconcile.tracked_orders as o
join reconcile.providers as p on p.provider_id = o.provider_id
where o.state = 'review'
group by p.name
union all
select 'notification_queue', 'warning', null, null,
    format('the notification queue is %s %% full: a listening session does not read', round((pg_notification_queue_usage() * 100)::numeric))
where pg_notification_queue_usage() > 0.25
union all
select 'checks_without_partition', 'warning', null, null, 'this month''s checks have no partition of their own: run reconcile.housekeep()'
where exists (
    select from reconcile.recorded_checks_otherwise as c where c.answered_at > (select clock_timestamp()) - interval '1 day'
)
union all
select 'attached_table_gone', 'critical', a.relation::text, null,
    'the attached table is gone: its orders can''t be written back; select reconcile.detach_table(' || a.relation::oid || ')'
from reconcile.attachments as a
where not exists (select from pg_class as c where c.oid = a.relation)
union all
select 'attached_column_missing', 'critical', format('%s.%I', a.relation, gone.column_name), s.problem_at,
    format('the column is gone, renamed or dropped; no order is lost meanwhile. Rename it back, or detach %s and attach it with its new columns', a.relation)
from reconcile.attachments as a
join reconcile.attachment_sweeps as s on s.attachment_id = a.attachment_id
join pg_class as c on c.oid = a.relation
cross join lateral (
    select named.column_name
    from (
        values (a.order_number), (a.reference), (a.status), (a.amount), (a.currency), (a.created_at)
        union
        select assigned.key from jsonb_each(a.write) as written, jsonb_each(written.value) as assigned
        union
        select captured.value #>> '{}' from jsonb_each(a.capture) as captured
    ) as named (column_name)
    where named.column_name is not null and reconcile._column_type(a.relation, named.column_name) is null
) as gone
union all
select 'attached_table_renamed', 'critical', a.relation_name, null, reconcile._renamed(a)
from reconcile.attachments as a
join pg_class as c on c.oid = a.relation
where reconcile._renamed(a) is not null
union all
select 'attached_table_unreadable', 'critical', a.relation::text, s.problem_at, format('its rows can''t be looked at: %s', s.problem)
from reconcile.attachments as a
join reconcile.attachment_sweeps as s on s.attachment_id = a.attachment_id
where s.problem is not null
union all
select 'attached_index_missing', 'warning', a.relation::text, null,
    format('rows that no trigger told of are not looked for without an index: %s', missing.index)
from reconcile.attachments as a
cross join lateral reconcile._missing_index(a) as missing (index)
where missing.index is not null
union all
select 'rows_not_watched', 'warning', a.relation::text, min(u.noted_at),
    format('%s rows can''t be watched, %s for one: %s; see reconcile.unwatched_rows', count(*), quote_literal(min(u.order_number)),
        (array_agg(u.problem order by u.order_number))[1])
from reconcile.refused_rows as u
join reconcile.attachments as a on a.attachment_id = u.attachment_id
group by a.relation
union all
select 'effects_failing', 'warning', p.name, min(f.first_failed_at),
    format('hooks or write-backs of %s orders fail, the latest: %s %s; see reconcile.failed_effects', count(*),
        (array_agg(f.sqlstate order by f.failed_at desc))[1], (array_agg(f.problem order by f.failed_at desc))[1])
from reconcile.recorded_failures as f
join reconcile.tracked_orders as o on o.order_id = f.order_id
join reconcile.providers as p on p.provider_id = o.provider_id
group by p.name
union all
select 'webhooks_without_order', 'warning', p.name, min(w.received_at),
    format('%s events are about orders that are not known: see reconcile.webhooks', count(*))
from reconcile.received_webhooks as w
join reconcile.providers as p on p.provider_id = w.provider_id
where w.order_id is null and w.received_at < (select clock_timestamp()) - interval '1 day'
group by p.name
union all
select 'endpoint_disabled', 'critical', e.name, e.disabled_at,
    'answered 410 (gone), so nothing is sent to it any more: remove it, or resume it with reconcile.resume_endpoint'
from reconcile.event_endpoints as e
where e.disabled_at is not null
union all
select 'endpoint_failing', 'critical', e.name, coalesce(e.last_success_at, e.added_at),
    format('%s attempts in a row failed. The latest: %s', e.faults, e.last_problem)
from reconcile.event_endpoints as e
where e.faults >= 5 and e.disabled_at is null and e.paused_at is null
union all
select 'deliveries_parked', 'warning', d.endpoint, min(d.parked_at),
    format('%s events were not taken: see reconcile.parked_deliveries, send them again with reconcile.replay_events', count(*))
from reconcile.parked_deliveries as d
group by d.endpoint
union all
select 'old_snapshot', 'warning', holder.subject, holder.since, holder.message
from reconcile._vacuum_holders() as holder;

comment on view reconcile.alerts is 'What a person on call has to know; empty when all is well.';
comment on column reconcile.alerts.alert is 'What kind.';
comment on column reconcile.alerts.severity is 'critical or warning.';
comment on column reconcile.alerts.subject is 'Which provider, endpoint, process or transaction.';
comment on column reconcile.alerts.since is 'Since when.';
comment on column reconcile.alerts.message is 'What is wrong, and what would do.';
