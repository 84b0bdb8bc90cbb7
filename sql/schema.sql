-- The schema of everything but the three calls that users make unqualified.

-- For the whole of the installation: nothing is looked up in a schema that somebody else may write to.
set local search_path = pg_catalog, pg_temp;

create schema reconcile;

comment on schema reconcile is
    'pg_reconcile: providers, tracked orders, the queue of checks, and the audit. Read the views; call the functions.';
