-- Stale orders are made due and counted, within the limit and the filters; every run leaves a row.
select reconcile.add_provider('vendor', 'https://v.example/{order_number}', '{"paid": "succeeded"}', schedule => '1h', deadline => '10 years');
select reconcile.add_provider('other', 'https://o.example/{order_number}', '{"paid": "succeeded"}', schedule => '1h');
select reconcile.track_order('V-' || n, 'vendor', created_at => now() - n * interval '10 minutes') from generate_series(1, 5) as n;
select reconcile.track_order('O-1', 'other', created_at => now() - interval '10 minutes');

select * from reconcile_stale_orders(0);
select * from reconcile_stale_orders(-1);
select * from reconcile_stale_orders(100001);
select * from reconcile_stale_orders(null);
select * from reconcile_stale_orders(older_than => '-1 second');
select * from reconcile_stale_orders(provider => 'nobody');
select count(*) as runs from reconcile.runs;

-- By the schedule nothing is due yet.
select * from reconcile_stale_orders();
select count(*) as stale from reconcile.stale_orders;

-- By age: oldest first, within the limit, of one provider, created in a window.
select * from reconcile_stale_orders(2, older_than => '15 minutes');
select order_number, overdue < '1 minute' as just_now, urgent from reconcile.stale_orders order by created_at;
select * from reconcile_stale_orders(older_than => '5 minutes', provider => 'other');
select * from reconcile_stale_orders(created_after => now() - interval '35 minutes', created_before => now() - interval '25 minutes');
select order_number from reconcile.stale_orders order by created_at, order_number;
select * from reconcile_stale_orders(older_than => '0');
select * from reconcile_stale_orders(older_than => '1 year');

-- Now they are due by themselves.
select * from reconcile_stale_orders();
select * from reconcile_stale_orders(3);
select * from reconcile_stale_orders(provider => 'other');
select run_id, started_by, arguments - 'created_after' - 'created_before' as arguments, selected, closed, given_up from reconcile.runs order by run_id;

-- What is past its deadline, and had no answer for longer than settings.last_check_within, goes to review.
select reconcile.track_order('LOST', 'other', created_at => now() - interval '3 days');
update reconcile.tracked_orders set faults = 1 where order_number = 'LOST';
-- Known for a moment only: the deadline has not begun to run when it was created.
select given_up from reconcile_stale_orders();
update reconcile.tracked_orders set tracked_at = created_at, state_changed_at = created_at where order_number = 'LOST';
select * from reconcile_stale_orders();
select order_number, state, settled_by, next_check_at > now() + interval '50 minutes' as on_late_watch from reconcile.orders where state = 'review';
select order_number, from_state, to_state, cause, reason from reconcile.order_history;
select order_number, why from reconcile.stuck_orders where state = 'review';
