-- Endpoints: where events are sent, each with its cursor in the outbox, and the calls by which operators manage them.
--
-- An endpoint's row names a secret and never holds one. What is sent when is in deliveries.sql.
-- Locks: event_endpoints by endpoint_id, then deliveries, everywhere.
-- Requires: events.

create sequence reconcile.endpoint_ids as integer;

create table reconcile.event_endpoints (
    endpoint_id integer primary key default nextval('reconcile.endpoint_ids'),
    name text not null unique,
    url text not null,
    secret text not null,
    on_states text[],
    provider_id integer references reconcile.providers,
    timeout interval not null,
    max_attempts integer not null,
    concurrency integer not null,
    read_up_to bigint not null,
    added_at timestamptz not null default clock_timestamp(),
    added_by text not null default session_user,
    paused_at timestamptz,
    paused_by text,
    paused_reason text,
    disabled_at timestamptz,
    rests_until timestamptz,
    faults integer not null default 0,
    delivered bigint not null default 0,
    last_success_at timestamptz,
    last_problem text,
    last_problem_at timestamptz
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

comment on table reconcile.event_endpoints is 'Where events are sent: one row each, written by reconcile.add_endpoint.';
comment on column reconcile.event_endpoints.endpoint_id is 'The endpoint.';
comment on column reconcile.event_endpoints.name is 'Its name, used in every call.';
comment on column reconcile.event_endpoints.url is 'Where events are posted.';
comment on column reconcile.event_endpoints.secret is 'Name of the secret that they are signed with; the sidecar has it.';
comment on column reconcile.event_endpoints.on_states is 'Only transitions to these states are sent; NULL for all.';
comment on column reconcile.event_endpoints.provider_id is 'Only events of this provider''s orders are sent; NULL for all.';
comment on column reconcile.event_endpoints.timeout is 'For a whole call.';
comment on column reconcile.event_endpoints.max_attempts is 'After so many a delivery is parked.';
comment on column reconcile.event_endpoints.concurrency is 'Calls at the same time, of all sidecars together.';
comment on column reconcile.event_endpoints.read_up_to is 'The cursor: the last event of the outbox that was read, 0 for none.';
comment on column reconcile.event_endpoints.added_at is 'Since when it is here.';
comment on column reconcile.event_endpoints.added_by is 'The role that added it, and whose session it was if that is another.';
comment on column reconcile.event_endpoints.paused_at is 'Since when nothing is sent; NULL when not paused.';
comment on column reconcile.event_endpoints.paused_by is 'The role that paused it.';
comment on column reconcile.event_endpoints.paused_reason is 'Why it was paused.';
comment on column reconcile.event_endpoints.disabled_at is 'When it answered 410, gone: nothing is sent until it is resumed.';
comment on column reconcile.event_endpoints.rests_until is 'Until when it asked not to be called (Retry-After, 5 minutes at most).';
comment on column reconcile.event_endpoints.faults is 'Attempts that failed, in a row.';
comment on column reconcile.event_endpoints.delivered is 'Events that it has taken.';
comment on column reconcile.event_endpoints.last_success_at is 'When it last took one.';
comment on column reconcile.event_endpoints.last_problem is 'What was wrong with the latest attempt that failed.';
comment on column reconcile.event_endpoints.last_problem_at is 'When that was.';

create sequence reconcile.delivery_ids;

create table reconcile.deliveries (
    delivery_id bigint primary key default nextval('reconcile.delivery_ids'),
    endpoint_id integer not null references reconcile.event_endpoints on delete cascade,
    event_id bigint not null,
    message_id text not null,
    payload text not null,
    attempts integer not null default 0,
    due_at timestamptz not null,
    token bigint,
    sidecar_id bigint,
    lease_expires_at timestamptz,
    last_status integer,
    last_problem text,
    last_attempt_at timestamptz,
    parked_at timestamptz,
    unique (endpoint_id, event_id),
    check ((token is null) = (lease_expires_at is null)),
    check (token is null or parked_at is null)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

create index deliveries_due on reconcile.deliveries (endpoint_id, due_at) where token is null and parked_at is null;
create index deliveries_leased on reconcile.deliveries (endpoint_id, lease_expires_at) where token is not null;
create index deliveries_untried on reconcile.deliveries (endpoint_id) where attempts = 0;
create index deliveries_parked on reconcile.deliveries (endpoint_id, parked_at) where parked_at is not null;

comment on table reconcile.deliveries is
    'Events on their way to an endpoint. A row goes when the endpoint has taken its event: the outbox keeps the event itself.';
comment on column reconcile.deliveries.delivery_id is 'The delivery.';
comment on column reconcile.deliveries.endpoint_id is 'Where to.';
comment on column reconcile.deliveries.event_id is 'The event.';
comment on column reconcile.deliveries.message_id is 'What the endpoint knows the event by: the same at every attempt and replay.';
comment on column reconcile.deliveries.payload is 'The body, the same at every attempt.';
comment on column reconcile.deliveries.attempts is 'How often it was tried, since it was last replayed.';
comment on column reconcile.deliveries.due_at is 'When it is tried next.';
comment on column reconcile.deliveries.token is 'Fences the report of an attempt that is under way.';
comment on column reconcile.deliveries.sidecar_id is 'Who makes that attempt.';
comment on column reconcile.deliveries.lease_expires_at is 'From when on somebody else may make it.';
comment on column reconcile.deliveries.last_status is 'HTTP status of the latest attempt.';
comment on column reconcile.deliveries.last_problem is 'What was wrong with the latest attempt.';
comment on column reconcile.deliveries.last_attempt_at is 'When that was.';
comment on column reconcile.deliveries.parked_at is 'When it was tried for the last time; NULL while it is tried.';

create function reconcile_internal._endpoint(p_name text) returns reconcile.event_endpoints
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_endpoint reconcile.event_endpoints;
begin
    select e.* into v_endpoint from reconcile.event_endpoints as e where e.name = p_name for update;
    if not found then
        raise exception 'there is no endpoint %', coalesce(left(p_name, 80), 'NULL')
            using errcode = 'RC005', hint = 'The endpoints are in reconcile.endpoints; add one with reconcile.add_endpoint.';
    end if;
    return v_endpoint;
end
$$;

comment on function reconcile_internal._endpoint(text) is 'An endpoint''s row, locked; an error when there is none.';

create function reconcile_internal._add_endpoint(p_declaration reconcile.declarations) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    v_given record;
    v_complaint record;
    v_states constant text[] := '{pending, processing, succeeded, failed, cancelled, refunded, review}';
begin
    select given.* into v_given
    from jsonb_to_record(p_declaration.arguments) as given (
        name text, url text, secret text, on_states text[], timeout interval, max_attempts integer, concurrency integer, since_event bigint,
        provider text
    );
    select complaint.* into v_complaint
    from (values
        (v_given.name ~ '^[a-z][a-z0-9_]{0,62}$', format('%L is not an endpoint''s name', left(v_given.name, 80)),
            'Use small letters, digits and _, beginning with a letter, 63 at most.'),
        (v_given.url !~ '[{}]' and reconcile_internal.url_template_error(v_given.url) is null,
            'url: ' || coalesce(
                reconcile_internal.url_template_error(v_given.url),
                case when v_given.url is null then 'it is missing' else 'it is no template here' end
            ),
            'Write an absolute URL such as https://shop.example/hooks/orders.'),
        -- The text is not repeated: whoever writes a secret here by mistake should not find it in the log as well.
        (v_given.secret ~ '^[A-Z0-9_]{1,64}$', 'secret: a secret is given by its name, in capitals, digits and _',
            'Name it as in SHOP_EVENTS, and give the secret to the sidecar as RECONCILE_SECRET_SHOP_EVENTS.'),
        (v_given.on_states is null or coalesce(cardinality(v_given.on_states) > 0
            and array_position(v_given.on_states, null) is null and v_given.on_states <@ v_states, false),
            format('on_states: %s are not all states', left(v_given.on_states::text, 200)),
            'Use some of ' || array_to_string(v_states, ', ') || ', or NULL for all.'),
        (v_given.timeout between '100 milliseconds' and '1 minute', format('timeout: %s is out of range', v_given.timeout),
            'Use a time between 100 milliseconds and 1 minute.'),
        (v_given.max_attempts between 1 and 1000, format('max_attempts: %s is out of range', v_given.max_attempts),
            'Use 1 to 1000.'),
        (v_given.concurrency between 1 and 1000, format('concurrency: %s is out of range', v_given.concurrency),
            'Use 1 to 1000 calls at a time.')
    ) as complaint (sound, problem, remedy)
    where complaint.sound is not true
    limit 1;
    if found then
        raise exception 'endpoint %: %', coalesce(left(v_given.name, 80), 'NULL'), coalesce(v_complaint.problem, 'something is NULL')
            using errcode = 'RC005', hint = v_complaint.remedy;
    end if;
    perform reconcile_internal._have_numbered();
    perform reconcile_internal._check_cursor(v_given.since_event);
    insert into reconcile.event_endpoints as e
        (name, url, secret, on_states, provider_id, timeout, max_attempts, concurrency, read_up_to, added_by)
    values (
        v_given.name, v_given.url, v_given.secret, v_given.on_states,
        case when v_given.provider is not null then (reconcile_internal._provider(v_given.provider)).provider_id end, v_given.timeout,
        v_given.max_attempts, v_given.concurrency,
        -- Without a word on it, from here on: what a transaction wrote that is under way belongs to it.
        coalesce(v_given.since_event, (select l.event_id from reconcile_internal._last_positions as l), 0),
        reconcile_internal._decided_by(p_declaration)
    )
    on conflict (name) do nothing;
    if not found then
        raise exception 'there is an endpoint % already', v_given.name
            using errcode = 'RC004', hint = 'Take another name, or remove that one with reconcile.remove_endpoint.';
    end if;
    perform reconcile_internal._tell_listeners();
end
$$;

comment on function reconcile_internal._add_endpoint(reconcile.declarations) is 'Does what add_endpoint was called for.';

create function reconcile.add_endpoint(
    name text,
    url text,
    secret text,
    on_states text[] default null,
    timeout interval default '10 seconds',
    max_attempts integer default 10,
    concurrency integer default 8,
    since_event bigint default null,
    provider text default null
) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_id bigint := reconcile_doors.declare('add_endpoint', jsonb_build_object(
        'name', name, 'url', url, 'secret', secret, 'on_states', to_jsonb(on_states), 'timeout', timeout, 'max_attempts', max_attempts,
        'concurrency', concurrency, 'since_event', since_event, 'provider', provider
    ));
    v_done jsonb;
begin
    v_done := reconcile_doors.do_declared(v_id);
end
$$;

comment on function reconcile.add_endpoint(text, text, text, text[], interval, integer, integer, bigint, text) is
    'Has events posted to a URL from the next one on, or from the one after since_event (0: all). secret names a secret.';

create function reconcile_internal._pause_endpoint(p_declaration reconcile.declarations) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_endpoint reconcile.event_endpoints := reconcile_internal._endpoint(p_declaration.arguments ->> 'name');
    v_reason text := p_declaration.arguments ->> 'reason';
begin
    if coalesce(trim(v_reason), '') = '' or length(v_reason) > 2000 then
        raise exception 'a pause needs a reason of 1 to 2000 characters' using errcode = 'RC005', hint = 'Say why: the next person on call reads it.';
    end if;
    update reconcile.event_endpoints as e
    set paused_at = coalesce(e.paused_at, clock_timestamp()), paused_by = reconcile_internal._decided_by(p_declaration), paused_reason = v_reason
    where e.endpoint_id = v_endpoint.endpoint_id;
end
$$;

comment on function reconcile_internal._pause_endpoint(reconcile.declarations) is 'Does what pause_endpoint was called for.';

create function reconcile.pause_endpoint(name text, reason text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_id bigint := reconcile_doors.declare('pause_endpoint', jsonb_build_object('name', name, 'reason', reason));
    v_done jsonb;
begin
    v_done := reconcile_doors.do_declared(v_id);
end
$$;

comment on function reconcile.pause_endpoint(text, text) is 'Sends nothing to an endpoint for a while; its events wait in the outbox.';

create function reconcile_internal._resume_endpoint(p_declaration reconcile.declarations) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_endpoint reconcile.event_endpoints := reconcile_internal._endpoint(p_declaration.arguments ->> 'name');
begin
    update reconcile.event_endpoints as e
    set paused_at = null, paused_by = null, paused_reason = null, disabled_at = null, rests_until = null, faults = 0
    where e.endpoint_id = v_endpoint.endpoint_id;
    -- Whoever resumes has mended what was wrong: the pauses that grew out of it are over.
    update reconcile.deliveries as d
    set due_at = clock_timestamp()
    where d.endpoint_id = v_endpoint.endpoint_id and d.token is null and d.parked_at is null and d.due_at > clock_timestamp();
    perform reconcile_internal._tell_listeners();
end
$$;

comment on function reconcile_internal._resume_endpoint(reconcile.declarations) is 'Does what resume_endpoint was called for.';

create function reconcile.resume_endpoint(name text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_id bigint := reconcile_doors.declare('resume_endpoint', jsonb_build_object('name', name));
    v_done jsonb;
begin
    v_done := reconcile_doors.do_declared(v_id);
end
$$;

comment on function reconcile.resume_endpoint(text) is
    'Sends to an endpoint again, and at once: after a pause, after it was disabled by a 410, or when what made attempts fail is mended.';

create function reconcile_internal._remove_endpoint(p_declaration reconcile.declarations) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_endpoint reconcile.event_endpoints := reconcile_internal._endpoint(p_declaration.arguments ->> 'name');
begin
    delete from reconcile.noted_outcomes as n where n.endpoint_id = v_endpoint.endpoint_id;
    delete from reconcile.event_endpoints as e where e.endpoint_id = v_endpoint.endpoint_id;
end
$$;

comment on function reconcile_internal._remove_endpoint(reconcile.declarations) is 'Does what remove_endpoint was called for.';

create function reconcile.remove_endpoint(name text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_id bigint := reconcile_doors.declare('remove_endpoint', jsonb_build_object('name', name));
    v_done jsonb;
begin
    v_done := reconcile_doors.do_declared(v_id);
end
$$;

comment on function reconcile.remove_endpoint(text) is 'Forgets an endpoint and what was still to be sent to it.';

-- A dump holds the data of an extension's tables only where the extension says so.
select pg_catalog.pg_extension_config_dump('reconcile.endpoint_ids', '');
select pg_catalog.pg_extension_config_dump('reconcile.event_endpoints', '');
select pg_catalog.pg_extension_config_dump('reconcile.delivery_ids', '');
select pg_catalog.pg_extension_config_dump('reconcile.deliveries', '');
