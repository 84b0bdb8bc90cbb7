//! A backlog that a test makes up, and a clock that runs when nothing else does.

use std::sync::Mutex;

use tokio::time::{sleep, timeout};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Items by name, and what comes of each: how long it takes, and what it says.
#[derive(Default)]
struct Script {
    listed: Vec<Item>,
    failing: Vec<Item>,
    slow: Vec<Item>,
    opened: bool,
    listings: u32,
    worked: Vec<(Item, Duration)>,
    closed: bool,
}

#[derive(Clone)]
struct FakeBacklog(Arc<Mutex<Script>>, Instant);

impl Backlog for FakeBacklog {
    async fn ready(&mut self) {
        self.0.lock().unwrap().opened = true;
    }

    async fn lost(&mut self) {
        std::future::pending::<()>().await;
    }

    async fn items(&mut self) -> Result<Vec<Item>, Failure> {
        let mut script = self.0.lock().unwrap();
        script.listings += 1;
        Ok(script.listed.clone())
    }

    async fn work(&mut self, item: Item, limit: Duration) -> Result<i32, Failure> {
        let (slow, failing) = {
            let mut script = self.0.lock().unwrap();
            script.worked.push((item, self.1.elapsed()));
            (script.slow.contains(&item), script.failing.contains(&item))
        };
        if slow {
            sleep(limit).await;
            return Err(Failure::Silent(limit));
        }
        if failing {
            return Err(Failure::Unreadable("odd".to_owned()));
        }
        self.0
            .lock()
            .unwrap()
            .listed
            .retain(|listed| *listed != item);
        Ok(1)
    }

    async fn close(self) {
        self.0.lock().unwrap().closed = true;
    }
}

struct Running {
    script: Arc<Mutex<Script>>,
    wake: Arc<Notify>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

fn start(script: Script) -> Running {
    let script = Arc::new(Mutex::new(script));
    let (wake, stop) = (Arc::new(Notify::new()), CancellationToken::new());
    let made = FakeBacklog(Arc::clone(&script), Instant::now());
    let connections = [made.clone(), made];
    let task = tokio::spawn(follow(connections, Arc::clone(&wake), stop.clone()));
    Running {
        script,
        wake,
        stop,
        task,
    }
}

const A: Item = Item::Attachment(1);
const B: Item = Item::Attachment(2);
const C: Item = Item::Provider(1);

#[tokio::test(start_paused = true)]
async fn nothing_is_opened_before_there_is_a_backlog_and_nothing_asked_after_it() {
    let running = start(Script {
        listed: vec![A, C],
        ..Script::default()
    });
    sleep(60 * SECOND).await;
    assert!(!running.script.lock().unwrap().opened);
    running.wake.notify_one();
    sleep(60 * SECOND).await;
    let script = running.script.lock().unwrap();
    assert_eq!(script.worked.len(), 2);
    assert_eq!(script.listings, 2);
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_is_left_alone_for_longer_each_time_while_the_others_go_on() {
    let running = start(Script {
        listed: vec![A, B, C],
        failing: vec![A],
        ..Script::default()
    });
    running.wake.notify_one();
    sleep(16 * SECOND).await;
    let worked = std::mem::take(&mut running.script.lock().unwrap().worked);
    let seconds: Vec<u64> = worked
        .iter()
        .filter(|(item, _)| *item == A)
        .map(|(_, at)| at.as_secs())
        .collect();
    assert_eq!(seconds, [0, 1, 3, 7, 15]);
    assert!(worked[..3].iter().any(|(item, _)| *item == C));
    // Success is the end of it.
    running.script.lock().unwrap().failing.clear();
    sleep(16 * SECOND).await;
    assert!(running.script.lock().unwrap().listed.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_longest_pause_is_five_minutes() {
    let mut items = ItemBackoffs::default();
    for _ in 0..40 {
        items.failed(A, &Failure::Silent(SECOND));
    }
    assert_eq!(items.next().unwrap() - Instant::now(), LONGEST_PAUSE);
    items.succeeded(A, 1, SECOND);
    assert_eq!(items.next(), None);
    // What changes nothing is not asked for in quick succession.
    for _ in 0..40 {
        items.succeeded(A, 0, SECOND);
    }
    assert_eq!(items.next().unwrap() - Instant::now(), LONGEST_IDLE);
    assert!(items.due(vec![A, B]).eq(&[B]));
}

#[tokio::test(start_paused = true)]
async fn one_that_takes_too_long_comes_after_the_others() {
    let running = start(Script {
        listed: vec![A, B],
        slow: vec![A],
        ..Script::default()
    });
    running.wake.notify_one();
    sleep(31 * SECOND + SECOND / 2).await;
    running.script.lock().unwrap().listed.push(C);
    sleep(2 * SECOND).await;
    let worked: Vec<Item> = running
        .script
        .lock()
        .unwrap()
        .worked
        .iter()
        .map(|(item, _)| *item)
        .collect();
    assert_eq!(worked[..3], [A, B, A]);
}

/// Proves that what is quick is worked on within seconds while something slow goes on and on, from the
/// first time on, and that what has been slow has a connection of its own from then on, also when it comes back.
#[tokio::test(start_paused = true)]
async fn one_that_takes_long_holds_up_no_other() {
    let running = start(Script {
        listed: vec![A],
        slow: vec![A],
        ..Script::default()
    });
    let started = Instant::now();
    let quick = |pushed: Instant| {
        let worked = running.script.lock().unwrap().worked.clone();
        let (_, at) = worked.into_iter().rfind(|(item, _)| *item == B).unwrap();
        (started + at).saturating_duration_since(pushed)
    };
    running.wake.notify_one();
    for (round, most) in [5, 1, 1, 1].into_iter().enumerate() {
        sleep(SECOND / 10).await;
        let pushed = Instant::now();
        running.script.lock().unwrap().listed.push(B);
        running.wake.notify_one();
        sleep(11 * SECOND).await;
        assert!(quick(pushed) <= most * SECOND, "round {round}");
        let mut script = running.script.lock().unwrap();
        if round == 2 {
            script.listed.retain(|item| *item != A);
        } else if !script.listed.contains(&A) {
            script.listed.push(A);
        }
    }
    let worked = running.script.lock().unwrap().worked.clone();
    assert!(worked.iter().filter(|(item, _)| *item == A).count() > 1);
}

/// Proves that a call which took long and did something leaves as much time to the others that are slow.
#[tokio::test(start_paused = true)]
async fn one_that_is_slow_rests_as_long_as_it_took() {
    let mut items = ItemBackoffs::default();
    items.succeeded(A, 1, 20 * SECOND);
    assert_eq!(items.next().unwrap() - Instant::now(), 20 * SECOND);
    items.succeeded(A, 1, SECOND);
    assert_eq!(items.next(), None);
}

#[tokio::test(start_paused = true)]
async fn it_stops_in_the_middle_of_a_long_one() {
    let running = start(Script {
        listed: vec![A],
        slow: vec![A],
        ..Script::default()
    });
    running.wake.notify_one();
    sleep(SECOND).await;
    running.stop.cancel();
    timeout(SECOND, running.task).await.unwrap().unwrap();
    assert!(running.script.lock().unwrap().closed);
}
