//! Where an order can stand, and who put it there. Closed sets: the compiler's exhaustive `match` guards every use.
//!
//! Owns the words; never decides anything.

pub use reconcile_contract::words::UnknownWord;

use reconcile_contract::words::closed_set;

closed_set! {
    /// Where an order stands.
    State {
        /// Handed to the provider, no word yet.
        Pending = "pending",
        /// The application says that the provider works on it. Treated as `pending` is.
        Processing = "processing",
        /// Paid or delivered.
        Succeeded = "succeeded",
        /// The provider says that it won't happen.
        Failed = "failed",
        /// Called off.
        Cancelled = "cancelled",
        /// Paid, and the whole of it paid back.
        Refunded = "refunded",
        /// A person has to decide.
        Review = "review",
    }
}

impl State {
    /// Whether the order still waits for the provider's word.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Processing)
    }
}

closed_set! {
    /// Who put an order into a state that is not open.
    SettledBy {
        /// An answer of the provider.
        Provider = "provider",
        /// The end of its deadline or of its tries.
        GivingUp = "giving_up",
        /// A person, by `resolve_order`.
        Operator = "operator",
        /// The application, in its own table.
        Application = "application",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_go_both_ways() {
        for state in State::ALL {
            assert_eq!(State::from_word(state.word()), Some(*state));
        }
        assert_eq!(State::from_word("Pending"), None);
    }
}
