-- What CREATE EXTENSION makes.
\dx+ pg_reconcile
