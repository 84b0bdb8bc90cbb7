-- The calls that wait for an answer, from inside the caller's own transaction.
--
-- Nothing here writes in the caller's transaction but the last resort, so a caller holds no lock that the sidecar's
-- report would need. The request is committed by a background worker; then each statement of the loop sees what the
-- report has committed. For as long as it waits the caller's snapshot holds back vacuum, so the wait is bounded.
-- Requires: housekeeping.

create type reconcile.reconciled_order as (
    order_number text,
    state text,
    previous_state text,
    updated boolean,
    outcome text,
    provider_status text,
    transaction_id text,
    checked_at timestamptz,
    message text
);

comment on type reconcile.reconciled_order is 'What reconcile_order answers.';
comment on column reconcile.reconciled_order.order_number is 'The order.';
comment on column reconcile.reconciled_order.state is 'Where it stands now; NULL for a row that is not watched yet, and message says why.';
comment on column reconcile.reconciled_order.previous_state is 'Where it stood when the call began.';
comment on column reconcile.reconciled_order.updated is 'Whether the two differ.';
comment on column reconcile.reconciled_order.outcome is 'What the latest check meant.';
comment on column reconcile.reconciled_order.provider_status is 'The provider''s latest word.';
comment on column reconcile.reconciled_order.transaction_id is 'The provider''s transaction id.';
comment on column reconcile.reconciled_order.checked_at is 'When the latest check came back.';
comment on column reconcile.reconciled_order.message is 'What happened, or why nothing could.';

create function reconcile_internal._answer_seen(p_last_checked_at timestamptz) returns bigint
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$
    select coalesce((extract(epoch from p_last_checked_at) * 1000000)::bigint, 0)
$$;

comment on function reconcile_internal._answer_seen(timestamptz) is
    'Names the latest answer about an order: another one has come when that is another. Later it need not be, since the date may have been set back.';

-- Runs in the background worker. Waits for no lock: its caller may hold it, and would wait for ever.
create function reconcile_internal._request_check(p_order_id bigint, p_seen_us bigint, p_even_closed boolean) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_idle bigint[];
begin
    -- An order that can't be locked could not be reported either. One that was answered since its caller began to ask needs no
    -- further call: many callers at a time are served by one.
    perform from reconcile.tracked_orders as o
    where o.order_id = p_order_id and reconcile_internal._answer_seen(o.last_checked_at) = p_seen_us
    for update skip locked;
    if not found then
        return;
    end if;
    if reconcile_internal._make_due(array[p_order_id], true) = '{}' then
        -- An order that nothing is awaited of any more can be asked about all the same; a closed one if somebody insists.
        v_idle := array(
            select o.order_id
            from reconcile.tracked_orders as o
            where o.order_id = p_order_id and (o.state = 'review' or p_even_closed)
              -- Neither here nor there in one snapshot: a claim that is just being committed hides its lease, but not the row it takes.
              and not exists (select from reconcile.leases as l where l.order_id = p_order_id)
              and not exists (select from reconcile.due_checks as d where d.order_id = p_order_id)
        );
        perform reconcile_internal._enqueue(v_idle, array[clock_timestamp()], array[true]);
    end if;
    perform pg_notify('reconcile_due', '');
end
$$;

comment on function reconcile_internal._request_check(bigint, bigint, boolean) is
    'Makes the check of an order due now, ahead of the schedule, and notifies; unless another answer came than the one that was seen.';

-- What keeps an answer from being seen, whatever is requested; NULL when nothing does.
create function reconcile_internal._obstacle(p_provider_id integer) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        return format('a %s transaction can''t see the answer; the check is queued: look again in a new transaction',
            current_setting('transaction_isolation'));
    end if;
    if exists (select from reconcile.providers as p where p.provider_id = p_provider_id and p.kind = 'sql' and p.paused_at is null) then
        return 'a read-only transaction can''t settle it; the check is made by the next reconcile_stale_orders';
    end if;
    if not exists (
        select from reconcile.registered_sidecars as s
        where s.stopped_at is null and s.heartbeat_at > reconcile_internal._steady_now() - reconcile_internal._sidecar_alive_within()
    ) and not exists (select from reconcile.providers as p where p.provider_id = p_provider_id and p.kind = 'sql') then
        return 'no sidecar is running, so nobody can ask the provider; the check is queued';
    end if;
    return (
        select format('the provider %s is paused since %s (%s); the check is queued', p.name, date_trunc('second', p.paused_at), p.paused_reason)
        from reconcile.providers as p
        where p.provider_id = p_provider_id and p.paused_at is not null
    );
