-- Webhooks that the application's handler has verified: a doorbell, or evidence.
--
-- One event has one effect, however often it is handed over. As a doorbell it makes the check due now, and the provider's own answer
-- decides. As evidence, by the provider's row, its payload is read like an answer: by the same rules, so a late or repeated one moves
-- nothing back. Events of orders that are not known yet are kept until they are; which orders an event is about is for matching to say.
-- Locks: the order, then its lease and its place in the queue, as everywhere.
-- Requires: lookups.

create table reconcile.received_webhooks (
    provider_id integer not null references reconcile.providers,
    event_id text collate "C" not null check (length(event_id) between 1 and 500),
    received_at timestamptz not null default clock_timestamp(),
    order_number text collate "C",
    reference text,
    payload jsonb not null,
    order_id bigint,
    others bigint[] not null default '{}',
    effect text not null,
    received_from text not null default session_user,
    primary key (provider_id, event_id)
);

create index received_webhooks_early on reconcile.received_webhooks (received_at) where order_id is null;
create index received_webhooks_by_number on reconcile.received_webhooks (order_number) where order_number is not null;
create index received_webhooks_by_reference on reconcile.received_webhooks (reference) where order_number is null;
create index received_webhooks_linked on reconcile.received_webhooks (order_id) where effect = 'kept' and order_id is not null;
create index received_webhooks_received_at on reconcile.received_webhooks (received_at);

comment on table reconcile.received_webhooks is 'Events that handlers of webhooks have handed over.';
comment on column reconcile.received_webhooks.provider_id is 'Whose event it is.';
comment on column reconcile.received_webhooks.event_id is 'The provider''s id of the event.';
comment on column reconcile.received_webhooks.received_at is 'When it was handed over.';
comment on column reconcile.received_webhooks.order_number is 'The order that it names.';
comment on column reconcile.received_webhooks.reference is 'The reference that it names.';
comment on column reconcile.received_webhooks.payload is 'Its payload, with secrets masked.';
comment on column reconcile.received_webhooks.order_id is 'The order that it was found to be about; NULL as long as that is not known.';
comment on column reconcile.received_webhooks.others is 'Other orders that it could be about: then it moves none, and all of them are asked about.';
comment on column reconcile.received_webhooks.effect is 'What came of it: kept, asked, applied or ignored.';
comment on column reconcile.received_webhooks.received_from is 'The role whose session handed it over.';

