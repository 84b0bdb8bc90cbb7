//! Pauses that grow and end, whatever the number of tries.

use super::*;
use crate::schedule::Schedule;
use proptest::prelude::*;
use proptest::sample::select;

/// Each as a person would write it.
const WRITTEN: &[(Backoff, &str)] = &[
    (Backoff::Check, "then 5s growing by 2 up to 10m"),
    (Backoff::EffectWaits, "then 2s growing by 2 up to 1m"),
    (Backoff::EffectFails, "then 5s growing by 2 up to 10m"),
    (Backoff::Unapplied, "then 30s growing by 2 up to 10m"),
    (Backoff::Probe, "then 5s growing by 2 up to 5m"),
    (
        Backoff::Delivery,
        "5s, 5m, 30m, 2h, 5h, 10h, 14h, 20h, then 24h",
    ),
];

#[test]
fn each_is_the_schedule_that_it_is_written_as() {
    assert_eq!(
        WRITTEN.iter().map(|each| each.0).collect::<Vec<_>>(),
        Backoff::ALL
    );
    for (backoff, text) in WRITTEN {
        let schedule = Schedule::parse(text).expect("a good schedule");
        for tries in (0..40).chain([1_000, u32::MAX]) {
            assert_eq!(
                backoff.pause_ms(tries),
                schedule.delay_ms(tries),
                "{backoff} after {tries}"
            );
        }
    }
}

#[test]
fn what_is_asked_for_is_granted_up_to_the_bound() {
    assert_eq!(Bound::Rest.granted_ms(7_000), 7_000);
    assert_eq!(Bound::Rest.granted_ms(u64::MAX), 300_000);
    assert_eq!(Bound::RetryAfter.granted_ms(u64::MAX), 86_400_000);
}

proptest! {
    #[test]
    fn no_pause_is_shorter_than_the_one_before(backoff in select(Backoff::ALL), tries in 0..u32::MAX, of in "\\PC{0,40}") {
        let pause = backoff.pause_ms(tries);
        prop_assert!(pause >= SOONEST_MS && pause <= backoff.pause_ms(tries + 1));
        prop_assert!((pause..=pause + pause / 10).contains(&backoff.jittered_ms(tries, &of)));
    }
}
