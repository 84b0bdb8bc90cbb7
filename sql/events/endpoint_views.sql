-- What people read of endpoints and of what is sent to them.
-- Requires: deliveries.

create view reconcile.endpoints as
select
    e.name, e.url, e.secret, e.on_states, (select p.name from reconcile.providers as p where p.provider_id = e.provider_id) as provider,
    case
        when e.disabled_at is not null then 'disabled'
        when e.paused_at is not null then 'paused'
        when e.faults >= 5 then 'failing'
        else 'ok'
    end as health,
    least(unread.events, 10000) as unread_up_to_10000,
    case when unread.events > 0 then (select clock_timestamp()) - unread.oldest end as lag,
    (
        select count(*) from reconcile.deliveries as d
        where d.endpoint_id = e.endpoint_id and d.token is null and d.parked_at is null
    ) as waiting,
    (select count(*) from reconcile.deliveries as d where d.endpoint_id = e.endpoint_id and d.token is not null) as in_flight,
    case when e.paused_at is null and e.disabled_at is null then (
        select greatest(min(d.due_at), e.rests_until) from reconcile.deliveries as d
        where d.endpoint_id = e.endpoint_id and d.token is null and d.parked_at is null
        having min(d.due_at) is not null
    ) end as next_attempt_at,
    (select count(*) from reconcile.deliveries as d where d.endpoint_id = e.endpoint_id and d.parked_at is not null) as parked,
    e.delivered, e.faults, e.last_success_at, e.last_problem, e.last_problem_at,
    e.paused_at, e.paused_by, e.paused_reason, e.disabled_at, e.rests_until, e.timeout, e.max_attempts, e.concurrency,
    e.added_at, e.added_by
from reconcile.event_endpoints as e
cross join lateral (
    select
        coalesce((select l.last_number from reconcile_internal._last_positions as l), 0) - reconcile_internal._number_of(e.read_up_to)
            + waiting.events as events,
        coalesce(
            (
                select t.changed_at
                from reconcile_internal._events_after(e.read_up_to, 1) as next
                join reconcile.transitions as t on t.transition_id = next.transition_id
            ),
            waiting.oldest
        ) as oldest
    from (select count(*) as events, min(u.changed_at) as oldest from reconcile_internal._unnumbered() as u) as waiting
) as unread;

comment on view reconcile.endpoints is 'Where events are sent: does it take them, what waits, and what was wrong last.';
comment on column reconcile.endpoints.name is 'The endpoint.';
comment on column reconcile.endpoints.url is 'Where events are posted.';
comment on column reconcile.endpoints.secret is 'Name of the secret that they are signed with.';
comment on column reconcile.endpoints.on_states is 'Only transitions to these states are sent; NULL for all.';
comment on column reconcile.endpoints.provider is 'Only events of this provider''s orders are sent; NULL for all.';
comment on column reconcile.endpoints.health is 'ok; failing: five attempts in a row failed; paused; disabled: it answered 410.';
comment on column reconcile.endpoints.unread_up_to_10000 is 'Events past its cursor, counted up to 10000.';
comment on column reconcile.endpoints.lag is 'Age of the oldest of these; NULL when there is none.';
comment on column reconcile.endpoints.waiting is 'Deliveries that wait for their time or for a slot.';
comment on column reconcile.endpoints.in_flight is 'Deliveries under way.';
comment on column reconcile.endpoints.next_attempt_at is
    'When the next of those that wait is tried; NULL when none waits, or nothing is sent. reconcile.resume_endpoint has them tried now.';
comment on column reconcile.endpoints.parked is 'Deliveries given up until they are replayed.';
comment on column reconcile.endpoints.delivered is 'Events that it has taken.';
comment on column reconcile.endpoints.faults is 'Attempts that failed, in a row.';
comment on column reconcile.endpoints.last_success_at is 'When it last took one.';
comment on column reconcile.endpoints.last_problem is 'What was wrong with the latest attempt that failed.';
comment on column reconcile.endpoints.last_problem_at is 'When that was.';
comment on column reconcile.endpoints.paused_at is 'Since when it is paused.';
comment on column reconcile.endpoints.paused_by is 'By whom.';
comment on column reconcile.endpoints.paused_reason is 'Why.';
comment on column reconcile.endpoints.disabled_at is 'When it answered 410.';
comment on column reconcile.endpoints.rests_until is 'Until when it asked not to be called.';
comment on column reconcile.endpoints.timeout is 'For a whole call.';
comment on column reconcile.endpoints.max_attempts is 'After so many a delivery is parked.';
comment on column reconcile.endpoints.concurrency is 'Calls at the same time.';
comment on column reconcile.endpoints.added_at is 'Since when it is here.';
comment on column reconcile.endpoints.added_by is 'The role that added it, and whose session it was if that is another.';

create view reconcile.parked_deliveries as
select
    e.name as endpoint, d.event_id, 'order.' || t.to_state as event, o.order_number, d.message_id, d.attempts,
    d.last_status, d.last_problem, d.parked_at
from reconcile.deliveries as d
join reconcile.event_endpoints as e on e.endpoint_id = d.endpoint_id
join reconcile.transitions as t on t.transition_id = reconcile_internal._transition_of(d.event_id)
join reconcile.tracked_orders as o on o.order_id = t.order_id
where d.parked_at is not null;

comment on view reconcile.parked_deliveries is
    'Events that an endpoint did not take, however often: reconcile.replay_events sends them again.';
comment on column reconcile.parked_deliveries.endpoint is 'Where it should have gone.';
comment on column reconcile.parked_deliveries.event_id is 'The event, as replay_events takes it.';
comment on column reconcile.parked_deliveries.event is 'What kind.';
comment on column reconcile.parked_deliveries.order_number is 'Of which order.';
comment on column reconcile.parked_deliveries.message_id is 'What the endpoint knows it by.';
comment on column reconcile.parked_deliveries.attempts is 'How often it was tried.';
comment on column reconcile.parked_deliveries.last_status is 'HTTP status of the latest attempt.';
comment on column reconcile.parked_deliveries.last_problem is 'What was wrong with it.';
comment on column reconcile.parked_deliveries.parked_at is 'Since when it is not tried any more.';
