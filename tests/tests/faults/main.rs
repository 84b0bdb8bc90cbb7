//! Everything dies, stalls or gets in the way once: sidecars, PostgreSQL, connections, locks,
//! triggers, providers. Whatever happens, no order is lost, and each moves once.

mod connections;
mod during_claims;
mod effects;
mod failovers;
mod late_reports;
mod limits;
mod log;
mod providers;
mod rows;
mod servers;
mod sidecars;
mod stopping;
