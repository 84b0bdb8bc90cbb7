//! A clock that stands still until a test moves it.

use super::*;
use tokio::time::advance;

const MS: Duration = Duration::from_millis(1);

fn pause(pace: &Pace) -> Duration {
    pace.next_look.duration_since(Instant::now())
}

#[tokio::test(start_paused = true)]
async fn a_full_claim_is_followed_at_once_and_another_after_a_moment() {
    let mut pace = Pace::new(Duration::ZERO);
    pace.found(8, 8);
    assert!(!pace.is_waiting());
    pace.found(7, 8);
    assert_eq!(pause(&pace), SHORTEST_IDLE);
}

#[tokio::test(start_paused = true)]
async fn an_idle_sidecar_looks_when_it_was_told_to() {
    let mut pace = Pace::new(Duration::ZERO);
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
    let mut pace = Pace::new(Duration::ZERO);
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
    let mut pace = Pace::new(Duration::ZERO);
    pace.found_nothing(Some(2 * SOON), true);
    assert!(!pace.is_hungry());
    pace.found_nothing(Some(SOON), true);
    assert!(pace.is_hungry());
    advance(100 * MS).await;
    pace.freed();
    assert!(!pace.is_waiting());
}

#[tokio::test(start_paused = true)]
async fn a_call_after_a_quiet_moment_is_looked_at_at_once() {
    let mut pace = Pace::new(Duration::ZERO);
    pace.found_nothing(None, true);
    pace.called();
    assert!(!pace.is_waiting());
    // Many in vain, then a quiet second.
    for _ in 0..20 {
        pace.found_nothing(None, true);
        pace.called();
    }
    assert!(pace.is_waiting());
    pace.found_nothing(None, true);
    advance(QUIET).await;
    pace.called();
    assert!(!pace.is_waiting());
}

#[tokio::test(start_paused = true)]
async fn calls_in_vain_are_looked_at_ever_more_rarely_until_one_brings_something() {
    let mut pace = Pace::new(Duration::ZERO);
    pace.beaten();
    pace.found_nothing(None, true);
    let mut pauses = Vec::new();
    for _ in 0..8 {
        pace.called();
        pauses.push(pause(&pace).as_millis());
        advance(pause(&pace)).await;
        pace.found_nothing_unasked();
    }
    assert_eq!(pauses, [0, 5, 10, 20, 40, 80, 160, 250]);
    pace.called();
    advance(pause(&pace)).await;
    pace.found(1, 8);
    pace.called();
    assert!(!pace.is_waiting());
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_calls_costs_a_few_looks_and_one_heartbeat_a_second() {
    let mut pace = Pace::new(Duration::ZERO);
    pace.beaten();
    pace.found_nothing(None, true);
    let (mut looks, mut heartbeats) = (0, 0);
    for _ in 0..10_000 {
        advance(MS).await;
        if pace.next_heartbeat() <= Instant::now() {
            heartbeats += 1;
            pace.beaten();
            pace.told(None);
        }
        pace.called();
        if !pace.is_waiting() {
            looks += 1;
            if pace.should_ask() {
                heartbeats += 1;
                pace.beaten();
                pace.found_nothing(None, true);
            } else {
                pace.found_nothing_unasked();
            }
        }
    }
    assert!((40..=50).contains(&looks), "{looks}");
    assert!((8..=12).contains(&heartbeats), "{heartbeats}");
}

#[tokio::test(start_paused = true)]
async fn a_call_in_vain_puts_off_nothing_that_was_planned() {
    let mut pace = Pace::new(Duration::ZERO);
    pace.beaten();
    pace.found_nothing(Some(300 * MS), true);
    advance(50 * MS).await;
    pace.called();
    assert!(!pace.should_ask());
    pace.found_nothing_unasked();
    assert_eq!(pause(&pace), 250 * MS);
    pace.called();
    pace.told(Some(100 * MS));
    pace.found_nothing_unasked();
    assert_eq!(pause(&pace), 100 * MS);
    // The plan's own look is an ordinary one.
    advance(100 * MS).await;
    assert!(pace.should_ask());
}

#[tokio::test(start_paused = true)]
async fn many_calls_make_few_looks_where_a_distance_is_kept() {
    let distance = 25 * MS;
    let mut pace = Pace::new(distance);
    pace.found_nothing(None, true);
    pace.called();
    assert_eq!(pause(&pace), distance);
    advance(2 * distance).await;
    pace.called();
    assert!(!pace.is_waiting());
}

#[tokio::test(start_paused = true)]
async fn no_look_while_held() {
    let mut pace = Pace::new(Duration::ZERO);
    pace.hold(1000 * MS);
    pace.look_now();
    pace.called();
    assert!(pace.is_waiting());
    advance(1000 * MS).await;
    assert!(!pace.is_waiting());
}

#[tokio::test(start_paused = true)]
async fn heartbeats_are_not_said_in_quick_succession() {
    let mut pace = Pace::new(Duration::ZERO);
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
