-- What a provider's row may say, field by field. A bad one is refused when it is written, with the field's name.
-- Requires: without_reference.

-- The fields that a webhook's payload is read by are fields of the provider's row, and have to be as sound as those.
create function reconcile_internal._webhook_problem(p_row reconcile.providers) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    v_readable constant text[] := '{evidence,order_number_path,reference_path,status_path,status_map,rules,amount_path,amount_unit,amounts_add_up,'
        'currency_path,currency,refunded_path,transaction_id_path,captures,may_be_silent_on}';
    v_row reconcile.providers;
    v_problem text;
begin
    if p_row.webhook is null or p_row.webhook = '{}' then
        return null;
    end if;
    if jsonb_typeof(p_row.webhook) <> 'object' then
        return 'it is not an object';
    end if;
    v_problem := (select min(k) from jsonb_object_keys(p_row.webhook) as k where k <> all (v_readable));
    if v_problem is not null then
        return format('%L is not one of its members: use %s', left(v_problem, 40), array_to_string(v_readable, ', '));
    end if;
    if jsonb_typeof(p_row.webhook -> 'evidence') <> 'boolean' then
        return 'evidence is true or false';
    end if;
    if p_row.kind = 'sql' and (p_row.webhook ->> 'evidence')::boolean then
        return 'the truth is in this database, so an event can only ring';
    end if;
    begin
        v_problem := (
            select format('%s finds the order, so it can''t name $order_number, $own_number or $reference', path.name)
            from (values ('order_number_path', p_row.webhook ->> 'order_number_path'), ('reference_path', p_row.webhook ->> 'reference_path'))
                as path (name, path)
            where reconcile_internal._variables_of(path.path::jsonpath) <> '{}'
            limit 1
        );
        v_problem := coalesce(v_problem, reconcile_internal._path_problem(p_row.webhook ->> 'order_number_path', false));
        if v_problem is not null then
            return v_problem;
        end if;
        v_row := jsonb_populate_record(p_row, p_row.webhook - '{evidence,order_number_path}'::text[] || '{"webhook": {}, "without_reference": {}}');
        perform reconcile_internal._refuse_unsound(v_row);
        return null;
    exception
        when others then
            return sqlerrm;
    end;
end
$$;

comment on function reconcile_internal._webhook_problem(reconcile.providers) is
    'What is wrong with how a provider''s webhooks are read; NULL when it will do.';

-- Asked the same for every order, a provider answers the same for every order: what is read of it has to be this order's.
create function reconcile_internal._asks_nobody_in_particular(p_row reconcile.providers) returns boolean
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select p_row.url is not null and not reconcile_internal.depends_on_order(p_row.url, p_row.headers, p_row.body) and (
        p_row.status_map <> '{}' and reconcile_internal._variables_of(p_row.status_path) = '{}'
        or exists (
            select from jsonb_array_elements(case when reconcile_internal.rules_error(p_row.rules) is null then p_row.rules else '[]' end) as rule
            where rule ->> 'means' in ('succeeded', 'failed', 'cancelled', 'refunded')
              and reconcile_internal._variables_of((rule ->> 'when')::jsonpath) = '{}'
        )
    )
$$;

comment on function reconcile_internal._asks_nobody_in_particular(reconcile.providers) is
    'Whether a provider is asked the same for every order, and is read without saying whose answer it is.';

create function reconcile_internal._complaints_of_asking(p_row reconcile.providers)
returns table (field text, problem text, remedy text)
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    v_variables jsonb := coalesce(p_row.variables, '{}');
    v_request_error text;
begin
    if coalesce(jsonb_typeof(p_row.headers), 'object') = 'object' then
        v_request_error := reconcile_internal.request_error(coalesce(p_row.headers, '{}'), p_row.body, v_variables);
    end if;
    return query
    select complaint.field, complaint.problem, complaint.remedy
    from (values
        ('name', p_row.name !~ '^[a-z][a-z0-9_]{0,62}$', format('%L is not a provider''s name', left(p_row.name, 80)),
            'Use small letters, digits and _, beginning with a letter, 63 at most.'),
        (split_part(v_request_error, ': ', 1), v_request_error is not null,
            substr(v_request_error, strpos(v_request_error, ': ') + 2),
            'The variables are order_number, own_number, reference, the constants in variables and details.… of the order; a brace itself is written \{.'),
        ('kind', p_row.kind not in ('http', 'sql'), format('%L is not a kind', left(p_row.kind, 20)), 'Use http or sql.'),
        ('url', p_row.kind = 'sql' and p_row.url is not null, 'a provider of kind sql has none', 'Leave it out.'),
        ('url', reconcile_internal.url_template_error(p_row.url, v_variables) is not null,
            reconcile_internal.url_template_error(p_row.url, v_variables),
            'Write a template such as https://api.vendor.example/orders/{order_number}?invoice={reference}.'),
        ('method', p_row.method not in ('GET', 'POST', 'PUT'), format('%L is not a method', left(p_row.method, 20)), 'Use GET, POST or PUT.'),
        ('body', p_row.body is not null and coalesce(p_row.method, 'GET') = 'GET', 'a GET carries none', 'Use method => ''POST'' or ''PUT''.'),
        ('headers', reconcile_internal.headers_error(p_row.headers) is not null, reconcile_internal.headers_error(p_row.headers),
            'Write an object such as {"Accept": "application/json"}; what is secret belongs in auth.'),
        ('auth', reconcile_internal.auth_error(p_row.auth) is not null, reconcile_internal.auth_error(p_row.auth),
            'Write {"kind": "none"}, {"kind": "bearer", "secret": "NAME"}, or another kind: see "Ways to ask and to sign" in sidecar/README.md.')
    ) as complaint (field, refused, problem, remedy)
    where complaint.refused;
