-- Second payments: what a provider has taken twice for one order, and one payment that has settled two orders. It is a person's matter,
-- whatever state the order is in: one that succeeded long ago stays where it is, and is told all the same. So does the second order of one
-- payment: which of the two was paid can't be told here, and who tracks an order under another's reference must not keep that from succeeding.
-- Requires: unsettled.

create table reconcile.recorded_second_payments (
    order_id bigint primary key,
    noted_at timestamptz not null default clock_timestamp(),
    check_id bigint not null,
    detail text not null,
    shared_with bigint,
    decided_at timestamptz,
    decided_by text,
    decision text
);

-- What one payment has settled: looked for with each success.
create index tracked_orders_transaction on reconcile.tracked_orders (transaction_id, provider_id) where transaction_id is not null;

comment on table reconcile.recorded_second_payments is 'Orders that were paid twice, by their provider''s word, and those that were paid by another order''s payment.';
comment on column reconcile.recorded_second_payments.order_id is 'The order.';
comment on column reconcile.recorded_second_payments.noted_at is 'Since when it is known.';
comment on column reconcile.recorded_second_payments.check_id is 'The check that told.';
comment on column reconcile.recorded_second_payments.detail is 'What was said.';
comment on column reconcile.recorded_second_payments.shared_with is 'The order that the same payment has settled before; NULL where the order was paid twice.';
comment on column reconcile.recorded_second_payments.decided_at is 'When a person had done with it; NULL while nobody has.';
comment on column reconcile.recorded_second_payments.decided_by is 'The role that had.';
comment on column reconcile.recorded_second_payments.decision is 'What was done, in that person''s words.';

-- Where status, amount or transaction id are read by the order's number, an answer says what it means for this order and for no other.
create function reconcile_internal._reads_by_order(p_provider reconcile.providers) returns boolean
language plpgsql immutable set search_path = pg_catalog, pg_temp
as $$
begin
    return concat_ws(' ', p_provider.status_path, p_provider.rules, p_provider.amount_path, p_provider.transaction_id_path)
        ~ '\$"?(order|own)_number';
end
$$;

comment on function reconcile_internal._reads_by_order(reconcile.providers) is
    'Whether paths or rules of a provider name the order, so that one payment may be for several.';

-- By the same transaction; or by the same reference, as long as the transactions are not known to be two.
create function reconcile_internal._settled_before(p_standing reconcile.tracked_orders, p_transaction_id text, p_reference text) returns bigint
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    return coalesce(
        (
            select o.order_id from reconcile.tracked_orders as o
            where o.transaction_id = p_transaction_id and o.provider_id = p_standing.provider_id
              and o.order_id <> p_standing.order_id and o.state = 'succeeded'
            limit 1
        ),
        (
            select o.order_id from reconcile.tracked_orders as o
            where o.reference = p_reference and o.provider_id = p_standing.provider_id
              and o.order_id <> p_standing.order_id and o.state = 'succeeded' and num_nulls(o.transaction_id, p_transaction_id) > 0
            limit 1
        )
    );
end
$$;

comment on function reconcile_internal._settled_before(reconcile.tracked_orders, text, text) is
    'Another order of the provider that the payment of this one has settled; NULL when there is none.';

