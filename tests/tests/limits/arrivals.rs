//! When calls reached a provider, and how close together. Owns the counting; a limit is the test's.

use std::time::{Duration, Instant};

use reconcile_tests::simulator::Simulator;

/// The moments at which calls arrived, in order.
pub(crate) fn arrivals(provider: &Simulator) -> Vec<Instant> {
    let calls = provider.all_calls();
    let mut arrived: Vec<_> = calls.iter().map(|call| call.arrived).collect();
    arrived.sort();
    arrived
}

/// The most calls in any window of this length, wherever it begins; its end is not part of it.
pub(crate) fn most_within(arrived: &[Instant], window: Duration) -> usize {
    let from = |begin: usize| {
        let inside = |moment: &&Instant| **moment < arrived[begin] + window;
        arrived[begin..].iter().take_while(inside).count()
    };
    (0..arrived.len()).map(from).max().unwrap_or(0)
}

/// The shortest time between two calls; none when there are fewer.
pub(crate) fn shortest_gap(arrived: &[Instant]) -> Option<Duration> {
    arrived.windows(2).map(|pair| pair[1] - pair[0]).min()
}

/// Proves that the counting finds the fullest window, and neither counts its end nor misses a later one.
#[test]
fn the_fullest_window_is_found() {
    let began = Instant::now();
    let at = |ms: &[u64]| -> Vec<_> {
        ms.iter()
            .map(|ms| began + Duration::from_millis(*ms))
            .collect()
    };
    let second = Duration::from_secs(1);
    assert_eq!(most_within(&at(&[0, 999, 1000, 1001]), second), 3);
    assert_eq!(most_within(&at(&[0, 1000, 2000]), second), 1);
    assert_eq!(most_within(&[], second), 0);
    let gap = shortest_gap(&at(&[0, 300, 500, 900]));
    assert_eq!(gap, Some(Duration::from_millis(200)));
}
