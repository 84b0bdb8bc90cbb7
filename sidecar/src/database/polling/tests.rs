//! A clock that stands still until a test moves it.

use super::*;
use tokio::time::advance;

const MS: Duration = Duration::from_millis(1);

fn pause(polling: &Polling) -> Duration {
    polling.next_poll.duration_since(Instant::now())
}

#[tokio::test(start_paused = true)]
async fn a_full_claim_is_followed_at_once_and_another_after_a_moment() {
    let mut polling = Polling::new(Duration::ZERO);
    polling.found(8, 8);
    assert!(!polling.is_waiting());
    polling.found(7, 8);
    assert_eq!(pause(&polling), SHORTEST_IDLE);
}

#[tokio::test(start_paused = true)]
async fn an_idle_sidecar_polls_when_it_was_told_to() {
    let mut polling = Polling::new(Duration::ZERO);
    for (wait, listening, expected) in [
        (Some(300 * MS), true, 300 * MS),
        (Some(MS), true, SHORTEST_IDLE),
        (Some(3_600_000 * MS), true, LONGEST_IDLE),
        (None, true, LONGEST_IDLE),
        (None, false, LONGEST_IDLE_WITHOUT_NOTIFY),
    ] {
        polling.found_nothing(wait, listening);
        assert_eq!(pause(&polling), expected, "{wait:?}");
    }
    polling.work_expected(None);
    assert_eq!(pause(&polling), LONGEST_IDLE_WITHOUT_NOTIFY);
    polling.work_expected(Some(20 * MS));
    assert_eq!(pause(&polling), 20 * MS);
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_claimed_is_polled_ever_more_rarely() {
    let mut polling = Polling::new(Duration::ZERO);
    let pauses: Vec<u128> = (0..8)
        .map(|_| {
            polling.found_nothing(Some(Duration::ZERO), true);
            pause(&polling).as_millis()
        })
        .collect();
    assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 500, 500]);
    polling.found(1, 8);
    polling.found_nothing(Some(Duration::ZERO), true);
    assert_eq!(pause(&polling), 10 * MS);
}

#[tokio::test(start_paused = true)]
async fn room_in_a_limit_is_polled_for_when_our_reports_make_it() {
    let mut polling = Polling::new(Duration::ZERO);
    polling.found_nothing(Some(2 * SOON), true);
    assert!(!polling.polls_when_freed());
    polling.found_nothing(Some(SOON), true);
    assert!(polling.polls_when_freed());
    advance(100 * MS).await;
    polling.freed();
    assert!(!polling.is_waiting());
}

#[tokio::test(start_paused = true)]
async fn a_call_after_a_quiet_moment_is_polled_for_at_once() {
    let mut polling = Polling::new(Duration::ZERO);
    polling.found_nothing(None, true);
    polling.woken();
    assert!(!polling.is_waiting());
    // Many in vain, then a quiet second.
    for _ in 0..20 {
        polling.found_nothing(None, true);
        polling.woken();
    }
    assert!(polling.is_waiting());
    polling.found_nothing(None, true);
    advance(QUIET).await;
    polling.woken();
    assert!(!polling.is_waiting());
}

#[tokio::test(start_paused = true)]
async fn calls_in_vain_poll_ever_more_rarely_until_one_brings_something() {
    let mut polling = Polling::new(Duration::ZERO);
    polling.heartbeat_answered();
    polling.found_nothing(None, true);
    let mut pauses = Vec::new();
    for _ in 0..8 {
        polling.woken();
        pauses.push(pause(&polling).as_millis());
        advance(pause(&polling)).await;
        polling.found_nothing_unexplained();
    }
    assert_eq!(pauses, [0, 5, 10, 20, 40, 80, 160, 250]);
    polling.woken();
    advance(pause(&polling)).await;
    polling.found(1, 8);
    polling.woken();
    assert!(!polling.is_waiting());
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_calls_costs_a_few_polls_and_one_heartbeat_a_second() {
    let mut polling = Polling::new(Duration::ZERO);
    polling.heartbeat_answered();
    polling.found_nothing(None, true);
    let (mut polls, mut heartbeats) = (0, 0);
    for _ in 0..10_000 {
        advance(MS).await;
        if polling.next_heartbeat() <= Instant::now() {
            heartbeats += 1;
            polling.heartbeat_answered();
            polling.work_expected(None);
        }
        polling.woken();
        if !polling.is_waiting() {
            polls += 1;
            if polling.should_send_heartbeat() {
                heartbeats += 1;
                polling.heartbeat_answered();
                polling.found_nothing(None, true);
            } else {
                polling.found_nothing_unexplained();
            }
        }
    }
    assert!((40..=50).contains(&polls), "{polls}");
    assert!((8..=12).contains(&heartbeats), "{heartbeats}");
}

#[tokio::test(start_paused = true)]
async fn a_call_in_vain_puts_off_nothing_that_was_planned() {
    let mut polling = Polling::new(Duration::ZERO);
    polling.heartbeat_answered();
    polling.found_nothing(Some(300 * MS), true);
    advance(50 * MS).await;
    polling.woken();
    assert!(!polling.should_send_heartbeat());
    polling.found_nothing_unexplained();
    assert_eq!(pause(&polling), 250 * MS);
    polling.woken();
    polling.work_expected(Some(100 * MS));
    polling.found_nothing_unexplained();
    assert_eq!(pause(&polling), 100 * MS);
    // The plan's own poll is an ordinary one.
    advance(100 * MS).await;
    assert!(polling.should_send_heartbeat());
}

#[tokio::test(start_paused = true)]
async fn many_calls_make_few_polls_where_a_distance_is_kept() {
    let distance = 25 * MS;
    let mut polling = Polling::new(distance);
    polling.found_nothing(None, true);
    polling.woken();
    assert_eq!(pause(&polling), distance);
    advance(2 * distance).await;
    polling.woken();
    assert!(!polling.is_waiting());
}

#[tokio::test(start_paused = true)]
async fn no_poll_while_paused() {
    let mut polling = Polling::new(Duration::ZERO);
    polling.pause_for(1000 * MS);
    polling.poll_now();
    polling.woken();
    assert!(polling.is_waiting());
    advance(1000 * MS).await;
    assert!(!polling.is_waiting());
}

#[tokio::test(start_paused = true)]
async fn heartbeats_are_not_said_in_quick_succession() {
    let mut polling = Polling::new(Duration::ZERO);
    assert!(polling.should_send_heartbeat());
    polling.heartbeat_answered();
    assert!(!polling.should_send_heartbeat());
    advance(ASKED_JUST_NOW).await;
    assert!(polling.should_send_heartbeat());
    assert_eq!(
        polling.next_heartbeat() - Instant::now(),
        HEARTBEAT_EVERY - ASKED_JUST_NOW
    );
}
