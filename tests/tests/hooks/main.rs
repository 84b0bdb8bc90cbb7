//! Functions of the application that are called with a transition: in its transaction, with their role's rights, and at nobody else's
//! expense when they fail.

mod again;
mod batches;
mod failing;
mod lent;
mod own_code;
mod registering;
mod rights;
mod server_errors;
mod settings;
mod stock;
mod transaction;
mod ways;
