-- What is kept: providers, orders, the queue and its leases. The audit has a file of its own.
--
-- An order's due time is kept apart from the order: a narrow row is inserted in due order and deleted when it is
-- claimed, so that finding what is due never reads what is not. An open order has either one row in due_checks or one
-- in leases, and moves between them inside one transaction.
-- Lock order, everywhere: tracked_orders, then leases and due_checks; provider_traffic by provider_id before any of them.
-- A statement that handles many orders locks with SKIP LOCKED and so waits for nobody.
-- Requires: clock.

create table reconcile.settings (
    only_row boolean primary key default true check (only_row),
    checks_kept interval not null default '400 days' check (checks_kept between '1 day' and '100 years'),
    runs_kept interval not null default '30 days' check (runs_kept between '1 hour' and '100 years'),
    stuck_after interval not null default '1 hour' check (stuck_after between '1 second' and '10 years'),
    last_check_within interval not null default '1 hour' check (last_check_within between '1 second' and '10 years'),
    effect_tries integer not null default 10 check (effect_tries between 1 and 1000),
    longest_run interval not null default '3 minutes' check (longest_run between '1 second' and '1 day')
);

insert into reconcile.settings default values;

-- A restore brings a row of its own, and CREATE EXTENSION has written one before it.
create function reconcile_internal._replace_settings() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    delete from reconcile.settings;
    return new;
end
$$;

comment on function reconcile_internal._replace_settings() is 'Keeps settings at one row: a new one takes the place of the old.';

create trigger settings_replaced before insert on reconcile.settings
    for each row execute function reconcile_internal._replace_settings();

comment on table reconcile.settings is 'How long things are kept and when they count as stuck: one row.';
comment on column reconcile.settings.only_row is 'Always true: there is one row.';
comment on column reconcile.settings.checks_kept is 'Checks older than this are dropped, a month''s partition at a time.';
comment on column reconcile.settings.runs_kept is 'Rows of runs older than this are deleted.';
comment on column reconcile.settings.stuck_after is 'An order open for longer shows up in stuck_orders.';
comment on column reconcile.settings.last_check_within is
    'An order this far past its deadline that could not be asked about goes to review.';

comment on column reconcile.settings.longest_run is
    'A session of a sidecar or of the schedule that has worked on orders for longer, which no time limit has ended, is ended by another.';
comment on column reconcile.settings.effect_tries is
    'An order whose hook or write-back failed this often goes to review.';

create sequence reconcile.provider_ids as integer;

create table reconcile.providers (
    provider_id integer primary key default nextval('reconcile.provider_ids'),
    name text not null unique,
    version integer not null default 1,
    kind text not null default 'http' check (kind in ('http', 'sql')),
    url text,
    lookup text,
    headers jsonb not null default '{}',
    auth jsonb not null default '{"kind": "none"}',
    method text not null default 'GET',
    body jsonb,
    variables jsonb not null default '{}',
    status_path jsonpath not null default '$.status',
    status_map jsonb not null default '{}',
    rules jsonb not null default '[]',
    http_outcomes jsonb not null default '{}',
    captures jsonb not null default '{}',
    transaction_id_path jsonpath,
    amount_path jsonpath,
    amount_unit text not null default 'major',
    amounts_add_up boolean not null default false,
    currency_path jsonpath,
    currency text,
    currency_exponents jsonb not null default '{}',
    refunded_path jsonpath,
    reference_path jsonpath,
    may_be_silent_on text[] not null default '{}',
    sensitive text[] not null default '{}',
    schedule text not null default '1m, 30s, 1m, 2m, 4m, then 5m',
    max_tries integer,
    deadline interval default '24 hours',
    not_found_grace interval not null default '15 minutes',
    not_found_as text not null default 'pending',
    gives_up_as text not null default 'review',
    late_success text not null default 'review',
    late_watch text not null default '1h, 23h, 2d',
    refund_watch text not null default 'none',
    rate_limit integer,
    rate_interval interval not null default '1 minute',
    burst integer,
    gap interval,
    concurrency integer not null default 16,
    breaker_after integer not null default 10,
    timeout interval not null default '10 seconds',
    webhook jsonb not null default '{}',
    without_reference jsonb not null default '{}',
    paused_at timestamptz,
    paused_by text,
    paused_reason text,
    check ((kind = 'http') = (url is not null)),
    check ((kind = 'sql') = (lookup is not null))
);

