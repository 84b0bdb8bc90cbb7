-- Nothing is granted to PUBLIC. Who may do what stands in sql/migrations/001_roles.sql.
-- Requires: everything.

revoke all on all functions in schema reconcile from public;
revoke all on function @extschema@.reconcile_order(text, interval) from public;
revoke all on function @extschema@.reconcile_stale_orders(integer, interval, text, timestamptz, timestamptz) from public;
revoke all on function @extschema@.order_details(text, interval) from public;
revoke all on type reconcile.reconciled_order from public;
revoke all on type reconcile.previewed_answer from public;
revoke all on type reconcile.application_row from public;
