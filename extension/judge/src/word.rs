//! Given where an order stands, what its row in the application's table says, and what the ledger left or heard there:
//! whose word holds?
//!
//! One pure function over closed sets, total. What the provider says after the application's word outlives that word until
//! a person decides; what the ledger left in a row is nobody's word. Never reads a row.

use crate::outcome::Outcome;
use crate::state::{SettledBy, State};
use reconcile_contract::words::closed_set;

closed_set! {
    /// What the order's row says.
    Word {
        /// It is in a tracked status.
        Tracked = "tracked",
        /// Its status is the one that is written for `succeeded`.
        Succeeded = "succeeded",
        /// Its status is the one that is written for `failed`.
        Failed = "failed",
        /// Its status is the one that is written for `cancelled`.
        Cancelled = "cancelled",
        /// Its status is the one that is written for `refunded`.
        Refunded = "refunded",
        /// Its status is the one that is written for `review`.
        Review = "review",
        /// Its status is written for no state.
        Other = "other",
        /// There is no such row.
        Gone = "gone",
    }
}

closed_set! {
    /// What the ledger knows of that word.
    Known {
        /// The row is as the ledger left it.
        Left = "left",
        /// The application said so before, and the ledger has followed.
        Heard = "heard",
        /// It was not seen before.
        New = "new",
        /// The row is as it was before what the ledger could not write there yet.
        Owed = "owed",
    }
}

closed_set! {
    /// What is to be done.
    Ruling {
        /// The order stays where it is.
        Stays = "stays",
        /// What is owed to the row is written.
        Writes = "writes",
        /// It is asked about again.
        Reopens = "reopens",
        /// It is closed as succeeded.
        Succeeded = "succeeded",
        /// It is closed as failed.
        Failed = "failed",
        /// It is closed as cancelled.
        Cancelled = "cancelled",
        /// It is closed as refunded.
        Refunded = "refunded",
        /// A person decides.
        Review = "review",
    }
}

/// Rules. Without an outcome the row was only looked at; with one, what the provider said could not be written to it.
#[must_use]
pub fn heed(
    state: State,
    settled_by: Option<SettledBy>,
    word: Word,
    known: Known,
    said: Option<Outcome>,
) -> Ruling {
    match said {
        _ if word == Word::Tracked => back(state, known, said.is_some()),
        Some(outcome) => answered(state, word, outcome),
        None => looked_at(state, settled_by, word, known),
    }
}

/// A row in a tracked status: under an open order as it should be, else a move back or not yet written.
fn back(state: State, known: Known, answered: bool) -> Ruling {
    match known {
        _ if state.is_open() || answered => Ruling::Stays,
        Known::Left => Ruling::Stays,
        Known::Owed => Ruling::Writes,
        Known::Heard | Known::New => Ruling::Reopens,
    }
}

fn looked_at(state: State, settled_by: Option<SettledBy>, word: Word, known: Known) -> Ruling {
    let waits_for_a_person = state == State::Review && settled_by == Some(SettledBy::Application);
    match known {
        Known::Left | Known::Heard => Ruling::Stays,
        Known::Owed => Ruling::Writes,
        Known::New => {
            if state.is_open() || state == State::Review && !waits_for_a_person {
                meant(word)
            } else {
                Ruling::Stays
            }
        }
    }
}

/// The provider's answer met a row that the application has moved.
fn answered(state: State, word: Word, outcome: Outcome) -> Ruling {
    let ruling = match (outcome, word) {
        (Outcome::Mismatch, _) => Ruling::Review,
        (Outcome::Succeeded, Word::Succeeded) => Ruling::Succeeded,
        (Outcome::Succeeded, _) => Ruling::Review,
        // It came and went back: nobody is owed anything, unless the application counts on it.
        (Outcome::Refunded, Word::Failed | Word::Cancelled | Word::Gone | Word::Refunded) => {
            Ruling::Refunded
        }
        (Outcome::Refunded, _) => Ruling::Review,
        _ if state.is_open() => meant(word),
        _ => Ruling::Stays,
    };
    if ruling.word() == state.word() {
        Ruling::Stays
    } else {
        ruling
    }
}

/// The state that a row which is no longer tracked stands for.
const fn meant(word: Word) -> Ruling {
    match word {
        Word::Tracked => Ruling::Stays,
        Word::Succeeded => Ruling::Succeeded,
        Word::Failed => Ruling::Failed,
        Word::Cancelled | Word::Other | Word::Gone => Ruling::Cancelled,
        Word::Refunded => Ruling::Refunded,
        Word::Review => Ruling::Review,
    }
}

#[cfg(test)]
mod tests;
