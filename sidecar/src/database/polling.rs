//! Owns when to poll for work and when to send a heartbeat: pure bookkeeping over a clock. Never
//! talks to the database.

use std::time::Duration;

use tokio::time::Instant;

/// The database wants to hear from us at least every 5 s.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(4);

/// The longest idle time between two polls, which are what remains when NOTIFY doesn't arrive.
const LONGEST_IDLE: Duration = Duration::from_secs(5);

/// The same when we know that it can't arrive.
const LONGEST_IDLE_WITHOUT_NOTIFY: Duration = Duration::from_secs(1);

/// The shortest time between two polls without a wake-up call: orders that come due one by one are
/// claimed a few at a time.
const SHORTEST_IDLE: Duration = Duration::from_millis(5);

/// A wake-up call whose poll found nothing makes the poll of the next one wait, so long
/// at first and twice as long each time: anybody may NOTIFY, also who may do nothing else.
const FIRST_EMPTY_WAKEUP: Duration = Duration::from_millis(5);
const LONGEST_EMPTY_WAKEUP: Duration = Duration::from_millis(250);

/// After a time without a poll, a wake-up call is one that nobody repeats.
const QUIET: Duration = Duration::from_secs(1);

/// While wake-up calls are in vain, they are no reason to ask more often than this when there will be work.
const ASKED_RECENTLY: Duration = Duration::from_secs(1);

/// The longest time between two polls when something is due that can't be claimed, such as a row
/// that another session has locked.
const LONGEST_BLOCKED: Duration = Duration::from_millis(500);

/// When something may be claimed within this time, room that our own reports make is worth a poll:
/// it may be a provider's limit that it waits for.
const SOON: Duration = Duration::from_secs(1);

/// Asking when there will be work costs more than polling, so between two polls in quick succession
/// it is left out.
const ASKED_JUST_NOW: Duration = Duration::from_millis(100);

/// When the next poll and the next heartbeat are.
#[derive(Debug)]
pub(crate) struct Polling {
    next_poll: Instant,
    last_poll: Instant,
    next_heartbeat: Instant,
    /// When the last heartbeat was answered.
    asked: Option<Instant>,
    /// Whether slots that come back are a reason to poll.
    polls_when_freed: bool,
    /// Polls in a row that found nothing to claim although something was due.
    blocked: u32,
    /// At least this long between the polls of two wake-up calls.
    between_wakeups: Duration,
    /// When to poll without the wake-up call; none if there was none.
    planned: Option<Instant>,
    /// Wake-up calls in a row whose polls found nothing.
    empty_wakeups: u32,
    /// No poll before this moment, whoever calls.
    paused_until: Instant,
}

impl Polling {
    /// Everything is due now. The polls of wake-up calls keep a distance of `between_wakeups`.
    pub(crate) fn new(between_wakeups: Duration) -> Self {
        let now = Instant::now();
        Self {
            next_poll: now,
            last_poll: now,
            next_heartbeat: now,
            asked: None,
            polls_when_freed: false,
            blocked: 0,
            between_wakeups,
            planned: None,
            empty_wakeups: 0,
            paused_until: now,
        }
    }

    /// When to poll.
    pub(crate) fn next_poll(&self) -> Instant {
        self.next_poll.max(self.paused_until)
    }

    /// When to send a heartbeat.
    pub(crate) fn next_heartbeat(&self) -> Instant {
        self.next_heartbeat
    }

    /// Whether it isn't time to poll yet.
    pub(crate) fn is_waiting(&self) -> bool {
        self.next_poll() > Instant::now()
    }

    /// Whether slots that come back are a reason to poll.
    pub(crate) fn polls_when_freed(&self) -> bool {
        self.polls_when_freed
    }

    /// After a gap anything may have happened: there is work, or the database forgot us.
    pub(crate) fn start_over(&mut self) {
        self.poll_now();
        self.next_heartbeat = self.next_poll;
    }

    /// There is a reason of our own to poll.
    pub(crate) fn poll_now(&mut self) {
        self.planned = None;
        self.next_poll = Instant::now();
    }

    /// No poll for this time: this machine can't make calls.
    pub(crate) fn pause_for(&mut self, time: Duration) {
        self.paused_until = Instant::now() + time;
    }

