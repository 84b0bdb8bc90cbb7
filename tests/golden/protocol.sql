-- The protocol by hand: start, heartbeat, claim, report, release, stop; a report with a lease that is gone changes nothing.
select reconcile.add_provider('vendor', 'https://v.example/{order_number}', '{"paid": "succeeded", "open": "pending"}',
    auth => '{"kind": "bearer", "secret": "VENDOR_TOKEN"}', headers => '{"Accept": "application/json"}',
    transaction_id_path => '$.id', amount_path => '$.amount', timeout => '2.5 s');
select known, wait_ms from reconcile.sidecar_heartbeat(1, 0);
select reconcile.sidecar_start('by hand', '1', 20) as sidecar_id \gset
select known, wait_ms from reconcile.sidecar_heartbeat(:sidecar_id, 0);
select reconcile.track_order('ORD-' || n, 'vendor', amount => 5, created_at => now() - n * interval '10 minutes') from generate_series(1, 3) as n;
select known, wait_ms from reconcile.sidecar_heartbeat(:sidecar_id, 0);

-- At most as many as there are free slots, the longest due first; what is leased is not claimed again.
select * from reconcile.sidecar_claim(:sidecar_id, 0);
select * from reconcile.sidecar_claim(:sidecar_id, null);
select order_number, token, c.provider, provider_version, url, headers, body, awaited
from reconcile.sidecar_claim(:sidecar_id, 2) as c join reconcile.tracked_orders as o using (order_id) order by token;
select order_number, token from reconcile.sidecar_claim(:sidecar_id, 10) as c join reconcile.tracked_orders as o using (order_id);
select * from reconcile.sidecar_claim(:sidecar_id, 10);
select * from reconcile.sidecar_provider('vendor', 1);
select * from reconcile.sidecar_provider('vendor', 2);
select order_number, state, in_flight, next_check_at from reconcile.orders order by order_number;

-- One is paid and one is open: one row says so, and no row says that both were applied.
select l.order_id, l.token from reconcile.leases as l order by l.token offset 0 limit 1 \gset paid_
select l.order_id, l.token from reconcile.leases as l order by l.token offset 1 limit 1 \gset open_
select l.order_id, l.token from reconcile.leases as l order by l.token offset 2 limit 1 \gset kept_
select * from reconcile.sidecar_report(:sidecar_id, array[:paid_order_id, :open_order_id], array[:paid_token, :open_token], '{NULL,NULL}', '{200,200}',
    array['{"status": "paid", "amount": 5.00, "id": "tx-1"}', '{"status": "open"}'], '{NULL,NULL}', '{20,21}', '{NULL,NULL}');
select order_number, state, settled_by, transaction_id, provider_status, last_outcome, tries, in_flight, next_check_at > now() as asked_again
from reconcile.orders order by order_number;
select order_number, from_state, to_state, cause, reason, changed_by from reconcile.order_history;
select order_number, provider_version, outcome, http_status, provider_status, response, duration_ms, from_state, to_state, reason, sidecar
from reconcile.checks order by order_number;

-- The same token again is stale, and so is one that was never given. They are counted.
select * from reconcile.sidecar_report(:sidecar_id, array[:paid_order_id, 999], array[:paid_token, 999], null, '{200,200}',
    array['{"status": "paid"}', '{"status": "paid"}'], null, null, null);
select count(*) as checks, (select count(*) from reconcile.order_history) as transitions from reconcile.checks;

-- A report by somebody else than who claimed is stale. A release puts back what is leased, once; an unknown lease changes nothing.
select verdict from reconcile.sidecar_report(:sidecar_id + 1, array[:kept_order_id], array[:kept_token], null, '{200}', '{"{\"status\": \"paid\"}"}', null, null, null);
select reconcile.sidecar_release(:sidecar_id, array[:kept_order_id, 999], array[:kept_token, 999]);
select reconcile.sidecar_release(:sidecar_id, array[:kept_order_id], array[:kept_token]);
select in_flight, due_up_to_10000 from reconcile.provider_health;
select reconcile.sidecar_stop(:sidecar_id);
select name, slots, in_flight, stopped_at is not null as stopped, alive, reported, stale_reports from reconcile.sidecars;
