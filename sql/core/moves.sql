-- Moves: an order goes from one state to another, and a transition says so. Owns the state of an order and the table of transitions.
--
-- What a provider's answers move is written with the answers: see settling, whose statement is the only other that writes a state, since
-- one update of a row costs half of two.
-- Locks: the orders, by the caller.
-- Requires: leases.

create function reconcile_internal._move(
    p_order_ids bigint[], p_to_states text[], p_cause text, p_reasons text[], p_changed_by text default session_user
) returns bigint[]
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    v_transition_ids bigint[];
begin
    with moving as materialized (
        select o.order_id, o.state as from_state, given.to_state, given.reason
        from unnest(p_order_ids, p_to_states, p_reasons) as given (order_id, to_state, reason)
        join reconcile.tracked_orders as o on o.order_id = given.order_id
        where o.state <> given.to_state
    ),
    moved as (
        update reconcile.tracked_orders as o
        set state = moving.to_state, settled_by = case when moving.to_state not in ('pending', 'processing') then p_cause end,
            state_changed_at = clock_timestamp(), attempt = 0, tries = 0, faults = 0
        from moving
        where o.order_id = moving.order_id
    ),
    told as (
        insert into reconcile.transitions (order_id, from_state, to_state, cause, reason, changed_by)
        select moving.order_id, moving.from_state, moving.to_state, p_cause, moving.reason, p_changed_by
        from moving
        order by moving.order_id
        returning transition_id
    )
    select coalesce(array_agg(told.transition_id), '{}') into v_transition_ids from told;
    return v_transition_ids;
end
$$;

comment on function reconcile_internal._move(bigint[], text[], text, text[], text) is
    'Moves orders to other states by somebody''s word, with their schedules begun anew; answers the transitions. One that is there already stays.';
