//! Each preset, as a DBA adds it: every documented answer is served by a local server, asked for by
//! the real sidecar, read and decided by the ledger, and what was asked is looked at on the wire.
//!
//! The answers are `tests/fixtures/<preset>/`: a file each, and a manifest that says what each means.

mod added;
mod answers;
mod described;
mod manifest;
mod readme;
mod server;
mod signed;
mod silence;
