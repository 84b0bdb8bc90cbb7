-- Texts for people that quote what others have said: masked first and cut then, so that no half of a secret is left over.
-- Requires: orders.

create function reconcile_internal._masked(p_text text, p_never_kept text[], p_length integer) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp
as $$
declare
    -- What is longer is not looked through: only its beginning is kept.
    v_read constant text := left(p_text, 65536);
begin
    return left(coalesce(reconcile_internal.redact_text(v_read, coalesce(p_never_kept, '{}')), v_read), p_length);
end
$$;

comment on function reconcile_internal._masked(text, text[], integer) is
    'The first characters of a text, with what is sensitive in it masked before it is cut, also by these names.';

-- An error quotes what its code was handed: so for every provider's names, and for the values that sensitive captures have read of these
-- orders, which hooks and columns get in clear.
create function reconcile_internal._problem_of(p_message text, p_length integer, p_order_ids bigint[] default '{}') returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    v_message text := left(p_message, 65536);
    v_value text;
    v_never_kept constant text[] := array(
        select distinct named.name from reconcile.providers as p cross join lateral unnest(reconcile_internal._never_kept(p)) as named (name)
    );
begin
    if v_message is null then
        return null;
    end if;
    for v_value in
        select found.value
        from reconcile.tracked_orders as o
        join reconcile.providers as p on p.provider_id = o.provider_id
        cross join lateral jsonb_each(o.captured) as captured (name, value)
        cross join lateral (
            select each #>> '{}' from jsonb_path_query(captured.value, 'strict $.**') as each where jsonb_typeof(each) in ('string', 'number')
        ) as found (value)
        where o.order_id = any (p_order_ids)
          -- What the row of today has no capture for may have been sensitive when it was read.
          and coalesce((reconcile_internal._captures_of_both(p.captures, p.webhook) -> captured.name ->> 'sensitive')::boolean, true)
          -- Of fewer characters it is no secret, and would be found in any sentence.
          and length(found.value) >= 3
        order by length(found.value) desc
    loop
        v_message := replace(v_message, v_value, '[redacted]');
    end loop;
    return reconcile_internal._masked(v_message, v_never_kept, p_length);
end
$$;

comment on function reconcile_internal._problem_of(text, integer, bigint[]) is
    'What may be kept and said of an error that an application''s code has raised about these orders: its first characters, masked before they are cut.';
