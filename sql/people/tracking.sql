-- Orders come in, and people decide about them. The queue row of an order is written with the order, never apart.
-- Requires: providers.

-- A row that nobody told of yet: taken in when somebody asks for it, and due when his transaction ends.
create function reconcile_internal._take_in_number(p_order_number text) returns reconcile.tracked_orders
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_order reconcile.tracked_orders;
    v_attachment_id integer;
    v_context text;
begin
    if current_setting('transaction_read_only')::boolean then
        return null;
    end if;
    if exists (select from reconcile.attachments) then
        perform reconcile_internal._check_session();
    end if;
    -- In tables that the caller may read himself: code of another application is not what he has asked for.
    foreach v_attachment_id in array array(
        select a.attachment_id from reconcile.attachments as a
        where has_any_column_privilege(session_user, a.relation, 'select')
        order by a.attachment_id
    ) loop
        begin
            perform reconcile_internal._follow(v_attachment_id, array[p_order_number]);
        exception
            when others or assert_failure or query_canceled then
                get stacked diagnostics v_context = pg_exception_context;
                if reconcile_internal._is_cancelled(sqlstate, v_context) then
                    raise;
                end if;
                -- Its number can't be one of that table, or the table has changed or is locked.
        end;
    end loop;
    select o.* into v_order from reconcile.tracked_orders as o where o.order_number = p_order_number;
    perform reconcile_internal._make_due(array[v_order.order_id]);
    return v_order;
end
$$;

comment on function reconcile_internal._take_in_number(text) is
    'Has the rows of this number in attached tables followed, and its order asked about now; NULL when there is none.';

create function reconcile_internal._find_order(p_order_number text) returns reconcile.tracked_orders
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_order reconcile.tracked_orders;
    v_number text;
begin
    select o.* into v_order from reconcile.tracked_orders as o where o.order_number = p_order_number;
    if not found and p_order_number <> '' then
        v_order := reconcile_internal._take_in_number(p_order_number);
    end if;
    if v_order.order_id is null then
        v_number := reconcile_internal._number_by_own(p_order_number);
        select o.* into v_order from reconcile.tracked_orders as o where o.order_number = v_number;
        if not found and v_number is not null then
            v_order := reconcile_internal._take_in_number(v_number);
        end if;
    end if;
    return v_order;
end
$$;

comment on function reconcile_internal._find_order(text) is 'An order by its number in the ledger, or by its row''s own where that stands in one table; NULL when there is none.';

-- What is known of rows of attached tables that are no orders yet.
create function reconcile_internal._why_unwatched(p_order_number text) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select string_agg(
            case
                when u.waits_since is null then format('its row in %s can''t be watched: %s', a.relation, u.problem)
                else format('it %s since %s: %s, and provider %s asks by reference', u.problem, date_trunc('second', u.waits_since),
                    coalesce('column ' || quote_ident(a.reference) || ' of ' || a.relation || ' is empty', a.relation || ' has no column for it'),
                    p.name)
            end, '; ' order by a.attachment_id)
        from reconcile.refused_rows as u
        join reconcile.attachments as a on a.attachment_id = u.attachment_id
        join reconcile.providers as p on p.provider_id = a.provider_id
        where u.order_number in (p_order_number, a.order_number_prefix || p_order_number) and p_order_number <> ''
    );
end
$$;

comment on function reconcile_internal._why_unwatched(text) is
    'Why the rows with an order number are not watched: what they wait for, or what is wrong with them; NULL when there is no such row.';

create function reconcile_internal._order(p_order_number text) returns reconcile.tracked_orders
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_order reconcile.tracked_orders := reconcile_internal._find_order(p_order_number);
    v_why text;
begin
    if v_order.order_id is null then
        v_why := reconcile_internal._why_unwatched(p_order_number);
        if v_why is not null then
            raise exception 'order % is not watched: %', quote_literal(left(p_order_number, 80)), v_why
                using errcode = 'RC001', hint = 'It is watched as soon as that is mended: see reconcile.unwatched_rows.';
        end if;
        raise exception 'there is no order %', coalesce(quote_literal(left(p_order_number, 80)), 'NULL')
            using errcode = 'RC001', hint = 'Orders are watched from reconcile.track_order or attach_table on; reconcile.orders shows them.';
    end if;
    return v_order;
