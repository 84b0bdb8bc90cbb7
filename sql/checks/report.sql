-- The report: a sidecar hands over what it heard, and is told what could not be applied.
-- Requires: second_payments.

create function reconcile.sidecar_report(
    p_sidecar_id bigint,
    p_order_ids bigint[], p_tokens bigint[], p_faults text[], p_http_statuses integer[], p_bodies text[],
    p_details text[], p_durations_ms integer[], p_retry_after_s integer[]
)
returns table (order_id bigint, verdict text)
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    v_applied bigint[] := '{}';
    v_stale bigint := 0;
begin
    -- A sidecar takes none itself: what is left is of code that was called, and would last as long as the connection. Before, what a
    -- call that failed has left; after, what this one did.
    perform pg_advisory_unlock_all();
    perform reconcile_internal._refuse_sidecar(p_sidecar_id);
    perform reconcile_internal._refuse_strange_objects();
    v_applied := reconcile_internal._settle(p_sidecar_id, array(
        select row(
            given.order_id, given.token, given.fault, given.http_status, given.body, given.detail, given.duration_ms, given.retry_after_s
        )::reconcile_internal.given_answer
        from unnest(p_order_ids, p_tokens, p_faults, p_http_statuses, p_bodies, p_details, p_durations_ms, p_retry_after_s)
            as given (order_id, token, fault, http_status, body, detail, duration_ms, retry_after_s)
    ));
    if cardinality(v_applied) < cardinality(p_order_ids) then
        return query
        select given.order_id, case when l.order_id is null then 'stale' else 'busy' end
        from unnest(p_order_ids, p_tokens) as given (order_id, token)
        left join reconcile.leases as l
            on l.order_id = given.order_id and l.token = given.token and l.sidecar_id = p_sidecar_id
        where given.order_id <> all (v_applied);
        v_stale := (
            select count(*)
            from unnest(p_order_ids, p_tokens) as given (order_id, token)
            where given.order_id <> all (v_applied)
              and not exists (
                  select from reconcile.leases as l
                  where l.order_id = given.order_id and l.token = given.token and l.sidecar_id = p_sidecar_id
              )
        );
    end if;
    update reconcile.registered_sidecars as s
    set reported = s.reported + cardinality(v_applied), stale_reports = s.stale_reports + v_stale
    where s.sidecar_id = p_sidecar_id;
    if exists (
        select from reconcile.transitions as t
        where t.written_on = reconcile_internal._system_identifier() and t.written_in = pg_current_xact_id()::text::bigint
    ) then
        perform reconcile_internal._number_events();
        perform reconcile_internal._tell_listeners();
    end if;
    perform pg_advisory_unlock_all();
end
$$;

comment on function reconcile.sidecar_report(
    bigint, bigint[], bigint[], text[], integer[], text[], text[], integer[], integer[]
) is
    'Protocol: takes a batch of answers; a detail without a fault is the content type of one that says it is no JSON. Answers those that were not applied: stale (the lease is gone) or busy (report again).';
