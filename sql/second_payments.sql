-- Second payments: what a provider has taken twice for one order. It is a person's matter, whatever state the order is in: one that
-- succeeded long ago stays where it is, and is told all the same.
-- Requires: settling.

create table reconcile.recorded_second_payments (
    order_id bigint primary key,
    noted_at timestamptz not null default clock_timestamp(),
    check_id bigint not null,
    detail text not null,
    decided_at timestamptz,
    decided_by text,
    decision text
);

comment on table reconcile.recorded_second_payments is 'Orders that were paid twice, by their provider''s word.';
comment on column reconcile.recorded_second_payments.order_id is 'The order.';
comment on column reconcile.recorded_second_payments.noted_at is 'Since when it is known.';
comment on column reconcile.recorded_second_payments.check_id is 'The check that told.';
comment on column reconcile.recorded_second_payments.detail is 'What was said.';
comment on column reconcile.recorded_second_payments.decided_at is 'When a person had done with it; NULL while nobody has.';
comment on column reconcile.recorded_second_payments.decided_by is 'The role that had.';
comment on column reconcile.recorded_second_payments.decision is 'What was done, in that person''s words.';

create function reconcile_internal._note_second_payments(p_judged reconcile_internal.judged_answer[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    -- One payment is left: the other was paid back. An event tells of one payment, and not that there is no other.
    delete from reconcile.recorded_second_payments as s
    using unnest(p_judged) as j
    where s.order_id = (j.standing).order_id and s.decided_at is null and j.is_call and (j.answer).outcome in ('succeeded', 'refunded');
    insert into reconcile.recorded_second_payments as s (order_id, check_id, detail)
    select (j.standing).order_id, j.check_id, left(j.detail, 1000)
    from unnest(p_judged) as j
    where (j.answer).outcome = 'mismatch' and j.detail like 'paid twice:%'
    on conflict (order_id) do update
    set noted_at = excluded.noted_at, check_id = excluded.check_id, detail = excluded.detail, decided_at = null, decided_by = null, decision = null
    -- What a person has done with is told again when it is something else.
    where s.detail <> excluded.detail;
end
$$;

comment on function reconcile_internal._note_second_payments(reconcile_internal.judged_answer[]) is
    'Notes the orders that were paid twice, and forgets those of which one payment is left.';

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
select o.order_number, p.name as provider, o.state, s.noted_at, s.detail, s.check_id, s.decided_at, s.decided_by, s.decision
from reconcile.recorded_second_payments as s
join reconcile.tracked_orders as o on o.order_id = s.order_id
join reconcile.providers as p on p.provider_id = o.provider_id;

comment on view reconcile.second_payments is 'Orders that were paid twice, by their provider''s word, and what was done about it.';
comment on column reconcile.second_payments.order_number is 'The order.';
comment on column reconcile.second_payments.provider is 'Its provider.';
comment on column reconcile.second_payments.state is 'Where it stands: one that had succeeded stays there.';
comment on column reconcile.second_payments.noted_at is 'Since when it is known.';
comment on column reconcile.second_payments.detail is 'What was said.';
comment on column reconcile.second_payments.check_id is 'The check that told: see reconcile.checks.';
comment on column reconcile.second_payments.decided_at is 'When a person had done with it; NULL while nobody has.';
comment on column reconcile.second_payments.decided_by is 'The role that had.';
comment on column reconcile.second_payments.decision is 'What was done, in that person''s words.';

-- A dump holds the data of an extension's tables only where the extension says so.
select pg_catalog.pg_extension_config_dump('reconcile.recorded_second_payments', '');
