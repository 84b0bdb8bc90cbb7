-- What CREATE EXTENSION makes.
\pset format unaligned
\pset footer off
\dx+ pg_reconcile
