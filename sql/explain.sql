-- An order's story in plain text, for whoever asks why.
-- Requires: alerts.

create function reconcile.explain_order(order_number text) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    v_order reconcile.tracked_orders := reconcile_internal._order(explain_order.order_number);
    v_provider reconcile.providers;
    v_lines text[];
    v_next text;
begin
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
        format('It was created at %s, asks %s%s, and costs %s.',
            date_trunc('second', v_order.created_at), v_provider.name, coalesce(' by reference ' || v_order.reference, ''),
            coalesce(v_order.amount || ' ' || coalesce(v_order.currency, 'of an unknown currency'), 'an unknown amount')),
        ''
    ];
    v_lines := v_lines || array(
        select story.line
        from (
            select c.answered_at as at, 1 as place,
                format('%s  %s %s: %s%s%s -> %s; %s%s', to_char(c.answered_at, 'YYYY-MM-DD HH24:MI:SS'),
                    case when c.sidecar_id = 0 and v_provider.kind = 'http' then 'a webhook of' else 'asked' end, v_provider.name,
                    coalesce('HTTP ' || c.http_status, c.fault, case when c.sidecar_id = 0 then 'read' else 'no answer' end),
                    coalesce(', status ' || quote_literal(c.provider_status), ''),
                    coalesce(', ' || c.detail, ''), c.outcome, c.reason, coalesce(': ' || nullif(c.problem, c.detail), '')) as line
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
        ) as story
        order by story.at, story.place
    );
    v_next := (
        select 'A sidecar is asking right now, since ' || date_trunc('second', l.claimed_at) || '.'
        from reconcile.leases as l where l.order_id = v_order.order_id
    );
    v_next := coalesce(v_next, (
        select format('It is asked about %s.', case
            when v_provider.paused_at is not null then format('when %s is no longer paused (%s)', v_provider.name, v_provider.paused_reason)
            when d.due_at <= clock_timestamp() and v_provider.kind = 'sql' then 'by the next reconcile_stale_orders'
            when d.due_at <= clock_timestamp() then 'as soon as a sidecar has a free slot'
            else format('next at %s', date_trunc('second', d.due_at)) end)
        from reconcile.due_checks as d where d.order_id = v_order.order_id
    ), 'It is not asked about any more.');
    -- Text from outside stays inside its line, so that it can't tell a story of its own.
    return (
        select string_agg(regexp_replace(told.line, '[[:cntrl:]]+', ' ', 'g'), E'\n' order by told.place)
        from unnest(v_lines || array['', v_next]) with ordinality as told (line, place)
    );
end
$$;

comment on function reconcile.explain_order(text) is
    'The order''s story: what was asked, answered and decided (the latest 50 checks), and what happens next and when.';
