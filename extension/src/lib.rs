//! pg_reconcile, the extension: what SQL asks Rust, and the little of the server that SQL can't reach.
//!
//! | module     | what it holds                                                                                 |
//! |------------|-----------------------------------------------------------------------------------------------|
//! | [`judge`]  | the judge as SQL sees it: each function hands its arguments over, one row at a time             |
//! | [`server`] | apart from it, what touches the server, each with its reason; it decides nothing about an order |
//!
//! What the judge answers is in a crate of its own, `reconcile_judge`, which knows nothing of PostgreSQL; the ledger around it is SQL, in
//! `sql/`. The declarations of these functions stand by hand in `sql/judge.sql` and `sql/core/server.sql`: they are promises that
//! upgrades have to keep, so they are written where a reader of the schema looks for them.

mod judge;
mod server;

::pgrx::pg_module_magic!(name, version);
