//! Many measurements of one thing, and the few numbers that stand for them.

/// Measurements, sorted.
#[derive(Clone, Debug)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    /// The share `rank` of all is at most this: 0.5 for the median. 0 when there are none.
    pub(crate) fn quantile(&self, rank: f64) -> f64 {
        let place = (self.0.len() as f64 * rank).ceil() as usize;
        self.0
            .get(place.saturating_sub(1))
            .copied()
            .unwrap_or_default()
    }

    /// The middle one.
    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// `least to most`, with so many decimals.
    pub(crate) fn range(&self, decimals: usize) -> String {
        let (least, most) = (self.quantile(0.0), self.quantile(1.0));
        format!("{least:.decimals$} to {most:.decimals$}")
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(measured: I) -> Self {
        let mut sorted: Vec<f64> = measured.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        Self(sorted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(measured: impl IntoIterator<Item = f64>, rank: f64) -> String {
        let samples: Samples = measured.into_iter().collect();
        format!("{}", samples.quantile(rank))
    }

    #[test]
    fn quantiles_are_measurements_and_not_means_of_them() {
        let hundred = || (1..=100).rev().map(f64::from);
        assert_eq!(shown(hundred(), 0.5), "50");
        assert_eq!(shown(hundred(), 0.99), "99");
        assert_eq!(shown(hundred(), 1.0), "100");
        assert_eq!(shown(hundred(), 0.0), "1");
        assert_eq!(shown([7.0], 0.99), "7");
        assert_eq!(shown([], 0.5), "0");
    }

    #[test]
    fn a_range_says_the_least_and_the_most() {
        let samples: Samples = [3.12, 1.0, 2.0].into_iter().collect();
        assert_eq!(samples.range(1), "1.0 to 3.1");
    }
}
