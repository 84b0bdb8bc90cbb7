//! Connections that a test makes up, and a clock that runs when nothing else does.

mod connections;
mod reports;

use std::{
    collections::{HashMap, HashSet},
    sync::Mutex,
    time::Duration,
};

use tokio::{
    sync::mpsc::Sender,
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::*;
use crate::{
    call::http::Answer,
    database::protocol::leases::{Lease, Subject},
    orders::slots::{Slot, Slots},
};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// One report that was made.
#[derive(Debug, Clone)]
struct Report {
    connection: usize,
    provider: String,
    orders: Vec<i64>,
    from: Duration,
    to: Duration,
}

/// How the made-up database behaves, and what it saw.
struct Database {
    started: Instant,
    /// How long reports of a provider take; no time if not said.
    takes: HashMap<&'static str, Duration>,
    refused: HashSet<i64>,
    busy: HashSet<i64>,
    /// Orders whose report a person cancels, once each.
    cancelled: HashSet<i64>,
    /// Reports to lose before one gets through.
    to_lose: u32,
    opened: usize,
    open: usize,
    reports: Vec<Report>,
}

struct FakeConnection(usize, Arc<Mutex<Database>>);

impl ReportSink for FakeConnection {
    async fn ready(&mut self) {}

    async fn keep_open(&mut self) {
        std::future::pending::<()>().await;
    }

    async fn report(&mut self, findings: &[Finding]) -> Result<Vec<(i64, Verdict)>, Failure> {
        let provider = findings[0].provider.to_string();
        assert!(
            findings
                .iter()
                .all(|finding| *finding.provider == *provider)
        );
        let orders: Vec<i64> = findings
            .iter()
            .filter_map(|finding| finding.lease.subject.order_id())
            .collect();
        assert!(orders.is_sorted());
        let (started, takes) = {
            let database = self.1.lock().unwrap();
            let takes = database.takes.get(provider.as_str()).copied();
            (database.started, takes.unwrap_or_default())
        };
        let from = started.elapsed();
        sleep(takes.min(30 * SECOND)).await;
        let mut database = self.1.lock().unwrap();
        if takes >= 30 * SECOND {
            return Err(Failure::Silent(30 * SECOND));
        }
        if database.to_lose > 0 {
            database.to_lose -= 1;
            return Err(Failure::Lost("made up".to_owned()));
        }
        if orders.iter().any(|order| database.refused.contains(order)) {
            return Err(Failure::Refused {
                sqlstate: "P0001".to_owned(),
                message: String::new(),
                remedy: crate::database::failure::Remedy::GiveUp,
            });
        }
        if let [order] = orders[..]
            && database.cancelled.remove(&order)
        {
            return Err(Failure::Refused {
                sqlstate: "57014".to_owned(),
                message: String::new(),
                remedy: crate::database::failure::Remedy::GiveUp,
            });
        }
        let locked: Vec<i64> = orders
            .iter()
            .filter(|order| database.busy.contains(order))
            .copied()
            .collect();
        database.busy.clear();
        database.reports.push(Report {
            connection: self.0,
            provider,
            orders,
            from,
            to: started.elapsed(),
        });
        Ok(locked
            .into_iter()
            .map(|order| (order, Verdict::Busy))
            .collect())
    }

    async fn close(self) {
        self.1.lock().unwrap().open -= 1;
    }
}

/// Lets every task do what it can do without the clock.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

struct Running {
    database: Arc<Mutex<Database>>,
    slots: Arc<Slots>,
    all: Slot,
    findings: Sender<Finding>,
    finish: CancellationToken,
    task: JoinHandle<()>,
    next_order: i64,
}

async fn start(takes: &[(&'static str, Duration)]) -> Running {
    let database = Arc::new(Mutex::new(Database {
        started: Instant::now(),
        takes: takes.iter().copied().collect(),
        refused: HashSet::new(),
        busy: HashSet::new(),
        cancelled: HashSet::new(),
        to_lose: 0,
        opened: 1,
        open: 1,
        reports: Vec::new(),
    }));
    let slots = Arc::new(Slots::new(1000));
    let all = slots.take().await.unwrap();
    let (findings, found) = mpsc::channel(1000);
    let finish = CancellationToken::new();
    let shared = Arc::clone(&database);
    let make = Box::new(move || {
        let mut database = shared.lock().unwrap();
        database.open += 1;
        database.opened += 1;
        FakeConnection(database.opened - 1, Arc::clone(&shared))
    });
    let first = FakeConnection(0, Arc::clone(&database));
    let reporter = Reporter::new(first, make, Arc::clone(&slots), found, finish.clone());
    Running {
        database,
        slots,
        all,
        findings,
        finish,
        task: tokio::spawn(reporter.run()),
        next_order: 1,
    }
}

impl Running {
    async fn find(&mut self, provider: &str, awaited: bool) {
        let order_id = self.next_order;
        self.next_order += 1;
        let finding = Finding {
            lease: Lease {
                subject: Subject::Order(order_id),
                token: order_id,
            },
            provider: provider.into(),
            awaited,
            answer: Answer::default(),
            slot: self.all.split(1).unwrap(),
        };
        self.findings.send(finding).await.ok().unwrap();
    }

    fn reports(&self) -> Vec<Report> {
        self.database.lock().unwrap().reports.clone()
    }

    fn reports_for(&self, provider: &str) -> Vec<Report> {
        let mut reports = self.reports();
        reports.retain(|report| report.provider == provider);
        reports
    }

    /// Findings that hold a slot.
    fn unacknowledged(&self) -> usize {
        self.slots.in_flight() as usize - self.all.num_permits()
    }
}
