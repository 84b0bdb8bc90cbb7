-- Orders: what the application says of them. Owns who is watched and what is known of it; where it stands belongs to moves, and when it is asked
-- about to the queue.
-- Locks: the orders, by the caller; whoever is new is locked by being written.
-- Requires: moves.

create type reconcile_internal.new_order as (
    order_number text,
    provider_id integer,
    reference text,
    amount numeric,
    currency text,
    details jsonb,
    state text,
    created_at timestamptz,
    attachment_id integer,
    own_number text
);

comment on type reconcile_internal.new_order is 'An order that is to be watched, as it is handed over or as its row says.';
comment on column reconcile_internal.new_order.order_number is 'Its number.';
comment on column reconcile_internal.new_order.provider_id is 'Who is asked about it.';
comment on column reconcile_internal.new_order.reference is 'The provider''s own id for it.';
comment on column reconcile_internal.new_order.amount is 'What it should cost, in major units.';
comment on column reconcile_internal.new_order.currency is 'ISO 4217 code of amount.';
comment on column reconcile_internal.new_order.details is 'What is kept with it.';
comment on column reconcile_internal.new_order.state is 'The open state in which it begins.';
comment on column reconcile_internal.new_order.created_at is 'When the application created it.';
comment on column reconcile_internal.new_order.attachment_id is 'The attached table that its row stands in; NULL for one that is handed over.';
comment on column reconcile_internal.new_order.own_number is 'The number that its row has, where that is another.';

-- An order and its place in the queue are written together, never apart. In one order, whoever brings them: two that bring the same numbers
-- would wait for each other otherwise.
create function reconcile_internal._watch(p_orders reconcile_internal.new_order[]) returns bigint[]
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_order_ids bigint[];
    v_due_at timestamptz[];
begin
    with watched as (
        insert into reconcile.tracked_orders as o (
            order_number, provider_id, reference, amount, currency, details, state, created_at, attachment_id, own_number
        )
        select n.order_number, n.provider_id, n.reference, n.amount, n.currency, coalesce(n.details, '{}'), n.state, n.created_at,
            n.attachment_id, n.own_number
        from unnest(p_orders) as n
        order by n.order_number
        on conflict (order_number) do nothing
        returning o.order_id, o.order_number, o.provider_id, o.created_at
    )
    select array_agg(w.order_id), array_agg(greatest(clock_timestamp(),
        w.created_at + make_interval(secs => reconcile.schedule_delay_ms(p.schedule, 0, w.order_number) / 1000.0)))
    into v_order_ids, v_due_at
    from watched as w
    join reconcile.providers as p on p.provider_id = w.provider_id;
    if v_order_ids is null then
        return '{}';
    end if;
    perform reconcile_internal._enqueue(v_order_ids, v_due_at);
    return v_order_ids;
end
$$;

comment on function reconcile_internal._watch(reconcile_internal.new_order[]) is
    'Watches orders that are not known yet, from their provider''s schedule on; answers which are new.';

create function reconcile_internal._describe(p_order_ids bigint[], p_references text[], p_amounts numeric[], p_currencies text[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    update reconcile.tracked_orders as o
    set reference = coalesce(given.reference, o.reference), reference_found = o.reference_found and given.reference is null,
        amount = coalesce(given.amount, o.amount), currency = coalesce(given.currency, o.currency)
    from unnest(p_order_ids, p_references, p_amounts, p_currencies) as given (order_id, reference, amount, currency)
    where o.order_id = given.order_id;
end
$$;

comment on function reconcile_internal._describe(bigint[], text[], numeric[], text[]) is
    'Takes the application''s word for references, amounts and currencies of orders; NULL leaves what is known.';

create function reconcile_internal._assign(p_order_ids bigint[], p_attachment_id integer, p_own_numbers text[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    update reconcile.tracked_orders as o
    set attachment_id = p_attachment_id, own_number = given.own_number
    from unnest(p_order_ids, p_own_numbers) as given (order_id, own_number)
    where o.order_id = given.order_id;
end
$$;

comment on function reconcile_internal._assign(bigint[], integer, text[]) is 'Makes orders those of an attached table, each by its row''s own number.';
