-- An order's story in plain text, for whoever asks why.
-- Requires: alerts.

create function reconcile_internal._sidecar_is_alive() returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    return exists (
        select from reconcile.registered_sidecars as s
        where s.stopped_at is null and s.heartbeat_at > reconcile_internal._steady_now() - reconcile_internal._sidecar_alive_within()
    );
end
$$;

comment on function reconcile_internal._sidecar_is_alive() is 'Whether somebody is there who asks providers.';

-- What keeps a check that is due from being made, most stubborn first.
create function reconcile_internal._what_is_awaited(p_provider reconcile.providers) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    v_quota record;
    v_traffic record;
begin
    if p_provider.paused_at is not null then
        return format('when %s is no longer paused (%s): see reconcile.resume_provider', p_provider.name, p_provider.paused_reason);
    elsif p_provider.kind = 'sql' then
        return 'by the next reconcile_stale_orders';
    elsif not reconcile_internal._sidecar_is_alive() then
        return 'when a sidecar runs: none does now';
    end if;
    select q.* into v_quota from reconcile_internal._quotas(array[p_provider.provider_id]) as q;
    select h.breaker, h.faults, h.in_flight, h.last_fault_detail, h.asked_again_at, h.health into v_traffic
    from reconcile.provider_health as h where h.name = p_provider.name;
    return case
        when v_quota.allowed > 0 then 'as soon as a sidecar has a free slot'
        when v_traffic.breaker = 'open' then format(
            'when %s answers again: %s in a row had no answer (%s), so one order at a time is tried%s', p_provider.name,
            reconcile_internal._counted(v_traffic.faults, 'check', 'checks'), v_traffic.last_fault_detail,
            ', the next at ' || date_trunc('second', greatest(v_traffic.asked_again_at, clock_timestamp())))
        when v_traffic.asked_again_at > clock_timestamp() then format(
            'when %s may be asked again, at %s: it asked to be left alone until then (%s)', p_provider.name,
            date_trunc('second', v_traffic.asked_again_at), v_traffic.last_fault_detail)
        when v_quota.waits_until > clock_timestamp() then format(
            'when the limits of %s allow it, at %s at the earliest', p_provider.name, date_trunc('second', v_quota.waits_until))
        else format('when one of the %s under way to %s has ended',
            reconcile_internal._counted(v_traffic.in_flight, 'call', 'calls'), p_provider.name)
    end;
end
$$;

comment on function reconcile_internal._what_is_awaited(reconcile.providers) is
    'What a check of a provider waits for that is due: the end of a pause, a sidecar, an answer, a rest, a limit, a slot.';

create function reconcile_internal._what_is_next(p_order reconcile.tracked_orders, p_provider reconcile.providers) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    v_claimed_at timestamptz := (select l.claimed_at from reconcile.leases as l where l.order_id = p_order.order_id);
    v_due_at timestamptz := (select d.due_at from reconcile.due_checks as d where d.order_id = p_order.order_id);
begin
    return case
        when v_claimed_at is not null then format('A sidecar is asking right now, since %s.', date_trunc('second', v_claimed_at))
        when v_due_at is null then 'It is not asked about any more.'
        when v_due_at <= clock_timestamp() or p_provider.paused_at is not null
            then format('It is asked about %s.', reconcile_internal._what_is_awaited(p_provider))
        when p_provider.kind = 'http' and not reconcile_internal._sidecar_is_alive()
            then format('It is asked about next at %s, if a sidecar runs then: none does now.', date_trunc('second', v_due_at))
        else format('It is asked about next at %s.', date_trunc('second', v_due_at))
    end || case when p_order.state = 'review'
        then format(' A person has to decide: select reconcile.resolve_order(%L, ''succeeded'', ''why''), or another state.', p_order.order_number)
        else '' end;
end
$$;

comment on function reconcile_internal._what_is_next(reconcile.tracked_orders, reconcile.providers) is
    'The end of an order''s story: when it is asked about next and what that waits for, and what a person has to do.';

