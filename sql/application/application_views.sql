-- What people read of attached tables, hooks, lookups and webhooks.
-- Requires: views.

create view reconcile.attached_tables as
select
    a.attachment_id, a.relation::text as relation, p.name as provider, a.order_number, a.order_number_prefix, a.reference, a.status, a.track, a.write, a.capture,
    a.amount, a.amount_unit, a.currency, a.created_at, a.time_zone, a.attached_by, a.attached_at,
    (select count(*) from reconcile.tracked_orders as o where o.attachment_id = a.attachment_id and o.state in ('pending', 'processing', 'review'))
        as watched,
    (select coalesce(sum(cardinality(n.order_numbers)), 0) from reconcile.arrivals as n where n.attachment_id = a.attachment_id) as arrivals_waiting,
    (select count(*) from reconcile.refused_rows as u where u.attachment_id = a.attachment_id and u.waits_since is not null)
        as waiting_for_reference,
    s.rows_seen, s.rows_followed, s.began_at as search_began_at, s.finished_at as last_complete_search_at, s.problem, s.problem_at
from reconcile.attachments as a
join reconcile.providers as p on p.provider_id = a.provider_id
join reconcile.attachment_sweeps as s on s.attachment_id = a.attachment_id;

comment on view reconcile.attached_tables is 'Tables of applications that are watched, and how far the search for their rows has come.';
comment on column reconcile.attached_tables.attachment_id is 'The attachment; the functions of the table end with this number.';
comment on column reconcile.attached_tables.relation is 'The table.';
comment on column reconcile.attached_tables.provider is 'Who is asked about its rows.';
comment on column reconcile.attached_tables.order_number is 'The column with the order number.';
comment on column reconcile.attached_tables.order_number_prefix is 'What the ledger puts before these numbers; empty for nothing.';
comment on column reconcile.attached_tables.reference is 'The column with the provider''s own id.';
comment on column reconcile.attached_tables.status is 'The column with the application''s status.';
comment on column reconcile.attached_tables.track is 'The statuses in which a row is watched.';
comment on column reconcile.attached_tables.write is 'What is written when an order comes to a state.';
comment on column reconcile.attached_tables.capture is 'Values of the answer that are written with it.';
comment on column reconcile.attached_tables.amount is 'The column with the amount.';
comment on column reconcile.attached_tables.amount_unit is 'Whether that counts in major units (12.34) or minor ones (1234).';
comment on column reconcile.attached_tables.currency is 'The column with the currency.';
comment on column reconcile.attached_tables.created_at is 'The column with the time of creation.';
comment on column reconcile.attached_tables.time_zone is
    'What times without a time zone mean in this table, created_at and those that are captured.';
comment on column reconcile.attached_tables.attached_by is 'The role that attached it.';
comment on column reconcile.attached_tables.attached_at is 'When.';
comment on column reconcile.attached_tables.watched is 'Its orders that are open or in review.';
comment on column reconcile.attached_tables.arrivals_waiting is 'Rows that were noted and not looked at yet.';
comment on column reconcile.attached_tables.waiting_for_reference is
    'Its rows that are not watched yet, because they have no reference and the provider is asked by it.';
comment on column reconcile.attached_tables.rows_seen is 'Rows that the present search has looked at.';
comment on column reconcile.attached_tables.rows_followed is 'Of those, the ones that differed from what was known.';
comment on column reconcile.attached_tables.search_began_at is 'When the present search began.';
comment on column reconcile.attached_tables.last_complete_search_at is 'When a search was last complete; NULL before the first.';
comment on column reconcile.attached_tables.problem is 'What stopped the latest look at the table; NULL when nothing did.';
comment on column reconcile.attached_tables.problem_at is 'Since when.';

create view reconcile.unwatched_rows as
select
    a.relation::text as relation, u.order_number,
    u.problem || coalesce(' since ' || date_trunc('second', u.waits_since), '') as problem, u.noted_at, u.waits_since
from reconcile.refused_rows as u
join reconcile.attachments as a on a.attachment_id = u.attachment_id;

comment on view reconcile.unwatched_rows is
    'Rows of attached tables that are not watched, and why: something is wrong with them, or they wait for their reference.';
comment on column reconcile.unwatched_rows.relation is 'The table.';
comment on column reconcile.unwatched_rows.order_number is 'The order number; empty when the row has none.';
comment on column reconcile.unwatched_rows.problem is 'What is wrong with the row, or what it waits for.';
comment on column reconcile.unwatched_rows.noted_at is 'Since when that is known.';
comment on column reconcile.unwatched_rows.waits_since is 'Since when it waits for a reference: since it was created; NULL for what is wrong.';

create view reconcile.hooks as
select
    h.name, h.on_state, h.call, p.name as provider, pg_get_userbyid(h.call_owner) as runs_as, pg_get_userbyid(h.registered_by) as registered_by,
    h.registered_at, h.relation::text as relation
from reconcile.registered_hooks as h
left join reconcile.providers as p on p.provider_id = h.provider_id;

