-- test-reconciliation.js: creates a draft, has PhonePe asked about a transaction as if it were the draft's, shows what came of it, and
-- cleans up. For the database of draft_orders.sql, with a sidecar running; by the role that owns the tables:
--   psql -d store -v transaction=MT-1 -v amount=499 -f sql/recipes/scripts/test_reconciliation.sql
-- The ledger keeps what was asked; the draft is gone afterwards, whatever happened. It has no items, so no stock is committed.

\set ON_ERROR_STOP on
\if :{?transaction} \else \set transaction MT-TEST \endif
\if :{?amount} \else \set amount 1 \endif

-- 1. Create a test draft order.
insert into store.orders (order_id, merchant_transaction_id, amount)
values ('TEST-' || extract(epoch from clock_timestamp()), :'transaction', :'amount')
returning order_id \gset

-- From here on nothing keeps it from being cleaned up.
\set ON_ERROR_STOP off

-- 2 and 3. Have it reconciled now, and wait.
select state, updated, message from reconcile_order(:'order_id', '30 s');

-- 4. Check the results.
select o.order_id, o.status, o.payment_status, o.transaction_id from store.orders as o where o.order_id = :'order_id';
select c.outcome, c.http_status, c.detail, c.problem from reconcile.checks as c where c.order_number = :'order_id' order by c.check_id;

-- 5. Clean up.
delete from store.orders as o where o.order_id = :'order_id';
