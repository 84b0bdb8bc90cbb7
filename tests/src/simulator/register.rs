//! What the provider knows and remembers: each order's fate, how far it is, who called when. Owns
//! all the simulator's state behind one short lock; does no input or output.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;
use hyper::HeaderMap;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

use super::fate::{Fate, Step};

/// How much of a call is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recording {
    /// Every call with its headers and body.
    #[default]
    Calls,
    /// Numbers alone: for millions of calls.
    Counts,
}

/// One call as it arrived.
#[derive(Clone, Debug)]
pub struct Call {
    /// The order that was asked about.
    pub order_number: String,
    /// How many calls there have been about this order, this one included.
    pub nth: u64,
    /// When its request was read.
    pub arrived: Instant,
    /// GET, POST, …
    pub method: String,
    /// What stood after the question mark, undecoded.
    pub query: String,
    /// All its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Call {
    /// A header's value, if it is there and is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// All calls in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Totals {
    /// Calls that arrived.
    pub calls: u64,
    /// Different orders among them.
    pub orders: usize,
    /// Calls that are not answered yet.
    pub in_flight: usize,
    /// The most that were unanswered at one time.
    pub max_in_flight: usize,
}

/// See the module.
pub(crate) struct Register {
    book: Mutex<Book>,
    recording: Recording,
    /// Rung at each arrival.
    pub(crate) arrival: Notify,
    in_flight: AtomicUsize,
    max_in_flight: AtomicUsize,
}

struct Book {
    default: Arc<Fate>,
    default_gate: Option<Arc<Semaphore>>,
    orders: HashMap<String, Order>,
    calls: Vec<Call>,
    total: u64,
}

struct Order {
    fate: Arc<Fate>,
    /// Whether the fate is its own and not the default.
    own: bool,
    /// Calls since this fate was set.
    taken: usize,
    count: u64,
    gate: Option<Arc<Semaphore>>,
}

/// What a call will get, fixed when it arrives: a fate that is set while it waits does not change it.
pub(crate) struct Admission {
    pub(crate) fate: Arc<Fate>,
    step: usize,
    pub(crate) gate: Option<Arc<Semaphore>>,
}

impl Admission {
    pub(crate) fn step(&self) -> Option<&Step> {
        self.fate.steps.get(self.step)
    }
}

/// A call that is being answered, until this is dropped.
pub(crate) struct InFlight(Arc<Register>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Register {
    pub(crate) fn new(default: Fate, recording: Recording) -> Self {
        Self {
            book: Mutex::new(Book {
                default: Arc::new(default),
                default_gate: None,
                orders: HashMap::new(),
                calls: Vec::new(),
                total: 0,
            }),
            recording,
            arrival: Notify::new(),
            in_flight: AtomicUsize::new(0),
            max_in_flight: AtomicUsize::new(0),
        }
    }

    pub(crate) fn recording(&self) -> Recording {
        self.recording
    }

    pub(crate) fn begin(self: &Arc<Self>) -> InFlight {
        let now = self.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        self.max_in_flight.fetch_max(now, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }

    /// Counts a call and takes its order's next step. `describe` makes the record of it, if one is
    /// kept, out of how many there were.
    pub(crate) fn admit(
        &self,
        order_number: &str,
        describe: impl FnOnce(u64) -> Call,
    ) -> Admission {
        let mut guard = self.book.lock();
        let book = &mut *guard;
        book.total += 1;
        // Two look-ups for a new order spare all others the copy of their number.
        if !book.orders.contains_key(order_number) {
            book.orders
                .insert(order_number.to_owned(), Order::new(&book.default));
        }
        let Some(order) = book.orders.get_mut(order_number) else {
            unreachable!("it has just been put there")
        };
        if !order.own && !Arc::ptr_eq(&order.fate, &book.default) {
            order.fate = Arc::clone(&book.default);
            order.taken = 0;
        }
        let admission = Admission {
            fate: Arc::clone(&order.fate),
            step: order.taken.min(order.fate.steps.len().saturating_sub(1)),
            gate: order.gate.clone().or_else(|| book.default_gate.clone()),
        };
        order.taken += 1;
        order.count += 1;
        if self.recording == Recording::Calls {
            book.calls.push(describe(order.count));
        }
        drop(guard);
        self.arrival.notify_waiters();
        admission
    }

    pub(crate) fn set_fate(&self, order_number: &str, fate: Fate) {
        let mut guard = self.book.lock();
        let book = &mut *guard;
        let fate = Arc::new(fate.on_top_of(&book.default));
        let order = book
            .orders
            .entry(order_number.to_owned())
            .or_insert_with(|| Order::new(&book.default));
        order.fate = fate;
        order.own = true;
        order.taken = 0;
    }

    pub(crate) fn set_default(&self, fate: Fate) {
        let mut book = self.book.lock();
        book.default = Arc::new(fate.on_top_of(&book.default));
    }

    /// Holds the answers about one order, or all that have no gate of their own.
    pub(crate) fn hold(&self, order_number: Option<&str>, gate: Arc<Semaphore>) {
        let mut guard = self.book.lock();
        let book = &mut *guard;
        let Some(order_number) = order_number else {
            book.default_gate = Some(gate);
            return;
        };
        book.orders
            .entry(order_number.to_owned())
            .or_insert_with(|| Order::new(&book.default))
            .gate = Some(gate);
    }

    pub(crate) fn count(&self, order_number: &str) -> u64 {
        self.book
            .lock()
            .orders
            .get(order_number)
            .map_or(0, |order| order.count)
    }

    pub(crate) fn calls(&self, wanted: impl Fn(&Call) -> bool) -> Vec<Call> {
        self.book
            .lock()
            .calls
            .iter()
            .filter(|call| wanted(call))
            .cloned()
            .collect()
    }

    pub(crate) fn totals(&self) -> Totals {
        let book = self.book.lock();
        Totals {
            calls: book.total,
            orders: book.orders.values().filter(|order| order.count > 0).count(),
            in_flight: self.in_flight.load(Ordering::Relaxed),
            max_in_flight: self.max_in_flight.load(Ordering::Relaxed),
        }
    }
}

impl Order {
    fn new(default: &Arc<Fate>) -> Self {
        Self {
            fate: Arc::clone(default),
            own: false,
            taken: 0,
            count: 0,
            gate: None,
        }
    }
}