end
$$;

comment on function reconcile_internal._complaints_of_asking(reconcile.providers) is
    'What is wrong with how a provider is asked: the field, what it is and what would do.';

create function reconcile_internal._complaints_of_reading(p_row reconcile.providers)
returns table (field text, problem text, remedy text)
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    v_path_field text;
    v_path_error text;
    v_unmasked text;
    v_masked_field text;
    v_masked text;
begin
    select bad.field, bad.problem into v_path_field, v_path_error from reconcile_internal._bad_path(p_row) as bad;
    if v_path_error is null then
        select masked.field, masked.problem into v_masked_field, v_masked from reconcile_internal._masked_path(p_row) as masked;
        select min(capture.key) into v_unmasked
        from jsonb_each(coalesce(reconcile_internal.full_captures(p_row.captures), '{}')) as capture
        where (capture.value ->> 'sensitive')::boolean and (capture.value ->> 'path')::jsonpath::text !~ E'\\."([^"\\\\]|\\\\.)*"(\\[[^]"]*\\])*$';
    end if;
    return query
    select complaint.field, complaint.problem, complaint.remedy
    from (values
        ('webhook', reconcile_internal._webhook_problem(p_row) is not null, reconcile_internal._webhook_problem(p_row),
            'Write {} for a doorbell, or {"evidence": true, "status_path": "$.data.status", "reference_path": "$.data.id"}.'),
        ('without_reference', v_path_error is null and v_masked is null and reconcile_internal._second_way_problem(p_row) is not null,
            reconcile_internal._second_way_problem(p_row),
            'Write the fields that differ, as in {"url": "https://api.vendor.example/orders?number={order_number}", "status_path": "$.orders[*].status"}.'),
        -- Of the whole row alone: a part of it does not say what the rest is.
        ('url', p_row.provider_id is not null and v_path_error is null and reconcile_internal._asks_nobody_in_particular(p_row),
            'neither it nor headers and body depend on the order, so every order would be closed by the same answer',
            'Write {order_number} or {reference} into one of them, or choose the order''s own element in status_path and in every rule, as in '
            '$.orders[*] ? (@.id == $reference).status.'),
        (v_masked_field, v_masked is not null, v_masked,
            'Name another member; a capture that has to be kept all the same is marked: {"path": "$.…", "sensitive": true}.'),
        ('rules', reconcile_internal.rules_error(p_row.rules) is not null, reconcile_internal.rules_error(p_row.rules),
            'Write [{"when": "$.status == \"paid\"", "means": "succeeded"}]: the first that holds decides.'),
        ('http_outcomes', reconcile_internal.http_outcomes_error(p_row.http_outcomes) is not null,
            reconcile_internal.http_outcomes_error(p_row.http_outcomes), 'Write an object such as {"404": "pending", "5xx": "body"}.'),
        ('captures', reconcile_internal.captures_error(p_row.captures) is not null, reconcile_internal.captures_error(p_row.captures),
            'Write an object such as {"pin_code": {"path": "$.data.pin", "sensitive": true}}.'),
        ('captures', v_unmasked is not null, format('%L is sensitive, and its path does not end with the name of a member', v_unmasked),
            'End it as in $.data.pin: by that name the value is masked in what is kept of the answer.'),
        (v_path_field, v_path_error is not null, v_path_error,
            'Write jsonpath that PostgreSQL evaluates by itself: a path as $.data.status, in rules a predicate as $.status == "paid". Its variables '
            'are $order_number, $own_number and $reference.'),
        ('status_map', p_row.status_map = '{}' and coalesce(p_row.rules, '[]') = '[]',
            'it is empty and there are no rules, so no answer could ever close an order', 'Write a status_map or rules.'),
        ('status_map', p_row.status_map <> '{}' and reconcile_internal.status_map_error(p_row.status_map) is not null,
            reconcile_internal.status_map_error(p_row.status_map),
            'Write an object such as {"paid": "succeeded", "declined": "failed", "open": "pending"}.')
    ) as complaint (field, refused, problem, remedy)
    where complaint.refused;