end
$$;

comment on function reconcile_internal._order(text) is 'An order by its number, or an error that says so.';

-- What comes in as jsonb is written out in full by every reader, a dump above all: 1e131071 is 131,072 digits.
create function reconcile_internal._json_problem(p_value jsonb, p_most_bytes integer default 65536) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp
as $$
begin
    -- By what it takes as it is, before it is written out for the first time.
    if pg_column_size(p_value) > 2 * p_most_bytes then
        return format('it takes %s bytes: %s are kept at most', pg_column_size(p_value), p_most_bytes);
    elsif jsonb_path_exists(p_value, 'strict $.**{129}') then
        return 'it is nested more than 128 deep';
    elsif exists (
        -- Numbers alone: each part in turn would be the whole again for each level.
        select from jsonb_path_query(p_value, 'strict $.** ? (@.type() == "number")') as part (value)
        where abs(part.value::numeric) >= 1e40 or scale(part.value::numeric) > 40
    ) then
        return 'it holds a number of more than 40 digits before or after the point: write it as a text';
    elsif octet_length(p_value::text) > p_most_bytes then
        return format('it takes %s bytes: %s are kept at most', octet_length(p_value::text), p_most_bytes);
    end if;
    return null;
end
$$;

comment on function reconcile_internal._json_problem(jsonb, integer) is
    'Why a value can''t be kept: too large, too deep, or with numbers that grow out of proportion when they are written out; NULL when it can.';

-- Details that no template names are not handed over: they may be long, and most templates name none. Without a prefix the row's own number
-- is the order's.
create function reconcile_internal._template_values(
    p_url text, p_headers jsonb, p_body jsonb, p_variables jsonb, p_own_number text, p_details jsonb
) returns jsonb
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$
declare
    v_values jsonb := p_variables;
begin
    if p_own_number is not null then
        v_values := v_values || jsonb_build_object('own_number', p_own_number);
    end if;
    if concat(p_url, p_headers::text, p_body::text) like '%details.%' and p_details <> '{}' then
        v_values := v_values || jsonb_build_object('details', p_details);
    end if;
    return nullif(v_values, '{}');
end
$$;

comment on function reconcile_internal._template_values(text, jsonb, jsonb, jsonb, text, jsonb) is
    'What an order''s templates are filled in with besides its number and reference: the provider''s constants, the row''s own number where '
    'that is another and, where a template names them, the order''s details.';

-- Why an order can't be watched, in one place for those that are handed over and those of attached tables.
create function reconcile_internal._order_problem(
    p_provider_id integer, p_order_number text, p_reference text, p_amount numeric, p_currency text, p_created_at timestamptz,
    p_details jsonb default '{}', p_own_number text default null
) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    v_name text;
    v_needs_reference boolean;
    -- Last, and only if the rest is sound: a template is filled in for each order.
    v_request text;
begin
    select p.name, reconcile_internal.needs_reference(way.url, way.headers, way.body),
        case when way.url is not null and length(p_order_number) <= 500 and coalesce(length(p_reference), 0) <= 500
            then reconcile_internal.request_problem(way.url, way.headers, way.body, p_order_number, p_reference,
                reconcile_internal._template_values(way.url, way.headers, way.body, way.variables, p_own_number, p_details)) end
    into v_name, v_needs_reference, v_request
    from reconcile.providers as p
    cross join lateral (
        select p.url, p.headers, p.body, p.variables where not reconcile_internal._asked_without(p_reference, p.without_reference)
        union all
        select t.url, t.headers, t.body, t.variables from reconcile_internal._second_way(p) as t
        where reconcile_internal._asked_without(p_reference, p.without_reference)
    ) as way
    where p.provider_id = p_provider_id;
    return case
        when p_order_number is null or length(p_order_number) not between 1 and 500
            then format('an order number has 1 to 500 characters, and this one %s', coalesce(length(p_order_number)::text, 'is NULL'))
        when length(p_reference) not between 1 and 500
            then format('a reference has 1 to 500 characters, and this one %s', length(p_reference))
        when p_reference is null and v_needs_reference then format('provider %s asks by reference, and the order has none', v_name)
        when p_amount = 'NaN' or abs(p_amount) >= 1e20 or scale(trim_scale(p_amount)) > 12 then format('%s is not an amount', p_amount)
        when p_currency !~ '^[A-Za-z]{3}$' then format('%L is not a currency of three letters', left(p_currency, 20))
        when not isfinite(p_created_at) or p_created_at > clock_timestamp() + interval '1 day' then format('created_at is %s', p_created_at)
        when v_request is not null then format('provider %s can''t be asked about it: %s', v_name, v_request)
    end;
