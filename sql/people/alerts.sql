-- What a person on call has to know, in one view: each branch is one kind of trouble, and says what would do.
-- Requires: application_views.

-- Readers see only their own sessions in pg_stat_activity, so this looks for them, and shows no query.
create function reconcile_internal._vacuum_holders() returns table (subject text, since timestamptz, message text)
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
    -- One that has written has an id, and holds back events besides; between its statements it has no snapshot.
    select format('pid %s', a.pid), a.xact_start,
        format('a transaction of %s holds back %s', coalesce(nullif(a.application_name, ''), a.usename::text, 'an unnamed client'),
            concat_ws(' and ', case when a.datname = current_database() then 'vacuum' end, case when a.backend_xid is not null then 'events' end))
    from pg_stat_activity as a
    where a.xact_start < clock_timestamp() - interval '30 minutes'
      and (a.datname = current_database() and a.backend_xmin is not null or a.backend_xid is not null)
    union all
    select t.gid, t.prepared, 'a prepared transaction holds back vacuum: commit it or roll it back'
    from pg_prepared_xacts as t
    where t.prepared < clock_timestamp() - interval '30 minutes'
    union all
    select r.slot_name, null, 'a replication slot that nobody reads holds back vacuum'
    from pg_replication_slots as r
    where not r.active and coalesce(r.xmin, r.catalog_xmin) is not null
$$;

comment on function reconcile_internal._vacuum_holders() is 'Transactions and replication slots that have held back vacuum for half an hour.';

create view reconcile.alerts as
select 'no_sidecar' as alert, 'critical' as severity, null::text as subject, max(s.heartbeat_at) as since,
    'no sidecar is running: no provider is asked. Start reconcile-sidecar.' as message
from reconcile.sidecars as s
having coalesce(bool_and(not s.alive), true)
   and exists (select from reconcile.providers as p where p.kind = 'http')
union all
select 'provider_' || h.health, case when h.health in ('paused', 'rejecting') then 'warning' else 'critical' end, h.name,
    coalesce(h.paused_at, case when h.health = 'rejecting' then h.last_rejection_at else h.last_fault_at end),
    case h.health
        when 'paused' then format('paused by %s: %s', h.paused_by, h.paused_reason)
        when 'rejecting' then format('the latest %s checks were answered by a 4xx, each about its order: look at its description. The latest: %s',
            h.rejected, h.last_rejection)
        when 'refused' then format('refuses every call: look at auth, the secret and the URL. The latest: %s', coalesce(h.last_fault_detail, h.last_fault))
        else format('%s no answer. The latest: %s', reconcile_internal._counted(h.faults, 'check had', 'checks in a row had'), coalesce(h.last_fault_detail, h.last_fault))
    end
from reconcile.provider_health as h
where h.health in ('paused', 'refused', 'failing', 'rejecting') or h.health = 'throttled' and h.breaker = 'open'
union all
select 'session_overlong', 'critical', format('pid %s', o.pid), o.since,
    format('a session of %s has worked on orders for longer than settings.longest_run, and no time limit has ended it: '
        'reconcile.end_overlong_sessions() does, called by that role, or pg_terminate_backend(%s)', o.role, o.pid)
from reconcile.overlong_sessions() as o
union all
-- Where nobody may ask, another alert says so; and what this database knows is settled by the schedule.
select 'checks_late', 'warning', h.name, late.due_at,
    format('checks are made later than they are due: the oldest should have been made at %s. Its limits, or the slots of the sidecars, are less '
        'than what is due', date_trunc('second', late.due_at))
from reconcile.provider_health as h
join reconcile.providers as p on p.name = h.name and p.kind = 'http' and p.paused_at is null
cross join lateral (
    select d.due_at from reconcile.due_checks as d where d.provider_id = p.provider_id order by d.due_at limit 1
) as late
where h.breaker = 'closed' and late.due_at < (select clock_timestamp()) - interval '1 minute'
union all
select 'unknown_status', 'warning', h.name, h.unknown_status_at,
    format('answers %L, which its status map does not have: see reconcile.checks, and alter_provider', h.unknown_status)
from reconcile.provider_health as h
where h.unknown_status_at > (select clock_timestamp()) - interval '1 day'
union all
select 'stuck_orders', 'warning', p.name, min(o.created_at),
    format('%s open for longer than settings.stuck_after: see reconcile.stuck_orders',
        reconcile_internal._counted(count(*), 'order is', case when count(*) = 1000 then 'or more orders are' else 'orders are' end))
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
    format('%s for a decision: see reconcile.stuck_orders, decide with reconcile.resolve_order',
        reconcile_internal._counted(count(*), 'order waits', 'orders wait'))
