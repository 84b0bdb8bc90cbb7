//! A provider for tests: a real HTTP server that answers `GET /orders/{order_number}?invoice={id}`
//! with whatever fate the order was given, orderly or not, and remembers who asked. It has a thread
//! and a runtime of its own, so that a test that blocks does not stop it. It never starts a call.

mod answer;
mod control;
mod fate;
mod register;
mod script;
mod server;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};

pub use fate::{Answer, Fate, Reply, Step};
pub use register::{Call, Recording, Totals};

use crate::wait;
use register::Register;

/// A running provider; dropping it closes its port and all its connections.
pub struct Simulator {
    address: SocketAddr,
    register: Arc<Register>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Simulator {
    /// A provider on a free port of 127.0.0.1 that says `succeeded` about every order and records
    /// every call.
    ///
    /// # Errors
    /// When there is no port or no thread to be had.
    pub fn start() -> Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self::start_with(address, Fate::status("succeeded"), Recording::Calls)
    }

    /// A provider on this address: one that comes back after an outage, for instance.
    ///
    /// # Errors
    /// When the address is taken.
    pub fn start_with(address: SocketAddr, default: Fate, recording: Recording) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let listener = std::net::TcpListener::bind(address)
            .with_context(|| format!("the simulator can't listen on {address}"))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(listener)?
        };
        let register = Arc::new(Register::new(default, recording));
        let (stop, stopped) = oneshot::channel();
        let shared = Arc::clone(&register);
        let thread = std::thread::Builder::new()
            .name("simulator".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = server::serve(listener, shared) => {}
                        // Told to, or forgotten: both mean the end.
                        _ = stopped => {}
                    }
                });
            })?;
        Ok(Self {
            address,
            register,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://`, the address and `path`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Sets what will be said about an order, from its next call on.
    pub fn set_fate(&self, order_number: &str, fate: Fate) {
        self.register.set_fate(order_number, fate);
    }

    /// Sets what will be said about every order that has no fate of its own. An order goes through
    /// the steps by its own calls.
    pub fn set_default(&self, fate: Fate) {
        self.register.set_default(fate);
    }

    /// Holds all answers about an order until the gate opens. What the answer will be is fixed when
    /// its call arrives, as with a provider whose answer is delayed on its way.
    #[must_use]
    pub fn hold(&self, order_number: &str) -> Gate {
        let gate = Gate::shut();
        self.register
            .hold(Some(order_number), Arc::clone(&gate.tickets));
        gate
    }

    /// Holds the answers about all orders that have no gate of their own.
    #[must_use]
    pub fn hold_all(&self) -> Gate {
        let gate = Gate::shut();
        self.register.hold(None, Arc::clone(&gate.tickets));
        gate
    }

    /// How many calls there have been about an order.
    #[must_use]
    pub fn count(&self, order_number: &str) -> u64 {
        self.register.count(order_number)
    }

    /// All calls in numbers.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.register.totals()
    }

    /// The calls about one order, as they arrived. Empty when only counts are recorded.
    #[must_use]
    pub fn calls(&self, order_number: &str) -> Vec<Call> {
        self.register
            .calls(|call| call.order_number == order_number)
    }

    /// All calls, as they arrived. Empty when only counts are recorded.
    #[must_use]
    pub fn all_calls(&self) -> Vec<Call> {
        self.register.calls(|_| true)
    }

    /// Waits until the `nth` call about an order has arrived. It may not be answered yet.
    ///
    /// # Errors
    /// When it has not after `within`; the message says how many have.
    pub async fn arrived(&self, order_number: &str, nth: u64, within: Duration) -> Result<()> {
        let arrival = async {
            loop {
                let next = self.register.arrival.notified();
                if self.count(order_number) >= nth {
                    return;
                }
                next.await;
            }
        };
        tokio::time::timeout(within, arrival).await.with_context(|| {
            let count = self.count(order_number);
            format!("waited {within:?} in vain for call {nth} about {order_number}: there were {count}")
        })
    }

    /// Waits until no call is unanswered.
    ///
    /// # Errors
    /// When one is after `within`.
    pub async fn idle(&self, within: Duration) -> Result<()> {
        wait::until(within, "the last answer of the simulator", async || {
            self.totals().in_flight == 0
        })
        .await
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic over there has been printed already.
            thread.join().ok();
        }
    }
}

/// Holds answers back. Dropping it lets all through, now and later.
#[derive(Debug)]
pub struct Gate {
    tickets: Arc<Semaphore>,
}

impl Gate {
    fn shut() -> Self {
        Self {
            tickets: Arc::new(Semaphore::new(0)),
        }
    }

    /// Lets this many answers through, now or when they come.
    pub fn let_through(&self, answers: usize) {
        self.tickets.add_permits(answers);
    }

    /// Lets all through, now and later.
    pub fn open(self) {
        drop(self);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.tickets.close();
    }
}
