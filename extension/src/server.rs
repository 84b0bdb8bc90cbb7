//! The few things that touch the server itself, apart from the judge, which only answers.
//!
//! | module          | what SQL can't do                                                        |
//! |-----------------|--------------------------------------------------------------------------|
//! | [`calls`]       | hear of errors and functions while they pass by                          |
//! | [`confine`]     | have code of an application leave nothing for COMMIT                     |
//! | [`give`]        | make a function for a role that one is no member of                      |
//! | [`define`]      | make what is the ledger's own without calling event triggers             |
//! | [`hold`]        | look at what a table or a function is under its lock, without waiting    |
//! | [`constraints`] | check what a caller has pending with the session's rights               |
//! | [`cursors`]     | tell which cursors others could read on in                                |
//! | [`history`]     | tell whose history this server continues, and when a transaction ends     |
//! | [`interrupts`]  | tell who made an error, and begin a time limit anew                      |
//! | [`reach`]       | keep others' code off what a superuser's session has open                 |
//! | [`settings`]    | take back what was SET, and not only what was SET LOCAL                  |
//! | [`steady`]      | tell the time by a clock that nobody sets                                |
//! | [`strange`]     | find code that would run with the rights of a table's owner and is none of his |
//! | [`wake`]        | commit a request while the caller's own transaction is open              |
//!
//! None of them decides anything about an order. Their declarations, each with its reason, stand in `sql/core/server.sql`.

mod calls;
mod confine;
mod constraints;
mod cursors;
mod define;
mod give;
mod history;
mod hold;
mod identity;
mod interrupts;
mod reach;
mod settings;
mod steady;
mod strange;
mod wake;
