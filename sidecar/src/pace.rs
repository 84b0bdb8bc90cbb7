//! Owns when to look for work and when to say that we live: pure bookkeeping over a clock. Never
//! talks to the database.

use std::time::Duration;

use tokio::time::Instant;

/// The database wants to hear from us at least every 5 s.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(4);

/// The longest idle time between two looks, which are what remains when NOTIFY doesn't arrive.
const LONGEST_IDLE: Duration = Duration::from_secs(5);

/// The same when we know that it can't arrive.
const LONGEST_IDLE_UNTOLD: Duration = Duration::from_secs(1);

/// The shortest time between two looks that nobody called for: orders that come due one by one are
/// claimed a few at a time.
const SHORTEST_IDLE: Duration = Duration::from_millis(5);

/// The shortest time between two looks that many small calls ask for.
const BETWEEN_CALLS: Duration = Duration::from_millis(25);

/// The longest time between two looks when something is due that can't be claimed, such as a row
/// that another session has locked.
const LONGEST_BLOCKED: Duration = Duration::from_millis(500);

/// When something may be claimed within this time, room that our own reports make is worth a look:
/// it may be a provider's limit that it waits for.
const SOON: Duration = Duration::from_secs(1);

/// Asking when there will be work costs more than looking, so between two looks in quick succession
/// it is left out.
const ASKED_JUST_NOW: Duration = Duration::from_millis(100);

/// When the next look and the next heartbeat are.
#[derive(Debug)]
pub(crate) struct Pace {
    next_look: Instant,
    last_look: Instant,
    next_heartbeat: Instant,
    /// Whether slots that come back are a reason to look.
    hungry: bool,
    /// Looks in a row that found nothing to claim although something was due.
    blocked: u32,
}

