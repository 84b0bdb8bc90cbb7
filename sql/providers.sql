-- Providers as rows: written by a DBA, checked field by field, kept in all their versions.
-- Requires: audit.

create function reconcile._refuse_unsound(p_row reconcile.providers) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_complaint record;
    v_seconds constant text := 'a time between 1 second and ';
begin
    -- The first complaint is raised: one sentence that names the field, what is wrong and what would do.
    select complaint.* into v_complaint
    from (values
        ('name', p_row.name !~ '^[a-z][a-z0-9_]{0,62}$', format('%L is not a provider''s name', left(p_row.name, 80)),
            'Use small letters, digits and _, beginning with a letter, 63 at most.'),
        ('url', reconcile.url_template_error(p_row.url) is not null, reconcile.url_template_error(p_row.url),
            'Write a template such as https://api.vendor.example/orders/{order_number}?invoice={reference}.'),
        ('headers', reconcile.headers_error(p_row.headers) is not null, reconcile.headers_error(p_row.headers),
            'Write an object such as {"Accept": "application/json"}.'),
        ('auth', reconcile.auth_error(p_row.auth) is not null, reconcile.auth_error(p_row.auth),
            'Write {"kind": "none"}, {"kind": "bearer", "secret": "NAME"}, {"kind": "basic", "username_secret": "NAME", '
            '"password_secret": "NAME"} or {"kind": "header", "header": "X-API-Key", "secret": "NAME"}.'),
        ('status_map', reconcile.status_map_error(p_row.status_map) is not null, reconcile.status_map_error(p_row.status_map),
            'Write an object such as {"paid": "succeeded", "declined": "failed", "open": "pending"}.'),
        ('amount_unit', p_row.amount_unit not in ('major', 'minor'), format('%L is not a unit', p_row.amount_unit),
            'Use major (12.34) or minor (1234).'),
        ('sensitive', array_position(p_row.sensitive, null) is not null, 'it holds a NULL', 'Name members of the answer, as in {pin_code}.'),
        ('schedule', reconcile.schedule_error(p_row.schedule) is not null, reconcile.schedule_error(p_row.schedule),
            'Write steps such as 60s, 30s x3, 1m, then 5m, or then 30s growing by 2 up to 10m.'),
        ('max_tries', p_row.max_tries not between 1 and 100000, format('%s is out of range', p_row.max_tries), 'Use 1 to 100000, or NULL for no limit.'),
        ('deadline', p_row.deadline not between '1 second' and '10 years', format('%s is out of range', p_row.deadline),
            'Use ' || v_seconds || '10 years, or NULL for no limit.'),
        ('not_found_grace', p_row.not_found_grace not between '0' and '1 year', format('%s is out of range', p_row.not_found_grace),
            'Use a time between 0 and 1 year.'),
        ('not_found_as', p_row.not_found_as not in ('pending', 'failed', 'cancelled', 'review'), format('%L is not an ending', p_row.not_found_as),
            'Use pending, failed, cancelled or review.'),
        ('gives_up_as', p_row.gives_up_as not in ('failed', 'cancelled', 'review'), format('%L is not an ending', p_row.gives_up_as),
            'Use failed, cancelled or review.'),
        ('late_success', p_row.late_success not in ('revive', 'review'), format('%L is not a policy', p_row.late_success), 'Use revive or review.'),
        ('late_watch', p_row.late_watch <> 'none' and coalesce(reconcile.schedule_error(p_row.late_watch), '') <> '',
            reconcile.schedule_error(p_row.late_watch), 'Write steps such as 1h, 23h, 2d, or none.'),
        ('rate_limit', p_row.rate_limit not between 1 and 1000000, format('%s is out of range', p_row.rate_limit), 'Use 1 to 1000000 calls a rate_interval, or NULL for no limit.'),
        ('rate_interval', p_row.rate_interval not between '1 second' and '1 day', format('%s is out of range', p_row.rate_interval), 'Use ' || v_seconds || '1 day.'),
        ('concurrency', p_row.concurrency not between 1 and 10000, format('%s is out of range', p_row.concurrency), 'Use 1 to 10000 calls at a time.'),
        ('timeout', p_row.timeout not between '100 milliseconds' and '5 minutes', format('%s is out of range', p_row.timeout), 'Use a time between 100 milliseconds and 5 minutes.')
    ) as complaint (field, refused, problem, remedy)
    where complaint.refused
    limit 1;
    if found then
        raise exception 'provider %: %: %', p_row.name, v_complaint.field, v_complaint.problem
            using errcode = 'RC003', hint = v_complaint.remedy, column = v_complaint.field, table = 'providers', schema = 'reconcile';
    end if;
end
$$;

comment on function reconcile._refuse_unsound(reconcile.providers) is
    'Refuses a provider that can''t work, and says which field is why. A field that is NULL is not looked at.';

create function reconcile._check_provider() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    perform reconcile._refuse_unsound(new);
    return new;
