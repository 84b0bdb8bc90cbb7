//! The calls that wait for an answer, from inside the caller's own transaction: what they say when
//! all is well, and that they come back with a reason, and leave the check queued, when it is not.

mod answers;
mod arguments;
mod asked;
mod crowds;
mod details;
mod interrupted;
mod isolation;
mod locks;
mod nobody_asks;
mod standby;
mod worker_slots;
