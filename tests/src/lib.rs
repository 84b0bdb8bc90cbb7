//! The groundwork of every suite that needs a server. It owns the private PostgreSQL cluster, the
//! provider simulator and the sidecar as a process; it never knows what pg_reconcile decides.
//!
//! # Layout
//! - [`cluster`]: a PostgreSQL server of one's own, one database a test
//! - [`simulator`]: a provider with a programmable fate for each order
//! - [`sidecar`]: the real sidecar binary, started, signalled, read
//! - [`shop`]: an application's database with a provider and sidecars, as the suites use them
//! - [`leash`]: what makes sure that none of these outlives the test process
//! - [`transcript`]: golden transcripts, a psql script beside what it printed
//! - [`wait`]: waiting for a condition, in place of sleeping
//! - [`port`]: free TCP ports
//! - [`process`]: what runs on this machine
//! - [`bench`]: the benchmark, which uses all of it

pub mod bench;
pub mod cluster;
pub mod leash;
pub mod port;
pub mod process;
pub mod shop;
pub mod sidecar;
pub mod simulator;
pub mod transcript;
pub mod wait;