end
$$;

comment on function reconcile._check_provider() is 'Refuses an unsound row, whoever writes it.';

create trigger providers_checked before insert or update on reconcile.providers
    for each row execute function reconcile._check_provider();

create function reconcile._given(p_fields jsonb) returns jsonb
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$
    -- Not jsonb_strip_nulls, which would also reach into a status map and lose a word there.
    select coalesce(jsonb_object_agg(field.key, field.value) filter (where field.value <> 'null'), '{}')
    from jsonb_each(p_fields) as field;
$$;

comment on function reconcile._given(jsonb) is 'The fields that were given: those that are not NULL.';

-- Adding and altering share this: the fields that were given, by name, over what is there or over the defaults.
create function reconcile._write_provider(p_name text, p_fields jsonb, p_new boolean) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    v_old reconcile.providers;
    v_new reconcile.providers;
    -- Assigned, not performed: an error's context then is two lines and not two pages.
    v_sound text := reconcile._refuse_unsound(jsonb_populate_record(null::reconcile.providers, p_fields || jsonb_build_object('name', p_name)));
begin
    if p_new then
        -- The defaults stand in the table's definition and nowhere else: the row begins with only what must be given.
        insert into reconcile.providers (name, url, status_map)
        values (p_name, p_fields ->> 'url', p_fields -> 'status_map')
        returning * into v_old;
        insert into reconcile.provider_traffic (provider_id) values (v_old.provider_id);
        perform reconcile._ensure_partitions();
    else
        v_old := reconcile._provider(p_name);
        select p.* into v_old from reconcile.providers as p where p.provider_id = v_old.provider_id for update;
    end if;
    v_new := jsonb_populate_record(v_old, p_fields);
    update reconcile.providers as p
    set version = case when p_new then 1 else p.version + 1 end,
        url = v_new.url, headers = v_new.headers, auth = v_new.auth,
        status_path = v_new.status_path, status_map = v_new.status_map, transaction_id_path = v_new.transaction_id_path,
        amount_path = v_new.amount_path, amount_unit = v_new.amount_unit, currency_path = v_new.currency_path,
        reference_path = v_new.reference_path, sensitive = v_new.sensitive,
        schedule = v_new.schedule, max_tries = v_new.max_tries, deadline = v_new.deadline,
        not_found_grace = v_new.not_found_grace, not_found_as = v_new.not_found_as, gives_up_as = v_new.gives_up_as,
        late_success = v_new.late_success, late_watch = v_new.late_watch,
        rate_limit = v_new.rate_limit, rate_interval = v_new.rate_interval, concurrency = v_new.concurrency,
        timeout = v_new.timeout
    where p.provider_id = v_old.provider_id;
    insert into reconcile.provider_versions (provider_id, version, settings)
    select p.provider_id, p.version, to_jsonb(p) from reconcile.providers as p where p.provider_id = v_old.provider_id;
exception
    when unique_violation then
        raise exception 'provider % exists already', p_name
            using errcode = 'RC003', hint = 'Change it with reconcile.alter_provider.';
end
$$;

comment on function reconcile._write_provider(text, jsonb, boolean) is 'Writes a provider''s row and its version.';

create function reconcile._provider(p_name text) returns reconcile.providers
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    v_provider reconcile.providers;
begin
    select p.* into v_provider from reconcile.providers as p where p.name = p_name;
    if not found then
        raise exception 'there is no provider %', coalesce(quote_literal(left(p_name, 80)), 'NULL')
            using errcode = 'RC002', hint = 'The providers are in reconcile.provider_health; add one with reconcile.add_provider.';
    end if;
    return v_provider;
end
$$;

comment on function reconcile._provider(text) is 'A provider by its name, or an error that says so.';

create function reconcile.add_provider(
    name text,
    url text,
    status_map jsonb,
    status_path jsonpath default null,
    auth jsonb default null,
    headers jsonb default null,
    transaction_id_path jsonpath default null,
    amount_path jsonpath default null,
    amount_unit text default null,
    currency_path jsonpath default null,
    reference_path jsonpath default null,
    sensitive text[] default null,
    schedule text default null,
    max_tries integer default null,
    deadline interval default null,
    not_found_grace interval default null,
    not_found_as text default null,
    gives_up_as text default null,
    late_success text default null,
    late_watch text default null,
    rate_limit integer default null,
    rate_interval interval default null,
    concurrency integer default null,
    timeout interval default null
) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    v_written text;
begin
    if add_provider.name is null or add_provider.url is null or add_provider.status_map is null then
        raise exception 'a provider needs a name, a url and a status_map'
            using errcode = 'RC003', hint = 'A minimal one: select reconcile.add_provider(''vendor'', ''https://api.vendor.example/{order_number}'', ''{"paid": "succeeded"}'').';
    end if;
    v_written := reconcile._write_provider(
        add_provider.name,
        reconcile._given(jsonb_build_object(
            'url', url, 'status_map', status_map, 'status_path', status_path::text, 'auth', auth, 'headers', headers,
            'transaction_id_path', transaction_id_path::text, 'amount_path', amount_path::text, 'amount_unit', amount_unit,
            'currency_path', currency_path::text, 'reference_path', reference_path::text, 'sensitive', to_jsonb(sensitive),
            'schedule', schedule, 'max_tries', max_tries, 'deadline', deadline, 'not_found_grace', not_found_grace,
            'not_found_as', not_found_as, 'gives_up_as', gives_up_as, 'late_success', late_success, 'late_watch', late_watch,
            'rate_limit', rate_limit, 'rate_interval', rate_interval, 'concurrency', concurrency, 'timeout', timeout
        )),
        true
    );
