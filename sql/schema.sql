-- The schema of everything but the three calls that users make unqualified.

-- For the whole of the installation: nothing is looked up in a schema that somebody else may write to.
set local search_path = pg_catalog, pg_temp;

create schema reconcile;

comment on schema reconcile is
    'pg_reconcile: providers, tracked orders, the queue of checks, and the audit. Read the views; call the functions.';

-- A function can be altered by its owner, who may take SECURITY DEFINER from it and so have it run with its caller's rights. The
-- functions that are made for applications' tables, hooks and lookups belong to others, so they stand where nobody may name them.
create schema reconcile_generated;

comment on schema reconcile_generated is
    'Functions that pg_reconcile makes for attached tables, hooks and lookups. Each belongs to the role with whose rights it runs.';