impl Pace {
    /// Everything is due now.
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self {
            next_look: now,
            last_look: now,
            next_heartbeat: now,
            hungry: false,
            blocked: 0,
        }
    }

    /// When to look.
    pub(crate) fn next_look(&self) -> Instant {
        self.next_look
    }

    /// When to say that we live.
    pub(crate) fn next_heartbeat(&self) -> Instant {
        self.next_heartbeat
    }

    /// Whether it isn't time to look yet.
    pub(crate) fn is_waiting(&self) -> bool {
        self.next_look > Instant::now()
    }

    /// Whether slots that come back are a reason to look.
    pub(crate) fn is_hungry(&self) -> bool {
        self.hungry
    }

    /// After a gap anything may have happened: there is work, or the database forgot us.
    pub(crate) fn everything_now(&mut self) {
        self.look_now();
        self.next_heartbeat = self.next_look;
    }

    /// Somebody called.
    pub(crate) fn look_now(&mut self) {
        self.next_look = Instant::now();
    }

    /// Somebody called who may call often: a quiet moment is waited for, and no longer.
    pub(crate) fn called(&mut self) {
        self.next_look = self.next_look.min(self.last_look + BETWEEN_CALLS);
    }

    /// Slots came back.
    pub(crate) fn freed(&mut self) {
        self.next_look = self.next_look.min(self.last_look + SHORTEST_IDLE);
    }

    /// A heartbeat was answered.
    pub(crate) fn beaten(&mut self) {
        self.next_heartbeat = Instant::now() + HEARTBEAT_EVERY;
    }

    /// A heartbeat said when there will be work; none means that nothing is waiting.
    pub(crate) fn told(&mut self, wait: Option<Duration>) {
        if let Some(wait) = wait {
            self.next_look = self.next_look.min(Instant::now() + wait.max(SHORTEST_IDLE));
        }
    }

    /// A claim brought something.
    pub(crate) fn found(&mut self, found: usize, free: usize) {
        (self.hungry, self.blocked) = (true, 0);
        self.look_in(if found < free {
            SHORTEST_IDLE
        } else {
            Duration::ZERO
        });
    }

    /// Whether a claim that brought nothing is worth a heartbeat, to learn when there will be work.
    pub(crate) fn should_ask(&self) -> bool {
        let asked = self.next_heartbeat.checked_sub(HEARTBEAT_EVERY);
        asked.is_none_or(|asked| asked.elapsed() >= ASKED_JUST_NOW)
    }

    /// A claim brought nothing, and there will be work after `wait`: zero for what is due and can't
    /// be claimed, none for nothing.
    pub(crate) fn found_nothing(&mut self, wait: Option<Duration>, listening: bool) {
        self.hungry = wait.is_some_and(|wait| wait <= SOON);
        if wait == Some(Duration::ZERO) {
            self.blocked = self.blocked.saturating_add(1);
            let growing = SHORTEST_IDLE.saturating_mul(1 << self.blocked.min(10));
            return self.look_in(growing.min(LONGEST_BLOCKED));
        }
        self.blocked = 0;
        let longest = if listening {
            LONGEST_IDLE
        } else {
            LONGEST_IDLE_UNTOLD
        };
        self.look_in(wait.map_or(longest, |wait| wait.clamp(SHORTEST_IDLE, longest)));
    }

    fn look_in(&mut self, pause: Duration) {
        self.last_look = Instant::now();
        self.next_look = self.last_look + pause;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    const MS: Duration = Duration::from_millis(1);

    fn pause(pace: &Pace) -> Duration {
        pace.next_look.duration_since(Instant::now())
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_claim_is_followed_at_once_and_another_after_a_moment() {
        let mut pace = Pace::new();
        pace.found(8, 8);
        assert!(!pace.is_waiting());
        pace.found(7, 8);
        assert_eq!(pause(&pace), SHORTEST_IDLE);
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_sidecar_looks_when_it_was_told_to() {
        let mut pace = Pace::new();
        for (wait, listening, expected) in [
            (Some(300 * MS), true, 300 * MS),
            (Some(MS), true, SHORTEST_IDLE),
            (Some(3_600_000 * MS), true, LONGEST_IDLE),
            (None, true, LONGEST_IDLE),
            (None, false, LONGEST_IDLE_UNTOLD),
        ] {
            pace.found_nothing(wait, listening);
            assert_eq!(pause(&pace), expected, "{wait:?}");
        }
        pace.told(None);
        assert_eq!(pause(&pace), LONGEST_IDLE_UNTOLD);
        pace.told(Some(20 * MS));
        assert_eq!(pause(&pace), 20 * MS);
    }

    #[tokio::test(start_paused = true)]
    async fn what_can_not_be_claimed_is_looked_at_ever_more_rarely() {
        let mut pace = Pace::new();
        let pauses: Vec<u128> = (0..8)
            .map(|_| {
                pace.found_nothing(Some(Duration::ZERO), true);
                pause(&pace).as_millis()
            })
            .collect();
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 500, 500]);
        pace.found(1, 8);
        pace.found_nothing(Some(Duration::ZERO), true);
        assert_eq!(pause(&pace), 10 * MS);
    }

    #[tokio::test(start_paused = true)]
    async fn room_in_a_limit_is_looked_for_when_our_reports_make_it() {
        let mut pace = Pace::new();
        pace.found_nothing(Some(2 * SOON), true);
        assert!(!pace.is_hungry());
        pace.found_nothing(Some(SOON), true);
        assert!(pace.is_hungry());
        advance(100 * MS).await;
        pace.freed();
        assert!(!pace.is_waiting());
    }

    #[tokio::test(start_paused = true)]
    async fn many_calls_make_few_looks() {
        let mut pace = Pace::new();
        pace.found_nothing(None, true);
        pace.called();
        assert_eq!(pause(&pace), BETWEEN_CALLS);
        advance(2 * BETWEEN_CALLS).await;
        pace.called();
        assert!(!pace.is_waiting());
    }

    #[tokio::test(start_paused = true)]
    async fn heartbeats_are_not_said_in_quick_succession() {
        let mut pace = Pace::new();
        assert!(pace.should_ask());
        pace.beaten();
        assert!(!pace.should_ask());
        advance(ASKED_JUST_NOW).await;
        assert!(pace.should_ask());
        assert_eq!(
            pace.next_heartbeat() - Instant::now(),
            HEARTBEAT_EVERY - ASKED_JUST_NOW
        );
    }
}
