-- Requests: what is sent to ask about an order, and what is the same for all orders of a provider.
-- Reads the provider's row and the order, and writes nothing.
-- Requires: traffic.

create function reconcile_internal._has_own_headers(p_headers jsonb) returns boolean
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$
    select p_headers::text like '{%{%}%}'
$$;

comment on function reconcile_internal._has_own_headers(jsonb) is 'Whether headers have templates, so that each order has its own.';

create function reconcile_internal._request(
    p_url text, p_headers jsonb, p_body jsonb, p_variables jsonb, p_order_number text, p_own_number text, p_reference text, p_details jsonb,
    out url text, out headers jsonb, out body text, out problem text
)
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$
declare
    v_values jsonb := reconcile_internal._template_values(p_url, p_headers, p_body, p_variables, p_own_number, p_details);
    v_own_headers boolean := reconcile_internal._has_own_headers(p_headers);
begin
    url := reconcile_internal.request_url(p_url, p_order_number, p_reference, v_values);
    -- What is the same for all orders goes with the provider, not with each of them.
    if v_own_headers then
        headers := reconcile_internal.request_headers(p_headers, p_order_number, p_reference, v_values);
    end if;
    if p_body is not null then
        body := reconcile_internal.request_body(p_body, p_order_number, p_reference, v_values);
    end if;
    -- What can't be built is not sent: the check is a fault that says why.
    if url is null or p_body is not null and body is null or v_own_headers and headers is null then
        problem := coalesce(
            reconcile_internal.request_problem(p_url, p_headers, p_body, p_order_number, p_reference, v_values), 'its request can''t be built');
    end if;
end
$$;

comment on function reconcile_internal._request(text, jsonb, jsonb, jsonb, text, text, text, jsonb) is
    'What asks about an order: the URL, headers and body of its own, and why it can''t be asked.';

create function reconcile.sidecar_provider(p_provider text, p_provider_version integer, p_by_order_number boolean default false)
returns table (method text, headers jsonb, auth jsonb, timeout_ms integer, own_headers boolean, own_body boolean, lease_ms integer)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    v_asked reconcile.providers;
begin
    select (jsonb_populate_record(null::reconcile.providers, v.settings)).* into v_asked
    from reconcile.provider_versions as v
    join reconcile.providers as p on p.provider_id = v.provider_id
    where p.name = p_provider and v.version = p_provider_version;
    if not found then
        return;
    elsif p_by_order_number then
        v_asked := reconcile_internal._second_way(v_asked);
    end if;
    return query
    select v_asked.method, v_asked.headers, v_asked.auth, (extract(epoch from v_asked.timeout) * 1000)::integer,
        reconcile_internal._has_own_headers(v_asked.headers), v_asked.body is not null,
        (extract(epoch from v_asked.timeout + reconcile_internal._reporting_time()) * 1000)::integer;
end
$$;

comment on function reconcile.sidecar_provider(text, integer, boolean) is
    'Protocol: what is the same for all requests of one version of a provider, by its first way or by the order''s number, whether each '
    'order has headers or a body of its own, and for how long a lease lasts.';
