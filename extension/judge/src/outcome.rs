//! What one check can mean: a closed set. Owns the words and their classes; what follows from one is [`crate::decide`].

use reconcile_contract::words::closed_set;

closed_set! {
    /// What a check means.
    Outcome {
        /// The provider says that it was paid or delivered, and the evidence agrees with the order.
        Succeeded = "succeeded",
        /// The provider says that it failed.
        Failed = "failed",
        /// The provider says that it was called off.
        Cancelled = "cancelled",
        /// The provider says that the whole amount was paid back.
        Refunded = "refunded",
        /// The provider has no final word yet.
        Pending = "pending",
        /// The provider does not know the order.
        NotFound = "not_found",
        /// The provider answers a word that its status map does not have.
        UnknownStatus = "unknown_status",
        /// The provider's final word is about another reference, its success about another amount or currency, or it leaves out
        /// what it has to say, or says it of several things.
        Mismatch = "mismatch",
        /// The provider asks for fewer calls (429).
        Throttled = "throttled",
        /// A 5xx, or an answer that can't be read.
        ProviderError = "provider_error",
        /// No answer: DNS, TCP, TLS, time-out.
        Unreachable = "unreachable",
        /// The provider, or the sidecar's own guard, refuses the call: a configuration fault.
        Refused = "refused",
    }
}

impl Outcome {
    /// Whether no answer about the order was had. Such an outcome never closes an order and uses up no try.
    #[must_use]
    pub const fn is_fault(self) -> bool {
        match self {
            Self::Throttled | Self::ProviderError | Self::Unreachable | Self::Refused => true,
            Self::Succeeded
            | Self::Failed
            | Self::Cancelled
            | Self::Refunded
            | Self::Pending
            | Self::NotFound
            | Self::UnknownStatus
            | Self::Mismatch => false,
        }
    }

    /// Whether a provider's status map may name it. The others are found by comparing or by the transport.
    #[must_use]
    pub const fn is_mappable(self) -> bool {
        matches!(
            self,
            Self::Succeeded
                | Self::Failed
                | Self::Cancelled
                | Self::Refunded
                | Self::Pending
                | Self::NotFound
        )
    }

    /// The words that a status map may use, for an error message.
    #[must_use]
    pub fn mappable_words() -> String {
        Self::ALL
            .iter()
            .filter(|outcome| outcome.is_mappable())
            .map(|outcome| outcome.word())
            .collect::<Vec<_>>()
            .join(", ")
    }
}
