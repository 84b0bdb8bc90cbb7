//! One order's way: claimed, asked about, reported. Uses the database, call, sign and telemetry; knows
//! neither events nor the process.
//!
//! - [`claimer`]: takes what is due, as much as there are free [`slots`]
//! - [`profile`]: what all orders of one provider share
//! - [`worker`]: runs one claimed order as a task; [`caller`]: its call
//! - [`reporter`], [`batch`]: hands the findings back, one provider's at a time on each of its
//!   connections
//! - [`instruments`], [`last_contact`]: what is counted of calls, and when the database last answered

pub(crate) mod batch;
pub(crate) mod caller;
pub(crate) mod claimer;
pub(crate) mod instruments;
pub(crate) mod last_contact;
pub(crate) mod profile;
pub(crate) mod reporter;
pub(crate) mod slots;
pub(crate) mod worker;
