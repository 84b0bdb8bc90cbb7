-- Recording: the application hands over a webhook that it has verified. Owns which order an event is about, and that a repeat has no effect.
-- Locks: the order, where the event is evidence.
-- Requires: webhooks.

create function reconcile_internal._named_by(p_payload jsonb, p_path text) returns text
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$
begin
    -- The order is not known yet, so nothing is equal to its numbers or reference.
    return left(jsonb_path_query_first(p_payload, p_path::jsonpath, jsonb '{"order_number": {}, "own_number": {}, "reference": {}}', true) #>> '{}', 500);
end
$$;

comment on function reconcile_internal._named_by(jsonb, text) is 'What an event calls its order by, where a path leads.';

-- By its number in the ledger, by its row's own, or by what the provider calls it, of which several orders may have the same.
create function reconcile_internal._order_of_event(p_provider_id integer, p_order_number text, p_reference text) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_found bigint[];
    v_numbers text[];
begin
    if p_order_number is null then
        return (
            select o.order_id from reconcile.tracked_orders as o
            where o.reference = p_reference and o.provider_id = p_provider_id
            order by o.order_id desc
            limit 1
        );
    end if;
    -- One whose reference says so comes first, then the one of this very number.
    with named as (
        select o.order_id, o.order_number, o.order_number = p_order_number as is_exact, coalesce(o.reference = p_reference, false) as agrees
        from reconcile.tracked_orders as o
        where o.order_number = any (p_order_number || array(
                select known.prefix || p_order_number from unnest(reconcile_internal._prefixes()) as known (prefix)))
          and o.provider_id = p_provider_id
          and (o.order_number = p_order_number or o.own_number = p_order_number and coalesce(o.reference = p_reference, true))
    ),
    ranked as (
        select named.*, rank() over (order by named.agrees desc, named.is_exact desc) as place from named
    )
    select array_agg(ranked.order_id), array_agg(quote_literal(ranked.order_number) order by ranked.order_number)
    into v_found, v_numbers
    from ranked where ranked.place = 1;
    if cardinality(v_found) > 1 then
        perform reconcile_internal._refuse_two(p_order_number, v_numbers);
    end if;
    return v_found[1];
end
$$;

comment on function reconcile_internal._order_of_event(integer, text, text) is
    'The order of a provider that an event is about; NULL when none is known. Raises RC016 when it could be either of several.';

create function reconcile.record_webhook(
    provider text,
    event_id text,
    payload jsonb default '{}',
    order_number text default null,
    reference text default null
) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    v_provider reconcile.providers := reconcile_internal._provider(record_webhook.provider);
    v_order_number text := nullif(record_webhook.order_number, '');
    v_reference text := nullif(record_webhook.reference, '');
    v_payload jsonb := coalesce(record_webhook.payload, '{}');
    v_order_id bigint;
    v_effect text;
begin
    if record_webhook.event_id is null or length(record_webhook.event_id) not between 1 and 500 then
        raise exception 'a webhook''s event_id has 1 to 500 characters, and this one %', coalesce(length(record_webhook.event_id)::text, 'is NULL')
            using errcode = 'RC005', hint = 'Providers repeat webhooks: hand over their own id of the event, by which a repeat is known.';
    end if;
    if reconcile_internal._json_problem(v_payload, 262144) is not null then
        raise exception 'the payload of event %: %', left(record_webhook.event_id, 80), reconcile_internal._json_problem(v_payload, 262144)
            using errcode = 'RC005', hint = 'Hand over the event as the provider sent it, or its id alone.';
    end if;
    v_order_number := coalesce(v_order_number, reconcile_internal._named_by(v_payload, v_provider.webhook ->> 'order_number_path'));
    v_reference := coalesce(v_reference,
        reconcile_internal._named_by(v_payload, coalesce(v_provider.webhook ->> 'reference_path', v_provider.reference_path::text)));
    if v_order_number is null and v_reference is null then
        raise exception 'event % names no order', left(record_webhook.event_id, 80)
            using errcode = 'RC005', hint = 'Give order_number or reference, or write webhook => ''{"reference_path": "$.…"}'' on the provider.';
    end if;
    v_order_id := reconcile_internal._order_of_event(v_provider.provider_id, v_order_number, v_reference);
    insert into reconcile.received_webhooks as w (provider_id, event_id, order_number, reference, payload, order_id, effect)
    values (
        v_provider.provider_id, record_webhook.event_id, v_order_number, v_reference,
        coalesce(reconcile_internal.redact(v_payload::text, reconcile_internal._never_kept(v_provider))::jsonb, v_payload), v_order_id,
        case when v_order_id is null then 'kept' else 'asked' end
    )
    on conflict (provider_id, event_id) do nothing
    returning w.effect into v_effect;
    if not found then
        return 'repeated';
    end if;
    if v_order_id is null then
        return 'kept';
    end if;
    perform reconcile_internal._check_pending();
    if coalesce((v_provider.webhook ->> 'evidence')::boolean, false) then
        v_effect := reconcile_internal._take_as_evidence(v_order_id, v_payload::text, record_webhook.event_id, false);
        update reconcile.received_webhooks as w set effect = v_effect
        where w.provider_id = v_provider.provider_id and w.event_id = record_webhook.event_id;
        if v_effect = 'applied' then
            perform reconcile_internal._tell_listeners();
        elsif v_effect = 'asked' then
            perform pg_notify('reconcile_due', '');
        end if;
    else
        perform reconcile_internal._ring(array[v_order_id]);
        if v_provider.kind = 'sql' then
            -- This database knows, and no sidecar will ask it.
            perform reconcile_internal._settle_here(array(select d.order_id from reconcile.due_checks as d where d.order_id = v_order_id), false);
        end if;
        perform pg_notify('reconcile_due', '');
    end if;
    perform reconcile_internal._defer_again();
    return v_effect;
end
$$;

comment on function reconcile.record_webhook(text, text, jsonb, text, text) is
    'Takes an event whose signature the caller has verified: asked (the order is asked about now), applied or ignored (evidence), kept (its '
    'order is not known yet) or repeated (nothing is done).';
