//! How a call can fail. The sidecar classifies what happened on the wire, the judge says what that means for an order.

use crate::words::closed_set;

closed_set! {
    /// Why a call brought no readable answer.
    Fault {
        /// The name has no address.
        Dns = "dns",
        /// No connection could be made.
        Connect = "connect",
        /// The connection could not be secured, or the certificate isn't to be trusted.
        Tls = "tls",
        /// The call took longer than it may.
        Timeout = "timeout",
        /// The answer was cut off, or is no HTTP, or its length was a lie.
        Broken = "broken",
        /// The body is longer than the sidecar's cap.
        TooLarge = "too_large",
        /// The body isn't UTF-8, or contains a NUL.
        NotText = "not_text",
        /// The sidecar's network guard refused the URL or the address.
        Blocked = "blocked",
        /// The sidecar has no secret of that name.
        SecretMissing = "secret_missing",
        /// The request could not be built.
        BadRequest = "bad_request",
        /// The token endpoint gave no token, and says that it is our fault.
        TokenRefused = "token_refused",
        /// The token endpoint answered, but with no token and no reason.
        TokenUnreadable = "token_unreadable",
        /// The sidecar's machine had no descriptor or no memory left. It says nothing about whom was asked, so it is never
        /// reported: the lease is put back.
        Exhausted = "exhausted",
        /// The sidecar slept for so long that the lease does not last for the call, so it was not begun. Never reported either.
        LeaseOver = "lease_over",
    }
}

impl Fault {
    /// Whether nothing was learned, so that the lease is put back and nothing is reported.
    #[must_use]
    pub const fn is_unasked(self) -> bool {
        matches!(self, Self::Exhausted | Self::LeaseOver)
    }

    /// Whether somebody has to mend something on our side: the sidecar's settings, its secrets or the provider's row.
    #[must_use]
    pub const fn is_configuration(self) -> bool {
        matches!(
            self,
            Self::Blocked | Self::SecretMissing | Self::BadRequest | Self::TokenRefused
        )
    }
}
