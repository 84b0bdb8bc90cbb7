-- What was asked, answered and decided can't be changed afterwards, not even by the tables' owner.
select reconcile.add_provider('vendor', 'https://v.example/{order_number}', '{"paid": "succeeded"}');
select reconcile.track_order('ORD-1', 'vendor', created_at => now() - interval '10 minutes');
select reconcile.sidecar_start('by hand', '1', 20) as sidecar_id \gset
select order_id, token from reconcile.sidecar_claim(:sidecar_id, 1) \gset
select * from reconcile.sidecar_report(:sidecar_id, array[:order_id], array[:token], null, '{200}', '{"{\"status\": \"paid\"}"}', null, null, null);

set role reconcile_owner;
select current_user = tableowner as as_the_owner from pg_tables where tablename = 'recorded_checks';
truncate reconcile.recorded_checks;
truncate reconcile.recorded_checks cascade;
update reconcile.transitions set reason = 'it was me';
delete from reconcile.transitions;
truncate reconcile.transitions;
merge into reconcile.transitions as t using (values (1)) as v (id) on true when matched then delete;
insert into reconcile.transitions (transition_id, order_id, from_state, to_state, cause, reason)
values (1, 1, 'pending', 'failed', 'operator', 'another story') on conflict (transition_id) do update set reason = excluded.reason;

-- Only codes from here on: the messages name the partition of this month.
\set VERBOSITY sqlstate
update reconcile.recorded_checks set outcome = 'failed';
delete from reconcile.recorded_checks;
-- Nor behind the back of the whole: this month's partition, next month's, and the one for all other months.
select format('reconcile.recorded_checks_%s', to_char(now() at time zone 'UTC', 'YYYY_MM')) as this_month,
    format('reconcile.recorded_checks_%s', to_char(now() at time zone 'UTC' + interval '1 month', 'YYYY_MM')) as next_month \gset
select count(*) as in_this_month from :this_month;
update :this_month set outcome = 'failed';
delete from :this_month;
truncate :this_month;
truncate :next_month;
truncate reconcile.recorded_checks_otherwise;

-- One more may always be added, in any month, and stays as well.
insert into reconcile.recorded_checks
select order_id, 99, '2099-12-31 23:59:59+00', claimed_at, duration_ms, provider_id, provider_version, source, sidecar_id, token, fault, http_status,
    detail, response, provider_status, outcome, retry_after_ms, from_state, from_settled_by, from_attempt, from_tries, from_faults, to_state, reason
from reconcile.recorded_checks;
delete from reconcile.recorded_checks_otherwise;
update reconcile.recorded_checks_otherwise set outcome = 'failed';
select check_id, tableoid = 'reconcile.recorded_checks_otherwise'::regclass as otherwise, outcome from reconcile.recorded_checks order by check_id;
select from_state, to_state, cause, reason from reconcile.transitions;