comment on view reconcile.hooks is 'Functions of the application that are called with a transition.';
comment on column reconcile.hooks.name is 'The hook''s name.';
comment on column reconcile.hooks.on_state is 'It is called when an order comes to this state.';
comment on column reconcile.hooks.call is 'The function.';
comment on column reconcile.hooks.provider is 'Only for orders of this provider; NULL for all.';
comment on column reconcile.hooks.relation is 'Only for orders of this attached table; NULL for all.';
comment on column reconcile.hooks.runs_as is 'The role whose rights it runs with: the owner of its function.';
comment on column reconcile.hooks.registered_by is 'The role that added it, and may remove it.';
comment on column reconcile.hooks.registered_at is 'Since when.';

create view reconcile.hook_calls as
select c.hook, c.call, o.order_number, c.transition_id, c.called_at, c.called_by
from reconcile.recorded_hook_calls as c
join reconcile.tracked_orders as o on o.order_id = c.order_id;

comment on view reconcile.hook_calls is 'Hooks that were called again for transitions that they missed, and who asked for it.';
comment on column reconcile.hook_calls.hook is 'The hook''s name.';
comment on column reconcile.hook_calls.call is 'The function that was called.';
comment on column reconcile.hook_calls.order_number is 'The order.';
comment on column reconcile.hook_calls.transition_id is 'The transition that it was told of.';
comment on column reconcile.hook_calls.called_at is 'When.';
comment on column reconcile.hook_calls.called_by is 'The role that asked for it.';

create view reconcile.lookups as
select l.provider, l.call, l.relation::text as relation, l.columns, pg_get_userbyid(l.owner) as runs_as, pg_get_userbyid(l.registered_by) as registered_by, l.registered_at
from reconcile.registered_lookups as l;

comment on view reconcile.lookups is 'What answers for providers of kind sql.';
comment on column reconcile.lookups.provider is 'The provider.';
comment on column reconcile.lookups.call is 'The function that answers.';
comment on column reconcile.lookups.relation is 'The table that answers.';
comment on column reconcile.lookups.columns is 'By which columns its rows are found.';
comment on column reconcile.lookups.runs_as is 'The role whose rights it is asked with: the owner of the function or table.';
comment on column reconcile.lookups.registered_by is 'The role that registered it.';
comment on column reconcile.lookups.registered_at is 'Since when.';

create view reconcile.failed_effects as
select o.order_number, p.name as provider, f.effect, f.failures, f.waits, f.sqlstate, f.problem, f.first_failed_at, f.failed_at, o.state
from reconcile.recorded_failures as f
join reconcile.tracked_orders as o on o.order_id = f.order_id
join reconcile.providers as p on p.provider_id = o.provider_id;

comment on view reconcile.failed_effects is 'Orders whose hook or write-back fails: why, how often, and since when.';
comment on column reconcile.failed_effects.order_number is 'The order.';
comment on column reconcile.failed_effects.provider is 'Its provider.';
comment on column reconcile.failed_effects.effect is 'What fails: a hook, by its name, or the write-back.';
comment on column reconcile.failed_effects.failures is 'How often it failed; after settings.effect_tries the order goes to review.';
comment on column reconcile.failed_effects.waits is 'How often a row was locked by somebody else, which is not counted.';
comment on column reconcile.failed_effects.sqlstate is 'The latest error''s SQLSTATE.';
comment on column reconcile.failed_effects.problem is 'The latest error''s message.';
comment on column reconcile.failed_effects.first_failed_at is 'Since when.';
comment on column reconcile.failed_effects.failed_at is 'When it failed last.';
comment on column reconcile.failed_effects.state is 'Where the order stands.';

create view reconcile.webhooks as
select
    p.name as provider, w.event_id, w.received_at, coalesce(o.order_number, w.order_number) as order_number, w.reference, w.effect, w.payload,
    w.received_from,
    array(
        select another.order_number from unnest(w.others) with ordinality as also (order_id, place)
        join reconcile.tracked_orders as another on another.order_id = also.order_id
        order by also.place
    ) as others
from reconcile.received_webhooks as w
join reconcile.providers as p on p.provider_id = w.provider_id
left join reconcile.tracked_orders as o on o.order_id = w.order_id;

comment on view reconcile.webhooks is 'Events that were handed over, and what came of each.';
comment on column reconcile.webhooks.provider is 'Whose event it is.';
comment on column reconcile.webhooks.event_id is 'The provider''s id of the event.';
comment on column reconcile.webhooks.received_at is 'When it was handed over.';
comment on column reconcile.webhooks.order_number is 'The order that it is about.';
comment on column reconcile.webhooks.reference is 'The reference that it named.';
comment on column reconcile.webhooks.effect is 'What came of it: kept, asked, applied or ignored.';
comment on column reconcile.webhooks.payload is 'Its payload, with secrets masked.';
comment on column reconcile.webhooks.received_from is 'The role that handed it over.';
comment on column reconcile.webhooks.others is 'Other orders that it could be about: then it moved none, and all of them were asked about.';