end
$$;

comment on function reconcile_internal._order_problem(integer, text, text, numeric, text, timestamptz, jsonb, text) is
    'Why an order can''t be watched; NULL when it can.';

-- The same call again, by an application that has the reference now, or never had it where it was found.
create function reconcile_internal._give_reference(p_order reconcile.tracked_orders, p_reference text) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_order reconcile.tracked_orders;
begin
    select o.* into v_order from reconcile.tracked_orders as o where o.order_id = p_order.order_id for no key update;
    if p_reference is null then
        return v_order.reference_found;
    elsif v_order.attachment_id is not null or v_order.state not in ('pending', 'processing')
        or v_order.reference is not null and not v_order.reference_found
    then
        return false;
    end if;
    perform reconcile_internal._describe(array[v_order.order_id], array[p_reference], '{}', '{}');
    perform reconcile_internal._ask_now(array[v_order.order_id]);
    return true;
end
$$;

comment on function reconcile_internal._give_reference(reconcile.tracked_orders, text) is
    'Takes an application''s word for an order''s reference where it had given none before; false where the order has another.';

-- A float is refused by PostgreSQL, as a function that does not exist. An overload that takes double precision to say why would be called
-- with integers, texts, NULL and parameters of no type as well: among numbers PostgreSQL prefers that type (tried).
create function reconcile.track_order(
    order_number text,
    provider text,
    reference text default null,
    amount numeric default null,
    currency text default null,
    details jsonb default '{}',
    created_at timestamptz default null,
    state text default 'pending'
) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    v_provider reconcile.providers := reconcile_internal._provider(track_order.provider);
    v_order reconcile.tracked_orders;
    v_watched bigint[];
    v_created_at timestamptz := coalesce(track_order.created_at, clock_timestamp());
    v_problem text := coalesce(
        reconcile_internal._order_problem(v_provider.provider_id, track_order.order_number, track_order.reference, track_order.amount,
            track_order.currency, v_created_at, track_order.details),
        case when reconcile_internal._json_problem(track_order.details) is not null
            then 'details: ' || reconcile_internal._json_problem(track_order.details) end,
        case when track_order.state is null or track_order.state not in ('pending', 'processing')
            then format('%L is not a state that an order can begin in: use pending or processing', left(track_order.state, 20)) end
    );
begin
    if v_problem is not null then
        raise exception 'order %: %', coalesce(quote_literal(left(track_order.order_number, 80)), 'NULL'), v_problem
            using errcode = 'RC005';
    end if;
    v_watched := reconcile_internal._watch(array[row(
        track_order.order_number, v_provider.provider_id, track_order.reference, track_order.amount, upper(track_order.currency),
        track_order.details, track_order.state, v_created_at, null, null)::reconcile_internal.new_order]);
    if v_watched <> '{}' then
        perform reconcile_internal._answer_early_webhooks(v_watched);
        perform reconcile_internal._take_kept_evidence_of(v_watched[1]);
        return true;
    end if;
    v_order := reconcile_internal._order(track_order.order_number);
    if (v_order.provider_id, v_order.amount, v_order.currency)
            is distinct from (v_provider.provider_id, track_order.amount, upper(track_order.currency))
        or v_order.reference is distinct from track_order.reference and not reconcile_internal._give_reference(v_order, track_order.reference)
    then
        raise exception 'order % is tracked already, with another provider, reference, amount or currency', quote_literal(track_order.order_number)
            using errcode = 'RC004', hint = 'See it in reconcile.orders. An order number belongs to one order.';
    end if;
    return false;