from reconcile.tracked_orders as o
join reconcile.providers as p on p.provider_id = o.provider_id
where o.state = 'review'
group by p.name
union all
select 'paid_twice', 'critical', p.name, min(s.noted_at),
    format('%s to be paid twice, %L for one: %s. Pay one back, and say so with reconcile.resolve_order; reconcile.second_payments shows them',
        reconcile_internal._counted(count(*), 'order seems', 'orders seem'),
        (array_agg(o.order_number order by s.noted_at desc))[1], (array_agg(s.detail order by s.noted_at desc))[1])
from reconcile.recorded_second_payments as s
join reconcile.tracked_orders as o on o.order_id = s.order_id
join reconcile.providers as p on p.provider_id = o.provider_id
where s.decided_at is null and s.shared_with is null
group by p.name
union all
-- Until a person has done with it, or one of the two is settled otherwise.
select 'paid_for_two', 'critical', p.name, min(s.noted_at),
    format('%s by a payment that has settled another, %L for one: %s. See which was paid, and say so of each with reconcile.resolve_order; '
        'reconcile.second_payments shows them',
        reconcile_internal._counted(count(*), 'order is settled', 'orders are settled'),
        (array_agg(o.order_number order by s.noted_at desc))[1], (array_agg(s.detail order by s.noted_at desc))[1])
from reconcile.recorded_second_payments as s
join reconcile.tracked_orders as o on o.order_id = s.order_id and o.state = 'succeeded'
join reconcile.tracked_orders as another on another.order_id = s.shared_with and another.state = 'succeeded'
join reconcile.providers as p on p.provider_id = o.provider_id
where s.decided_at is null
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
select 'attached_table_gone', 'critical', a.relation_name, null,
    'the attached table is gone: its orders can''t be written back; select reconcile.detach_table(' || a.relation::oid || ')'
from reconcile.attachments as a
where not exists (select from pg_class as c where c.oid = a.relation)
union all
select 'attached_column_missing', 'critical', format('%s.%I', a.relation, gone.column_name), s.problem_at,
    format('the column is gone, renamed or dropped; no order is lost meanwhile. Rename it back, or detach %s and attach it with its '
        'new columns', a.relation)
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
    where named.column_name is not null and reconcile_internal._column_type(a.relation, named.column_name) is null
) as gone
union all
select 'attached_table_renamed', 'critical', a.relation_name, null, reconcile_internal._renamed(a)
from reconcile.attachments as a
join pg_class as c on c.oid = a.relation
where reconcile_internal._renamed(a) is not null
union all
select 'attached_table_unreadable', 'critical', a.relation::text, s.problem_at, format('its rows can''t be looked at: %s', s.problem)
from reconcile.attachments as a
join reconcile.attachment_sweeps as s on s.attachment_id = a.attachment_id
where s.problem is not null
union all
select 'attached_index_missing', 'warning', a.relation::text, null,
    format('rows that no trigger told of are not looked for without an index: %s', s.missing_index)
from reconcile.attachments as a
join reconcile.attachment_sweeps as s on s.attachment_id = a.attachment_id
where s.missing_index is not null and exists (select from pg_class as c where c.oid = a.relation)
union all
select 'rows_not_watched', 'warning', a.relation::text, min(u.noted_at),
    format('%s can''t be watched, %s for one: %s; see reconcile.unwatched_rows', reconcile_internal._counted(count(*), 'row', 'rows'), quote_literal(min(u.order_number)),
        (array_agg(u.problem order by u.order_number))[1])
from reconcile.refused_rows as u
join reconcile.attachments as a on a.attachment_id = u.attachment_id
where u.waits_since is null
group by a.relation
union all
select 'rows_waiting_for_reference', 'warning', a.relation::text, min(u.waits_since),
    format('%s waited for a reference for longer than settings.stuck_after, %L the longest: money may have been taken for it; see '
        'reconcile.unwatched_rows', case count(*) when 1 then '1 row has' else count(*) || ' rows have' end,
        (array_agg(u.order_number order by u.waits_since, u.order_number))[1])
