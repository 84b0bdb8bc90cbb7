//! Closed sets of words, guarded by the compiler's exhaustive `match`, and how one is declared.

use std::fmt;

/// Declares a closed set of words: an enum, all its members, and its text form in both directions.
#[macro_export]
macro_rules! closed_set {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$doc])* $variant),+ }

        impl $name {
            /// Every member, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word that SQL, metrics and documentation use.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The member that a word names; `None` for any other text.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }

            /// The member that a word names; `set` is what the words are called where it was said.
            ///
            /// # Errors
            /// For any other text.
            pub fn named(set: &'static str, word: &str) -> Result<Self, $crate::words::UnknownWord> {
                Self::from_word(word).ok_or_else(|| $crate::words::UnknownWord {
                    set,
                    word: word.to_owned(),
                    allowed: Self::words(),
                })
            }

            /// All words, for an error message: `a, b, c`.
            #[must_use]
            pub fn words() -> String {
                Self::ALL.iter().map(|member| member.word()).collect::<Vec<_>>().join(", ")
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.word())
            }
        }
    };
}
pub use closed_set;

/// A word that is not in its set. The message names the word and the set.
#[derive(Debug, PartialEq, Eq)]
pub struct UnknownWord {
    /// What the set is called, for example `state`.
    pub set: &'static str,
    /// The text that was given.
    pub word: String,
    /// The words that would do.
    pub allowed: String,
}

impl fmt::Display for UnknownWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "\"{}\" is not a {}: use one of {}",
            self.word.escape_debug(),
            self.set,
            self.allowed
        )
    }
}

impl std::error::Error for UnknownWord {}
