-- Recording: the application hands over a webhook that it has verified. Owns what an event calls its order, and that a repeat has no effect.
-- Locks: the order, where the event is evidence.
-- Requires: matching.

create function reconcile_internal._named_by(p_payload jsonb, p_path text) returns text
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$
begin
    -- The order is not known yet, so nothing is equal to its numbers or reference.
    return nullif(left(
        jsonb_path_query_first(p_payload, p_path::jsonpath, jsonb '{"order_number": {}, "own_number": {}, "reference": {}}', true) #>> '{}', 500), '');
end
$$;

comment on function reconcile_internal._named_by(jsonb, text) is 'What an event calls its order by, where a path leads.';

-- Of each role, so that nobody's events keep another's out.
create function reconcile_internal._refuse_more_events(p_provider_id integer, p_event_id text, p_order_number text, p_reference text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_most constant integer := 100;
    v_kept integer := (
        select count(*)
        from (
            select from reconcile.received_webhooks as w
            where w.order_number = p_order_number and w.provider_id = p_provider_id and w.order_id is null and w.received_from = session_user
            union all
            select from reconcile.received_webhooks as w
            where w.reference = p_reference and w.order_number is null and w.provider_id = p_provider_id and w.order_id is null
              and w.received_from = session_user and p_order_number is null
            limit v_most
        ) as early
    );
begin
    if v_kept >= v_most and not exists (
        select from reconcile.received_webhooks as w where w.provider_id = p_provider_id and w.event_id = p_event_id
    ) then
        raise exception 'event % is about an order that is not known (%), and % events of % are kept for it already',
            left(p_event_id, 80), left(coalesce(p_order_number, p_reference), 80), v_most, session_user
            using errcode = 'RC001', hint = 'Track the order, and hand the event over again: providers repeat what was not taken.';
    end if;
end
$$;

comment on function reconcile_internal._refuse_more_events(integer, text, text, text) is
    'Raises that enough events of an order that is not known are kept.';

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
    v_order_ids bigint[];
    v_is_evidence constant boolean := coalesce((v_provider.webhook ->> 'evidence')::boolean, false);
    v_runs_elsewhere constant boolean := reconcile_internal._lends() and reconcile_internal._strange_object() is not null;
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
    v_order_ids := reconcile_internal._orders_of_event(v_provider.provider_id, v_order_number, v_reference);
    if v_order_ids = '{}' then
        perform reconcile_internal._refuse_more_events(v_provider.provider_id, record_webhook.event_id, v_order_number, v_reference);
    end if;
    insert into reconcile.received_webhooks as w (provider_id, event_id, order_number, reference, payload, order_id, others, effect)
    values (
        v_provider.provider_id, record_webhook.event_id, v_order_number, v_reference,
        coalesce(reconcile_internal.redact(v_payload::text, reconcile_internal._never_kept(v_provider))::jsonb, v_payload), v_order_ids[1],
        v_order_ids[2:], case when v_order_ids = '{}' then 'kept' else 'asked' end
    )
    on conflict (provider_id, event_id) do nothing
    returning w.effect into v_effect;
    if not found then
        -- An id that stands for an event about something else, whoever handed that over, keeps these orders from nothing.
        if v_order_ids <> '{}' and not exists (
            select from reconcile.received_webhooks as w
            where w.provider_id = v_provider.provider_id and w.event_id = record_webhook.event_id and v_order_ids <@ (w.order_id || w.others)
        ) then
            perform reconcile_internal._ring_all(v_provider.provider_id, v_order_number, v_reference, v_order_ids);
            perform pg_notify('reconcile_due', '');
            return 'asked';
        end if;
        return 'repeated';
    end if;
    if v_order_ids = '{}' then
        return 'kept';
    end if;
    if cardinality(v_order_ids) > 1 then
        perform reconcile_internal._ring_all(v_provider.provider_id, v_order_number, v_reference, v_order_ids);
        perform pg_notify('reconcile_due', '');
        return 'asked';
    end if;
    if v_runs_elsewhere and v_is_evidence then
        -- An event is not lost because its handler has a temporary table: a sidecar settles by it, in a session of its own.
        update reconcile.received_webhooks as w set effect = 'kept'
        where w.provider_id = v_provider.provider_id and w.event_id = record_webhook.event_id;
        perform pg_notify('reconcile_due', '');
        return 'kept';
    elsif v_runs_elsewhere then
        perform reconcile_internal._ring(v_order_ids);
        perform pg_notify('reconcile_due', '');
        return v_effect;
    end if;
    perform reconcile_internal._check_pending();
    if v_is_evidence then
        v_effect := reconcile_internal._take_as_evidence(v_order_ids[1], v_payload::text, record_webhook.event_id);
        update reconcile.received_webhooks as w set effect = v_effect
        where w.provider_id = v_provider.provider_id and w.event_id = record_webhook.event_id;
        if v_effect = 'applied' then
            perform reconcile_internal._tell_listeners();
        elsif v_effect = 'asked' then
            perform pg_notify('reconcile_due', '');
        end if;
    else
        perform reconcile_internal._ring(v_order_ids);
        if v_provider.kind = 'sql' then
            -- This database knows, and no sidecar will ask it.
            perform reconcile_internal._settle_here(array(select d.order_id from reconcile.due_checks as d where d.order_id = v_order_ids[1]));
        end if;
        perform pg_notify('reconcile_due', '');
    end if;
    perform reconcile_internal._defer_again();
    return v_effect;
end
$$;

comment on function reconcile.record_webhook(text, text, jsonb, text, text) is
    'Takes an event whose signature the caller has verified: asked (the order, or each that it could be about, is asked about now), applied or ignored (evidence), kept (its '
    'order is not known yet) or repeated (nothing is done). Evidence is settled in the caller''s transaction, which until its end holds the order '
    'and what follows from it: its row in the attached table, and what hooks have written.';