end
$$;

comment on function reconcile_internal._obstacle(integer) is 'Why waiting for an answer would be in vain; NULL when it would not.';

create function reconcile_internal._reconcile_order(p_order_number text, p_wait interval, p_even_closed boolean default false) returns reconcile.reconciled_order
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_began_at constant timestamptz := reconcile_internal._steady_now();
    v_seen bigint;
    v_until timestamptz;
    v_before reconcile.tracked_orders;
    v_now reconcile.tracked_orders;
    v_asking boolean;
    v_answered boolean;
    v_requested boolean := false;
    v_message text;
    v_pause_ms double precision := 1;
begin
    if pg_is_in_recovery() then
        raise exception 'this server is a standby, which can''t ask providers'
            using errcode = 'RC007', hint = 'Call reconcile_order on the primary; here, read reconcile.orders.';
    end if;
    if p_wait is null or p_wait not between interval '0' and interval '60 s' then
        raise exception 'wait is %', coalesce(p_wait::text, 'NULL')
            using errcode = 'RC005', hint = 'Use 0 (ask and don''t wait) to 60 s: a waiting transaction holds back vacuum.';
    end if;
    v_until := v_began_at + p_wait;
    v_before := reconcile_internal._find_order(p_order_number);
    if v_before.order_id is null and reconcile_internal._why_unwatched(p_order_number) is not null then
        return (p_order_number, null, null, false, null, null, null, null, reconcile_internal._why_unwatched(p_order_number))::reconcile.reconciled_order;
    elsif v_before.order_id is null then
        -- Which says so.
        v_before := reconcile_internal._order(p_order_number);
    end if;
    v_seen := reconcile_internal._answer_seen(v_before.last_checked_at);
    if v_before.state in ('succeeded', 'failed', 'cancelled', 'refunded') and p_even_closed is not true then
        return (
            v_before.order_number, v_before.state, v_before.state, false, v_before.last_outcome, v_before.provider_status,
            v_before.transaction_id, v_before.last_checked_at,
            format('it is %s since %s, by the word of: %s; the provider was not asked (even_closed => true asks it)',
                v_before.state, date_trunc('second', v_before.state_changed_at), v_before.settled_by)
        )::reconcile.reconciled_order;
    end if;
    if exists (select from reconcile.providers as p where p.provider_id = v_before.provider_id and p.kind = 'sql' and p.paused_at is null)
        and not current_setting('transaction_read_only')::boolean
    then
        -- This database knows: it is asked here and now, and the answer is part of the caller's transaction.
        perform reconcile_internal._check_pending();
        perform reconcile_internal._settle_here(array[v_before.order_id]);
        perform reconcile_internal._defer_again();
        v_message := 'the order is locked by a transaction that has not ended; ask again after it';
        v_until := v_began_at;
        v_requested := true;
    else
        v_message := reconcile_internal._obstacle(v_before.provider_id);
    end if;
    loop
        -- One statement, so that the order and what is under way for it are seen at one moment.
        select
            exists (select from reconcile.leases as l where l.order_id = o.order_id)
            or exists (select from reconcile.due_checks as d where d.order_id = o.order_id and d.urgent),
            reconcile_internal._answer_seen(o.last_checked_at) <> v_seen
        into v_asking, v_answered
        from reconcile.tracked_orders as o
        where o.order_id = v_before.order_id;
        exit when v_answered;
        if not v_asking and v_requested then
            v_message := coalesce(v_message,
                'the order was created or is locked by a transaction that has not ended, perhaps by this one; ask again after it '
                '(or the request failed: then the server''s log says why)');
            exit;
        end if;
        if not v_asking then
            -- Many callers at a time can use up the worker slots for some milliseconds, so this is tried for a while.
            v_requested := reconcile_internal._wake(v_before.order_id, v_seen, p_even_closed is true);
            if not v_requested and reconcile_internal._steady_now() > least(v_until, v_began_at + interval '1 s') then
                if current_setting('transaction_read_only')::boolean then
                    v_message := 'no background worker slot is free (max_worker_processes), and a read-only transaction can''t queue the check; ask again';
                    exit;
                end if;
                perform reconcile_internal._request_check(v_before.order_id, v_seen, p_even_closed is true);
                v_message := 'no background worker slot is free (max_worker_processes); the check is queued when this transaction commits';
                exit;
            end if;
        end if;
        exit when v_message is not null and (v_requested or v_asking);
        if reconcile_internal._steady_now() >= v_until then
            exit when v_requested or v_asking;
        else
            perform reconcile_internal._pause(v_pause_ms::bigint);
            v_pause_ms := least(v_pause_ms * 1.1, 20);
        end if;
    end loop;
    select o.* into v_now from reconcile.tracked_orders as o where o.order_id = v_before.order_id;
    if reconcile_internal._answer_seen(v_now.last_checked_at) <> v_seen then
        select c.reason || coalesce(': ' || coalesce(c.problem, c.detail), '') into v_message
        from reconcile.recorded_checks as c
        where c.order_id = v_before.order_id
        order by c.check_id desc
        limit 1;
    end if;
    return (
        v_now.order_number, v_now.state, v_before.state, v_now.state <> v_before.state, v_now.last_outcome, v_now.provider_status,
        v_now.transaction_id, v_now.last_checked_at,
        coalesce(v_message, format('no answer within %s; the check goes on: look again, or wait longer', p_wait))
    )::reconcile.reconciled_order;