create function reconcile_internal._note_shared_payments(p_judged reconcile_internal.judged_answer[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    insert into reconcile.recorded_second_payments as s (order_id, check_id, detail, shared_with)
    select (j.standing).order_id, j.check_id,
        left(format('its payment (%s) has settled order %L before', case when before.transaction_id = (j.answer).transaction_id
            then format('transaction %L', before.transaction_id) else format('reference %L', before.reference) end, before.order_number), 1000),
        before.order_id
    from unnest(p_judged) as j
    join reconcile.providers as p on p.provider_id = (j.standing).provider_id and not reconcile_internal._reads_by_order(p)
    cross join lateral reconcile_internal._settled_before(j.standing, coalesce((j.answer).transaction_id, (j.standing).transaction_id),
        -- One that was found is no less the order's.
        coalesce((j.standing).reference, (j.answer).reference)) as same (order_id)
    join reconcile.tracked_orders as before on before.order_id = same.order_id
    where j.to_state = 'succeeded' and (j.standing).state <> 'succeeded'
      -- Of two in one batch the later one.
      and not exists (
          select from unnest(p_judged) as other
          where (other.standing).order_id = same.order_id and other.to_state = 'succeeded' and (other.standing).state <> 'succeeded'
            and same.order_id > (j.standing).order_id
      )
    on conflict (order_id) do nothing;
end
$$;

comment on function reconcile_internal._note_shared_payments(reconcile_internal.judged_answer[]) is
    'Notes the orders that are settled by a payment which has settled another.';

create function reconcile_internal._note_second_payments(p_judged reconcile_internal.judged_answer[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    -- One payment is left: the other was paid back. An event tells of one payment, and not that there is no other.
    delete from reconcile.recorded_second_payments as s
    using unnest(p_judged) as j
    where s.order_id = (j.standing).order_id and s.decided_at is null and s.shared_with is null and j.source <> 'webhook' and (j.answer).outcome in ('succeeded', 'refunded');
    insert into reconcile.recorded_second_payments as s (order_id, check_id, detail)
    select (j.standing).order_id, j.check_id, left(j.detail, 1000)
    from unnest(p_judged) as j
    where (j.answer).outcome = 'mismatch' and j.detail like 'paid twice:%'
    on conflict (order_id) do update
    set noted_at = excluded.noted_at, check_id = excluded.check_id, detail = excluded.detail, shared_with = null,
        decided_at = null, decided_by = null, decision = null
    -- What a person has done with is told again when it is something else.
    where s.detail <> excluded.detail;
    if exists (select from unnest(p_judged) as j where j.to_state = 'succeeded' and (j.standing).state <> 'succeeded') then
        perform reconcile_internal._note_shared_payments(p_judged);
    end if;
end
$$;

comment on function reconcile_internal._note_second_payments(reconcile_internal.judged_answer[]) is
    'Notes the orders that were paid twice or by another''s payment, and forgets those of which one payment is left.';

create function reconcile_internal._decide_second_payment(p_order_id bigint, p_decision text, p_decided_by text) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    update reconcile.recorded_second_payments as s
    set decided_at = clock_timestamp(), decided_by = p_decided_by, decision = p_decision
    where s.order_id = p_order_id and s.decided_at is null;
    return found;
end
$$;

comment on function reconcile_internal._decide_second_payment(bigint, text, text) is
    'Keeps what a person has done about an order that was paid twice; false when there is nothing to be done.';

create view reconcile.second_payments as
select o.order_number, p.name as provider, o.state, s.noted_at, s.detail, s.check_id, s.decided_at, s.decided_by, s.decision,
    another.order_number as shared_with
from reconcile.recorded_second_payments as s
join reconcile.tracked_orders as o on o.order_id = s.order_id
join reconcile.providers as p on p.provider_id = o.provider_id
left join reconcile.tracked_orders as another on another.order_id = s.shared_with;

comment on view reconcile.second_payments is 'Orders that were paid twice, or by a payment that has settled another, and what was done about it.';
comment on column reconcile.second_payments.order_number is 'The order.';
comment on column reconcile.second_payments.provider is 'Its provider.';
comment on column reconcile.second_payments.state is 'Where it stands: one that had succeeded stays there.';
comment on column reconcile.second_payments.noted_at is 'Since when it is known.';
comment on column reconcile.second_payments.detail is 'What was said.';
comment on column reconcile.second_payments.check_id is 'The check that told: see reconcile.checks.';
comment on column reconcile.second_payments.decided_at is 'When a person had done with it; NULL while nobody has.';
comment on column reconcile.second_payments.decided_by is 'The role that had.';
comment on column reconcile.second_payments.decision is 'What was done, in that person''s words.';
comment on column reconcile.second_payments.shared_with is 'The order that the same payment has settled before; NULL where the order was paid twice.';

-- A dump holds the data of an extension's tables only where the extension says so.
select pg_catalog.pg_extension_config_dump('reconcile.recorded_second_payments', '');
