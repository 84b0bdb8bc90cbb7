//! The recipes: each file of sql/recipes is run by psql as its users would run it, and then the whole story of the system that it
//! replaces is played, against a provider and with the real sidecar.

mod completed_transactions;
mod draft_orders;
mod order_details;
mod page;
mod pin_orders;
mod realistic;
mod recipe;
mod vendor_orders;
