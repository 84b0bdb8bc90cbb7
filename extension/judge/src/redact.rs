//! What must not be stored: secrets and card data inside a provider's answer. Masks values, keeps shape: an auditor sees
//! that there was one. Owns the entrances; each way of telling a secret has a file of its own.
//!
//! | file             | the question it answers                                     |
//! |------------------|-------------------------------------------------------------|
//! | `json`           | what is left of JSON when all that is masked?               |
//! | `text`           | and of a text?                                              |
//! | `names`          | does this name speak of a secret?                           |
//! | `vocabulary`     | which words do such names consist of, and who says so?      |
//! | `cards`          | where does this text hold a card's number?                  |
//! | `issuers`        | can these digits be a card's?                               |
//! | `tracks`         | how far does the magnetic stripe go around it?              |
//! | `credentials`    | where does it hold a token or a private key?                |
//! | `key_beginnings` | how do makers begin their keys?                             |
//! | `pairs`          | where does it hold a sensitive name beside its value?       |
//! | `markup`         | what of it only stands between other characters?            |
//! | `tags`           | where does it hold an element of a sensitive name?          |
//! | `folding`        | how is the same spelled the same?                           |
//! | `numbers`        | are the numbers of a size that can be kept?                 |

mod cards;
mod credentials;
mod folding;
mod issuers;
mod json;
mod key_beginnings;
mod markup;
mod names;
mod numbers;
mod pairs;
mod tags;
mod text;
mod tracks;
mod vocabulary;

pub use names::is_sensitive_name;
pub use numbers::numbers_are_sane;

use names::Also;
use text::DEPTH;

/// What stands in place of a value that is not stored.
pub const MASK: &str = "[redacted]";

/// An answer with its sensitive values masked; `None` when nothing had to be.
///
/// What can't be looked through (not JSON, or nested deeper than 128 levels) is masked as a whole.
#[must_use]
pub fn redacted(body: &str, also: &[String]) -> Option<String> {
    match json::parsed(body) {
        Ok(answer) => json::masked(body, answer, &Also::new(also), DEPTH),
        Err(_) => Some(format!("\"{MASK}\"")),
    }
}

/// A text for people, such as a message that quotes a provider, with what is sensitive in it masked; `None` when nothing
/// had to be.
#[must_use]
pub fn redacted_text(text: &str, also: &[String]) -> Option<String> {
    text::redacted(text, &Also::new(also), DEPTH)
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