comment on table reconcile.providers is 'Who knows the truth about an order: one row each, written by a DBA, checked when it is written.';
comment on column reconcile.providers.provider_id is 'The provider inside the queue.';
comment on column reconcile.providers.name is 'The provider''s name, used in every call.';
comment on column reconcile.providers.version is 'Counts the changes; every check names the version that it was made by.';
comment on column reconcile.providers.kind is 'http: asked by a sidecar; sql: a function or a table of this database answers.';
comment on column reconcile.providers.url is 'URL template (RFC 6570) with {order_number} and {reference}; NULL for kind sql.';
comment on column reconcile.providers.lookup is 'Kind sql: the function or the table that answers; see reconcile.lookups.';
comment on column reconcile.providers.webhook is
    'How webhooks count: {} as a doorbell; {"evidence": true, "status_path": …} as evidence, read by these fields over the row''s.';
comment on column reconcile.providers.without_reference is
    'How an order is asked about, and the answer read, that has no reference: by its number, by these fields over the row''s; {} when there is no such way.';
comment on column reconcile.providers.method is 'GET, POST or PUT.';
comment on column reconcile.providers.body is 'What a POST carries: {"json": …} or {"form": {…}}, with the URL''s variables in its texts.';
comment on column reconcile.providers.variables is 'Constants for the templates, such as {"merchant_id": "M-1"}.';
comment on column reconcile.providers.headers is 'Headers that go with every request, {"Name": "value"}, with the URL''s variables.';
comment on column reconcile.providers.auth is 'How requests are signed; secrets are named, never held.';
comment on column reconcile.providers.status_path is 'Where the answer says the status.';
comment on column reconcile.providers.status_map is 'The provider''s word → outcome (succeeded, failed, cancelled, refunded, pending, not_found).';
comment on column reconcile.providers.rules is
    'Predicates on the answer and what they mean, [{"when": jsonpath, "means": outcome}]; the first that holds decides, '
    'before the status map. One that means provider_error may say whose trouble that is: "about": "order", or "provider".';
comment on column reconcile.providers.http_outcomes is 'What HTTP statuses mean where it is not the usual: {"404": "pending", "5xx": "body"}.';
comment on column reconcile.providers.captures is
    'Values of the answer that are kept on the order: {"name": {"path": jsonpath, "sensitive": boolean}}.';
comment on column reconcile.providers.transaction_id_path is 'Where the answer says its transaction id, which is kept on the order.';
comment on column reconcile.providers.amount_path is 'Where the answer says the amount; a success must agree with the order.';
comment on column reconcile.providers.amount_unit is 'major (12.34) or minor (1234, by the currency''s exponent in ISO 4217).';
comment on column reconcile.providers.amounts_add_up is
    'Whether several amounts of a success are parts of one sum, as captures are, and only the whole of the order''s amount is a success.';
comment on column reconcile.providers.currency_path is 'Where the answer says the currency; a success must agree with the order.';
comment on column reconcile.providers.currency is 'The currency of amounts, where the answer does not say it.';
comment on column reconcile.providers.currency_exponents is 'Decimals of currencies where the provider departs from ISO 4217: {"IDR": 0}.';
comment on column reconcile.providers.refunded_path is
    'Where the answer says what was paid back so far: only the whole amount makes an order refunded.';
comment on column reconcile.providers.reference_path is 'Where the answer repeats the order''s reference; a final answer must agree with the order.';
comment on column reconcile.providers.may_be_silent_on is
    'What a success may leave out although there is a path for it: amount, currency, reference. Anything else that is left out is a mismatch.';
comment on column reconcile.providers.sensitive is 'Names of members of the answer that are never stored, beside the built-in ones.';
comment on column reconcile.providers.schedule is 'When an open order is asked about, from its creation on.';
comment on column reconcile.providers.max_tries is 'Answers without a final word before the last check; NULL for no limit.';
comment on column reconcile.providers.deadline is
    'After so long the next check is the last, from the order''s creation or from when it became known, whichever is later; NULL for no limit.';