end
$$;

comment on function reconcile_internal._reconcile_order(text, interval, boolean) is 'Asks the provider about one order now and answers where it stands.';

create function @extschema@.reconcile_order(order_number text, wait interval default '5 s', even_closed boolean default false)
returns reconcile.reconciled_order
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    return reconcile_internal._reconcile_order(reconcile_order.order_number, reconcile_order.wait, reconcile_order.even_closed);
end
$$;

comment on function @extschema@.reconcile_order(text, interval, boolean) is
    'Asks the provider about one order now and answers where it stands: select * from reconcile_order(''ORD-1''). With even_closed, about one '
    'that is closed too. Where this database knows (kind sql), it is settled in the caller''s transaction, which until its end holds the order '
    'and what follows from it: its row in the attached table, and what hooks have written.';

create function @extschema@.order_details(order_number text, wait interval default '2 s') returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    v_updated boolean := false;
    v_order reconcile.tracked_orders := reconcile_internal._order(order_details.order_number);
begin
    if v_order.state in ('pending', 'processing') and not pg_is_in_recovery() then
        v_updated := (reconcile_internal._reconcile_order(order_details.order_number, order_details.wait)).updated;
    end if;
    return (
        select jsonb_build_object(
            'order', jsonb_build_object(
                'order_number', o.order_number, 'state', o.state, 'amount', o.amount, 'currency', o.currency,
                'details', o.details, 'created_at', o.created_at, 'state_changed_at', o.state_changed_at
            ),
            'payment', jsonb_build_object(
                'provider', p.name, 'reference', o.reference, 'status', o.provider_status, 'outcome', o.last_outcome,
                'transaction_id', o.transaction_id, 'last_checked_at', o.last_checked_at
            ),
            'status_updated', v_updated
        )
        from reconcile.tracked_orders as o
        join reconcile.providers as p on p.provider_id = o.provider_id
        where o.order_id = v_order.order_id
    );
end
$$;

comment on function @extschema@.order_details(text, interval) is
    'An order with its payment as jsonb, asked about first while it is open. Never fails because a provider did.';
