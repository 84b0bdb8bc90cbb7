//! Connections that a test makes up, and a clock that runs when nothing else does.

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
    database::protocol::leases::Lease,
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
            .map(|finding| finding.lease.order_id)
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
            lease: Lease { order_id, token: 1 },
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

#[tokio::test(start_paused = true)]
async fn one_provider_has_one_connection_and_gathers_for_a_millisecond() {
    let mut running = start(&[]).await;
    sleep(SECOND).await;
    running.find("a", false).await;
    settle().await;
    assert_eq!(running.reports().len(), 1, "after a quiet moment at once");
    running.find("a", false).await;
    running.find("a", false).await;
    settle().await;
    assert_eq!(running.reports().len(), 1, "then together");
    sleep(2 * MS).await;
    assert_eq!(running.reports()[1].orders, [2, 3]);
    running.find("a", true).await;
    settle().await;
    assert_eq!(running.reports().len(), 3, "somebody waits");
    for _ in 0..700 {
        running.find("a", false).await;
    }
    sleep(10 * MS).await;
    assert!(
        running
            .reports()
            .iter()
            .all(|report| report.orders.len() <= MAX_FINDINGS)
    );
    assert_eq!(running.unacknowledged(), 0);
    assert_eq!(running.database.lock().unwrap().opened, 1);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_takes_long_delays_nobody_else() {
    let mut running = start(&[("slow", 20 * SECOND)]).await;
    for _ in 0..100 {
        running.find("slow", false).await;
        running.find("a", false).await;
        running.find("b", false).await;
        sleep(SECOND).await;
    }
    for quick in ["a", "b"] {
        let orders: usize = running
            .reports_for(quick)
            .iter()
            .map(|report| report.orders.len())
            .sum();
        assert_eq!(orders, 100, "{quick}");
    }
    // Its first report took a connection of the quick ones, and one at a time was under way.
    let slow = running.reports_for("slow");
    assert!(slow.len() >= 4);
    assert!(slow.windows(2).all(|pair| pair[0].to <= pair[1].from));
    assert!(
        slow[1..]
            .iter()
            .all(|report| report.connection == slow[1].connection)
    );
    assert!(
        running.reports_for("a")[30..]
            .iter()
            .all(|report| report.connection != slow[1].connection)
    );
}

#[tokio::test(start_paused = true)]
async fn slow_providers_share_one_connection_until_they_are_quick_again() {
    let mut running = start(&[("x", 2 * SECOND), ("y", 2 * SECOND)]).await;
    for _ in 0..3 {
        running.find("x", false).await;
        running.find("y", false).await;
        sleep(10 * SECOND).await;
    }
    let reports = running.reports();
    let (x, y) = (running.reports_for("x"), running.reports_for("y"));
    assert_ne!(x[0].connection, y[0].connection);
    assert_eq!(
        (x[1].connection, x[2].connection),
        (y[1].connection, y[2].connection)
    );
    assert!(
        reports[2..]
            .windows(2)
            .all(|pair| pair[0].to <= pair[1].from)
    );
    running.database.lock().unwrap().takes.clear();
    running.find("x", false).await;
    sleep(SECOND).await;
    running.find("x", false).await;
    sleep(SECOND).await;
    let connections: Vec<usize> = running.reports_for("x")[3..]
        .iter()
        .map(|report| report.connection)
        .collect();
    assert_eq!(connections, [x[2].connection, 0]);
}

#[tokio::test(start_paused = true)]
async fn connections_are_opened_for_what_waits_and_closed_again() {
    let names = ["a", "b", "c", "d", "e", "f"];
    let takes = names.map(|name| (name, 500 * MS));
    let mut running = start(&takes).await;
    for name in names {
        running.find(name, false).await;
    }
    sleep(400 * MS).await;
    assert_eq!(running.database.lock().unwrap().open, pool::QUICK);
    sleep(SECOND).await;
    assert_eq!(running.reports().len(), 6);
    assert_eq!(running.unacknowledged(), 0);
    sleep(61 * SECOND).await;
    assert_eq!(running.database.lock().unwrap().open, 1);
    // And opened anew.
    running.find("a", false).await;
    running.find("b", false).await;
    sleep(SECOND).await;
    assert_eq!(running.reports().len(), 8);
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_costs_itself_and_what_is_lost_is_said_again() {
    let mut running = start(&[("a", 10 * MS)]).await;
    {
        let mut database = running.database.lock().unwrap();
        database.refused = HashSet::from([5]);
        database.busy = HashSet::from([3]);
        database.to_lose = 2;
    }
    for _ in 0..9 {
        running.find("a", false).await;
    }
    sleep(SECOND).await;
    let mut orders: Vec<i64> = running
        .reports()
        .into_iter()
        .flat_map(|report| report.orders)
        .collect();
    orders.sort_unstable();
    assert_eq!(orders, [1, 2, 3, 3, 4, 6, 7, 8, 9]);
    assert_eq!(running.unacknowledged(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_report_that_takes_too_long_is_halved_off_the_others_connections() {
    let mut running = start(&[("slow", 60 * SECOND)]).await;
    for _ in 0..4 {
        running.find("slow", false).await;
    }
    sleep(31 * SECOND).await;
    running
        .database
        .lock()
        .unwrap()
        .takes
        .insert("slow", 2 * SECOND);
    sleep(60 * SECOND).await;
    let sizes: Vec<usize> = running
        .reports()
        .iter()
        .map(|report| report.orders.len())
        .collect();
    assert!(sizes.iter().all(|size| *size <= 2), "{sizes:?}");
    assert_eq!(running.unacknowledged(), 0);
}

#[tokio::test(start_paused = true)]
async fn at_the_end_all_is_delivered_and_slots_come_back_after_acknowledgement() {
    let mut running = start(&[("a", 100 * MS), ("b", 100 * MS)]).await;
    for _ in 0..20 {
        running.find("a", false).await;
        running.find("b", false).await;
    }
    sleep(50 * MS).await;
    assert_eq!(running.unacknowledged(), 40);
    running.finish.cancel();
    timeout(SECOND, &mut running.task).await.unwrap().unwrap();
    assert_eq!(running.unacknowledged(), 0);
    assert_eq!(running.database.lock().unwrap().open, 0);
}
