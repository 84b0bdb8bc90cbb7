//! How much is measured. Owns every size of the benchmark, so that the quick run differs from the
//! full one in nothing else.

use std::time::Duration;

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Orders settled a second, and what each of them costs
    Throughput,
    /// Claims with ever more orders waiting for later
    Claims,
    /// Claims while an old snapshot is held
    OldSnapshot,
    /// The sidecar's memory under load, and its statements without any
    Footprint,
    /// What `reconcile_order` adds to the provider's time
    WaitingCalls,
    /// What an attached table's triggers cost its writers
    Attach,
    /// A healthy provider beside one whose attached table is locked
    Neighbours,
}

/// What is measured and how often.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The parts, in order.
    pub parts: Vec<Part>,
    /// Whether the sizes are too small to mean anything.
    pub is_quick: bool,
    /// What the provider takes for an answer.
    pub latency: Duration,
    pub(crate) rounds: usize,
    pub(crate) orders: i64,
    pub(crate) in_flight: usize,
    pub(crate) slots: usize,
    pub(crate) waiting: [i64; 3],
    pub(crate) claims: usize,
    pub(crate) claim_size: usize,
    pub(crate) claims_under_snapshot: usize,
    pub(crate) memory_orders: i64,
    pub(crate) memory_in_flight: usize,
    pub(crate) memory_latency: Duration,
    pub(crate) idle: Duration,
    pub(crate) calls_of_one: usize,
    pub(crate) callers: usize,
    pub(crate) calls_of_many: usize,
    pub(crate) load: i64,
    pub(crate) one_by_one: i64,
    pub(crate) neighbours: Duration,
}

impl Plan {
    const PARTS: [Part; 7] = [
        Part::Throughput,
        Part::Claims,
        Part::OldSnapshot,
        Part::Footprint,
        Part::WaitingCalls,
        Part::Attach,
        Part::Neighbours,
    ];

    /// All parts, at the sizes that the aims are meant for.
    #[must_use]
    pub fn full() -> Self {
        Self {
            parts: Self::PARTS.to_vec(),
            is_quick: false,
            latency: Duration::from_millis(20),
            rounds: 3,
            orders: 20_000,
            in_flight: 400,
            slots: 800,
            waiting: [10_000, 1_000_000, 10_000_000],
            claims: 50,
            claim_size: 500,
            claims_under_snapshot: 400,
            memory_orders: 10_000,
            memory_in_flight: 1000,
            memory_latency: Duration::from_millis(200),
            idle: Duration::from_secs(30),
            calls_of_one: 200,
            callers: 32,
            calls_of_many: 1000,
            load: 100_000,
            one_by_one: 1000,
            neighbours: Duration::from_secs(75),
        }
    }

    /// All parts, in some seconds.
    #[must_use]
    pub fn quick() -> Self {
        Self {
            is_quick: true,
            rounds: 1,
            orders: 500,
            in_flight: 50,
            slots: 100,
            waiting: [1000, 2000, 4000],
            claims: 4,
            claim_size: 50,
            claims_under_snapshot: 12,
            memory_orders: 200,
            memory_in_flight: 100,
            idle: Duration::from_secs(2),
            calls_of_one: 4,
            callers: 4,
            calls_of_many: 12,
            load: 500,
            one_by_one: 20,
            neighbours: Duration::from_secs(2),
            ..Self::full()
        }
    }
}