comment on column reconcile.providers.not_found_grace is 'For how long after its creation an order may be unknown to the provider.';
comment on column reconcile.providers.not_found_as is 'What not_found means after the grace: pending, failed, cancelled or review.';
comment on column reconcile.providers.gives_up_as is 'Where an order goes whose last check has no final word: failed, cancelled or review.';
comment on column reconcile.providers.late_success is 'A success after failed or cancelled: revive the order, or review.';
comment on column reconcile.providers.late_watch is 
    'When an order that was given up, or called off by the application (then from its deadline on), is asked about again; none for never.';
comment on column reconcile.providers.refund_watch is 'When an order that has succeeded is asked about again, for refunds; none for never.';
comment on column reconcile.providers.burst is 'Most calls in any second; NULL for no limit.';
comment on column reconcile.providers.gap is 'At least this long from the end of a call to the next, one at a time; NULL for no gap.';
comment on column reconcile.providers.breaker_after is
    'This many checks in a row without an answer (3 when refused), and only one probe at a time goes out, at growing pauses.';
comment on column reconcile.providers.rate_limit is 'Calls in any rate_interval, of all sidecars together; NULL for no limit.';
comment on column reconcile.providers.rate_interval is 'The window of rate_limit.';
comment on column reconcile.providers.concurrency is 'Calls at the same time, of all sidecars together.';
comment on column reconcile.providers.timeout is 'For a whole call, from connecting to the last byte.';
comment on column reconcile.providers.paused_at is 'Since when no order is asked about; NULL when not paused.';
comment on column reconcile.providers.paused_by is 'The role that paused it.';
comment on column reconcile.providers.paused_reason is 'Why it was paused.';

create table reconcile.provider_versions (
    provider_id integer not null references reconcile.providers,
    version integer not null,
    settings jsonb not null,
    changed_at timestamptz not null default clock_timestamp(),
    changed_by text not null default session_user,
    primary key (provider_id, version)
);

comment on table reconcile.provider_versions is 'Each version of each provider''s row, so that an old decision can be explained.';
comment on column reconcile.provider_versions.provider_id is 'The provider.';
comment on column reconcile.provider_versions.version is 'Its version.';
comment on column reconcile.provider_versions.settings is 'The row as it was.';
comment on column reconcile.provider_versions.changed_at is 'When it was written.';
comment on column reconcile.provider_versions.changed_by is 'The role that wrote it, and whose session it was if that is another; for a preset the role whose session it was.';

