//! What the database makes of what a sidecar reports. SQL says these words, the sidecar reads them.

use crate::words::closed_set;

closed_set! {
    /// Why a report about an order was not applied.
    Verdict {
        /// The lease isn't the sidecar's any more.
        Stale = "stale",
        /// The order's row is locked: report again.
        Busy = "busy",
    }
}

closed_set! {
    /// What becomes of a delivery.
    DeliveryVerdict {
        /// The endpoint has taken the event.
        Delivered = "delivered",
        /// It will be tried again.
        Retry = "retry",
        /// It will not, until a person wants it.
        Parked = "parked",
        /// Nothing more is sent to this endpoint.
        Disabled = "disabled",
        /// The lease wasn't the sidecar's any more.
        Stale = "stale",
    }
}
