//! The grammar of schedules, and that every delay is within bounds.

use super::*;
use proptest::prelude::*;

fn delays(text: &str, count: u32) -> Vec<u64> {
    let schedule = Schedule::parse(text).expect("a good schedule");
    (0..count)
        .map(|attempt| schedule.delay_ms(attempt) / 1_000)
        .collect()
}

#[test]
fn steps_repeats_and_tails() {
    assert_eq!(
        delays("60s, 30s, 1m, 2m, 4m, then 5m", 7),
        [60, 30, 60, 120, 240, 300, 300]
    );
    assert_eq!(delays("25s, 3s x2, then 1m", 5), [25, 3, 3, 60, 60]);
    assert_eq!(delays("10s", 3), [10, 10, 10]);
    assert_eq!(
        delays("then 30s growing by 2 up to 5m", 6),
        [30, 60, 120, 240, 300, 300]
    );
    assert_eq!(
        delays("then 10s growing by 1.5 up to 1m", 4),
        [10, 15, 22, 33]
    );
}

#[test]
fn a_finite_schedule_ends() {
    let watch = Schedule::parse("1h, 23h, 2d").expect("a good schedule");
    assert_eq!(watch.finite_delay_ms(2), Some(48 * 3_600_000));
    assert_eq!(watch.finite_delay_ms(3), None);
}

#[test]
fn bad_schedules_say_why() {
    for (text, part) in [
        ("", "is not a duration"),
        ("soon", "\\\"soon\\\""),
        ("0s", "out of range"),
        ("366d", "out of range"),
        ("99999999999999999999s", "is not a duration"),
        ("30s x0", "is not a repeat"),
        ("then 5m, 30s", "nothing may follow"),
        ("then 30s growing by 1 up to 5m", "is not a growth"),
        ("then 5m growing by 2 up to 30s", "below the first"),
        ("30s 40s", "is not a repeat"),
        ("30s x2 x3", "not expected"),
    ] {
        let message = Schedule::parse(text).expect_err(text);
        assert!(
            message.contains(&part.replace("\\\"", "\"")),
            "{text}: {message}"
        );
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC*") {
        if let Ok(schedule) = Schedule::parse(&text) {
            prop_assert!(schedule.delay_ms(u32::MAX) <= LONGEST_MS);
        }
    }

    #[test]
    fn every_delay_is_within_bounds(first in 1u64..1000, growth in 2u64..10, cap in 1000u64..100_000, attempt: u32, order in "\\PC{0,40}") {
        let text = format!("5s x3, then {first}s growing by {growth} up to {cap}s");
        let schedule = Schedule::parse(&text).expect("a good schedule");
        let delay = schedule.delay_ms(attempt);
        prop_assert!((SHORTEST_MS..=cap * 1_000).contains(&delay));
        let jittered = jittered_ms(delay, &order, attempt);
        prop_assert!((delay..=delay + delay / 10).contains(&jittered));
        prop_assert_eq!(jittered, jittered_ms(delay, &order, attempt));
    }
}
