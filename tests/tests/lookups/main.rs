//! Providers of kind sql: a table or a function of the application answers, by the same rules and with the same audit as HTTP.

mod answers;
mod callers;
mod functions;
mod kept;
mod lent;
mod operators;
mod overlapping;
mod policies;
mod refused;
mod runs;
mod server_errors;