-- One row a provider, locked and updated by claims alone: a report would hold the lock while its commit is flushed. What
-- reports have to say stands in ended_calls, until the next claim folds it in. Its times are steady ones, but for claimed_through.
create table reconcile.provider_traffic (
    provider_id integer primary key references reconcile.providers,
    in_flight integer not null default 0,
    claimed_through timestamptz not null default '-infinity',
    swept_at timestamptz not null default '-infinity',
    folded_through timestamptz not null default '-infinity',
    last_ended_at timestamptz,
    rests_until timestamptz,
    probe_at timestamptz,
    probes integer not null default 0,
    awaited_in_a_row integer not null default 0,
    faults integer not null default 0,
    last_fault text,
    last_fault_detail text,
    last_fault_at timestamptz,
    last_answer_at timestamptz,
    rejected integer not null default 0,
    last_rejection text,
    last_rejection_at timestamptz,
    unknown_status text,
    unknown_status_at timestamptz
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

comment on table reconcile.provider_traffic is 'What is going on between the sidecars and each provider, by the steady clock: see reconcile.provider_health.';
comment on column reconcile.provider_traffic.provider_id is 'The provider.';
comment on column reconcile.provider_traffic.in_flight is 'Leases that are out, before what ended_calls takes off.';
comment on column reconcile.provider_traffic.claimed_through is
    'Due time of the latest claim, a date. Claims look from here on, past what old snapshots keep visible of rows long deleted.';
comment on column reconcile.provider_traffic.swept_at is 'When a claim last looked from the beginning, for rows that were committed late.';
comment on column reconcile.provider_traffic.folded_through is 'Up to which end of calls ended_calls is counted here.';
comment on column reconcile.provider_traffic.last_ended_at is 'When the latest call ended.';
comment on column reconcile.provider_traffic.rests_until is 'Until when the provider asked not to be called (Retry-After, 5 minutes at most).';
comment on column reconcile.provider_traffic.probe_at is 'When the breaker, if it is open, lets the next probe through.';
comment on column reconcile.provider_traffic.probes is 'Probes without an answer since the breaker opened.';
comment on column reconcile.provider_traffic.awaited_in_a_row is
    'Checks for which a person waits that were claimed since one was that only was due, 3 at most: then one of those is next.';
comment on column reconcile.provider_traffic.unknown_status is 'The latest word that its status map did not have.';
comment on column reconcile.provider_traffic.unknown_status_at is 'When that was.';
comment on column reconcile.provider_traffic.faults is 'Checks without an answer, in a row, that say something of the provider: what the breaker counts.';
comment on column reconcile.provider_traffic.rejected is
    'Checks in a row that were answered by a 4xx about their order, or could not be put. The breaker does not count them.';
comment on column reconcile.provider_traffic.last_rejection is 'What was said by the latest of them.';
comment on column reconcile.provider_traffic.last_rejection_at is 'When that was.';
comment on column reconcile.provider_traffic.last_fault is 'Outcome of the latest check without an answer.';
comment on column reconcile.provider_traffic.last_fault_detail is 'What was wrong with it.';
comment on column reconcile.provider_traffic.last_fault_at is 'When that was.';
comment on column reconcile.provider_traffic.last_answer_at is 'When the provider last answered about an order.';

create table reconcile.ended_calls (
    provider_id integer not null,
    ended_at timestamptz not null default reconcile_internal._steady_now(),
    calls integer not null,
    faults integer not null,
    answered boolean not null,
    rejected integer not null default 0,
    last_fault text,
    last_fault_detail text,
    last_rejection text,
    retry_after_ms bigint,
    unknown_status text
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

-- Without a key, a publication for all tables would refuse the deletes.
alter table reconcile.ended_calls replica identity full;

create index ended_calls_idx on reconcile.ended_calls (provider_id, ended_at);

comment on table reconcile.ended_calls is 'Calls that ended and are not counted in provider_traffic yet, a row a batch.';
comment on column reconcile.ended_calls.provider_id is 'The provider.';
comment on column reconcile.ended_calls.ended_at is 'When they ended, by the steady clock.';
comment on column reconcile.ended_calls.calls is 'How many.';
comment on column reconcile.ended_calls.faults is 'Of those, without an answer, for a reason that says something of the provider.';
comment on column reconcile.ended_calls.answered is 'Whether one of them had an answer.';
comment on column reconcile.ended_calls.last_fault is 'Outcome of one without an answer.';
comment on column reconcile.ended_calls.last_fault_detail is 'What was wrong with it.';
comment on column reconcile.ended_calls.rejected is 'Of those, answered by a 4xx about their order.';
comment on column reconcile.ended_calls.last_rejection is 'What one of these said.';
comment on column reconcile.ended_calls.retry_after_ms is 'How long the provider asked to be left alone, at most.';
comment on column reconcile.ended_calls.unknown_status is 'A word that the status map did not have.';

-- Whoever resumes or alters a provider may have a transaction open for long, and holds no row of provider_traffic, for which claims would wait.
create table reconcile.mended_providers (
    provider_id integer not null,
    mended_at timestamptz not null
);

alter table reconcile.mended_providers replica identity full;

comment on table reconcile.mended_providers is 'Providers that somebody has resumed or altered since a claim last looked: what kept them from being asked is forgotten by the next.';
comment on column reconcile.mended_providers.provider_id is 'The provider.';
comment on column reconcile.mended_providers.mended_at is 'When, by the steady clock.';

create table reconcile.spent_calls (
    provider_id integer not null,
    ended_at timestamptz not null,
    calls integer not null
);

alter table reconcile.spent_calls replica identity full;

create index spent_calls_idx on reconcile.spent_calls (provider_id, ended_at);

comment on table reconcile.spent_calls is
    'Calls that ended within a provider''s rate_interval, by the batch. A call counts from its claim until rate_interval '
    'after its end, so that no window of that length, wherever it begins, sees more than rate_limit calls arrive.';
comment on column reconcile.spent_calls.provider_id is 'The provider.';
comment on column reconcile.spent_calls.ended_at is 'When the calls ended, by the steady clock.';
comment on column reconcile.spent_calls.calls is 'How many.';

create sequence reconcile.order_ids;

create table reconcile.tracked_orders (
    order_id bigint primary key default nextval('reconcile.order_ids'),
    order_number text collate "C" not null unique check (length(order_number) between 1 and 500),
    provider_id integer not null references reconcile.providers,
    reference text check (length(reference) between 1 and 500),
    amount numeric,
    currency text,
    details jsonb not null default '{}',
    state text not null default 'pending'
        check (state in ('pending', 'processing', 'succeeded', 'failed', 'cancelled', 'refunded', 'review')),
    settled_by text check (settled_by in ('provider', 'giving_up', 'operator', 'application')),
    transaction_id text,
    captured jsonb not null default '{}',
    refunded_amount numeric,
    provider_status text,
    last_outcome text,
    last_checked_at timestamptz,
    attempt integer not null default 0,
    tries integer not null default 0,
    faults integer not null default 0,
    created_at timestamptz not null,
    tracked_at timestamptz not null default clock_timestamp(),
    state_changed_at timestamptz not null default clock_timestamp(),
    attachment_id integer,
    own_number text,
    reference_found boolean not null default false,
    check ((settled_by is null) = (state in ('pending', 'processing')))
) with (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02);

create index tracked_orders_open on reconcile.tracked_orders (provider_id, created_at) where state in ('pending', 'processing');
create index tracked_orders_in_review on reconcile.tracked_orders (state_changed_at) where state = 'review';
create index tracked_orders_reference on reconcile.tracked_orders (reference, provider_id) where reference is not null;
create index tracked_orders_attached on reconcile.tracked_orders (attachment_id, order_id)
    where attachment_id is not null and state in ('pending', 'processing', 'review');

comment on table reconcile.tracked_orders is 'The orders that are kept true.';
comment on column reconcile.tracked_orders.order_id is 'The order inside the ledger.';
comment on column reconcile.tracked_orders.order_number is 'The order, as everyone knows it.';
comment on column reconcile.tracked_orders.provider_id is 'Who is asked about it.';
comment on column reconcile.tracked_orders.reference is 'The provider''s own id for it.';
comment on column reconcile.tracked_orders.amount is 'What it should cost, in major units.';
comment on column reconcile.tracked_orders.currency is 'ISO 4217 code of amount.';
comment on column reconcile.tracked_orders.details is 'Whatever the application wants kept with it; templates may name its members, as in {details.account}.';
comment on column reconcile.tracked_orders.state is 'Where it stands.';
comment on column reconcile.tracked_orders.settled_by is 'Who put it there: provider, giving_up, operator, application; NULL while it is open.';
comment on column reconcile.tracked_orders.transaction_id is 'The provider''s transaction id.';
comment on column reconcile.tracked_orders.captured is 'Values of the answers, by the provider''s captures.';
comment on column reconcile.tracked_orders.refunded_amount is 'What was paid back so far, by the provider''s word, in major units.';
comment on column reconcile.tracked_orders.provider_status is 'The provider''s latest word.';
comment on column reconcile.tracked_orders.last_outcome is 'What the latest check meant.';
comment on column reconcile.tracked_orders.last_checked_at is 'When the latest check came back.';
comment on column reconcile.tracked_orders.attempt is 'Its place in the schedule.';
comment on column reconcile.tracked_orders.tries is 'Answers without a final word.';
comment on column reconcile.tracked_orders.faults is 'Checks without an answer, in a row.';
comment on column reconcile.tracked_orders.created_at is 'When the application created it: the schedule and the grace count from here.';
comment on column reconcile.tracked_orders.tracked_at is 'When it became known here: a deadline counts from here, or from created_at if that is later.';
comment on column reconcile.tracked_orders.state_changed_at is 'Since when it is in its state.';
comment on column reconcile.tracked_orders.attachment_id is 'The attached table that its row stands in; NULL when it was tracked by hand.';
comment on column reconcile.tracked_orders.own_number is
    'The number that its row has, where the ledger puts a prefix before it; NULL when it is the order''s number.';

comment on column reconcile.tracked_orders.reference_found is
    'Whether its reference was found by its number, and is not the application''s word.';

create table reconcile.due_checks (
    order_id bigint primary key,
    provider_id integer not null,
    due_at timestamptz not null,
    urgent boolean not null default false
) with (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_insert_scale_factor = 0.05);

create index due_checks_in_order on reconcile.due_checks (provider_id, due_at);
create index due_checks_urgent on reconcile.due_checks (provider_id, due_at) where urgent;

comment on table reconcile.due_checks is 'The queue: when each order is asked about next.';
comment on column reconcile.due_checks.order_id is 'The order.';
comment on column reconcile.due_checks.provider_id is 'Who will be asked.';
comment on column reconcile.due_checks.due_at is 'When.';
comment on column reconcile.due_checks.urgent is 'Whether a person waits for the answer.';

create sequence reconcile.lease_tokens;

create table reconcile.leases (
    order_id bigint primary key,
    token bigint not null default nextval('reconcile.lease_tokens'),
    provider_id integer not null,
    provider_version integer not null,
    source text not null check (source in ('sidecar', 'lookup', 'webhook')),
    sidecar_id bigint,
    claimed_at timestamptz not null,
    expires_at timestamptz not null,
    awaited boolean not null,
    rung boolean not null default false,
    by_order_number boolean not null default false,
    check ((source = 'sidecar') = (sidecar_id is not null))
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

create index leases_expiry on reconcile.leases (expires_at);

comment on table reconcile.leases is 'Checks that are being made: one sidecar''s right to one check, for a while.';
comment on column reconcile.leases.order_id is 'The order.';
comment on column reconcile.leases.token is 'Fences the report: it only grows, and a report with an older one changes nothing.';
comment on column reconcile.leases.provider_id is 'Who is asked.';
comment on column reconcile.leases.provider_version is 'By which version of the provider''s row: the answer is read by the same.';
comment on column reconcile.leases.source is 'Who asks: a sidecar, a lookup in this database, or nobody, where a webhook tells.';
comment on column reconcile.leases.sidecar_id is 'Which sidecar; NULL for the others.';
comment on column reconcile.leases.claimed_at is 'Since when.';
comment on column reconcile.leases.expires_at is 'From when on the order goes back to the queue, by the steady clock.';
comment on column reconcile.leases.awaited is 'Whether a person waits for the answer.';
comment on column reconcile.leases.rung is 'Whether a webhook came meanwhile: the answer may be older, so it is asked again at once.';

comment on column reconcile.leases.by_order_number is 'Whether it is asked without a reference, by the order''s number: the answer is read so.';

create sequence reconcile.sidecar_ids;

create table reconcile.registered_sidecars (
    sidecar_id bigint primary key default nextval('reconcile.sidecar_ids'),
    name text not null,
    version text not null,
    slots integer not null,
    started_at timestamptz not null default clock_timestamp(),
    heartbeat_at timestamptz not null default reconcile_internal._steady_now(),
    stopped_at timestamptz,
    in_flight integer not null default 0,
    reported bigint not null default 0,
    stale_reports bigint not null default 0,
    session text,
    server_life timestamptz,
    lost_at timestamptz
) with (fillfactor = 50);

comment on table reconcile.registered_sidecars is 'The processes that ask providers.';
comment on column reconcile.registered_sidecars.sidecar_id is 'One run of one process.';
comment on column reconcile.registered_sidecars.name is 'Host and process, or what its operator calls it.';
comment on column reconcile.registered_sidecars.version is 'Its version.';
comment on column reconcile.registered_sidecars.slots is 'Most calls that it makes at a time.';
comment on column reconcile.registered_sidecars.started_at is 'When it began.';
comment on column reconcile.registered_sidecars.heartbeat_at is 'When it was last heard of, by the steady clock.';
comment on column reconcile.registered_sidecars.stopped_at is 'When it said goodbye.';
comment on column reconcile.registered_sidecars.in_flight is 'Calls that it is making, by its own count.';
comment on column reconcile.registered_sidecars.reported is 'Checks that it has reported.';
comment on column reconcile.registered_sidecars.stale_reports is 'Reports that came after their lease had run out and changed nothing.';

comment on column reconcile.registered_sidecars.session is
    'What all its connections are called, and nobody else''s; NULL when they have no name of their own.';
comment on column reconcile.registered_sidecars.server_life is 'Since when the server has been up that it was last heard of by.';
comment on column reconcile.registered_sidecars.lost_at is
    'When it was found dead, and what it held was put back, by the steady clock; NULL while it lives or may live.';

create sequence reconcile.test_ids;

create table reconcile.provider_tests (
    test_id bigint primary key,
    provider_id integer not null,
    provider_version integer not null,
    order_number text not null,
    reference text,
    requested_at timestamptz not null default clock_timestamp(),
    token bigint,
    sidecar_id bigint,
    claimed_at timestamptz,
    answered_at timestamptz,
    duration_ms integer,
    fault text,
    http_status integer,
    detail text,
    body text
);

comment on table reconcile.provider_tests is
    'Questions put by test_provider, about no tracked order; forgotten when they are answered or an hour old.';
comment on column reconcile.provider_tests.test_id is 'The test.';
comment on column reconcile.provider_tests.provider_id is 'Who is asked.';
comment on column reconcile.provider_tests.provider_version is 'By which version of the provider''s row.';
comment on column reconcile.provider_tests.order_number is 'What the templates are filled in with.';
comment on column reconcile.provider_tests.reference is 'What the templates are filled in with.';
comment on column reconcile.provider_tests.requested_at is 'When it was asked for.';
comment on column reconcile.provider_tests.token is 'Fences the answer.';
comment on column reconcile.provider_tests.sidecar_id is 'Who asks.';
comment on column reconcile.provider_tests.claimed_at is 'When it was handed to a sidecar.';
comment on column reconcile.provider_tests.answered_at is 'When the answer came.';
comment on column reconcile.provider_tests.duration_ms is 'How long the call took.';
comment on column reconcile.provider_tests.fault is 'What went wrong on the wire.';
comment on column reconcile.provider_tests.http_status is 'The answer''s HTTP status.';
comment on column reconcile.provider_tests.detail is 'For people: what was wrong with the call.';
comment on column reconcile.provider_tests.body is 'The answer, with secrets masked.';

create sequence reconcile.run_ids;

create table reconcile.recorded_runs (
    run_id bigint primary key default nextval('reconcile.run_ids'),
    started_at timestamptz not null default clock_timestamp(),
    started_by text not null default session_user,
    arguments jsonb not null,
    selected integer not null,
    closed integer not null,
    given_up integer not null
);

create index recorded_runs_started_at on reconcile.recorded_runs (started_at);

comment on table reconcile.recorded_runs is 'Each call of reconcile_stale_orders.';
comment on column reconcile.recorded_runs.run_id is 'The run.';
comment on column reconcile.recorded_runs.started_at is 'When.';
comment on column reconcile.recorded_runs.started_by is 'The role that called it.';
comment on column reconcile.recorded_runs.arguments is 'What it was called with.';
comment on column reconcile.recorded_runs.selected is 'Orders whose check was made due.';
comment on column reconcile.recorded_runs.closed is 'Orders settled inside the database, without a sidecar.';
comment on column reconcile.recorded_runs.given_up is 'Orders that went to review because their provider could not be asked.';

-- A dump holds the data of an extension's tables only where the extension says so. The sidecars' register starts anew.
select pg_catalog.pg_extension_config_dump('reconcile.settings', '');
select pg_catalog.pg_extension_config_dump('reconcile.provider_ids', '');
select pg_catalog.pg_extension_config_dump('reconcile.providers', '');
select pg_catalog.pg_extension_config_dump('reconcile.provider_versions', '');
select pg_catalog.pg_extension_config_dump('reconcile.provider_traffic', '');
select pg_catalog.pg_extension_config_dump('reconcile.ended_calls', '');
select pg_catalog.pg_extension_config_dump('reconcile.mended_providers', '');
select pg_catalog.pg_extension_config_dump('reconcile.spent_calls', '');
select pg_catalog.pg_extension_config_dump('reconcile.order_ids', '');
select pg_catalog.pg_extension_config_dump('reconcile.tracked_orders', '');
select pg_catalog.pg_extension_config_dump('reconcile.due_checks', '');
select pg_catalog.pg_extension_config_dump('reconcile.lease_tokens', '');
select pg_catalog.pg_extension_config_dump('reconcile.leases', '');
select pg_catalog.pg_extension_config_dump('reconcile.sidecar_ids', '');
select pg_catalog.pg_extension_config_dump('reconcile.test_ids', '');
select pg_catalog.pg_extension_config_dump('reconcile.run_ids', '');
select pg_catalog.pg_extension_config_dump('reconcile.recorded_runs', '');
