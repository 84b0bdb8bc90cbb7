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

/// A look that was called for and found nothing makes the next one that is called for wait, so long
/// at first and twice as long each time: anybody may NOTIFY, also who may do nothing else.
const FIRST_VAIN: Duration = Duration::from_millis(5);
const LONGEST_VAIN: Duration = Duration::from_millis(250);

/// After a time without a look, a call is one that nobody repeats.
const QUIET: Duration = Duration::from_secs(1);

/// While calls are in vain, they are no reason to ask more often than this when there will be work.
const ASKED_LATELY: Duration = Duration::from_secs(1);

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
    /// When the last heartbeat was answered.
    asked: Option<Instant>,
    /// Whether slots that come back are a reason to look.
    hungry: bool,
    /// Looks in a row that found nothing to claim although something was due.
    blocked: u32,
    /// At least this long between two looks that are called for.
    between_calls: Duration,
    /// When to look had nobody called; none if nobody did.
    planned: Option<Instant>,
    /// Looks in a row that were called for and found nothing.
    vain: u32,
    /// No look before this moment, whoever calls.
    held_until: Instant,
}

impl Pace {
    /// Everything is due now. Looks that are called for keep a distance of `between_calls`.
    pub(crate) fn new(between_calls: Duration) -> Self {
        let now = Instant::now();
        Self {
            next_look: now,
            last_look: now,
            next_heartbeat: now,
            asked: None,
            hungry: false,
            blocked: 0,
            between_calls,
            planned: None,
            vain: 0,
            held_until: now,
        }
    }

    /// When to look.
    pub(crate) fn next_look(&self) -> Instant {
        self.next_look.max(self.held_until)
    }

    /// When to say that we live.
    pub(crate) fn next_heartbeat(&self) -> Instant {
        self.next_heartbeat
    }

    /// Whether it isn't time to look yet.
    pub(crate) fn is_waiting(&self) -> bool {
        self.next_look() > Instant::now()
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

    /// There is a reason of our own to look.
    pub(crate) fn look_now(&mut self) {
        self.planned = None;
        self.next_look = Instant::now();
    }

    /// No look for this time: this machine can't make calls.
    pub(crate) fn hold(&mut self, time: Duration) {
        self.held_until = Instant::now() + time;
    }

    /// Somebody called: at once if there was no look in vain just before.
    pub(crate) fn called(&mut self) {
        if self.last_look.elapsed() >= QUIET {
            self.vain = 0;
        }
        let growing = match self.vain {
            0 => Duration::ZERO,
            vain => FIRST_VAIN.saturating_mul(1 << (vain - 1).min(10)),
        };
        let distance = growing.min(LONGEST_VAIN).max(self.between_calls);
        let look = (self.last_look + distance).max(Instant::now());
        if look < self.next_look {
            self.planned.get_or_insert(self.next_look);
            self.next_look = look;
        }
    }

    /// Slots came back.
    pub(crate) fn freed(&mut self) {
        self.no_later_than(self.last_look + SHORTEST_IDLE);
    }

    fn no_later_than(&mut self, moment: Instant) {
        self.planned = self.planned.map(|planned| planned.min(moment));
        self.next_look = self.next_look.min(moment);
    }

    /// A heartbeat was answered.
    pub(crate) fn beaten(&mut self) {
        let now = Instant::now();
        self.asked = Some(now);
        self.next_heartbeat = now + HEARTBEAT_EVERY;
    }

    /// A heartbeat said when there will be work; none means that nothing is waiting.
    pub(crate) fn told(&mut self, wait: Option<Duration>) {
        if let Some(wait) = wait {
            self.no_later_than(Instant::now() + wait.max(SHORTEST_IDLE));
        }
    }

    /// A claim brought something.
    pub(crate) fn found(&mut self, found: usize, free: usize) {
        (self.hungry, self.blocked, self.vain) = (true, 0, 0);
        self.look_in(if found < free {
            SHORTEST_IDLE
        } else {
            Duration::ZERO
        });
    }

    /// Whether a claim that brought nothing is worth a heartbeat, to learn when there will be work.
    pub(crate) fn should_ask(&self) -> bool {
        let enough = match self.is_called() && self.vain > 0 {
            true => ASKED_LATELY,
            false => ASKED_JUST_NOW,
        };
        self.asked.is_none_or(|asked| asked.elapsed() >= enough)
    }

    /// Whether only a call made it time to look.
    fn is_called(&self) -> bool {
        self.planned.is_some_and(|planned| planned > Instant::now())
    }

    /// A claim brought nothing, and it was not worth to ask when there will be work. What was called
    /// for in vain changes nothing about the plan, except that it is asked about before long.
    pub(crate) fn found_nothing_unasked(&mut self) {
        let Some(planned) = self.planned.filter(|_| self.is_called()) else {
            return self.found_nothing(Some(Duration::ZERO), true);
        };
        self.vain = self.vain.saturating_add(1);
        let soon = self.asked.map(|asked| asked + ASKED_LATELY);
        self.next_heartbeat =
            soon.map_or(self.next_heartbeat, |soon| self.next_heartbeat.min(soon));
        self.look_in(Duration::ZERO);
        self.next_look = planned;
    }

    /// A claim brought nothing, and there will be work after `wait`: zero for what is due and can't
    /// be claimed, none for nothing.
    pub(crate) fn found_nothing(&mut self, wait: Option<Duration>, listening: bool) {
        if self.is_called() {
            self.vain = self.vain.saturating_add(1);
        }
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
        self.planned = None;
        self.last_look = Instant::now();
        self.next_look = self.last_look + pause;
    }
}

#[cfg(test)]
mod tests;