end
$$;

comment on function reconcile_internal._complaints_of_reading(reconcile.providers) is
    'What is wrong with how a providers answers are read.';

create function reconcile_internal._complaints_of_comparing(p_row reconcile.providers)
returns table (field text, problem text, remedy text)
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    return query
    select complaint.field, complaint.problem, complaint.remedy
    from (values
        ('amount_unit', p_row.amount_unit not in ('major', 'minor'), format('%L is not a unit', left(p_row.amount_unit, 20)),
            'Use major (12.34) or minor (1234).'),
        ('currency', p_row.currency !~ '^[A-Z]{3}$', format('%L is not a currency', left(p_row.currency, 20)),
            'Write its three capitals.'),
        ('currency_exponents', reconcile_internal.currency_exponents_error(p_row.currency_exponents) is not null,
            reconcile_internal.currency_exponents_error(p_row.currency_exponents), 'Write an object such as {"IDR": 0}.'),
        ('refunded_path', reconcile_internal._finds_twice(p_row.refunded_path), 'a ** finds what stands in a list twice, and refunds are added up',
            'Name the members on the way, as in $.refunds[*].amount, or begin the path with strict.'),
        ('amount_path', p_row.amounts_add_up and reconcile_internal._finds_twice(p_row.amount_path),
            'a ** finds what stands in a list twice, and amounts are added up', 'Name the members on the way, as in $.captures[*].amount, or begin the path with strict.'),
        ('amounts_add_up', p_row.provider_id is not null and p_row.amounts_add_up and p_row.amount_path is null, 'there is no amount_path',
            'Say where the amounts stand.'),
        ('may_be_silent_on', not coalesce(p_row.may_be_silent_on <@ '{amount,currency,reference}', true),
            format('%s is not of what is compared', left(p_row.may_be_silent_on::text, 80)), 'Name of amount, currency and reference those that a success may leave out.'),
        ('sensitive', array_position(p_row.sensitive, null) is not null, 'it holds a NULL',
            'Name members of the answer, as in {pin_code}.')
    ) as complaint (field, refused, problem, remedy)
    where complaint.refused;
end
$$;

comment on function reconcile_internal._complaints_of_comparing(reconcile.providers) is
    'What is wrong with what a providers answers are compared by.';

create function reconcile_internal._refuse_unsound(p_row reconcile.providers) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_complaint record;
    -- The first of the fields that hold whatever one writes into them.
    v_large text := (
        select min(large.field) from (values ('variables', p_row.variables), ('headers', p_row.headers), ('body', p_row.body), ('auth', p_row.auth),
            ('status_map', p_row.status_map), ('rules', p_row.rules), ('captures', p_row.captures), ('http_outcomes', p_row.http_outcomes),
            ('webhook', p_row.webhook), ('without_reference', p_row.without_reference)) as large (field, value)
        where reconcile_internal._json_problem(large.value) is not null
    );
begin
    if v_large is not null then
        raise exception 'provider %: %: it is too large, or holds a number that is', left(p_row.name, 80), v_large
            using errcode = 'RC003', hint = '64 kB are kept at most.', column = v_large, table = 'providers', schema = 'reconcile';
    end if;
    -- The first complaint is raised: one sentence that names the field, what is wrong and what would do.
    select complaint.* into v_complaint
    from (
        select asking.* from reconcile_internal._complaints_of_asking(p_row) as asking
        union all select reading.* from reconcile_internal._complaints_of_reading(p_row) as reading
        union all select comparing.* from reconcile_internal._complaints_of_comparing(p_row) as comparing
        union all select ending.* from reconcile_internal._complaints_of_ending(p_row) as ending
        union all select limits.* from reconcile_internal._complaints_of_limits(p_row) as limits
    ) as complaint
    limit 1;
    if found then
        raise exception 'provider %: %: %', left(p_row.name, 80), v_complaint.field, v_complaint.problem
            using errcode = 'RC003', hint = v_complaint.remedy, column = v_complaint.field, table = 'providers', schema = 'reconcile';
    end if;
end
$$;

comment on function reconcile_internal._refuse_unsound(reconcile.providers) is
    'Refuses a provider that can''t work, and says which field is why. A field that is NULL is not looked at.';

create function reconcile_internal._check_provider() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    perform reconcile_internal._refuse_unsound(new);
    return new;
end
$$;

comment on function reconcile_internal._check_provider() is 'Refuses an unsound row, whoever writes it.';

create trigger providers_checked before insert or update on reconcile.providers
    for each row execute function reconcile_internal._check_provider();