end
$$;

comment on function reconcile.add_provider(
    text, text, jsonb, jsonpath, jsonb, jsonb, jsonpath, jsonpath, text, jsonpath, jsonpath, text[], text, integer,
    interval, interval, text, text, text, text, integer, interval, integer, interval
) is
    'Adds a provider. What is left out has the default of its column in reconcile.providers; a bad field is refused by name.';

create function reconcile.alter_provider(
    name text,
    url text default null,
    status_map jsonb default null,
    status_path jsonpath default null,
    auth jsonb default null,
    headers jsonb default null,
    transaction_id_path jsonpath default null,
    amount_path jsonpath default null,
    amount_unit text default null,
    currency_path jsonpath default null,
    reference_path jsonpath default null,
    sensitive text[] default null,
    schedule text default null,
    max_tries integer default null,
    deadline interval default null,
    not_found_grace interval default null,
    not_found_as text default null,
    gives_up_as text default null,
    late_success text default null,
    late_watch text default null,
    rate_limit integer default null,
    rate_interval interval default null,
    concurrency integer default null,
    timeout interval default null,
    clear text[] default '{}'
) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    v_clearable constant text[] :=
        '{transaction_id_path, amount_path, currency_path, reference_path, max_tries, deadline, rate_limit}';
    v_field text;
    v_cleared jsonb := '{}';
    v_written text;
begin
    foreach v_field in array coalesce(alter_provider.clear, '{}') loop
        if v_field is null or v_field <> all (v_clearable) then
            raise exception 'provider %: % can''t be cleared', alter_provider.name, coalesce(v_field, 'NULL')
                using errcode = 'RC003', hint = 'These can: ' || array_to_string(v_clearable, ', ') || '.';
        end if;
        v_cleared := v_cleared || jsonb_build_object(v_field, null);
    end loop;
    v_written := reconcile._write_provider(
        alter_provider.name,
        reconcile._given(jsonb_build_object(
            'url', url, 'status_map', status_map, 'status_path', status_path::text, 'auth', auth, 'headers', headers,
            'transaction_id_path', transaction_id_path::text, 'amount_path', amount_path::text, 'amount_unit', amount_unit,
            'currency_path', currency_path::text, 'reference_path', reference_path::text, 'sensitive', to_jsonb(sensitive),
            'schedule', schedule, 'max_tries', max_tries, 'deadline', deadline, 'not_found_grace', not_found_grace,
            'not_found_as', not_found_as, 'gives_up_as', gives_up_as, 'late_success', late_success, 'late_watch', late_watch,
            'rate_limit', rate_limit, 'rate_interval', rate_interval, 'concurrency', concurrency, 'timeout', timeout
        )) || v_cleared,
        false
    );
end
$$;

comment on function reconcile.alter_provider(
    text, text, jsonb, jsonpath, jsonb, jsonb, jsonpath, jsonpath, text, jsonpath, jsonpath, text[], text, integer,
    interval, interval, text, text, text, text, integer, interval, integer, interval, text[]
) is
    'Changes what is given and keeps the rest; clear names fields that are to be empty, as in clear => ''{deadline}''.';

create function reconcile.pause_provider(name text, reason text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    v_provider reconcile.providers := reconcile._provider(pause_provider.name);
begin
    if coalesce(trim(pause_provider.reason), '') = '' then
        raise exception 'a pause needs a reason' using errcode = 'RC005', hint = 'Say why: the next person on call reads it.';
    end if;
    update reconcile.providers as p
    set paused_at = coalesce(p.paused_at, clock_timestamp()), paused_by = session_user, paused_reason = pause_provider.reason
    where p.provider_id = v_provider.provider_id;
end
$$;

comment on function reconcile.pause_provider(text, text) is 'Stops asking a provider; what is in flight is still reported.';

create function reconcile.resume_provider(name text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    v_provider reconcile.providers := reconcile._provider(resume_provider.name);
begin
    update reconcile.providers as p
    set paused_at = null, paused_by = null, paused_reason = null
    where p.provider_id = v_provider.provider_id;
    perform pg_notify('reconcile_due', '');
end
$$;

comment on function reconcile.resume_provider(text) is 'Asks a provider again after a pause.';
