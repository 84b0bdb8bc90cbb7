-- A person decides where an order stands; the decision is kept with the reason and the role, and beats a check in flight.
select reconcile.add_provider('vendor', 'https://v.example/{order_number}', '{"paid": "succeeded"}');
select reconcile.track_order('ORD-1', 'vendor', created_at => now() - interval '10 minutes');
select reconcile.sidecar_start('by hand', '1', 20) as sidecar_id \gset
select order_id, token from reconcile.sidecar_claim(:sidecar_id, 1) \gset

select reconcile.resolve_order('nobody', 'succeeded', 'the bank says so');
select reconcile.resolve_order(null, 'succeeded', 'the bank says so');
select reconcile.resolve_order('ORD-1', 'paid', 'the bank says so');
select reconcile.resolve_order('ORD-1', null, 'the bank says so');
select reconcile.resolve_order('ORD-1', 'succeeded', null);
select reconcile.resolve_order('ORD-1', 'succeeded', ' ');
select reconcile.resolve_order('ORD-1', 'pending', 'it is that already');

select reconcile.resolve_order('ORD-1', 'succeeded', 'the bank''s statement of Monday, line 7');
select state, settled_by, next_check_at, in_flight from reconcile.orders;
-- The answer that was on its way is stale now.
select verdict from reconcile.sidecar_report(:sidecar_id, array[:order_id], array[:token], null, '{200}', '{"{\"status\": \"paid\"}"}', null, null, null);
select count(*) as checks from reconcile.checks;

-- Every state can be decided, also from a settled one; an open one is asked about again at once.
create role clerk;
grant usage on schema reconcile to clerk;
grant execute on function reconcile.resolve_order(text, text, text) to clerk;
-- The audit names the role that decides, by what it declares.
grant usage on schema reconcile_doors to clerk;
grant execute on function reconcile_doors.declare(text, jsonb), reconcile_doors.do_declared(bigint) to clerk;
grant insert (what, arguments) on reconcile.declarations to clerk;
grant usage on sequence reconcile.declaration_ids to clerk;
set session authorization clerk;
select reconcile.resolve_order('ORD-1', 'failed', 'the bank took it back');
select reconcile.pause_provider('vendor', 'is no clerk''s to do');
select reconcile_doors.do_declared(reconcile_doors.declare('pause_provider', '{"name": "vendor", "reason": "is no clerk''s to do"}'));
reset session authorization;
select reconcile.resolve_order('ORD-1', 'cancelled', 'the customer called it off');
select reconcile.resolve_order('ORD-1', 'refunded', 'paid back by hand');
select reconcile.resolve_order('ORD-1', 'review', 'that was wrong');
select reconcile.resolve_order('ORD-1', 'processing', 'ask again');
select state, settled_by, next_check_at <= clock_timestamp() as due, tries, faults from reconcile.orders;
select reconcile.resolve_order('ORD-1', 'pending', 'ask once more');
select from_state, to_state, cause, reason, changed_by, check_id from reconcile.order_history order by changed_at;
select in_flight from reconcile.provider_health;
revoke all on schema reconcile, reconcile_doors from clerk;
revoke all on function reconcile_doors.declare(text, jsonb), reconcile_doors.do_declared(bigint) from clerk;
revoke all on reconcile.declarations from clerk;
revoke insert (what, arguments) on reconcile.declarations from clerk;
revoke all on sequence reconcile.declaration_ids from clerk;
revoke all on function reconcile.resolve_order(text, text, text) from clerk;
drop role clerk;
