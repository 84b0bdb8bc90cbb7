-- An empty installation has empty views, and every call says plainly what is missing.
select count(*) from reconcile.orders;
select count(*) from reconcile.stale_orders;
select count(*) from reconcile.stuck_orders;
select count(*) from reconcile.order_history;
select count(*) from reconcile.checks;
select count(*) from reconcile.runs;
select count(*) from reconcile.provider_health;
select count(*) from reconcile.sidecars;
select count(*) from reconcile.alerts;
table reconcile.settings;

select * from reconcile_order('ORD-1');
select order_details('ORD-1');
select reconcile.explain_order('ORD-1');
select reconcile.explain_order(null);
select * from reconcile_stale_orders();
select * from reconcile.housekeep();
select * from reconcile.sidecar_claim(1, 10);
select * from reconcile.sidecar_heartbeat(1, 0);
select * from reconcile.sidecar_provider('vendor', 1);
select * from reconcile.sidecar_report(1, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}');

-- With a provider and no sidecar somebody has to be called.
select reconcile.add_provider('vendor', 'https://v.example/{order_number}', '{"paid": "succeeded"}');
select alert, severity, subject, since, message from reconcile.alerts;
select name, health, in_flight, faults, due_up_to_10000 from reconcile.provider_health;
