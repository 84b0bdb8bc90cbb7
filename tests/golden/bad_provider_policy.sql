-- A provider whose times, limits or endings make no sense is refused when it is written, and the error names the field.
\set good '''vendor'', ''https://v.example/{order_number}'', ''{"paid": "succeeded"}'''
select reconcile.add_provider(:good, schedule => 'every minute');
select reconcile.add_provider(:good, schedule => '30s x0');
select reconcile.add_provider(:good, schedule => 'then 5m, 1m');
select reconcile.add_provider(:good, max_tries => 0);
select reconcile.add_provider(:good, deadline => '-1 hour');
select reconcile.add_provider(:good, deadline => '10 years 1 day');
select reconcile.add_provider(:good, not_found_grace => '-1 second');
select reconcile.add_provider(:good, not_found_as => 'succeeded');
select reconcile.add_provider(:good, gives_up_as => 'pending');
select reconcile.add_provider(:good, late_success => 'ignore');
select reconcile.add_provider(:good, late_watch => 'never');
select reconcile.add_provider(:good, late_watch => '');
select reconcile.add_provider(:good, rate_limit => 0);
select reconcile.add_provider(:good, rate_interval => '25 hours');
select reconcile.add_provider(:good, concurrency => 0);
select reconcile.add_provider(:good, concurrency => 10001);
select reconcile.add_provider(:good, timeout => '99 milliseconds');
select reconcile.add_provider(:good, timeout => '6 minutes');
select reconcile.add_provider(:good, status_path => '$.card.pin');
select reconcile.add_provider(:good, captures => '{"code": "$.cvv2.value"}');
select reconcile.add_provider(:good, variables => jsonb_build_object('big', repeat('x', 70000)));
select count(*) from reconcile.providers;

-- The same rules hold for a change, and then nothing of it is kept.
select reconcile.add_provider(:good);
select reconcile.alter_provider('vendor', max_tries => 7, schedule => 'soon');
select version, max_tries, schedule from reconcile.providers;
-- And for whoever writes the table by hand.
update reconcile.providers set concurrency = 0;