create function reconcile.explain_order(order_number text) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    v_order reconcile.tracked_orders := reconcile_internal._find_order(explain_order.order_number);
    v_provider reconcile.providers;
    v_lines text[];
    v_next text;
begin
    if v_order.order_id is null and reconcile_internal._why_unwatched(explain_order.order_number) is not null then
        return regexp_replace(format('Order %s is not watched: %s. It is asked about as soon as that is mended.',
            explain_order.order_number, reconcile_internal._why_unwatched(explain_order.order_number)), '[[:cntrl:]]+', ' ', 'g');
    elsif v_order.order_id is null then
        -- Which says so.
        v_order := reconcile_internal._order(explain_order.order_number);
    end if;
    select p.* into v_provider from reconcile.providers as p where p.provider_id = v_order.provider_id;
    v_lines := array[
        format('Order %s is %s%s.', v_order.order_number, v_order.state,
            case v_order.settled_by
                when 'provider' then ', by the provider''s word'
                when 'giving_up' then ', because nobody could say more by its deadline'
                when 'operator' then ', by a person''s decision'
                when 'application' then ', by the application''s decision'
                else ', and open'
            end),
        format('It was created at %s, asks %s%s and costs %s.',
            date_trunc('second', v_order.created_at), v_provider.name, case
                when v_order.reference_found then format(' by reference %s, which was found by its order number,', v_order.reference)
                when v_order.reference is not null then ' by reference ' || v_order.reference || ','
                when v_provider.without_reference <> '{}' then ' by its order number, having no reference,'
                else ','
            end,
            coalesce(v_order.amount || ' ' || coalesce(v_order.currency, 'of an unknown currency'), 'an unknown amount')),
        ''
    ];
    v_lines := v_lines || array(
        select story.line
        from (
            select c.answered_at as at, 1 as place,
                format('%s  %s %s: %s%s%s -> %s; %s%s', to_char(c.answered_at, 'YYYY-MM-DD HH24:MI:SS'),
                    case c.source when 'webhook' then 'a webhook of' else 'asked' end,
                    v_provider.name || case when c.by_order_number then ' by its order number' else '' end,
                    coalesce(case when starts_with(c.detail, 'HTTP ' || c.http_status) then c.detail end, 'HTTP ' || c.http_status, c.fault, case when c.source <> 'sidecar' then 'read' else 'no answer' end),
                    coalesce(', status ' || quote_literal(c.provider_status), ''),
                    coalesce(', ' || case when not coalesce(starts_with(c.detail, 'HTTP ' || c.http_status), false) then c.detail end, ''), c.outcome, c.reason, coalesce(': ' || nullif(c.problem, c.detail), '')) as line
            from (
                select latest.* from reconcile.recorded_checks as latest
                where latest.order_id = v_order.order_id order by latest.check_id desc limit 50
            ) as c
            union all
            select t.changed_at, 2,
                format('%s  %s -> %s, %s', to_char(t.changed_at, 'YYYY-MM-DD HH24:MI:SS'), t.from_state, t.to_state,
                    case t.cause
                        when 'operator' then format('decided by %s: %s', t.changed_by, t.reason)
                        when 'application' then 'because ' || t.reason
                        else 'by ' || t.cause end)
            from reconcile.transitions as t
            where t.order_id = v_order.order_id
            union all
            select again.called_at, 3,
                format('%s  hook %s called again for %s', to_char(again.called_at, 'YYYY-MM-DD HH24:MI:SS'), again.hook, again.called_by)
            from reconcile.recorded_hook_calls as again
            where again.order_id = v_order.order_id
        ) as story
        order by story.at, story.place
    );
    v_next := reconcile_internal._what_is_next(v_order, v_provider);
    -- Text from outside stays inside its line, so that it can't tell a story of its own.
    return (
        select string_agg(regexp_replace(told.line, '[[:cntrl:]]+', ' ', 'g'), E'\n' order by told.place)
        from unnest(v_lines || array['', v_next]) with ordinality as told (line, place)
    );
end
$$;

comment on function reconcile.explain_order(text) is
    'The order''s story: what was asked, answered and decided (the latest 50 checks), and what happens next and when.';