end
$$;

comment on function reconcile.track_order(text, text, text, numeric, text, jsonb, timestamptz, text) is
    'Starts watching an order. True when it is new; the same call again changes nothing and answers false, but gives a reference to an open '
    'order that had none. amount is numeric: write 19.99, '
    'or cast a float where it is rounded for the last time, as in amount => price::numeric(12, 2); a float is not taken for money.';

create function reconcile_internal._resolve_order(p_declaration reconcile.declarations) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_state text := p_declaration.arguments ->> 'state';
    v_reason text := p_declaration.arguments ->> 'reason';
    v_order reconcile.tracked_orders := reconcile_internal._order(p_declaration.arguments ->> 'order_number');
    v_transition_ids bigint[];
    v_paid_back boolean;
begin
    if v_state is null
        or v_state not in ('pending', 'processing', 'succeeded', 'failed', 'cancelled', 'refunded', 'review')
    then
        raise exception '% is not a state', coalesce(quote_literal(left(v_state, 80)), 'NULL')
            using errcode = 'RC006', hint = 'Use pending, processing, succeeded, failed, cancelled, refunded or review.';
    end if;
    if coalesce(trim(v_reason), '') = '' or length(v_reason) > 2000 then
        raise exception 'a decision needs a reason of 1 to 2000 characters' using errcode = 'RC005', hint = 'Say why: it is kept with your role''s name.';
    end if;
    perform reconcile_internal._check_pending();
    select o.* into v_order from reconcile.tracked_orders as o where o.order_id = v_order.order_id for update;
    v_paid_back := reconcile_internal._decide_second_payment(v_order.order_id, v_reason, reconcile_internal._decided_by(p_declaration));
    if v_order.state = v_state then
        -- One that was paid twice stays where it is once a person has paid one back.
        if v_paid_back then
            perform reconcile_internal._defer_again();
            return;
        end if;
        raise exception 'order % is % already', quote_literal(v_order.order_number), v_order.state using errcode = 'RC006';
    end if;
    v_transition_ids := reconcile_internal._move(
        array[v_order.order_id], array[v_state], 'operator', array[v_reason], reconcile_internal._decided_by(p_declaration));
    -- A check in flight loses its lease: its late answer changes nothing that a person has decided.
    perform reconcile_internal._call_off(array[v_order.order_id]);
    perform reconcile_internal._unqueue(array[v_order.order_id]);
    if v_state in ('pending', 'processing') then
        perform reconcile_internal._enqueue(array[v_order.order_id], array[clock_timestamp()]);
    end if;
    delete from reconcile.recorded_failures as f where f.order_id = v_order.order_id;
    delete from reconcile.owed_writes as w where w.order_id = v_order.order_id;
    delete from reconcile.heard_words as h where h.order_id = v_order.order_id;
    -- What follows from it happens now or the decision does not: the person reads why.
    perform reconcile_internal._carry_out(v_transition_ids);
    perform reconcile_internal._defer_again();
    perform reconcile_internal._tell_listeners();
end
$$;

comment on function reconcile_internal._resolve_order(reconcile.declarations) is 'Does what resolve_order was called for.';

create function reconcile.resolve_order(order_number text, state text, reason text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_id bigint := reconcile_doors.declare('resolve_order', jsonb_build_object('order_number', order_number, 'state', state, 'reason', reason));
    v_done jsonb;
begin
    v_done := reconcile_doors.do_declared(v_id);
end
$$;

comment on function reconcile.resolve_order(text, text, text) is
    'A person decides where an order stands; kept in the audit with the reason and the role. An open state asks again. Of an order that was '
    'paid twice, its own state says that this is done with: see reconcile.second_payments.';