from reconcile.refused_rows as u
join reconcile.attachments as a on a.attachment_id = u.attachment_id
where u.waits_since < (select clock_timestamp()) - (select s.stuck_after from reconcile.settings as s)
group by a.relation
union all
select 'effects_failing', 'warning', p.name, min(f.first_failed_at),
    format('what follows from %s fails, the latest in %s: %s %s; see reconcile.failed_effects', reconcile_internal._counted(count(*), 'order', 'orders'),
        coalesce((array_agg(f.effect order by f.failed_at desc))[1], 'the ledger'),
        (array_agg(f.sqlstate order by f.failed_at desc))[1], (array_agg(f.problem order by f.failed_at desc))[1])
from reconcile.recorded_failures as f
join reconcile.tracked_orders as o on o.order_id = f.order_id
join reconcile.providers as p on p.provider_id = o.provider_id
group by p.name
union all
select 'no_room', 'critical', coalesce(f.effect, 'the ledger'), min(f.first_failed_at),
    format('%s orders wait for room or memory on the server, and are settled when there is: %s %s', count(*),
        (array_agg(f.sqlstate order by f.failed_at desc))[1], (array_agg(f.problem order by f.failed_at desc))[1])
from reconcile.recorded_failures as f
where f.sqlstate ~ '^53' and f.sqlstate <> '53400' and f.waits > 0
group by f.effect
union all
select 'write_owed', 'warning', a.relation_name, min(w.owed_since),
    format('%s rows could not be written for a quarter of an hour: see reconcile.failed_effects', count(*))
from reconcile.owed_writes as w
join reconcile.attachments as a on a.attachment_id = w.attachment_id
where w.owed_since < (select clock_timestamp()) - interval '15 minutes'
group by a.relation_name
union all
-- As housekeeping found it: the view itself reads every transition.
select 'violation', 'critical', concat_ws(' ', f.invariant, nullif(f.provider, '')), f.found_since,
    format('%s does not hold in %s places%s: %s. See reconcile.violations, and report it: this is a fault of pg_reconcile or of who wrote to its tables',
        f.invariant, f.places, ', order ' || quote_literal(f.order_number) || ' for one', f.detail)
from reconcile.found_violations as f
union all
select 'hook_withdrawn', 'critical', h.name, null::timestamptz,
    format('%s has dropped what belonged to it, so the hook is called no longer: remove it with reconcile.remove_hook, or add it again',
        h.call_owner)
from reconcile.registered_hooks as h
where reconcile_internal._is_withdrawn(h)
union all
select 'hook_table_gone', 'critical', h.name, null::timestamptz,
    format('it is for orders of %s, and that table is gone: remove it with reconcile.remove_hook, and add it again for what takes its place',
        h.relation_name)
from reconcile.registered_hooks as h
where h.relation is not null and not exists (select from pg_class as c where c.oid = h.relation)
union all
select 'webhooks_without_order', 'warning', p.name, min(w.received_at),
    format('%s not known: see reconcile.webhooks', reconcile_internal._counted(count(*), 'event is about an order that is', 'events are about orders that are'))
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
    format('%s attempts in a row failed. The latest: %s. When it is mended, reconcile.resume_endpoint(%L) sends at once', e.faults, e.last_problem, e.name)
from reconcile.event_endpoints as e
where e.faults >= 5 and e.disabled_at is null and e.paused_at is null
union all
select 'deliveries_parked', 'warning', d.endpoint, min(d.parked_at),
    format('%s not taken: see reconcile.parked_deliveries, send again with reconcile.replay_events',
        reconcile_internal._counted(count(*), 'event was', 'events were'))
from reconcile.parked_deliveries as d
group by d.endpoint
union all
select 'date_set', 'warning', null, clock.stepped_at + date.ahead,
    format('the server''s date was set %s by %s: limits, rests and leases don''t go by it, but schedules and deadlines do. Have its time '
        'kept by a time server that slews', case when clock.stepped_by < '0' then 'back' else 'forward' end,
        date_trunc('second', greatest(clock.stepped_by, -clock.stepped_by)))
from reconcile.steady_clock as clock
cross join (select reconcile_internal._date_of_steady() as ahead) as date
where clock.stepped_at + date.ahead > (select clock_timestamp()) - interval '1 hour'
union all
select 'old_snapshot', 'warning', holder.subject, holder.since, holder.message
from reconcile_internal._vacuum_holders() as holder;

comment on view reconcile.alerts is 'What a person on call has to know; empty when all is well.';
comment on column reconcile.alerts.alert is 'What kind.';
comment on column reconcile.alerts.severity is 'critical or warning.';
comment on column reconcile.alerts.subject is 'Which provider, endpoint, process or transaction.';
comment on column reconcile.alerts.since is 'Since when.';
comment on column reconcile.alerts.message is 'What is wrong, and what would do.';
