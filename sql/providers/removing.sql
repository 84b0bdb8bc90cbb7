-- Removing a provider that nothing depends on. What has happened stays: one that was ever asked about an order has orders, and these
-- are evidence.
-- Locks: the provider's row, which who tracks an order of it, or records a webhook, needs.
-- Requires: recording, endpoints.

create function reconcile_internal._in_the_way(p_provider_id integer) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    v_order text := (select o.order_number from reconcile.tracked_orders as o where o.provider_id = p_provider_id limit 1);
    v_webhook text := (select w.event_id from reconcile.received_webhooks as w where w.provider_id = p_provider_id limit 1);
begin
    return nullif(concat_ws(', ',
        'orders (' || left(v_order, 80) || ' for one)',
        'webhooks (' || left(v_webhook, 80) || ' for one)',
        (select 'attached tables (' || string_agg(a.relation_name, ', ' order by a.attachment_id) || ')'
            from reconcile.attachments as a where a.provider_id = p_provider_id),
        (select 'hooks (' || string_agg(h.name, ', ' order by h.name) || ')' from reconcile.registered_hooks as h where h.provider_id = p_provider_id),
        (select 'endpoints (' || string_agg(e.name, ', ' order by e.name) || ')' from reconcile.event_endpoints as e where e.provider_id = p_provider_id)
    ), '');
end
$$;

comment on function reconcile_internal._in_the_way(integer) is 'What depends on a provider, so that it can''t be removed; NULL when nothing does.';

create function reconcile_internal._remove_provider(p_declaration reconcile.declarations) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_provider reconcile.providers := reconcile_internal._provider(p_declaration.arguments ->> 'name');
    v_in_the_way text;
begin
    perform from reconcile.providers as p where p.provider_id = v_provider.provider_id for update;
    v_in_the_way := reconcile_internal._in_the_way(v_provider.provider_id);
    if v_in_the_way is not null then
        raise exception 'provider % can''t be removed: it has %', v_provider.name, v_in_the_way
            using errcode = 'RC015', hint = 'Orders and webhooks are evidence and stay: pause it with reconcile.pause_provider. '
                'Tables are detached, hooks and endpoints removed with reconcile.detach_table, remove_hook and remove_endpoint.';
    end if;
    if v_provider.kind = 'sql' then
        perform reconcile_internal._forget_lookup(v_provider.name);
    end if;
    delete from reconcile.provider_tests as test where test.provider_id = v_provider.provider_id;
    delete from reconcile.ended_calls as e where e.provider_id = v_provider.provider_id;
    delete from reconcile.mended_providers as m where m.provider_id = v_provider.provider_id;
    delete from reconcile.spent_calls as s where s.provider_id = v_provider.provider_id;
    delete from reconcile.provider_traffic as t where t.provider_id = v_provider.provider_id;
    delete from reconcile.provider_versions as v where v.provider_id = v_provider.provider_id;
    delete from reconcile.providers as p where p.provider_id = v_provider.provider_id;
end
$$;

comment on function reconcile_internal._remove_provider(reconcile.declarations) is 'Does what remove_provider was called for.';

create function reconcile.remove_provider(name text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_id bigint := reconcile_doors.declare('remove_provider', jsonb_build_object('name', name));
    v_done jsonb;
begin
    v_done := reconcile_doors.do_declared(v_id);
end
$$;

comment on function reconcile.remove_provider(text) is
    'Forgets a provider that has no orders, webhooks, attached tables, hooks or endpoints; else says what is in the way.';