    /// A wake-up call: at once if there was none in vain just before.
    pub(crate) fn woken(&mut self) {
        if self.last_poll.elapsed() >= QUIET {
            self.empty_wakeups = 0;
        }
        let growing = match self.empty_wakeups {
            0 => Duration::ZERO,
            empty => FIRST_EMPTY_WAKEUP.saturating_mul(1 << (empty - 1).min(10)),
        };
        let distance = growing.min(LONGEST_EMPTY_WAKEUP).max(self.between_wakeups);
        let poll = (self.last_poll + distance).max(Instant::now());
        if poll < self.next_poll {
            self.planned.get_or_insert(self.next_poll);
            self.next_poll = poll;
        }
    }

    /// Slots came back.
    pub(crate) fn freed(&mut self) {
        self.no_later_than(self.last_poll + SHORTEST_IDLE);
    }

    fn no_later_than(&mut self, moment: Instant) {
        self.planned = self.planned.map(|planned| planned.min(moment));
        self.next_poll = self.next_poll.min(moment);
    }

    /// A heartbeat was answered.
    pub(crate) fn heartbeat_answered(&mut self) {
        let now = Instant::now();
        self.asked = Some(now);
        self.next_heartbeat = now + HEARTBEAT_EVERY;
    }

    /// A heartbeat said when there will be work; none means that nothing is waiting.
    pub(crate) fn work_expected(&mut self, wait: Option<Duration>) {
        if let Some(wait) = wait {
            self.no_later_than(Instant::now() + wait.max(SHORTEST_IDLE));
        }
    }

    /// A claim brought something.
    pub(crate) fn found(&mut self, found: usize, free: usize) {
        (self.polls_when_freed, self.blocked, self.empty_wakeups) = (true, 0, 0);
        self.poll_in(if found < free {
            SHORTEST_IDLE
        } else {
            Duration::ZERO
        });
    }

    /// Whether a claim that brought nothing is worth a heartbeat, to learn when there will be work.
    pub(crate) fn should_send_heartbeat(&self) -> bool {
        let enough = match self.is_only_woken() && self.empty_wakeups > 0 {
            true => ASKED_RECENTLY,
            false => ASKED_JUST_NOW,
        };
        self.asked.is_none_or(|asked| asked.elapsed() >= enough)
    }

    /// Whether only a wake-up call made it time to poll.
    fn is_only_woken(&self) -> bool {
        self.planned.is_some_and(|planned| planned > Instant::now())
    }

    /// A claim brought nothing, and it was not worth to ask when there will be work. A wake-up
    /// call in vain changes nothing about the plan, except that it is asked about before long.
    pub(crate) fn found_nothing_unexplained(&mut self) {
        let Some(planned) = self.planned.filter(|_| self.is_only_woken()) else {
            return self.found_nothing(Some(Duration::ZERO), true);
        };
        self.empty_wakeups = self.empty_wakeups.saturating_add(1);
        let soon = self.asked.map(|asked| asked + ASKED_RECENTLY);
        self.next_heartbeat =
            soon.map_or(self.next_heartbeat, |soon| self.next_heartbeat.min(soon));
        self.poll_in(Duration::ZERO);
        self.next_poll = planned;
    }

    /// A claim brought nothing, and there will be work after `wait`: zero for what is due and can't
    /// be claimed, none for nothing.
    pub(crate) fn found_nothing(&mut self, wait: Option<Duration>, listening: bool) {
        if self.is_only_woken() {
            self.empty_wakeups = self.empty_wakeups.saturating_add(1);
        }
        self.polls_when_freed = wait.is_some_and(|wait| wait <= SOON);
        if wait == Some(Duration::ZERO) {
            self.blocked = self.blocked.saturating_add(1);
            let growing = SHORTEST_IDLE.saturating_mul(1 << self.blocked.min(10));
            return self.poll_in(growing.min(LONGEST_BLOCKED));
        }
        self.blocked = 0;
        let longest = if listening {
            LONGEST_IDLE
        } else {
            LONGEST_IDLE_WITHOUT_NOTIFY
        };
        self.poll_in(wait.map_or(longest, |wait| wait.clamp(SHORTEST_IDLE, longest)));
    }

    fn poll_in(&mut self, pause: Duration) {
        self.planned = None;
        self.last_poll = Instant::now();
        self.next_poll = self.last_poll + pause;
    }
}

#[cfg(test)]
mod tests;