-- Rings the doorbell: asked at once, and once more when a check is under way that may have begun before the event.
create function reconcile_internal._ring(p_order_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    -- A closed one has no place in the queue that could be held while it is given one: see _ring_several.
    perform from reconcile.tracked_orders as o
    where o.order_id = any (p_order_ids) and o.state not in ('pending', 'processing') order by o.order_id for share;
    perform reconcile_internal._ask_once_more(p_order_ids);
end
$$;

comment on function reconcile_internal._ring(bigint[]) is 'Makes the checks of orders due now, because the provider said that something has changed.';

-- Orders that have no more in common than a number or a reference: who holds one of them keeps no other from being asked about.
create function reconcile_internal._ring_several(p_order_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_closed bigint[] := array(
        select o.order_id from reconcile.tracked_orders as o
        where o.order_id = any (p_order_ids) and o.state not in ('pending', 'processing', 'refunded')
        order by o.order_id
        for no key update skip locked
    );
begin
    perform reconcile_internal._mark_rung(array(
        select free.order_id from reconcile.leases as free where free.order_id = any (p_order_ids) for update skip locked
    ));
    perform reconcile_internal._make_due(p_order_ids);
    perform reconcile_internal._enqueue_idle(v_closed);
end
$$;

comment on function reconcile_internal._ring_several(bigint[]) is
    'As _ring, of orders that may be several applications'', and waits for none: one that is held is asked about when it is due anyway.';

-- The payload is read as if the provider had answered it just now.
create function reconcile_internal._take_as_evidence(p_order_id bigint, p_payload text, p_event_id text) returns text
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_order reconcile.tracked_orders;
    v_was_due_at timestamptz;
    v_token bigint;
    v_understood boolean;
begin
    select o.* into v_order from reconcile.tracked_orders as o where o.order_id = p_order_id for no key update;
    -- A check that is under way is overtaken: its answer will be stale.
    if reconcile_internal._call_off(array[p_order_id]) <> '{}' then
        perform reconcile_internal._enqueue(array[p_order_id], array[clock_timestamp()]);
    end if;
    v_was_due_at := (select d.due_at from reconcile.due_checks as d where d.order_id = p_order_id);
    v_token := (select l.token from reconcile_internal._lease(array[p_order_id], 'webhook') as l);
    perform reconcile_internal._settle(null, array[
        row(p_order_id, v_token, null, null, p_payload, left('webhook ' || p_event_id, 200), null, null)::reconcile_internal.given_answer]);
    -- A watch that was running goes on where the evidence has not set another.
    if exists (select from reconcile.tracked_orders as o where o.order_id = p_order_id and o.state = v_order.state) then
        perform reconcile_internal._enqueue(array[p_order_id], array[v_was_due_at]);
    end if;
    v_understood := coalesce((
        select c.outcome not in ('unknown_status', 'provider_error') from reconcile.recorded_checks as c
        where c.order_id = p_order_id and c.token = v_token order by c.check_id desc limit 1
    ), false);
    if not v_understood then
        -- Something has happened, and only the provider can say what.
        perform reconcile_internal._ring(array[p_order_id]);
    end if;
    return case
        when exists (
            select from reconcile.tracked_orders as o
            where o.order_id = p_order_id and (o.state, o.refunded_amount) is distinct from (v_order.state, v_order.refunded_amount)
        ) then 'applied'
        when not v_understood and v_order.state <> 'refunded' then 'asked'
        else 'ignored'
    end;
end
$$;

comment on function reconcile_internal._take_as_evidence(bigint, text, text) is
    'Settles an order by a webhook''s payload; answers applied when it moved the order or tells of money paid back, asked when it '
    'was not understood and the provider is asked, and ignored when it says nothing new.';

-- Which orders it could be about is looked at when it is taken: another one may have come meanwhile.
create function reconcile_internal._take_event(p_webhook reconcile.received_webhooks) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_order_ids bigint[] := reconcile_internal._orders_of_event(p_webhook.provider_id, p_webhook.order_number, p_webhook.reference);
    v_effect text := 'asked';
begin
    v_order_ids := array_remove(v_order_ids, p_webhook.order_id);
    if v_order_ids = '{}' then
        v_effect := reconcile_internal._take_as_evidence(p_webhook.order_id, p_webhook.payload::text, p_webhook.event_id);
    else
        perform reconcile_internal._ring_all(
            p_webhook.provider_id, p_webhook.order_number, p_webhook.reference, p_webhook.order_id || v_order_ids);
    end if;
    update reconcile.received_webhooks as w
    set effect = v_effect, others = v_order_ids
    where w.provider_id = p_webhook.provider_id and w.event_id = p_webhook.event_id;
end
$$;

comment on function reconcile_internal._take_event(reconcile.received_webhooks) is
    'Settles an order by an event that was kept for it, or rings all that it could be about.';

-- For as long as others can wait, from another order on each time: what takes too long, or fails, is not always what comes first. An order's
-- own events stay in the order in which they came; who finds an order locked leaves it to the next run.
create function reconcile_internal._take_kept_evidence(p_provider_id integer, p_keeps boolean default false) returns integer
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_until constant timestamptz := clock_timestamp() + interval '2 seconds';
    v_from constant bigint := (
        select floor(random() * (max(w.order_id) + 1)) from reconcile.received_webhooks as w
        where w.effect = 'kept' and w.order_id is not null
    );
    v_webhook reconcile.received_webhooks;
    v_taken integer := 0;
begin
    -- No query is open while code of an application runs, which could read on in its portal.
    foreach v_webhook in array array(
        select w
        from reconcile.received_webhooks as w
        join reconcile.tracked_orders as o on o.order_id = w.order_id
        where w.effect = 'kept' and w.order_id is not null and w.provider_id = p_provider_id
        order by w.order_id < v_from, w.order_id, w.received_at
        limit 500
        for update of w, o skip locked
    ) loop
        begin
            perform reconcile_internal._take_event(v_webhook);
        exception
            when query_canceled then
                if not p_keeps or v_taken = 0 then
                    raise;
                end if;
                exit;
        end;
        v_taken := v_taken + 1;
        exit when clock_timestamp() > v_until;
    end loop;
    if v_taken > 0 then
        perform reconcile_internal._tell_listeners();
    end if;
    return v_taken;
end
$$;

comment on function reconcile_internal._take_kept_evidence(integer, boolean) is
    'Settles orders of a provider by events that came before them, 500 at most and for two seconds; answers how many events were taken. To '
    'keep is for who calls this alone: it ends when it is cancelled, and what was done until then stays.';

-- In the transaction of whoever tracks it, who may have a customer waiting: a few, and what is left is taken by the next heartbeat.
create function reconcile_internal._take_kept_evidence_of(p_order_id bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    if not exists (select from reconcile.received_webhooks as w where w.order_id = p_order_id and w.effect = 'kept')
        or reconcile_internal._strange_object() is not null
    then
        return;
    end if;
    perform reconcile_internal._check_pending();
    perform reconcile_internal._take_event(w)
    from (
        select w.* from reconcile.received_webhooks as w
        where w.order_id = p_order_id and w.effect = 'kept'
        order by w.received_at
        limit 10
        for update of w skip locked
    ) as w;
    perform reconcile_internal._defer_again();
end
$$;

comment on function reconcile_internal._take_kept_evidence_of(bigint) is
    'Settles an order, which its caller has just written, by the first ten of the events that came before it.';

select pg_catalog.pg_extension_config_dump('reconcile.received_webhooks', '');
