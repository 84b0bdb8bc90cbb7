//! The whole table: every state, settler, word, knowledge and outcome.

use super::*;

fn every(mut proves: impl FnMut(State, Option<SettledBy>, Word, Known, Option<Outcome>, Ruling)) {
    let settlers = SettledBy::ALL.iter().copied().map(Some);
    let outcomes = std::iter::once(None).chain(Outcome::ALL.iter().copied().map(Some));
    for &state in State::ALL {
        for by in std::iter::once(None).chain(settlers.clone()) {
            if by.is_none() != state.is_open() {
                continue;
            }
            for &word in Word::ALL {
                for &known in Known::ALL {
                    for said in outcomes.clone() {
                        proves(
                            state,
                            by,
                            word,
                            known,
                            said,
                            heed(state, by, word, known, said),
                        );
                    }
                }
            }
        }
    }
}

/// Proves that a row as the ledger left it, or whose word it has followed, moves no order by being looked at.
#[test]
fn what_is_known_moves_nothing() {
    every(|state, by, word, known, said, ruling| {
        if said.is_none() && known == Known::Left
            || said.is_none() && known == Known::Heard && word != Word::Tracked
        {
            assert_eq!(ruling, Ruling::Stays, "{state} {by:?} {word} {known}");
        }
    });
}

/// Proves that money which the application does not count on is never dropped.
#[test]
fn money_is_never_dropped() {
    every(|state, by, word, known, said, ruling| {
        let untold = !matches!(word, Word::Succeeded | Word::Tracked);
        if said == Some(Outcome::Succeeded) && untold && state != State::Review {
            assert_eq!(ruling, Ruling::Review, "{state} {by:?} {word} {known}");
        }
    });
}

/// Proves that an order is never sent to where it is.
#[test]
fn every_ruling_but_staying_moves() {
    every(|state, by, word, known, said, ruling| {
        if said.is_some() {
            assert_ne!(ruling.word(), state.word(), "{by:?} {word} {known}");
        }
    });
}

/// Proves that what is owed is written, and never taken for a decision of the application: neither for a move back nor for its end.
#[test]
fn what_is_owed_is_no_decision() {
    every(|state, by, word, known, said, ruling| {
        if known == Known::Owed && said.is_none() && !state.is_open() {
            assert_eq!(ruling, Ruling::Writes, "{state} {by:?} {word}");
        }
        assert!(known == Known::Owed || ruling != Ruling::Writes);
    });
}

/// Proves that an order of which nothing is awaited is not closed anew by a look.
#[test]
fn a_look_closes_no_closed_order() {
    every(|state, by, word, known, said, ruling| {
        let closed = !state.is_open() && state != State::Review;
        if said.is_none() && closed && word != Word::Tracked {
            let holds = matches!(ruling, Ruling::Stays | Ruling::Writes);
            assert!(holds, "{state} {by:?} {word} {known}: {ruling}");
        }
    });
}
